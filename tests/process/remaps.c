/* Maps, unmaps, moves, cuts, protects and forgets memory at random, as a table of what must be in
 * each page says, and looks at all of it again and again. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SLOTS 48
#define PAGES_MOST 700 /* more than a chunk of 2 MiB */
#define PAGE 4096u
#define STEPS 15000
#define LOOK_EVERY 100
#define TELL_EVERY 1000
#define BRK_PAGES 300

/* A mapping; word[i] is what stands at the start of its page i. */
static struct slot {
	char *at;
	size_t count;
	int protection;
	bool is_file;
	bool is_in_pieces; /* for the kernel they may be several: it is not moved */
	uint64_t word[PAGES_MOST];
} slots[SLOTS], heap = {.protection = PROT_READ | PROT_WRITE};

static uint64_t state = 1, sum;
static int file = -1;
static uint64_t in_file[PAGES_MOST];

static uint64_t dice(uint64_t below)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (state >> 33) % below;
}

static void must_at(bool is_so, const char *what, int line)
{
	if (is_so)
		return;
	printf("line %d: %s: %s\n", line, what, strerror(errno));
	fflush(stdout);
	_exit(1);
}
#define MUST(so) must_at(so, #so, __LINE__)

static uint64_t *page(const struct slot *slot, size_t i)
{
	return (uint64_t *)(slot->at + i * PAGE);
}

static void look(const struct slot *slot)
{
	if (!(slot->protection & PROT_READ))
		return;
	for (size_t i = 0; i < slot->count; i++) {
		if (*page(slot, i) != slot->word[i])
			printf("page %zu of %zu at %p: found %llx, expected %llx%s\n", i, slot->count,
			       (void *)slot->at, (unsigned long long)*page(slot, i),
			       (unsigned long long)slot->word[i], slot->is_file ? ", of a file" : "");
		MUST(*page(slot, i) == slot->word[i]);
		sum = sum * 31 + slot->word[i];
	}
}

static void fill_new(struct slot *slot, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		slot->word[i] = slot->is_file ? in_file[i] : 0;
}

static void map(struct slot *slot)
{
	slot->count = 1 + dice(dice(4) ? 30 : PAGES_MOST);
	slot->is_file = dice(4) == 0;
	slot->is_in_pieces = false;
	slot->protection = PROT_READ | PROT_WRITE;
	slot->at = mmap(NULL, slot->count * PAGE, slot->protection,
			MAP_PRIVATE | (slot->is_file ? 0 : MAP_ANONYMOUS), slot->is_file ? file : -1, 0);
	MUST(slot->at != MAP_FAILED);
	fill_new(slot, 0, slot->count);
}

static void unmap(struct slot *slot)
{
	MUST(munmap(slot->at, slot->count * PAGE) == 0);
	slot->at = NULL;
}

static void cut_tail(struct slot *slot)
{
	const size_t left = 1 + dice(slot->count);

	if (left == slot->count)
		return;
	MUST(munmap(slot->at + left * PAGE, (slot->count - left) * PAGE) == 0);
	slot->count = left;
}

static void resize(struct slot *slot)
{
	const size_t count = 1 + dice(dice(4) ? 40 : PAGES_MOST);

	if (slot->is_in_pieces)
		return;
	slot->at = mremap(slot->at, slot->count * PAGE, count * PAGE, MREMAP_MAYMOVE);
	MUST(slot->at != MAP_FAILED);
	if (count > slot->count)
		fill_new(slot, slot->count, count);
	slot->count = count;
}

/* To where something else is. */
static void move_over(struct slot *slot)
{
	if (slot->is_in_pieces)
		return;
	char *to = mmap(NULL, slot->count * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);

	MUST(to != MAP_FAILED);
	memset(to, 0xee, slot->count * PAGE);
	slot->at = mremap(slot->at, slot->count * PAGE, slot->count * PAGE,
			  MREMAP_MAYMOVE | MREMAP_FIXED, to);
	MUST(slot->at == to);
}

