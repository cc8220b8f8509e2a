/*
 * A heap over anonymous memory, whose owner keeps book of what the heap asks of it.
 *
 * Pages are inaccessible until the heap has asked for them, and again once it has given them
 * back: a heap that uses a page without asking is killed on the spot. Switches make growth or
 * purges fail. One arena at a time, as there is one heap in a process.
 */
#pragma once

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "heap/heap.h"
#include "heap/state.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

static struct arena {
	char *base;
	size_t size;
	bool is_open[1 << 18]; /* by page: 1 GiB at most */
	size_t open_bytes;
	size_t open_bytes_max;   /* growth beyond fails */
	size_t grow_fails_at;    /* this call from now on; 0: none */
	size_t grow_fails_more;  /* and so many after it */
	bool purge_fails;
	bool keeps_pages;        /* all is accessible always: for heaps that will be damaged */
	size_t grow_calls, purge_calls, populate_calls;
	size_t thread_enters, alloc_failures;
} arena;

static inline int arena_grow(void *context, size_t offset, size_t len)
{
	struct arena *a = context;
	a->grow_calls++;
	cr_assert(offset % 4096 == 0 && len % 4096 == 0 && len != 0);
	cr_assert(offset + len <= a->size, "growth beyond the end, to %zu", offset + len);
	if (a->grow_fails_at != 0) {
		if (--a->grow_fails_at == 0)
			return -ENOSPC;
	} else if (a->grow_fails_more != 0) {
		a->grow_fails_more--;
		return -ENOSPC;
	}
	size_t fresh = 0;
	for (size_t page = offset / 4096; page < (offset + len) / 4096; page++)
		fresh += !a->is_open[page];
	if (a->open_bytes + fresh * 4096 > a->open_bytes_max)
		return -ENOMEM;
	if (!a->keeps_pages)
		cr_assert_eq(mprotect(a->base + offset, len, PROT_READ | PROT_WRITE), 0);
	memset(a->is_open + offset / 4096, true, len / 4096);
	a->open_bytes += fresh * 4096;
	return 0;
}

static inline int arena_purge(void *context, size_t offset, size_t len)
{
	struct arena *a = context;
	a->purge_calls++;
	if (a->purge_fails)
		return -EAGAIN;
	for (size_t page = offset / 4096; page < (offset + len) / 4096; page++) {
		cr_assert(a->is_open[page], "purge of page %zu, which is not open", page);
		a->is_open[page] = false;
	}
	a->open_bytes -= len;
	cr_assert_eq(madvise(a->base + offset, len, MADV_DONTNEED), 0);
	if (!a->keeps_pages)
		cr_assert_eq(mprotect(a->base + offset, len, PROT_NONE), 0);
	return 0;
}

static inline void arena_populate(void *context, size_t offset, size_t len)
{
	struct arena *a = context;
	a->populate_calls++;
	for (size_t page = offset / 4096; page < (offset + len) / 4096; page++)
		cr_assert(a->is_open[page], "populate of page %zu, which is not open", page);
}

static inline void arena_thread_enter(void *context)
{
	__atomic_add_fetch(&((struct arena *)context)->thread_enters, 1, __ATOMIC_RELAXED);
}

static inline void arena_alloc_failed(void *context, size_t size)
{
	(void)size;
	__atomic_add_fetch(&((struct arena *)context)->alloc_failures, 1, __ATOMIC_RELAXED);
}

static const struct heap_memory arena_memory = {
	.context = &arena,
	.grow = arena_grow,
	.purge = arena_purge,
	.populate = arena_populate,
	.thread_enter = arena_thread_enter,
	.alloc_failed = arena_alloc_failed,
};

/* Memory without a heap in it yet. */
static inline void arena_reserve(size_t size, int protection)
{
	const size_t huge = 2 * MIB;
	char *at = mmap(NULL, size + huge, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			-1, 0);
	cr_assert_neq(at, MAP_FAILED);
	cr_assert_leq(size, sizeof(arena.is_open) * 4096);
	arena = (struct arena){
		.base = at + (huge - (uintptr_t)at % huge) % huge,
		.size = size,
		.open_bytes_max = SIZE_MAX,
		.keeps_pages = protection != PROT_NONE,
	};
}

