/*
 * A log: appended to at its end, never torn. What libpmemlog does, on one block of malloc.
 *
 * The bytes and the new length are one transaction, so a record is there whole or not at all,
 * whichever is stored first. To begin again is to set the length to zero.
 *
 * usage: log append [N]   each line of standard input; says how many are durable, after each N
 *        log walk         prints it
 *        log rewind       empties it
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "heapsake.h"

#define CAPACITY (64u << 20)

struct log {
	size_t used;
	char bytes[CAPACITY - sizeof(size_t)];
};

static struct log *log_open(void)
{
	struct log *log;

	HSK_TX {
		log = hsk_root("log");
		if (!log) {
			log = malloc(sizeof(*log));
			if (!log || hsk_set_root("log", log))
				exit(1);
			log->used = 0;
		}
	}
	return log;
}

static int log_append(struct log *log, const void *record, size_t len)
{
	if (len > sizeof(log->bytes) - log->used)
		return -1;
	HSK_TX {
		log->used += len;
		memcpy(log->bytes + log->used - len, record, len);
	}
	return 0;
}

static void log_rewind(struct log *log)
{
	HSK_TX_DURABLE { log->used = 0; }
}

static void log_walk(const struct log *log)
{
	fwrite(log->bytes, 1, log->used, stdout);
}

/* -1: the log is full, or what is appended does not become durable */
static int append_lines(struct log *log, long durable_every)
{
	static char line[1 << 20];
	long count = 0;

	while (fgets(line, sizeof(line), stdin)) {
		if (log_append(log, line, strlen(line)))
			return -1;
		if (++count % durable_every)
			continue;
		if (hsk_checkpoint(-1))
			return -1;
		printf("%ld\n", count);
		fflush(stdout);
	}
	return hsk_checkpoint(-1);
}

int main(int argc, char **argv)
{
	struct log *log = log_open();

	const long every = argc > 2 ? atol(argv[2]) : 256;

	if (argc >= 2 && strcmp(argv[1], "append") == 0 && every > 0)
		return append_lines(log, every) ? 1 : 0;
	if (argc == 2 && strcmp(argv[1], "walk") == 0)
		return log_walk(log), 0;
	if (argc == 2 && strcmp(argv[1], "rewind") == 0)
		return log_rewind(log), 0;
	return fprintf(stderr, "usage: log append [N]|walk|rewind\n"), 2;
}
