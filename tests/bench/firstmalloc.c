/*
 * How long from exec to the first malloc of main()? With a pool, all of the attach lies between: the
 * constructor, recovery, what the log has to tell, kept globals.
 *
 * usage: firstmalloc prepare MIB LOG_MIB       a heap of MIB, then an epoch of LOG_MIB of it stored to
 *                                              anew; with LOG_MIB ends by SIGKILL, else cleanly
 *        firstmalloc [NAME=VALUE...]           becomes itself with these variables; says how many us
 *                                              that took and how many blocks it found; ends cleanly, or,
 *                                              with FIRSTMALLOC_KILL among them, by SIGKILL: so the next
 *                                              one finds what this one found
 */
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "heapsake.h"
#include "micro/bench.h"

#define BLOCK_BYTES ((size_t)64 << 10)

struct block {
	struct block *next;
	uint64_t words[BLOCK_BYTES / 8 - 8];
};

HSK_KEEP static struct block *blocks;
HSK_KEEP static size_t block_count;

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void fill(struct block *block, struct bench_random *dice)
{
	for (size_t i = 0; i < sizeof(block->words) / 8; i++)
		block->words[i] = bench_random(dice);
}

static int prepare(size_t bytes, size_t log_bytes)
{
	struct bench_random dice = {hsk_epoch()};

	for (size_t made = 0; made < bytes; made += BLOCK_BYTES) {
		struct block *block = malloc(sizeof(*block));
		bench_check(block != NULL, "no memory");
		fill(block, &dice);
		block->next = blocks;
		blocks = block;
		block_count++;
	}
	bench_check(hsk_checkpoint(-1) == 0, "no pool that keeps anything");
	if (log_bytes == 0)
		return 0;
	struct block *block = blocks;
	for (size_t stored = 0; block && stored < log_bytes; stored += BLOCK_BYTES, block = block->next)
		fill(block, &dice);
	bench_check(hsk_checkpoint(-1) == 0, "no epoch");
	return kill(getpid(), SIGKILL);
}

/* From the exec of this very process to its first malloc. */
static int tell(const char *began_text)
{
	void *volatile first = malloc(100);
	const uint64_t took_ns = now_ns() - strtoull(began_text, NULL, 10);
	size_t count = 0;

	for (const struct block *block = blocks; block && count < 16; block = block->next)
		count++;
	bench_check(first != NULL && count == (block_count < 16 ? block_count : 16), "the heap is gone");
	printf("%.1f %zu\n", (double)took_ns / 1e3, block_count);
	fflush(stdout);
	return getenv("FIRSTMALLOC_KILL") ? kill(getpid(), SIGKILL) : 0;
}

int main(int argc, char **argv)
{
	if (argc > 3 && strcmp(argv[1], "prepare") == 0)
		return prepare(strtoul(argv[2], NULL, 10) << 20, strtoul(argv[3], NULL, 10) << 20);
	if (argc == 3 && strcmp(argv[1], "began") == 0)
		return tell(argv[2]);
	char began[32], began_word[] = "began";
	snprintf(began, sizeof(began), "%llu", (unsigned long long)now_ns());
	execve("/proc/self/exe", (char *[]){argv[0], began_word, began, NULL}, argv + 1);
	return 127;
}