static void range_of(const struct slot *slot, size_t *ret_from, size_t *ret_to)
{
	*ret_from = dice(slot->count);
	*ret_to = *ret_from + 1 + dice(slot->count - *ret_from);
}

static void forget(struct slot *slot)
{
	size_t from, to;

	range_of(slot, &from, &to);
	MUST(madvise(slot->at + from * PAGE, (to - from) * PAGE, MADV_DONTNEED) == 0);
	fill_new(slot, from, to);
}

static void map_over(struct slot *slot)
{
	size_t from, to;

	if (slot->is_file)
		return;
	range_of(slot, &from, &to);
	MUST(mmap(slot->at + from * PAGE, (to - from) * PAGE, slot->protection,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == slot->at + from * PAGE);
	slot->is_in_pieces = true;
	fill_new(slot, from, to);
}

static void protect(struct slot *slot)
{
	static const int kinds[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE};

	slot->protection = kinds[dice(3)];
	MUST(mprotect(slot->at, slot->count * PAGE, slot->protection) == 0);
}

static void store(struct slot *slot)
{
	size_t from, to;

	if (!(slot->protection & PROT_WRITE))
		return;
	range_of(slot, &from, &to);
	for (size_t i = from; i < to; i++)
		*page(slot, i) = slot->word[i] = state * i + 1;
}

/* The break goes up and down; what comes back is empty. */
static void change_break(void)
{
	const size_t count = 1 + dice(BRK_PAGES);

	MUST(brk(heap.at + count * PAGE) == 0);
	if (count > heap.count)
		fill_new(&heap, heap.count, count);
	heap.count = count;
}

/* More than libc keeps for later: it gives some back, and what is mapped there next is empty. */
#define STACKS 8
static pthread_barrier_t all;

static void *use_stack(void *unused)
{
	volatile char some[1000000];

	memset((char *)some, 1, sizeof(some));
	pthread_barrier_wait(&all);
	return NULL;
}

static void load_and_unload(void)
{
	void *library = dlopen("libresolv.so.2", RTLD_NOW);
	pthread_t threads[STACKS];

	pthread_barrier_init(&all, NULL, STACKS);
	for (int i = 0; i < STACKS; i++)
		MUST(pthread_create(&threads[i], NULL, use_stack, NULL) == 0);
	for (int i = 0; i < STACKS; i++)
		MUST(pthread_join(threads[i], NULL) == 0);
	MUST(library && dlclose(library) == 0);
}

static void step(struct slot *slot)
{
	void (*const acts[])(struct slot *slot) = {unmap, cut_tail, resize, move_over, forget, map_over,
						   protect, store, store, store};

	if (!slot->at)
		map(slot);
	else
		acts[dice(sizeof(acts) / sizeof(*acts))](slot);
}

static void make_file(void)
{
	char bytes[PAGE] = "";

	file = open("mapped", O_RDWR | O_CREAT | O_TRUNC, 0600);
	for (size_t i = 0; i < PAGES_MOST; i++) {
		*(uint64_t *)bytes = in_file[i] = dice(UINT64_MAX >> 1);
		MUST(write(file, bytes, PAGE) == PAGE);
	}
	close(file);
	file = open("mapped", O_RDONLY | O_CLOEXEC);
}

int main(void)
{
	mallopt(M_MMAP_THRESHOLD, 0); /* the break is ours */
	make_file();
	heap.at = (char *)(((uintptr_t)sbrk(0) + PAGE - 1) & ~(uintptr_t)(PAGE - 1));
	for (unsigned i = 1; i <= STEPS; i++) {
		step(&slots[dice(SLOTS)]);
		if (i % 8 == 0) {
			change_break();
			store(&heap);
		}
		if (i % 50 == 0)
			load_and_unload();
		for (unsigned slot = 0; i % LOOK_EVERY == 0 && slot < SLOTS; slot++)
			if (slots[slot].at)
				look(&slots[slot]);
		if (i % LOOK_EVERY == 0)
			look(&heap);
		if (i % TELL_EVERY == 0)
			printf("%u %llx\n", i, (unsigned long long)sum), fflush(stdout);
	}
	return fclose(stdout);
}
