/*
 * strcpy() of "Hello, World!" on a simulated disk whose power fails at every point: first into a
 * file that is mapped, then into heapsake's memory.
 *
 * The string lies across the end of a sector: eight bytes in one, six in the next; then seven and
 * seven, as a string lies anywhere. On persistent memory the same happens at every eighth byte. So
 * there are the five outcomes that introductions to it list, and more.
 *
 * Raw: libc's own strcpy() runs instruction by instruction (ptrace), so what is in memory after
 * each is what this processor really stores, in its order. The kernel writes a mapped page
 * whenever it likes; so it is written after every instruction that changed it, and the disk may
 * have kept any of these writes of either sector, or none.
 *
 * heapsake: what was in memory at the two cuts, before and after (none falls into a transaction:
 * demos/hello.c), is committed by the engine itself. At each point where the disk's power may fail
 * every legal image of its media is built, or many if there are too many, and recovered.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../crash/history.h"

#define PAGE 4096u
#define SPLIT 8u
#define AT (SECTOR_BYTES - SPLIT)
#define LEN sizeof("Hello, World!")
#define EXHAUSTIVE_VERSIONS 10u
#define IMAGES_MANY 2000u

struct outcomes {
	unsigned count;
	unsigned long images;
	char seen[64][LEN];
};

static struct disk disk, image;
static struct history history;

static void note(struct outcomes *outcomes, const char *text)
{
	outcomes->images++;
	for (unsigned i = 0; i < outcomes->count; i++)
		if (memcmp(outcomes->seen[i], text, LEN) == 0)
			return;
	if (outcomes->count == 64)
		exit(1);
	memcpy(outcomes->seen[outcomes->count++], text, LEN);
}

static void print(const char *what, const struct outcomes *outcomes)
{
	printf("%s: %u outcomes of %lu images\n", what, outcomes->count, outcomes->images);
	for (unsigned i = 0; i < outcomes->count; i++) {
		printf("    ");
		for (unsigned at = 0; at < LEN; at++) {
			const char c = outcomes->seen[i][at];
			printf(c ? "%c" : "\\0", c);
		}
		printf("\n");
	}
}

/* ---- Raw ---- */

/* One version of the first sector, or none, beside one of the second, or none. */
static void note_pairs(struct outcomes *outcomes, unsigned split)
{
	for (int a = -1; a < (int)disk.version_count; a++) {
		if (a >= 0 && disk.versions[a].sector != 0)
			continue;
		for (int b = -1; b < (int)disk.version_count; b++) {
			char text[LEN] = "";
			if (b >= 0 && disk.versions[b].sector != 1)
				continue;
			if (a >= 0)
				memcpy(text, disk.versions[a].bytes + SECTOR_BYTES - split, split);
			if (b >= 0)
				memcpy(text + split, disk.versions[b].bytes, LEN - split);
			note(outcomes, text);
		}
	}
}

static void copy_and_exit(char *to)
{
	static char hello[] = "Hello, World!";
	char *(*volatile copy)(char *, const char *) = strcpy; /* libc's, not the compiler's */

	copy(to + LEN, hello); /* bound by the dynamic linker before it counts */
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
		_exit(77);
	raise(SIGSTOP);
	copy(to, hello);
	_exit(0);
}

static void raw(struct outcomes *outcomes, unsigned split)
{
	static char before[PAGE];
	char *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;

	disk_empty(&disk, PAGE);
	fflush(stdout);
	const pid_t child = fork();
	if (child == 0)
		copy_and_exit(page + SECTOR_BYTES - split);
	waitpid(child, &status, 0);
	memcpy(before, page, PAGE);
	while (WIFSTOPPED(status)) {
		if (memcmp(before, page, PAGE) != 0)
			medium_write(&disk.medium, page, PAGE, 0);
		memcpy(before, page, PAGE);
		ptrace(PTRACE_SINGLESTEP, child, NULL, NULL);
		waitpid(child, &status, 0);
	}
	if (!WIFEXITED(status) || WEXITSTATUS(status)) {
		printf("skipped: ptrace is not allowed here\n");
		exit(77);
	}
	note_pairs(outcomes, split);
	munmap(page, PAGE);
}

/* ---- heapsake ---- */

static struct outcomes *found;

static void recover(void)
{
	static char page[PAGE];
	struct checkpoint *checkpoint;
	struct refusal why;

	image.is_read_only = true;
	if (checkpoint_open(&checkpoint, &image.medium, &history.plan, &why) ||
	    checkpoint_page(checkpoint, CHECKPOINT_REGION_HEAP, 0, page)) {
		printf("an image is not recovered\n");
		exit(1);
	}
	note(found, page + AT);
	checkpoint_close(checkpoint);
}

static void power_fails(struct disk *at)
{
	const uint32_t count = at->version_count;
	const bool is_exhaustive = count <= EXHAUSTIVE_VERSIONS;
	const uint64_t tries = is_exhaustive ? UINT64_C(1) << count : IMAGES_MANY;

	for (uint64_t n = 0; n < tries; n++) {
		disk_copy(&image, at);
		for (uint32_t i = 0; i < count; i++)
			if (is_exhaustive ? n >> i & 1 : random_below(&at->random, 2))
				disk_put(&image, at->versions[i].bytes, SECTOR_BYTES,
					 (uint64_t)at->versions[i].sector * SECTOR_BYTES);
		recover();
	}
}

static void commit(struct checkpoint *checkpoint, const char *page)
{
	const struct checkpoint_page changed = {CHECKPOINT_REGION_HEAP, 0, page};
	uint64_t epoch;

	if (checkpoint_commit(checkpoint, &changed, 1, &epoch))
		exit(1);
}

static void kept(struct outcomes *outcomes)
{
	static char page[PAGE] = "of before";
	struct checkpoint *checkpoint;
	struct refusal why;

	found = outcomes;
	history_init(&history, &disk);
	history_begin(&history, 1);
	if (checkpoint_open(&checkpoint, &disk.medium, &history.plan, &why) ||
	    checkpoint_attach(checkpoint))
		exit(1);
	commit(checkpoint, page);
	strcpy(page + AT, "Hello, World!");
	disk.on_point = power_fails;
	commit(checkpoint, page);
	if (checkpoint_merge(checkpoint))
		exit(1);
	disk.on_point = NULL;
	checkpoint_close(checkpoint);
}

int main(void)
{
	struct outcomes of_raw = {0}, of_kept = {0};

	disk_init(&disk);
	disk_init(&image);
	raw(&of_raw, SPLIT);
	raw(&of_raw, SPLIT - 1);
	print("a mapped file", &of_raw);
	kept(&of_kept);
	print("heapsake", &of_kept);
	return of_raw.count > 5 && of_kept.count == 2 ? 0 : 1;
}