static inline void arena_open_size(size_t size)
{
	arena_reserve(size, PROT_NONE);
	cr_assert_eq(heap_create(&arena_memory, arena.base, size, size), 0);
}

static inline void arena_open(void)
{
	arena_open_size(512 * MIB);
}

/* Findings of the newest arena_check(), the first of them kept. */
static struct heap_finding arena_findings[64];
static size_t arena_finding_count;

static inline void arena_note(void *context, const struct heap_finding *finding)
{
	(void)context;
	if (arena_finding_count < 64)
		arena_findings[arena_finding_count] = *finding;
	arena_finding_count++;
}

static inline size_t arena_check(void)
{
	arena_finding_count = 0;
	const size_t count = heap_check(arena_note, NULL);
	cr_assert_eq(count, arena_finding_count, "every violation is reported");
	return count;
}

/* The heap is whole; where not, the first finding is told. */
static inline void arena_assert_whole(void)
{
	const size_t count = arena_check();
	cr_assert_eq(count, 0, "%zu findings, first at 0x%zx: %s: expected %llu, found %llu", count,
		     arena_findings[0].offset, arena_findings[0].what,
		     (unsigned long long)arena_findings[0].expected,
		     (unsigned long long)arena_findings[0].found);
}

static inline struct heap_stats arena_stats(void)
{
	struct heap_stats stats;
	heap_get_stats(&stats);
	return stats;
}

/* Random numbers from a seed that is printed; SEED=N in the environment repeats a run. */
static uint64_t arena_random_state;

static inline void arena_seed(void)
{
	const char *given = getenv("SEED");
	uint64_t seed = given ? strtoull(given, NULL, 0) : 0;
	if (!given)
		cr_assert_eq(getrandom(&seed, 4, 0), 4);
	fprintf(stderr, "SEED=%llu\n", (unsigned long long)seed);
	arena_random_state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
}

static inline uint64_t arena_random(uint64_t below)
{
	uint64_t x = arena_random_state += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return (x ^ x >> 31) % below;
}

/* Mostly small, every doubling up to 1 MiB or so. */
static inline size_t arena_random_size(void)
{
	const uint64_t kind = arena_random(100);
	const size_t most = kind < 60 ? 300 : kind < 90 ? 5000 : kind < 98 ? 60000 : MIB;
	return arena_random(most) + 1;
}

/* Runs body in a child with an alarm; returns its wait status. What it wrote to stderr goes to
 * ret_text, of text_size bytes. */
static inline int arena_in_child(void (*body)(void *), void *arg, char *ret_text, size_t text_size)
{
	int ends[2];
	cr_assert_eq(pipe(ends), 0);
	fflush(NULL);
	const pid_t pid = fork();
	if (pid == 0) {
		/* Criterion's own handlers would report the child's death as the test's. */
		for (int number = 1; number < 32; number++)
			signal(number, SIG_DFL);
		alarm(60);
		dup2(ends[1], 2);
		close(ends[0]);
		body(arg);
		_exit(0);
	}
	cr_assert_gt(pid, 0);
	close(ends[1]);
	size_t have = 0;
	for (ssize_t n; (n = read(ends[0], ret_text + have, text_size - 1 - have)) > 0;)
		have += (size_t)n;
	ret_text[have] = '\0';
	close(ends[0]);
	int status;
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return status;
}

/* The body must end in peace. */
static inline void arena_assert_child(void (*body)(void *), void *arg)
{
	char text[4096];
	const int status = arena_in_child(body, arg, text, sizeof(text));
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status 0x%x: %s", status, text);
}

/* For children, which must not assert: Criterion would answer in the parent's name. */
#define CHILD_MUST(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			_exit(1); \
		} \
	} while (0)
