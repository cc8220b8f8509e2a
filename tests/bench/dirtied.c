/*
 * How many pages does free() write? An epoch copies every page written since the last one, so
 * an allocator that keeps its free lists inside freed blocks makes each free of a long-lived
 * block cost a page of its neighbours; where metadata stands apart and dense, thousands share
 * one.
 *
 * usage: dirtied SIZE|0 COUNT STEP
 *
 * Allocates COUNT blocks of SIZE bytes (0: mixed), touches all, lets a moment of ordinary life
 * pass, then frees one block in STEP, picked at random, and counts the pages written: *user*
 * pages hold bytes of some block of ours, all others are *metadata*. A run without any free
 * gives the noise, printed beside. One line: frees, user pages, metadata pages, noise.
 */
#include "micro/bench.h"
#include "writtenpages.h"

#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096
#define MAX_WRITTEN (1u << 20)

/* All that the measuring itself writes, in one mapping that is not watched. */
static struct notes {
	void **blocks; /* in random order: those freed come first */
	size_t *sizes;
	uintptr_t *written;  /* page numbers */
	uint32_t *user_bits; /* a bit per page between first_page and last_page */
	uintptr_t first_page, last_page;
} notes;

static void *own_memory;
static size_t own_bytes;

static void *own_take(size_t bytes)
{
	static size_t used;
	void *taken = (char *)own_memory + used;

	used += (bytes + 63) & ~(size_t)63;
	bench_check(used <= own_bytes, "too little memory of our own");
	return taken;
}

static void notes_open(size_t count)
{
	size_t guarded_bytes;
	char *guarded;

	own_bytes = (size_t)1 << 40; /* addresses only */
	guarded_bytes = own_bytes + 2 * PAGE;
	/* Fenced in, else the kernel may merge it with a mapping of the allocator's, which
	 * would then go unwatched with it. */
	guarded = mmap(NULL, guarded_bytes, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	bench_check(guarded != MAP_FAILED, "no memory of our own");
	own_memory = guarded + PAGE;
	bench_check(mprotect(own_memory, own_bytes, PROT_READ | PROT_WRITE) == 0,
		    "no memory of our own");
	notes.blocks = own_take(count * sizeof(*notes.blocks));
	notes.sizes = own_take(count * sizeof(*notes.sizes));
	notes.written = own_take(MAX_WRITTEN * sizeof(*notes.written));
}

static void blocks_allocate(size_t count, size_t size, struct bench_random *random)
{
	for (size_t i = 0; i < count; i++) {
		notes.sizes[i] = size ? size : bench_size(random);
		notes.blocks[i] = malloc(notes.sizes[i]);
		bench_check(notes.blocks[i] != NULL, "out of memory");
		memset(notes.blocks[i], 1, notes.sizes[i]);
	}
	for (size_t i = count; i > 1; i--) {
		size_t j = bench_random(random) % i, moved_size = notes.sizes[i - 1];
		void *moved = notes.blocks[i - 1];

		notes.blocks[i - 1] = notes.blocks[j];
		notes.sizes[i - 1] = notes.sizes[j];
		notes.blocks[j] = moved;
		notes.sizes[j] = moved_size;
	}
}

static void user_pages_note(size_t count)
{
	notes.first_page = UINTPTR_MAX;
	for (size_t i = 0; i < count; i++) {
		uintptr_t first = (uintptr_t)notes.blocks[i] / PAGE;
		uintptr_t last = ((uintptr_t)notes.blocks[i] + notes.sizes[i] - 1) / PAGE;

		notes.first_page = first < notes.first_page ? first : notes.first_page;
		notes.last_page = last > notes.last_page ? last : notes.last_page;
	}
	notes.user_bits = own_take((notes.last_page - notes.first_page) / 8 + 64);
	for (size_t i = 0; i < count; i++) {
		uintptr_t end = (uintptr_t)notes.blocks[i] + notes.sizes[i];

		for (uintptr_t at = (uintptr_t)notes.blocks[i] & -(uintptr_t)PAGE; at < end;
		     at += PAGE)
			notes.user_bits[(at / PAGE - notes.first_page) / 32] |=
				1u << (at / PAGE - notes.first_page) % 32;
	}
}

static int page_is_user(uintptr_t page)
{
	if (page < notes.first_page || page > notes.last_page)
		return 0;
	page -= notes.first_page;
	return notes.user_bits[page / 32] >> page % 32 & 1;
}

/* Every cache and list the later frees will meet is in its usual state, not brand-new. */
static void live_a_moment(struct bench_random *random)
{
	for (unsigned i = 0; i < 100000; i++)
		free(malloc(bench_size(random)));
}

static void free_and_count(size_t free_count, size_t *ret_user, size_t *ret_meta)
{
	size_t written;
	int ret = written_arm(own_memory, own_bytes);

	if (ret < 0) {
		fprintf(stderr, "dirtied: skipped: this kernel cannot list written pages: %s\n",
			strerror(-ret));
		exit(77);
	}
	for (size_t i = 0; i < free_count; i++)
		free(notes.blocks[i]);
	written = written_collect(notes.written, MAX_WRITTEN);
	*ret_user = *ret_meta = 0;
	for (size_t i = 0; i < written; i++)
		++*(page_is_user(notes.written[i]) ? ret_user : ret_meta);
}

int main(int argc, char **argv)
{
	size_t size = bench_argument(argc, argv, 1, 0);
	size_t count = bench_argument(argc, argv, 2, 200000);
	size_t free_count = count / bench_argument(argc, argv, 3, 100);
	size_t user, meta, noise_user, noise_meta;
	struct bench_random random = {37};

	notes_open(count);
	blocks_allocate(count, size, &random);
	user_pages_note(count);
	live_a_moment(&random);
	free_and_count(0, &noise_user, &noise_meta);
	free_and_count(free_count, &user, &meta);
	printf("%zu %zu %zu %zu\n", free_count, user, meta, noise_user + noise_meta);
	return 0;
}
