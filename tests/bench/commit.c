/*
 * What does it cost to make an epoch durable, from the end of the cut on? The same scattered pages
 * of a 1 GiB region, one 8-byte store in each, are made durable in three ways, one after the other
 * in every round, so that the noise of the machine meets all of them:
 *   commit  checkpoint_commit() of the dirty pages, told of at once, as if all had been stored to
 *           while threads stopped; and of the same when they were drafted before the cut
 *   raw     one O_DIRECT + RWF_DSYNC write of as many bytes as that commit appended
 *   msync   of a shared mapping with the same stores
 * Printed: medians, ratios, and bytes of log a store. Nothing here passes or fails.
 *
 * usage: commit [DIRECTORY]; on a disk: on tmpfs nothing is durable, and the figures say nothing.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "checkpoint/checkpoint.h"
#include "flush/medium-file.h"
#include "pool.h"
#include "timing.h"

#define PAGE 4096u
#define REGION_BYTES (UINT64_C(1) << 30)
#define USED_PAGES 8192u
#define ROUNDS 60u

static struct refusal why;
static struct pool pool;
static struct medium_file file;
static struct checkpoint *engine;
static struct region region = {.id = 1, .page_count = REGION_BYTES / PAGE, .home = LAYOUT_USE_HEAP};
static char *shared;
static int raw_fd;
static uint64_t raw_at;
static char *raw_bytes;
static uint64_t used[USED_PAGES];
static uint64_t stored_at[USED_PAGES]; /* by the round */
static struct checkpoint_page pages[USED_PAGES];

static void must(bool is_true, const char *what)
{
	if (is_true)
		return;
	fprintf(stderr, "commit: %s; %s\n", what, why.line);
	exit(1);
}

static uint64_t random_next(void)
{
	static uint64_t state = 88172645463325252;

	state ^= state << 13;
	state ^= state >> 7;
	return state ^= state << 17;
}

static int open_unnamed(const char *directory, int flags, uint64_t bytes)
{
	int fd = open(directory, O_TMPFILE | O_RDWR | flags, 0600);

	must(fd >= 0 && ftruncate(fd, (off_t)bytes) == 0, "cannot make a file without a name");
	return fd;
}

static void open_all(const char *directory)
{
	static char path[4096];
	struct pool_plan shape = {.size_bytes = REGION_BYTES};
	static struct checkpoint_plan plan = {.regions = &region, .region_count = 1};

	snprintf(path, sizeof(path), "%s/bench-commit-%d.heapsake", directory, getpid());
	must(pool_create(path, &shape, &why) == 0, "cannot create the pool");
	must(pool_open(&pool, path, POOL_OWN, &why) == 0, "cannot open the pool");
	must(medium_file_open(&file, &pool, DURABILITY_MEDIA) == 0, "cannot open its medium");
	region.address = mmap(NULL, REGION_BYTES, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	must(checkpoint_open(&engine, &file.medium, &plan, &why) == 0, "cannot open the engine");
	must(checkpoint_attach(engine) == 0, "cannot attach");
	shared = mmap(NULL, REGION_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		      open_unnamed(directory, 0, REGION_BYTES), 0);
	must(region.address != MAP_FAILED && shared != MAP_FAILED, "no memory");
	raw_fd = open_unnamed(directory, O_DIRECT, 0);
	raw_bytes = aligned_alloc(PAGE, 8 << 20);
	must(raw_bytes != NULL, "no memory");
	memset(raw_bytes, 1, 8 << 20);
	for (int i = 0; i < 16; i++) /* written before use, as log segments are */
		must(pwrite(raw_fd, raw_bytes, 8 << 20, (off_t)i << 23) == 8 << 20, "cannot write");
}

static void close_all(void)
{
	checkpoint_close(engine);
	medium_file_close(&file);
	unlink(pool.path);
	pool_close(&pool);
}

/* Pages far apart, with contents, in home and in the mapping's file: nothing is a hole. */
static void populate(void)
{
	uint64_t epoch;

	for (unsigned i = 0; i < USED_PAGES; i++) {
		used[i] = i * (region.page_count / USED_PAGES) + random_next() % 16;
		memset(region.address + used[i] * PAGE, (int)i + 1, PAGE);
		memset(shared + used[i] * PAGE, (int)i + 1, PAGE);
		pages[i] = (struct checkpoint_page){1, used[i], region.address + used[i] * PAGE};
	}
	must(checkpoint_commit(engine, pages, USED_PAGES, &epoch) == 0, "cannot commit");
	for (int i = 0; i < CHECKPOINT_RETAINED; i++) {
		region.address[used[0] * PAGE]++;
		must(checkpoint_commit(engine, pages, 1, &epoch) == 0, "cannot commit");
	}
	must(checkpoint_merge(engine) == 0, "cannot merge");
	must(msync(shared, REGION_BYTES, MS_SYNC) == 0, "cannot msync");
}

static void dirty(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		uint64_t page = used[(i * (USED_PAGES / count) + random_next() % (USED_PAGES / count))];
		uint64_t at = page * PAGE + random_next() % (PAGE / 8) * 8;
		uint64_t value = random_next();
		memcpy(region.address + at, &value, 8);
		stored_at[i] = at;
		pages[i] = (struct checkpoint_page){1, page, region.address + page * PAGE};
	}
}

