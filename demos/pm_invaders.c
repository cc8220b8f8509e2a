/*
 * Space invaders that survive kill -9: run it again, and the game goes on at that frame.
 *
 * The game is ordinary structs from malloc, in lists, as any game has them; two kept variables
 * lead to them. One transaction a tick is all there is to it: no epoch ever holds half a tick, a
 * bullet that has hit an alien that still lives. Nothing is saved and nothing loaded.
 *
 * A tick depends on the game and on one key, chance included, so a recorded game replays to the
 * same end, through any number of kills. The recording's key for tick n stands at its nth place:
 * a tick that a kill has taken back is recorded over.
 *
 * Curses allocates as well, in every run anew; what it had in the one before stays in the pool.
 */
#include <fcntl.h>
#include <getopt.h>
#include <ncurses.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifdef UNMODIFIED /* the game as if heapsake did not exist, for keep=process */
#define HSK_KEEP
#define HSK_TX
#else
#include "heapsake.h"
#endif

#define WIDTH 60
#define HEIGHT 22 /* the uppermost row is for the score, the lowest for the ship */
#define TICK_US 40000
#define HEADER_BYTES 16 /* of a recording: "seed 0123456789\n", then a key a tick */

enum key { KEY_NONE = '.', KEY_GO_LEFT = 'l', KEY_GO_RIGHT = 'r', KEY_SHOOT = 'f', KEY_QUIT = 'q' };
enum phase { INTRO, PLAY, OVER };

struct thing { /* an alien, a bullet or a star */
	struct thing *next;
	int x, y;
	int kind; /* of an alien: its row; of a bullet: which way, -1 or 1; of a star: how bright */
};

struct game {
	uint64_t tick;
	uint64_t seed, chance;
	enum phase phase;
	int score, level, lives, ship;
	int march; /* -1: to the left */
	struct thing *aliens, *bullets, *stars;
};

HSK_KEEP static struct game *game;
HSK_KEEP static int high_score;

/* ---- The game ---- */

static int below(int bound)
{
	game->chance = game->chance * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (int)((game->chance >> 33) % (uint64_t)bound);
}

static void add(struct thing **list, int x, int y, int kind)
{
	struct thing *thing = malloc(sizeof(*thing));

	if (!thing)
		return;
	*thing = (struct thing){*list, x, y, kind};
	*list = thing;
}

static struct thing *take(struct thing **at)
{
	struct thing *thing = *at;

	*at = thing->next;
	free(thing);
	return *at;
}

static void take_all(struct thing **list)
{
	while (*list)
		take(list);
}

static void begin_level(int level)
{
	game->level = level;
	game->march = 1;
	take_all(&game->bullets);
	take_all(&game->aliens);
	for (int i = 0; i < 40; i++)
		add(&game->aliens, 3 + i % 10 * 5, 3 + i / 10 * 2, i / 10);
}

static void begin_play(void)
{
	game->phase = PLAY;
	game->score = 0;
	game->lives = 3;
	game->ship = WIDTH / 2;
	begin_level(1);
}

static void make_game(uint64_t seed)
{
	game = calloc(1, sizeof(*game));
	if (!game)
		exit(1);
	game->seed = game->chance = seed;
	for (int i = 0; i < 40; i++)
		add(&game->stars, below(WIDTH), 1 + below(HEIGHT - 1), below(3));
}

static void move_stars(void)
{
	for (struct thing *star = game->stars; star; star = star->next) {
		if (below(8) || below(star->kind + 1))
			continue;
		star->y = star->y + 1 < HEIGHT ? star->y + 1 : 1;
	}
}

static void march(void)
{
	bool is_at_edge = false;

	if (game->tick % (uint64_t)(game->level < 9 ? 10 - game->level : 1))
		return;
	for (const struct thing *alien = game->aliens; alien; alien = alien->next)
		is_at_edge |= game->march > 0 ? alien->x >= WIDTH - 3 : alien->x <= 0;
	if (is_at_edge)
		game->march = -game->march;
	for (struct thing *alien = game->aliens; alien; alien = alien->next) {
		if (is_at_edge)
			alien->y++;
		else
			alien->x += game->march;
		if (alien->y >= HEIGHT - 1)
			game->lives = 0;
	}
}

static void shoot_back(void)
{
	if (below(100) < 3 + game->level)
		for (const struct thing *alien = game->aliens; alien; alien = alien->next)
			if (below(10) == 0) {
				add(&game->bullets, alien->x + 1, alien->y + 1, 1);
				break;
			}
}

static bool hits_alien(const struct thing *bullet)
{
	for (struct thing **at = &game->aliens; *at; at = &(*at)->next) {
		if ((*at)->y != bullet->y || bullet->x < (*at)->x || bullet->x > (*at)->x + 2)
			continue;
		game->score += 10 * (4 - (*at)->kind) * game->level;
		if (game->score > high_score)
			high_score = game->score;
		take(at);
		return true;
	}
	return false;
}

static bool hits_ship(const struct thing *bullet)
{
	if (bullet->y != HEIGHT - 1 || abs(bullet->x - game->ship) > 1)
		return false;
	game->lives--;
	return true;
}

