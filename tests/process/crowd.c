/* Hundreds of threads at once, and more that come and go: each has sums on its stack and in its
 * thread-local storage, and all meet at barriers. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define CROWD 300
#define MEETINGS 100
#define GUESTS 2000

static pthread_barrier_t barrier;
static __thread unsigned long local;
static unsigned long results[CROWD];

static unsigned long spin(unsigned long x, int count)
{
	while (count--)
		x = x * 6364136223846793005 + 1442695040888963407;
	return x;
}

static void *meet(void *arg)
{
	const unsigned long number = (unsigned long)arg;
	unsigned long on_stack = number;

	for (int meeting = 0; meeting < MEETINGS; meeting++) {
		on_stack = spin(on_stack, 10000);
		local += on_stack >> 32;
		const int is_last = pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD;
		if (is_last)
			printf("meeting %d\n", meeting), fflush(stdout);
	}
	results[number] = local;
	return NULL;
}

static void *visit(void *arg)
{
	local = spin((unsigned long)arg, 10000);
	return (void *)local;
}

static void *host(void *unused)
{
	unsigned long sum = 0;

	(void)unused;
	for (unsigned long guest = 0; guest < GUESTS; guest++) {
		pthread_t thread;
		void *result;

		if (pthread_create(&thread, NULL, visit, (void *)guest) || pthread_join(thread, &result))
			abort();
		sum += (unsigned long)result;
	}
	return (void *)sum;
}

int main(void)
{
	pthread_t threads[CROWD], hosting;
	unsigned long sum = 0;
	pthread_attr_t attr;
	void *guests;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 128 << 10);
	pthread_barrier_init(&barrier, NULL, CROWD);
	if (pthread_create(&hosting, NULL, host, NULL))
		abort();
	for (unsigned long i = 0; i < CROWD; i++)
		if (pthread_create(&threads[i], &attr, meet, (void *)i))
			abort();
	for (int i = 0; i < CROWD; i++) {
		pthread_join(threads[i], NULL);
		sum = sum * 31 + results[i];
	}
	pthread_join(hosting, &guests);
	printf("crowd %lx guests %lx\n", sum, (unsigned long)guests);
	return fclose(stdout);
}
