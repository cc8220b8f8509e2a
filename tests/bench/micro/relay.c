/*
 * Blocks drift between threads through one shared pile: everybody allocates, everybody frees.
 *
 * usage: relay PERCENT THREADS
 *
 * A thread fills a batch, lays it on the pile, takes whichever batch lies on top and frees it.
 * So frees of own and foreign blocks mix in every thread, unlike the one-way street of
 * handover.
 */
#include "bench.h"

#define BATCH 200

struct batch {
	struct batch *next;
	size_t sizes[BATCH];
	unsigned char *blocks[BATCH];
};

static unsigned long rounds_each;
static pthread_mutex_t pile_lock = PTHREAD_MUTEX_INITIALIZER;
static struct batch *pile;

static struct batch *pile_exchange(struct batch *mine, unsigned long keep_low)
{
	struct batch *taken = NULL;

	pthread_mutex_lock(&pile_lock);
	if (mine) {
		mine->next = pile;
		pile = mine;
	}
	/* Now and then the one below the top, so that batches do not just ping-pong. */
	if (pile && pile->next && keep_low) {
		taken = pile->next;
		pile->next = taken->next;
	} else if (pile) {
		taken = pile;
		pile = taken->next;
	}
	pthread_mutex_unlock(&pile_lock);
	return taken;
}

static struct batch *batch_new(struct bench_random *random)
{
	struct batch *batch = malloc(sizeof(*batch));

	bench_check(batch != NULL, "out of memory");
	for (unsigned i = 0; i < BATCH; i++) {
		batch->sizes[i] = (bench_size(random) & 1023) | 8;
		batch->blocks[i] = malloc(batch->sizes[i]);
		bench_mark(batch->blocks[i], batch->sizes[i], i);
	}
	return batch;
}

static void batch_free(struct batch *batch)
{
	for (unsigned i = 0; i < BATCH; i++) {
		bench_verify(batch->blocks[i], batch->sizes[i], i);
		free(batch->blocks[i]);
	}
	free(batch);
}

static void run(unsigned index)
{
	struct bench_random random = {index + 11};

	for (unsigned long round = 0; round < rounds_each; round++) {
		struct batch *taken = pile_exchange(batch_new(&random), round % 3);

		if (round > 10 && taken)
			batch_free(taken);
		else if (taken)
			pile_exchange(taken, 0);
	}
}

int main(int argc, char **argv)
{
	unsigned thread_count = (unsigned)bench_argument(argc, argv, 2, 4);
	struct batch *batch;

	rounds_each = bench_scaled(argc, argv, 100000) / thread_count;
	bench_parallel(thread_count, run);
	while ((batch = pile_exchange(NULL, 0)))
		batch_free(batch);
	return 0;
}