static void move_bullets(void)
{
	for (struct thing **at = &game->bullets; *at;) {
		struct thing *bullet = *at;
		if (bullet->kind < 0 || game->tick % 2)
			bullet->y += bullet->kind;
		if (bullet->y < 1 || bullet->y >= HEIGHT ||
		    (bullet->kind < 0 ? hits_alien(bullet) : hits_ship(bullet)))
			take(at);
		else
			at = &bullet->next;
	}
}

static void steer(char key)
{
	int flying = 0;

	if (key == KEY_GO_LEFT && game->ship > 1)
		game->ship--;
	if (key == KEY_GO_RIGHT && game->ship < WIDTH - 2)
		game->ship++;
	for (const struct thing *bullet = game->bullets; bullet; bullet = bullet->next)
		flying += bullet->kind < 0;
	if (key == KEY_SHOOT && flying < 3)
		add(&game->bullets, game->ship, HEIGHT - 1, -1);
}

static void tick(char key)
{
	game->tick++;
	move_stars();
	if (game->phase != PLAY) {
		if (key == KEY_SHOOT)
			begin_play();
		return;
	}
	steer(key);
	march();
	shoot_back();
	move_bullets();
	if (game->lives <= 0)
		game->phase = OVER;
	else if (!game->aliens)
		begin_level(game->level + 1);
}

/* ---- What one sees of it ---- */

struct picture {
	char row[HEIGHT][WIDTH + 1];
};

static void put(struct picture *picture, int x, int y, const char *text)
{
	for (; *text; text++, x++)
		if (x >= 0 && x < WIDTH && y >= 0 && y < HEIGHT)
			picture->row[y][x] = *text;
}

static void render(struct picture *picture)
{
	static const char *const aliens[] = {"/o\\", "{@}", "<#>", "(%)"};
	static const char *const stars[] = {".", ".", "+"};
	char status[WIDTH + 1];

	for (int y = 0; y < HEIGHT; y++)
		snprintf(picture->row[y], WIDTH + 1, "%*s", WIDTH, "");
	for (const struct thing *star = game->stars; star; star = star->next)
		put(picture, star->x, star->y, stars[star->kind]);
	snprintf(status, sizeof(status), "SCORE %06d    HIGH %06d    LEVEL %d    SHIPS %d", game->score,
		 high_score, game->level, game->lives);
	put(picture, 2, 0, status);
	if (game->phase == INTRO) {
		put(picture, 19, 7, "P M   I N V A D E R S");
		put(picture, 14, 10, "kill -9 me: I shall be here again");
		put(picture, 12, 13, "o p or arrows: move   q: leave it now");
		put(picture, 22, 15, "space: shoot");
		return;
	}
	for (const struct thing *alien = game->aliens; alien; alien = alien->next)
		put(picture, alien->x, alien->y, aliens[alien->kind]);
	for (const struct thing *bullet = game->bullets; bullet; bullet = bullet->next)
		put(picture, bullet->x, bullet->y, bullet->kind < 0 ? "|" : "!");
	put(picture, game->ship - 1, HEIGHT - 1, "/^\\");
	if (game->phase == OVER)
		put(picture, 14, 11, "  G A M E   O V E R   -   space  ");
}

static uint64_t mix(uint64_t digest, int64_t value)
{
	return (digest ^ (uint64_t)value) * UINT64_C(0x100000001b3) ^ digest >> 29;
}

static uint64_t mix_list(uint64_t digest, const struct thing *thing)
{
	for (; thing; thing = thing->next)
		digest = mix(mix(mix(digest, thing->x), thing->y), thing->kind);
	return mix(digest, -1);
}

/* All of the state, but for where in memory it lies. */
static uint64_t state_digest(void)
{
	uint64_t digest = mix(mix((uint64_t)game->tick, (int64_t)game->chance), high_score);

	digest = mix(mix(mix(digest, (int64_t)game->seed), game->phase), game->score);
	digest = mix(mix(mix(mix(digest, game->level), game->lives), game->ship), game->march);
	return mix_list(mix_list(mix_list(digest, game->aliens), game->bullets), game->stars);
}

static void print_state(bool with_picture)
{
	struct picture picture;

	printf("tick %llu digest %016llx\n", (unsigned long long)game->tick,
	       (unsigned long long)state_digest());
	render(&picture);
	for (int y = 0; with_picture && y < HEIGHT; y++)
		printf("%s\n", picture.row[y]);
	fflush(stdout);
}

static void terminal_open(void)
{
	if (!initscr())
		exit(1);
	if (LINES < HEIGHT || COLS < WIDTH) {
		endwin();
		fprintf(stderr, "pm_invaders: it takes %d columns and %d lines\n", WIDTH, HEIGHT);
		exit(1);
	}
	cbreak();
	noecho();
	curs_set(0);
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	start_color();
	for (short color = 1; color < 8; color++)
		init_pair(color, color, COLOR_BLACK);
}

