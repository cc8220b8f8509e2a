/* Memory that is given back and taken again is zeros each time: by brk, where only the half is
 * touched in every other step; and libc's own stacks, more of them than it keeps. */
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STEPS 600
#define BREAK (256 << 10)
#define STACK (4 << 20)
#define THREADS 16

static void expect_zeros(const char *at, const char *end, int step)
{
	for (; at < end; at += 64)
		if (*at) {
			printf("step %d: a byte is %d\n", step, *at);
			fflush(stdout);
			abort();
		}
}

static void *dirty(void *arg)
{
	volatile char bytes[1 << 20];

	memset((void *)bytes, (int)(long)arg | 1, sizeof(bytes));
	usleep(1000);
	return (void *)(long)bytes[77];
}

static unsigned long use_stacks(long step)
{
	pthread_t threads[THREADS];
	pthread_attr_t attr;
	unsigned long sum = 0;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	for (long i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], &attr, dirty, (void *)(i + step)))
			abort();
	for (int i = 0; i < THREADS; i++) {
		void *result;
		pthread_join(threads[i], &result);
		sum += (unsigned long)result & 255;
	}
	return sum;
}

int main(void)
{
	unsigned long sum = 0;

	mallopt(M_TOP_PAD, 4 << 20); /* without heapsake libc's heap grows by brk, too: now */
	mallopt(M_TRIM_THRESHOLD, 64 << 20);
	free(malloc(1000));
	for (int step = 1; step <= STEPS; step++) {
		const size_t used = step % 2 ? BREAK : BREAK / 2;
		char *at = sbrk(BREAK);

		expect_zeros(at, at + BREAK, step);
		memset(at, step | 1, used);
		usleep(1500);
		if (step % 10 == 0)
			sum += use_stacks(step);
		for (size_t i = 0; i < used; i += 4096)
			sum += (unsigned char)at[i];
		expect_zeros(at + used, at + BREAK, step);
		sbrk(-BREAK);
		if (step % 20 == 0)
			printf("%d %lu\n", step, sum), fflush(stdout);
	}
	return fclose(stdout);
}
