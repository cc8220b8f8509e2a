/*
 * What does it cost to know which pages were written, and to copy them? Over one heap of 4 KiB
 * pages, in the way this kernel allows:
 *   store    the first store to a page since the last collect, beside a store to a page that has
 *            had its first, and beside the first touch of a new page, which every program pays
 *   collect  nobody running: ms a GiB with 0, 1, 10 and 100 % of the pages written, at random;
 *            beside one memcpy of as many pages; and over a heap of huge pages, nothing written
 *   copy     staging_put() of written pages, beside a memcpy of the same into memory that is there
 *   hot      what is saved if a page written in every epoch stayed unprotected, beside what the
 *            copying of it costs when it is not written
 * Medians of rounds; the machine's noise meets all alike. Nothing here passes or fails.
 *
 * usage: track [MIB]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "checkpoint/staging.h"
#include "checkpoint/track.h"
#include "timing.h"

#define PAGE ((size_t)4096)
#define ROUNDS 9

static struct track track;
static struct staging staging;
static char *heap;
static size_t page_count;
static size_t *shuffled; /* all pages of the heap in random order */
static double memcpy_ns; /* a page, from memory to memory */

static void must(bool is_true, const char *what)
{
	if (is_true)
		return;
	fprintf(stderr, "track: %s\n", what);
	exit(1);
}

static char *map(size_t bytes, int advice)
{
	const size_t huge = (size_t)2 << 20;
	char *p = mmap(NULL, bytes + huge, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	must(p != MAP_FAILED, "no memory");
	p = (char *)(((uintptr_t)p + huge - 1) & ~(huge - 1));
	madvise(p, bytes, advice);
	return p;
}

static void shuffle(void)
{
	uint64_t state = 88172645463325252;

	for (size_t i = 0; i < page_count; i++)
		shuffled[i] = i;
	for (size_t i = page_count - 1; i > 0; i--) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		const size_t j = state % (i + 1), page = shuffled[i];
		shuffled[i] = shuffled[j];
		shuffled[j] = page;
	}
}

/* One store to each of `count` random pages; ns a store. */
static double store(size_t count)
{
	const double start = now_ns();

	for (size_t i = 0; i < count; i++)
		((volatile char *)heap)[shuffled[i] * PAGE + 64 * (i % 64)]++;
	return (now_ns() - start) / (double)count;
}

static void count_visit(void *context, char *start, size_t len)
{
	*(size_t *)context += len / PAGE;
}

static double collect(size_t expected)
{
	size_t told = 0;
	const double start = now_ns();

	must(track_collect(&track, count_visit, &told) == 0, "cannot collect");
	const double spent = now_ns() - start;
	if (track.kind != TRACK_COMPARE && told != expected)
		fprintf(stderr, "track: %zu pages told, %zu written\n", told, expected);
	return spent;
}

static void measure_stores(void)
{
	double first[ROUNDS], second[ROUNDS];
	const size_t count = page_count / 10;

	for (int round = 0; round < ROUNDS; round++) {
		collect(round ? count : page_count);
		first[round] = store(count);
		second[round] = store(count);
	}
	collect(count);
	char *fresh = map(64 << 20, MADV_NOHUGEPAGE);
	const double start = now_ns();
	for (size_t at = 0; at < 64 << 20; at += PAGE)
		fresh[at] = 1;
	const double touch = (now_ns() - start) / (double)((64 << 20) / PAGE);
	const double store_ns = median_of(first, ROUNDS), again_ns = median_of(second, ROUNDS);
	printf("store     first since the collect %5.0f ns; again %.0f ns; first touch of a new page "
	       "%.0f ns = %.2f x\n", store_ns, again_ns, touch, touch / store_ns);
}