static int color_of(char c, int y)
{
	return y == 0		       ? COLOR_WHITE
	       : strchr("/o\\{@}<#>(%)", c) ? COLOR_GREEN + y % 2
	       : strchr("|^", c)       ? COLOR_CYAN
	       : c == '!'	       ? COLOR_RED
	       : strchr(".+", c)       ? COLOR_BLUE
				       : COLOR_WHITE;
}

static void terminal_draw(void)
{
	struct picture picture;

	render(&picture);
	for (int y = 0; y < HEIGHT; y++)
		for (int x = 0; x < WIDTH; x++) {
			const char c = picture.row[y][x];
			mvaddch(y, x, (chtype)c | (chtype)COLOR_PAIR(color_of(c, y)));
		}
	refresh();
}

static char terminal_key(void)
{
	char key = KEY_NONE;

	for (int c; (c = getch()) != ERR;)
		switch (c) {
		case 'o': case KEY_LEFT: key = KEY_GO_LEFT; break;
		case 'p': case KEY_RIGHT: key = KEY_GO_RIGHT; break;
		case ' ': key = KEY_SHOOT; break;
		case 'q': return KEY_QUIT;
		}
	return key;
}

/* ---- Recordings ---- */

static int recording_open(const char *path, bool is_replay, uint64_t *seed)
{
	const int fd = open(path, is_replay ? O_RDONLY : O_RDWR | O_CREAT, 0644);
	char header[HEADER_BYTES + 1] = "";
	struct stat stat;

	if (fd < 0 || fstat(fd, &stat))
		return perror(path), exit(1), -1;
	if (!is_replay && !stat.st_size && !game) {
		snprintf(header, sizeof(header), "seed %010u\n", (unsigned)(*seed % 1000000000));
		if (write(fd, header, HEADER_BYTES) != HEADER_BYTES)
			return perror(path), exit(1), -1;
	}
	unsigned long found;
	if (pread(fd, header, HEADER_BYTES, 0) != HEADER_BYTES ||
	    header[HEADER_BYTES - 1] != '\n' || sscanf(header, "seed %lu", &found) != 1 ||
	    (game && found != game->seed))
		return fprintf(stderr, "%s: not of this game\n", path), exit(1), -1;
	if (!is_replay && ftruncate(fd, HEADER_BYTES + (game ? (off_t)game->tick : 0)))
		return perror(path), exit(1), -1;
	*seed = found;
	return fd;
}

/* At the recording's end: q */
static char recorded_key(int fd)
{
	static const char *bytes; /* not in the pool: mapped anew by every run */
	static uint64_t count;
	struct stat stat;

	if (!bytes && fstat(fd, &stat) == 0) {
		count = (uint64_t)stat.st_size - HEADER_BYTES;
		bytes = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_SHARED, fd, 0);
	}
	if (!bytes || bytes == MAP_FAILED)
		return perror("replay"), exit(1), KEY_QUIT;
	return game->tick < count ? bytes[HEADER_BYTES + game->tick] : KEY_QUIT;
}

static void record_key(int fd, char key)
{
	if (pwrite(fd, &key, 1, HEADER_BYTES + (off_t)game->tick) != 1)
		perror("recording");
}

static int usage(void)
{
	fprintf(stderr, "usage: pm_invaders [--record FILE] [--seed N] | --replay FILE "
			"[--pace MICROSECONDS] | --state\n");
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"replay", required_argument, NULL, 'r'}, {"record", required_argument, NULL, 'w'},
		{"state", no_argument, NULL, 's'}, {"seed", required_argument, NULL, 'n'},
		{"pace", required_argument, NULL, 'p'}, {NULL, 0, NULL, 0}};
	const char *replay = NULL, *record = NULL;
	uint64_t seed = (uint64_t)time(NULL) % 1000000000;
	bool is_state = false;
	long pace_us = -1;

	for (int option; (option = getopt_long(argc, argv, "", options, NULL)) >= 0;)
		switch (option) {
		case 'r': replay = optarg; break;
		case 'w': record = optarg; break;
		case 's': is_state = true; break;
		case 'n': seed = strtoull(optarg, NULL, 10) % 1000000000; break;
		case 'p': pace_us = atol(optarg); break;
		default: return usage();
		}
	if (optind < argc || (replay && record))
		return usage();
	if (!replay && !is_state && !(isatty(0) && isatty(1)))
		return fprintf(stderr, "pm_invaders: no terminal to play at; see --replay\n"), 1;
	if (is_state)
		return game ? print_state(true), 0 : (puts("no game yet"), 1);
	const int tape = replay || record ? recording_open(replay ? replay : record, replay, &seed) : -1;
	if (!game)
		HSK_TX { make_game(seed); }
	if (replay)
		print_state(false);
	else
		terminal_open();
	if (pace_us < 0)
		pace_us = replay ? 0 : TICK_US;
	for (char key; (key = replay ? recorded_key(tape) : terminal_key()) != KEY_QUIT;) {
		if (record)
			record_key(tape, key);
		HSK_TX { tick(key); }
		if (!replay)
			terminal_draw();
		if (pace_us)
			usleep((useconds_t)pace_us);
	}
	if (!replay)
		endwin();
	print_state(false);
	return 0;
}
