/*
 * Producers allocate, consumers free: every block crosses a thread.
 *
 * usage: handover PERCENT PAIRS
 *
 * Each pair shares a bounded ring, passed in batches so that the ring's own lock is not what is
 * measured. The producer's cache is always empty, the consumer's always full; an allocator must
 * carry blocks back in bulk, and must not let them pile up at the consumer.
 */
#include "bench.h"

#define BATCH 128
#define RING_BATCHES 64

static unsigned long batches_each;

struct block {
	unsigned char *bytes;
	size_t size;
};

static struct ring {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned long put_count, taken_count;
	struct block batches[RING_BATCHES][BATCH];
} rings[BENCH_MAX_THREADS / 2];

static void produce(struct ring *ring, unsigned index)
{
	struct bench_random random = {index + 1};

	for (unsigned long n = 0; n < batches_each; n++) {
		struct block batch[BATCH];

		for (unsigned i = 0; i < BATCH; i++) {
			batch[i].size = 16 + bench_below(&random, 500);
			batch[i].bytes = malloc(batch[i].size);
			bench_mark(batch[i].bytes, batch[i].size, n);
		}
		pthread_mutex_lock(&ring->lock);
		while (ring->put_count - ring->taken_count == RING_BATCHES)
			pthread_cond_wait(&ring->changed, &ring->lock);
		memcpy(ring->batches[n % RING_BATCHES], batch, sizeof(batch));
		ring->put_count++;
		pthread_cond_signal(&ring->changed);
		pthread_mutex_unlock(&ring->lock);
	}
}

static void consume(struct ring *ring)
{
	for (unsigned long n = 0; n < batches_each; n++) {
		struct block batch[BATCH];

		pthread_mutex_lock(&ring->lock);
		while (ring->put_count == ring->taken_count)
			pthread_cond_wait(&ring->changed, &ring->lock);
		memcpy(batch, ring->batches[n % RING_BATCHES], sizeof(batch));
		ring->taken_count++;
		pthread_cond_signal(&ring->changed);
		pthread_mutex_unlock(&ring->lock);
		for (unsigned i = 0; i < BATCH; i++) {
			bench_verify(batch[i].bytes, batch[i].size, n);
			free(batch[i].bytes);
		}
	}
}

static void work(unsigned index)
{
	if (index % 2)
		consume(&rings[index / 2]);
	else
		produce(&rings[index / 2], index);
}

int main(int argc, char **argv)
{
	unsigned pair_count = (unsigned)bench_argument(argc, argv, 2, 1);

	batches_each = bench_scaled(argc, argv, 60000) / pair_count;
	for (unsigned i = 0; i < pair_count; i++) {
		pthread_mutex_init(&rings[i].lock, NULL);
		pthread_cond_init(&rings[i].changed, NULL);
	}
	bench_parallel(pair_count * 2, work);
	return 0;
}
