/*
 * What a transaction costs: HSK_TX that nobody waits for, in ns (the best of many rounds), beside the
 * loop without it and with a lock in place of it; HSK_TX_DURABLE by one thread and by many, in
 * blocks a second, with the epochs they took: one serves all who wait.
 *
 * usage: HEAPSAKE_POOL=... tx [SECONDS]
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "heapsake.h"
#include "timing.h"

#define THREADS_MAX 16
#define ROUNDS 100
#define BLOCKS 100000L

struct count {
	_Alignas(64) long value;
};

HSK_KEEP static struct count counts[THREADS_MAX];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic bool is_over;

/* Of this thread: what the machine does beside is not a block's cost. */
static void increment(volatile long *value)
{
	*value = *value + 1;
}

static double ns_of(void (*block)(void))
{
	double best = 1e9;

	for (int round = 0; round < ROUNDS; round++) {
		const double began_ns = cpu_ns();
		for (long i = 0; i < BLOCKS; i++)
			block();
		const double ns = (cpu_ns() - began_ns) / (double)BLOCKS;
		best = ns < best ? ns : best;
	}
	return best;
}

static __attribute__((noinline)) void bare(void)
{
	increment(&counts[0].value);
}

static __attribute__((noinline)) void in_tx(void)
{
	HSK_TX { increment(&counts[0].value); }
}

static __attribute__((noinline)) void in_nested_tx(void)
{
	HSK_TX { HSK_TX { increment(&counts[0].value); } }
}

static __attribute__((noinline)) void under_lock(void)
{
	pthread_mutex_lock(&lock);
	increment(&counts[0].value);
	pthread_mutex_unlock(&lock);
}

static __attribute__((noinline)) void in_undone_tx(void)
{
	HSK_TX {
		hsk_add(&counts[0].value, sizeof(counts[0].value));
		increment(&counts[0].value);
	}
}

static void *commit(void *count)
{
	while (!is_over)
		HSK_TX_DURABLE { increment(&((struct count *)count)->value); }
	return NULL;
}

static double durable_per_s(int thread_count, double seconds, uint64_t *ret_epochs)
{
	pthread_t threads[THREADS_MAX];
	const uint64_t first = hsk_epoch();
	long blocks = 0;

	is_over = false;
	for (int i = 0; i < thread_count; i++) {
		counts[i].value = 0;
		pthread_create(&threads[i], NULL, commit, &counts[i]);
	}
	const struct timespec pause = {.tv_sec = (time_t)seconds,
				       .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
	nanosleep(&pause, NULL);
	is_over = true;
	for (int i = 0; i < thread_count; i++) {
		pthread_join(threads[i], NULL);
		blocks += counts[i].value;
	}
	*ret_epochs = hsk_epoch() - first;
	return (double)blocks / seconds;
}

int main(int argc, char **argv)
{
	const double seconds = argc > 1 ? strtod(argv[1], NULL) : 5;
	uint64_t epochs;

	printf("nothing around it      %6.1f ns\n", ns_of(bare));
	printf("HSK_TX                 %6.1f ns\n", ns_of(in_tx));
	printf("HSK_TX in HSK_TX       %6.1f ns\n", ns_of(in_nested_tx));
	printf("HSK_TX with hsk_add    %6.1f ns\n", ns_of(in_undone_tx));
	printf("a mutex                %6.1f ns\n", ns_of(under_lock));
	if (hsk_checkpoint(-1) != 0) {
		fprintf(stderr, "tx: no pool that keeps anything: nothing is durable\n");
		return 1;
	}
	const double one = durable_per_s(1, seconds, &epochs);
	printf("HSK_TX_DURABLE  1 thread  %8.0f/s, %8.0f epochs/s\n", one, (double)epochs / seconds);
	for (int threads = 2; threads <= THREADS_MAX; threads *= 2) {
		const double many = durable_per_s(threads, seconds, &epochs);
		printf("HSK_TX_DURABLE %2d threads %8.0f/s, %8.0f epochs/s, %.1f times one thread's\n",
		       threads, many, (double)epochs / seconds, many / one);
	}
	return hsk_status() == 0 ? 0 : 1;
}
