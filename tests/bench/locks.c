/*
 * What a lock that is free costs: lock and unlock in ns (the best of many rounds, CPU time), as the
 * program calls them and as libc's own are called, in turn and in one process. Under heapsake the
 * difference is what epochs cost here; without it there is none.
 *
 * usage: [heapsake run -k heap] locks [ROUNDS]
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "timing.h"

#define PAIRS 200000

typedef int operation(void *lock);

static double pair_ns(operation *take, operation *give, void *lock)
{
	const double began = cpu_ns();

	for (int i = 0; i < PAIRS; i++) {
		take(lock);
		give(lock);
	}
	return (cpu_ns() - began) / PAIRS;
}

static void measure(const char *take, const char *give, void *lock, int rounds)
{
	void *libc = dlopen("libc.so.6", RTLD_NOW);
	void *const from[] = {RTLD_DEFAULT, libc};
	double best[2] = {1e9, 1e9};

	for (int i = 0; i < 2 * rounds; i++) {
		operation *const taking = (operation *)dlsym(from[i % 2], take);
		operation *const giving = (operation *)dlsym(from[i % 2], give);
		const double ns = pair_ns(taking, giving, lock);
		best[i % 2] = ns < best[i % 2] ? ns : best[i % 2];
	}
	printf("%-24s %6.1f ns, libc's own %6.1f, %+.1f\n", take, best[0], best[1], best[0] - best[1]);
}

int main(int argc, char **argv)
{
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
	static pthread_spinlock_t spin;
	const int rounds = argc > 1 ? atoi(argv[1]) : 100;

	pthread_spin_init(&spin, 0);
	measure("pthread_mutex_lock", "pthread_mutex_unlock", &mutex, rounds);
	measure("pthread_mutex_trylock", "pthread_mutex_unlock", &mutex, rounds);
	measure("pthread_rwlock_rdlock", "pthread_rwlock_unlock", &rwlock, rounds);
	measure("pthread_rwlock_wrlock", "pthread_rwlock_unlock", &rwlock, rounds);
	measure("pthread_spin_lock", "pthread_spin_unlock", (void *)&spin, rounds);
	return 0;
}