static void measure_collect(double percent)
{
	const double gibs = (double)page_count * (double)PAGE / (double)(1 << 30);
	const size_t count = (size_t)((double)page_count * percent / 100);
	double times[ROUNDS];

	for (int round = 0; round < ROUNDS; round++) {
		store(count);
		times[round] = collect(count);
	}
	const double spent = median_of(times, ROUNDS);
	printf("collect   %5.1f %% written %7.3f ms/GiB", percent, spent / 1e6 / gibs);
	if (count)
		printf("; %4.0f ns a written page = %.2f x memcpy of it", spent / (double)count,
		       spent / (double)count / memcpy_ns);
	printf("\n");
}

/* As a heap's window is, from now on. */
static void survey(void)
{
	track.lasting = heap;
	track_survey(&track);
	printf("surveyed: %u stretches whose pages are all there\n", track.dense.count);
}

static void measure_huge(void)
{
	const size_t bytes = page_count * PAGE;
	double times[ROUNDS];
	size_t told = 0;

	track_remove(&track, heap);
	char *huge = map(bytes, MADV_HUGEPAGE);
	memset(huge, 1, bytes);
	must(track_add(&track, huge, bytes) == 0, "cannot follow");
	track_collect(&track, count_visit, &told);
	for (int round = 0; round < ROUNDS; round++)
		times[round] = collect(0);
	printf("collect     0.0 %% written %7.3f ms/GiB of huge pages\n",
	       median_of(times, ROUNDS) / 1e6 / ((double)bytes / (double)(1 << 30)));
	track_remove(&track, huge);
	munmap(huge, bytes);
	must(track_add(&track, heap, bytes) == 0, "cannot follow");
	collect(page_count);
}

static double copy_plainly(size_t count, char *to)
{
	const double start = now_ns();

	for (size_t i = 0; i < count; i++)
		memcpy(to + i * PAGE, heap + shuffled[i] * PAGE, PAGE);
	return (now_ns() - start) / (double)count;
}

static double copy_staged(size_t count)
{
	const double start = now_ns();

	for (size_t i = 0; i < count; i++)
		must(staging_put(&staging, 1, shuffled[i], heap + shuffled[i] * PAGE) == 0,
		     "cannot stage");
	const double spent = (now_ns() - start) / (double)count;
	staging_clear(&staging);
	return spent;
}

static void measure_copy(size_t count)
{
	double plain[ROUNDS], staged[ROUNDS];
	char *to = map(count * PAGE, MADV_NOHUGEPAGE);

	memset(to, 1, count * PAGE);
	copy_staged(count);
	for (int round = 0; round < ROUNDS; round++) {
		plain[round] = copy_plainly(count, to);
		staged[round] = copy_staged(count);
	}
	memcpy_ns = median_of(plain, ROUNDS);
	const double staged_ns = median_of(staged, ROUNDS);
	printf("copy      %6zu pages: staged %4.0f ns a page = %.2f x memcpy (%.0f ns)\n", count,
	       staged_ns, staged_ns / memcpy_ns, memcpy_ns);
	munmap(to, count * PAGE);
}

int main(int argc, char **argv)
{
	const size_t mib = argc > 1 ? strtoul(argv[1], NULL, 10) : 1024;

	page_count = (mib << 20) / PAGE;
	must(page_count >= 1000, "more memory, please");
	shuffled = malloc(page_count * sizeof(*shuffled));
	must(shuffled != NULL, "no memory");
	shuffle();
	heap = map(page_count * PAGE, MADV_NOHUGEPAGE);
	memset(heap, 1, page_count * PAGE);
	track_open(&track, TRACK_WP);
	staging_open(&staging, page_count * PAGE);
	must(track_add(&track, heap, page_count * PAGE) == 0, "cannot follow the heap");
	printf("%zu MiB, tracked by %s; medians of %d rounds\n", mib, track_kind_name(track.kind),
	       ROUNDS);
	measure_stores();
	measure_copy(128);
	measure_copy(page_count / 10);
	for (int is_surveyed = 0; is_surveyed < 2; is_surveyed++) {
		if (is_surveyed)
			survey();
		measure_collect(0);
		measure_collect(1);
		measure_collect(10);
		measure_collect(100);
	}
	measure_huge();
	track_close(&track);
	staging_close(&staging);
	return 0;
}
