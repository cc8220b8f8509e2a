/* A mutex of every kind is held all the time, by one thread or another, so that it is held over
 * each kill; its owner must be able to go on with it, and everybody else must not. Beside them
 * workers count with a mutex, a condition and thread-local sums, and are joined. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORKERS 4
#define ROUNDS 5000

static pthread_mutex_t kinds[4];
static const char *const names[] = {"recursive", "errorcheck", "robust", "inheriting"};
static pthread_mutex_t turn_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turn_changed = PTHREAD_COND_INITIALIZER;
static int turn;
static unsigned long total;
static __thread unsigned long sum;

static void expect(int got, int wanted, const char *what)
{
	if (got == wanted)
		return;
	printf("%s: %s, not %s\n", what, strerror(got), strerror(wanted));
	fflush(stdout);
	abort();
}

static void init_kinds(void)
{
	pthread_mutexattr_t attr;

	for (int kind = 0; kind < 4; kind++) {
		pthread_mutexattr_init(&attr);
		if (kind == 0)
			pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
		if (kind == 1)
			pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
		if (kind == 2)
			pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
		if (kind == 3)
			pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
		expect(pthread_mutex_init(&kinds[kind], &attr), 0, "init");
	}
}

static unsigned long spin(unsigned long x)
{
	for (int i = 0; i < 20000; i++)
		x = x * 6364136223846793005 + 1442695040888963407;
	return x;
}

static void *hold(void *arg)
{
	const int kind = (int)(long)arg;
	pthread_mutex_t *mutex = &kinds[kind];
	unsigned long x = (unsigned long)kind;

	for (int round = 0; round < ROUNDS; round++) {
		expect(pthread_mutex_lock(mutex), 0, names[kind]);
		x = spin(x);
		if (kind == 0) {
			expect(pthread_mutex_lock(mutex), 0, "again");
			expect(pthread_mutex_unlock(mutex), 0, "once");
		} else if (kind == 1) {
			expect(pthread_mutex_lock(mutex), EDEADLK, "again");
		}
		expect(pthread_mutex_unlock(mutex), 0, names[kind]);
	}
	return (void *)x;
}

static void *work(void *arg)
{
	const int mine = (int)(long)arg;

	for (int round = 0; round < ROUNDS; round++) {
		pthread_mutex_lock(&turn_lock);
		while (turn != mine)
			pthread_cond_wait(&turn_changed, &turn_lock);
		turn = (turn + 1) % WORKERS;
		sum += (unsigned long)(round * mine);
		total += sum % 7;
		if (mine == 0 && round % 250 == 0)
			printf("round %d total %lu\n", round, total), fflush(stdout);
		pthread_cond_broadcast(&turn_changed);
		pthread_mutex_unlock(&turn_lock);
	}
	return (void *)sum;
}

int main(void)
{
	pthread_t holders[8], workers[WORKERS];
	void *result;

	init_kinds();
	for (long i = 0; i < 8; i++)
		expect(pthread_create(&holders[i], NULL, hold, (void *)(i / 2)), 0, "create");
	for (long i = 0; i < WORKERS; i++)
		expect(pthread_create(&workers[i], NULL, work, (void *)i), 0, "create");
	for (int i = 0; i < WORKERS; i++) {
		expect(pthread_join(workers[i], &result), 0, "join");
		printf("worker %d: %lu\n", i, (unsigned long)result);
	}
	for (int i = 0; i < 8; i++) {
		expect(pthread_join(holders[i], &result), 0, "join");
		printf("holder %d: %lx\n", i, (unsigned long)result);
	}
	printf("total %lu\n", total);
	return fclose(stdout);
}
