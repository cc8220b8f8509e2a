/*
 * How soon does a program go on? One that holds a heap, other memory, threads and descriptors, and
 * answers lines. It begins once: whoever kills it and starts it again under keep=process asks at
 * once, and gets the next answer.
 *
 * usage: resumed HEAP_MIB OTHER_MIB THREADS DESCRIPTORS
 *
 * Says "ready" when it holds everything. For each line read: how many it has answered; for "all",
 * in addition a word of every page put together.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "micro/bench.h"

#define BLOCK_BYTES ((size_t)64 << 10)
#define PAGE_WORDS (4096 / sizeof(uint64_t))

struct block {
	struct block *next;
	uint64_t words[BLOCK_BYTES / 8 - 8];
};

static struct {
	struct block *blocks;
	uint64_t *other;
	size_t other_words;
	pthread_mutex_t lock;
	pthread_cond_t never;
} held = {.lock = PTHREAD_MUTEX_INITIALIZER, .never = PTHREAD_COND_INITIALIZER};

static void fill(uint64_t *words, size_t count, struct bench_random *dice)
{
	for (size_t i = 0; i < count; i++)
		words[i] = bench_random(dice);
}

static void hold_heap(size_t bytes, struct bench_random *dice)
{
	for (size_t made = 0; made < bytes; made += BLOCK_BYTES) {
		struct block *block = malloc(sizeof(*block));
		bench_check(block != NULL, "no memory");
		fill(block->words, sizeof(block->words) / 8, dice);
		block->next = held.blocks;
		held.blocks = block;
	}
}

static void hold_other(size_t bytes, struct bench_random *dice)
{
	if (bytes == 0)
		return;
	held.other = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bench_check(held.other != MAP_FAILED, "no memory");
	held.other_words = bytes / sizeof(*held.other);
	fill(held.other, held.other_words, dice);
}

static void *wait_for_ever(void *argument)
{
	pthread_mutex_lock(&held.lock);
	for (;;)
		pthread_cond_wait(&held.never, &held.lock);
	return argument;
}

/* Besides the first. */
static void hold_threads(size_t count)
{
	pthread_t thread;

	for (size_t i = 1; i < count; i++)
		bench_check(pthread_create(&thread, NULL, wait_for_ever, NULL) == 0, "no thread");
}

static void hold_descriptors(size_t count, const char *path)
{
	struct rlimit limit;

	bench_check(getrlimit(RLIMIT_NOFILE, &limit) == 0, "getrlimit");
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	for (size_t i = 0; i < count; i++)
		bench_check(open(path, O_RDONLY) >= 0, "no descriptor");
}

static uint64_t sum_all(void)
{
	uint64_t sum = 0;

	for (const struct block *block = held.blocks; block; block = block->next)
		for (size_t i = 0; i < sizeof(block->words) / 8; i += PAGE_WORDS)
			sum = sum * 31 + block->words[i];
	for (size_t i = 0; i < held.other_words; i += PAGE_WORDS)
		sum = sum * 31 + held.other[i];
	return sum;
}

int main(int argc, char **argv)
{
	struct bench_random dice = {1};
	char line[16];

	bench_check(argc == 5, "four numbers, please");
	hold_heap(strtoul(argv[1], NULL, 10) << 20, &dice);
	hold_other(strtoul(argv[2], NULL, 10) << 20, &dice);
	hold_threads(strtoul(argv[3], NULL, 10));
	hold_descriptors(strtoul(argv[4], NULL, 10), argv[0]);
	puts("ready");
	fflush(stdout);
	for (unsigned answered = 1; fgets(line, sizeof(line), stdin); answered++) {
		if (strncmp(line, "all", 3) == 0)
			printf("%u %016llx\n", answered, (unsigned long long)sum_all());
		else
			printf("%u\n", answered);
		fflush(stdout);
	}
	return 0;
}
