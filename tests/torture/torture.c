/*
 * Everything at once: random malloc, calloc, realloc, memalign and free from several threads,
 * blocks handed from thread to thread, forks in between.
 *
 * Every block's bytes follow from its seed and are verified before the block is freed, resized or
 * handed on. Two kinds of fork: with all threads standing between two operations, where the child
 * verifies every block there is while the parent goes on changing them; and in the midst of it
 * all, where the child only allocates. In the end every block is verified and freed; preloaded
 * with libheapsake-private.so, the heap itself is validated before and after.
 *
 * expect: stdout seed \d+
 * with: HEAPSAKE_SIZE=2G
 *
 * usage: torture POOL [SEED [OPERATIONS]]
 */
#include <stdatomic.h>
#include <time.h>

#include "../conformance/must.h"

#define THREADS 4
#define SLOTS 1500
#define MAILBOXES 64
#define FORKS 12

struct block {
	unsigned char *bytes;
	size_t size;
	unsigned seed;
};

static struct worker {
	pthread_t id;
	uint64_t random;
	struct block slots[SLOTS];
} workers[THREADS];

static _Atomic(struct block *) mailboxes[MAILBOXES];
static unsigned long operations = 150000;
static atomic_bool is_pausing;
static atomic_uint parked, finished;

static uint64_t next_random(struct worker *worker)
{
	uint64_t x = worker->random;
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return worker->random = x;
}

/* Mostly small; now and then of every larger kind. */
static size_t random_size(struct worker *worker)
{
	const uint64_t r = next_random(worker);
	const size_t n = (size_t)(r >> 16);
	if (r % 1000 == 0)
		return n % (3 << 20);
	if (r % 50 == 0)
		return n % 70000;
	return n % (r % 8 == 0 ? 3000 : 300);
}

static void block_fill(struct block *block)
{
	fill(block->bytes, block->size, block->seed);
}

static void block_verify(const struct block *block)
{
	MUST(is_filled(block->bytes, block->size, block->seed));
}

static void block_new(struct worker *worker, struct block *block)
{
	const uint64_t r = next_random(worker);
	block->size = random_size(worker);
	block->seed = (unsigned)(r >> 32);
	if (r % 4 == 0) {
		block->bytes = calloc(1, block->size);
		MUST(block->bytes && is_zero(block->bytes, block->size));
	} else if (r % 16 == 1) {
		const size_t alignment = (size_t)16 << (r >> 8) % 10;
		block->bytes = memalign(alignment, block->size);
		MUST(block->bytes && (uintptr_t)block->bytes % alignment == 0);
	} else {
		block->bytes = malloc(block->size);
	}
	MUST(block->bytes && malloc_usable_size(block->bytes) >= block->size);
	block_fill(block);
}

static void block_free(struct block *block)
{
	block_verify(block);
	free(block->bytes);
	block->bytes = NULL;
}

static void block_resize(struct worker *worker, struct block *block)
{
	const size_t size = random_size(worker) + 1;
	block_verify(block);
	block->bytes = realloc(block->bytes, size);
	MUST(block->bytes);
	MUST(is_filled(block->bytes, size < block->size ? size : block->size, block->seed));
	block->size = size;
	block_fill(block);
}

/* Puts the block into a mailbox; whatever was there is somebody else's, and ours to free. */
static void block_send(struct worker *worker, struct block *block)
{
	struct block *letter = malloc(sizeof(*letter));
	MUST(letter);
	*letter = *block;
	block->bytes = NULL;
	letter = atomic_exchange(&mailboxes[next_random(worker) % MAILBOXES], letter);
	if (letter) {
		block_free(letter);
		free(letter);
	}
}

static void park(void)
{
	parked++;
	while (is_pausing)
		usleep(50);
	parked--;
}

static void *work(void *arg)
{
	struct worker *worker = arg;
	for (unsigned long i = 0; i < operations; i++) {
		struct block *block = &worker->slots[next_random(worker) % SLOTS];
		const unsigned what = (unsigned)(next_random(worker) >> 20) % 8;
		if (!block->bytes)
			block_new(worker, block);
		else if (what < 4)
			block_free(block);
		else if (what < 6)
			block_resize(worker, block);
		else if (what < 7)
			block_send(worker, block);
		else
			block_verify(block);
		if (is_pausing)
			park();
	}
	finished++;
	return NULL;
}

/* verify: also free them, which a child may do as well as the owner. */
static void free_everything(void)
{
	for (unsigned w = 0; w < THREADS; w++)
		for (unsigned s = 0; s < SLOTS; s++)
			if (workers[w].slots[s].bytes)
				block_free(&workers[w].slots[s]);
	for (unsigned m = 0; m < MAILBOXES; m++) {
		struct block *letter = atomic_exchange(&mailboxes[m], NULL);
		if (letter) {
			block_free(letter);
			free(letter);
		}
	}
}

static void child_allocate(void)
{
	for (size_t n = 1; n < 4000000; n = n * 5 / 4 + 1) {
		void *p = calloc(1, n);
		MUST(p && is_zero(p, n));
		memset(p, 0xaa, n);
		free(p);
	}
}

static void fork_standing(void)
{
	is_pausing = true;
	while (parked + finished < THREADS)
		usleep(50);
	const pid_t pid = fork();
	is_pausing = false;
	if (pid == 0) {
		alarm(60);
		free_everything();
		child_allocate();
		MUST(heap_violations() == 0);
		exit(21);
	}
	MUST(pid > 0 && child_status(pid) == 21);
}

static void fork_running(void)
{
	const pid_t pid = fork();
	if (pid == 0) {
		alarm(60);
		child_allocate();
		MUST(heap_violations() == 0);
		exit(22);
	}
	MUST(pid > 0 && child_status(pid) == 22);
}

int main(int argc, char **argv)
{
	const uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t)time(NULL);
	if (argc > 3)
		operations = strtoul(argv[3], NULL, 0);
	fprintf(stdout, "seed %llu\n", (unsigned long long)seed);
	fflush(stdout);

	for (unsigned i = 0; i < THREADS; i++) {
		workers[i].random = (seed + 1) * 0x9e3779b97f4a7c15u + i * 0x1234567u + 1;
		MUST(pthread_create(&workers[i].id, NULL, work, &workers[i]) == 0);
	}
	for (unsigned i = 0; i < FORKS && finished < THREADS; i++) {
		usleep(20000);
		i % 2 ? fork_standing() : fork_running();
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(workers[i].id, NULL);
	MUST(heap_violations() == 0);
	free_everything();
	MUST(heap_violations() == 0);
	return 0;
}
