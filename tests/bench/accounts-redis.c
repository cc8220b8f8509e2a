/*
 * Accounts as hashes in a redis-server at the socket PATH, each transaction a MULTI and an EXEC: one
 * round trip. What it is worth is up to the server's configuration, so there is no kind. Replies are
 * not parsed but counted: each ends where the EXEC's array ends, behind a last integer or status.
 */
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "accounts.h"
#include "micro/bench.h"

static int server = -1;
static FILE *replies;
static char *commands;
static size_t command_bytes, room_bytes;
static unsigned command_count;

void accounts_open(const char *kind, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	server = socket(AF_UNIX, SOCK_STREAM, 0);
	bench_check(kind && connect(server, (struct sockaddr *)&address, sizeof(address)) == 0,
		    "no redis-server there");
	replies = fdopen(dup(server), "r");
	bench_check(replies != NULL, "no memory");
}

static void reserve(size_t bytes)
{
	if (command_bytes + bytes <= room_bytes)
		return;
	room_bytes = 2 * (command_bytes + bytes);
	commands = realloc(commands, room_bytes);
	bench_check(commands != NULL, "no memory");
}

/* Words are separated by single blanks, and hold none. */
static void add_command(const char *text)
{
	unsigned words = 1;

	for (const char *c = text; *c; c++)
		words += *c == ' ';
	reserve(strlen(text) + 16 * (words + 1));
	command_bytes += (size_t)sprintf(commands + command_bytes, "*%u\r\n", words);
	for (const char *word = text; words; words--) {
		const int len = (int)strcspn(word, " ");
		command_bytes += (size_t)sprintf(commands + command_bytes, "$%d\r\n%.*s\r\n", len, len, word);
		word += len + (word[len] == ' ');
	}
	command_count++;
}

static void send_commands(void)
{
	for (size_t sent = 0; sent < command_bytes;) {
		const ssize_t len = write(server, commands + sent, command_bytes - sent);
		bench_check(len > 0, "redis-server is gone");
		sent += (size_t)len;
	}
	command_bytes = 0;
}

/* One line: a status, an error, an integer, or an array's head. */
static const char *read_line(void)
{
	static char line[512];

	bench_check(fgets(line, sizeof(line), replies) != NULL, "redis-server is gone");
	if (line[0] == '-')
		bench_fail(line);
	return line;
}

void accounts_transact(void (*work)(void *context), void *context)
{
	command_count = 0;
	add_command("MULTI");
	work(context);
	add_command("EXEC");
	send_commands();
	/* +OK, +QUEUED for each, the array's head, its elements */
	for (unsigned lines = 1 + (command_count - 2) + 1 + (command_count - 2); lines; lines--)
		read_line();
}

void accounts_insert(uint64_t id)
{
	char text[128];

	snprintf(text, sizeof(text), "HSET a:%llu balance %d holder somebody-of-that-name,and-an-address",
		 (unsigned long long)id, ACCOUNTS_BALANCE);
	add_command(text);
}

void accounts_move(uint64_t from, uint64_t to, int64_t amount)
{
	char text[128];

	snprintf(text, sizeof(text), "HINCRBY a:%llu balance %lld", (unsigned long long)from,
		 (long long)-amount);
	add_command(text);
	snprintf(text, sizeof(text), "HINCRBY a:%llu balance %lld", (unsigned long long)to,
		 (long long)amount);
	add_command(text);
}

int64_t accounts_total(uint64_t count)
{
	int64_t total = 0;

	for (uint64_t id = 0; id < count; id++) {
		char text[64];
		snprintf(text, sizeof(text), "HINCRBY a:%llu balance 0", (unsigned long long)id);
		add_command(text);
		if (id % 1000 != 999 && id + 1 < count)
			continue;
		send_commands();
		for (uint64_t left = id % 1000 + 1; left; left--)
			total += strtoll(read_line() + 1, NULL, 10);
	}
	return total;
}

void accounts_close(void)
{
	fclose(replies);
	close(server);
}