/* From the end of the cut: pages that were not stored to since they were staged before it are not
 * given again. */
static double time_commit(unsigned count, bool is_drafted, uint64_t *ret_bytes)
{
	struct checkpoint_info before, after;
	uint64_t epoch;

	checkpoint_info(engine, &before);
	for (unsigned i = 0; is_drafted && i < count; i++)
		must(checkpoint_draft(engine, &pages[i]) == 0, "cannot draft");
	double start = now_us();
	must(checkpoint_commit(engine, pages, is_drafted ? 0 : count, &epoch) == 0,
	     "cannot commit");
	double spent = now_us() - start;
	checkpoint_info(engine, &after);
	*ret_bytes = after.record_bytes - before.record_bytes;
	return spent;
}

static double time_raw(uint64_t bytes)
{
	struct iovec piece = {raw_bytes, bytes};
	double start = now_us();

	must(pwritev2(raw_fd, &piece, 1, (off_t)raw_at, RWF_DSYNC) == (ssize_t)bytes, "cannot write");
	double spent = now_us() - start;
	raw_at = (raw_at + bytes) % (UINT64_C(64) << 20);
	return spent;
}

/* The mapping is stored to here and not before: its faults change the file system's journal, and
 * every synced write to any file that comes next waits for that, commit and raw alike. */
static double time_msync(unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		memcpy(shared + stored_at[i], region.address + stored_at[i], 8);
	double start = now_us();

	must(msync(shared, REGION_BYTES, MS_SYNC) == 0, "cannot msync");
	return now_us() - start;
}

/* Merged, and then as much as nobody waits for. */
static void tidy_up(void)
{
	uint64_t epoch;

	for (int i = 0; i < CHECKPOINT_RETAINED; i++) {
		pages[0] = (struct checkpoint_page){1, used[0], region.address + used[0] * PAGE};
		region.address[used[0] * PAGE]++;
		must(checkpoint_commit(engine, pages, 1, &epoch) == 0, "cannot commit");
	}
	must(checkpoint_merge(engine) == 0, "cannot merge");
	while (checkpoint_tend(engine) == CHECKPOINT_MORE)
		;
}

static void measure(unsigned count)
{
	static double commits[ROUNDS], drafted[ROUNDS], raws[ROUNDS], msyncs[ROUNDS];
	uint64_t bytes, log_bytes = 0;

	for (unsigned round = 0; round < ROUNDS; round++) {
		dirty(count);
		drafted[round] = time_commit(count, true, &bytes);
		tidy_up();
		dirty(count);
		commits[round] = time_commit(count, false, &bytes);
		log_bytes += bytes;
		tidy_up(); /* stores are isolated: what was logged is in home before the next */
		raws[round] = time_raw(bytes);
		msyncs[round] = time_msync(count);
		tidy_up(); /* each of them finds the disk in the same state */
	}
	const double commit = median_of(commits, ROUNDS), draft = median_of(drafted, ROUNDS), raw = median_of(raws, ROUNDS);
	const double msynced = median_of(msyncs, ROUNDS);
	printf("%5u pages: raw %5.0f us; commit %5.0f us = %.2f x raw, drafted before %5.0f us = %.2f x "
	       "raw; msync %7.0f us = %.0f x commit; %.1f bytes of log a store\n", count, raw, commit,
	       commit / raw, draft, draft / raw, msynced, msynced / commit,
	       (double)log_bytes / ROUNDS / count);
}

int main(int argc, char **argv)
{
	open_all(argc > 1 ? argv[1] : ".");
	populate();
	printf("one 8-byte store in each of the pages, in 1 GiB; medians of %u rounds; appends %s\n",
	       ROUNDS, file.is_direct ? "direct" : "through the page cache");
	measure(16);
	measure(131);
	measure(1000);
	close_all();
	return 0;
}
