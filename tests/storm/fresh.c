/*
 * Pages that were zeros in every epoch go home before theirs, if there are many, and home is what a
 * forked child sees where its parent had stored nothing. So what the parent stores right after a
 * fork must stay out of home, though the epoch under way had begun before it. A child sees zeros.
 *
 *   fresh ROUNDS   the first run makes the memory; the next ones fork
 *
 * Another thread keeps the epochs long. Without a look at what was forked since they began, one
 * child in 50 fails.
 */
#include "storm.h"

#define PAGE 4096
#define FRESH 2000 /* pages of a round */
#define HOT 3000
#define CHILD_US 80000 /* until it looks: some epochs */

HSK_KEEP static char *fresh;
HSK_KEEP static char *hot;

static void make(size_t rounds)
{
	fresh = aligned_alloc(PAGE, rounds * FRESH * PAGE);
	hot = aligned_alloc(PAGE, HOT * PAGE);
	MUST(fresh && hot);
	memset(hot, 1, HOT * PAGE);
}

static void *heat(void *argument)
{
	for (unsigned n = 1;; n++) {
		HSK_TX
			for (size_t i = 0; i < HOT; i++)
				hot[i * PAGE + n % PAGE] = (char)n;
		usleep(1000);
	}
	return argument;
}

static void child_main(const char *pages)
{
	usleep(CHILD_US);
	for (size_t i = 0; i < FRESH * PAGE; i += 64)
		MUST(pages[i] == 0);
	_exit(0);
}

static void be_round(size_t number)
{
	char *const pages = fresh + number * FRESH * PAGE;
	int status;

	usleep((useconds_t)(storm_dice(number, 7) % 30000));
	const pid_t child = fork();
	MUST(child >= 0);
	if (child == 0)
		child_main(pages);
	for (size_t i = 0; i < FRESH; i++)
		pages[i * PAGE] = 1;
	MUST(waitpid(child, &status, 0) == child);
	MUST(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(int argc, char **argv)
{
	pthread_t heater;

	MUST(argc == 2);
	const size_t rounds = strtoull(argv[1], NULL, 10);
	if (!fresh) {
		HSK_TX_DURABLE { make(rounds); }
		return 0;
	}
	MUST(pthread_create(&heater, NULL, heat, NULL) == 0);
	for (size_t i = 0; i < rounds; i++)
		be_round(i);
	return 0;
}
