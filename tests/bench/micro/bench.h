/* What every micro benchmark shares: seeded numbers, block checks, threads, the work's size. */
#pragma once

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BENCH_MAX_THREADS 64

static inline _Noreturn void bench_fail(const char *what)
{
	fprintf(stderr, "bench: wrong: %s\n", what);
	exit(1);
}

static inline void bench_check(int is_right, const char *what)
{
	if (__builtin_expect(!is_right, 0))
		bench_fail(what);
}

/* argv[index] as a number; every program's argv[1] is the amount of work in percent. */
static inline unsigned long bench_argument(int argc, char **argv, int index,
					   unsigned long unset)
{
	return index < argc ? strtoul(argv[index], NULL, 10) : unset;
}

static inline unsigned long bench_scaled(int argc, char **argv, unsigned long full)
{
	unsigned long count = full / 100 * bench_argument(argc, argv, 1, 100);
	return count ? count : 1;
}

/* A splitmix generator: one multiply-free add per number, the rest is mixing. */
struct bench_random {
	uint64_t state;
};

static inline uint64_t bench_random(struct bench_random *random)
{
	uint64_t x = random->state += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

/* A number in [0, limit), from the high half; limit < 2^32. */
static inline uint32_t bench_below(struct bench_random *random, uint32_t limit)
{
	return (uint32_t)(((bench_random(random) >> 32) * limit) >> 32);
}

/*
 * Sizes as programs ask for them: mostly under 128 bytes, a long thin tail. The shares follow
 * what interpreters, compilers and servers have in common, not any one of them.
 */
static inline size_t bench_size(struct bench_random *random)
{
	static const struct {
		uint8_t share; /* of 256, cumulated */
		uint16_t low, high;
	} bands[] = {
		/* clang-format off */
		{46, 8, 24}, {118, 24, 48}, {164, 48, 64}, {198, 64, 128}, {226, 128, 256},
		{242, 256, 512}, {250, 512, 1024}, {253, 1024, 4096}, {254, 4096, 16384},
		{255, 16384, 65535},
		/* clang-format on */
	};
	uint64_t number = bench_random(random);
	uint8_t draw = (uint8_t)number;
	unsigned band = 0;

	/* Draw 255 is one in 256; of those only one in 16 takes the last band. */
	if (draw == 255)
		draw = (number >> 8) & 15 ? 253 : 254;
	while (draw >= bands[band].share)
		band++;
	return bands[band].low +
	       (size_t)((number >> 32) * (bands[band].high - bands[band].low) >> 32);
}

/* Write a block's both ends, as its owner would; bench_verify() finds whoever else wrote there.
 */
static inline void bench_mark(void *block, size_t size, uint64_t tag)
{
	unsigned char *bytes = block;

	bench_check(block != NULL, "out of memory");
	bytes[0] = (unsigned char)tag;
	bytes[size - 1] = (unsigned char)tag;
}

static inline void bench_verify(const void *block, size_t size, uint64_t tag)
{
	const unsigned char *bytes = block;

	bench_check(bytes[0] == (unsigned char)tag && bytes[size - 1] == (unsigned char)tag,
		    "a block lost its bytes");
}

/* Run body(0..count-1) on count threads, the caller's own for one. */
struct bench_worker {
	void (*body)(unsigned index);
	unsigned index;
};

static inline void *bench_enter(void *context)
{
	struct bench_worker *worker = context;

	worker->body(worker->index);
	return NULL;
}

static inline void bench_parallel(unsigned count, void (*body)(unsigned index))
{
	pthread_t threads[BENCH_MAX_THREADS];
	struct bench_worker workers[BENCH_MAX_THREADS];

	bench_check(count <= BENCH_MAX_THREADS, "too many threads");
	if (count == 1) {
		body(0);
		return;
	}
	for (unsigned i = 0; i < count; i++) {
		workers[i] = (struct bench_worker){body, i};
		bench_check(pthread_create(&threads[i], NULL, bench_enter, &workers[i]) == 0,
			    "no thread");
	}
	for (unsigned i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
}
