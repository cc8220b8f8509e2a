/* Written for keep=heap. "fill": 256 pages that are merged and trimmed, so that home alone has them;
 * prints where they are. "hold": waits until its input ends. "touch": stores into each what it has,
 * lets an epoch pass, stops itself once, and waits then. "churn": stores anywhere for two seconds. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "heapsake.h"

#define REST_BYTES (1 << 20)
#define BUSY_BYTES (8 << 20)

HSK_KEEP static char *rest;
HSK_KEEP static char *busy;

static uint64_t log_bytes(void)
{
	struct hsk_info info = {.size = sizeof(info)};

	hsk_info(&info);
	return info.log_bytes;
}

static void must(int is_true, const char *what)
{
	if (is_true)
		return;
	fprintf(stderr, "resting: %s\n", what);
	exit(1);
}

/* Until the log has been trimmed, and again. */
static void fill(void)
{
	rest = aligned_alloc(4096, REST_BYTES);
	busy = malloc(BUSY_BYTES);
	must(rest && busy, "no memory");
	memset(rest, 'r', REST_BYTES);
	must(hsk_checkpoint(-1) == 0, "no epoch");
	uint64_t before = 0;
	for (int i = 0, trims = 0; trims < 2; i++) {
		must(i < 1000, "nothing is trimmed");
		memset(busy, i, BUSY_BYTES);
		must(hsk_checkpoint(-1) == 0, "no epoch");
		usleep(10000);
		const uint64_t now = log_bytes();
		trims += now < before;
		before = now;
	}
	printf("%p\n", (void *)rest);
}

static void touch(void)
{
	for (int i = 0; i < REST_BYTES; i += 4096)
		((volatile char *)rest)[i] = rest[i];
	must(hsk_checkpoint(-1) == 0, "no epoch");
	raise(SIGSTOP);
}

static void churn(void)
{
	const time_t end = time(NULL) + 3;

	while (time(NULL) < end)
		for (int i = 0; i < 1000; i++)
			busy[random() % BUSY_BYTES] = (char)i;
}

int main(int argc, char **argv)
{
	must(argc == 2, "usage: resting fill|hold|touch|churn");
	if (!strcmp(argv[1], "fill")) {
		fill();
		return 0;
	}
	if (!strcmp(argv[1], "touch"))
		touch();
	if (!strcmp(argv[1], "churn"))
		churn();
	puts("ready");
	fflush(stdout);
	getchar();
	return 0;
}
