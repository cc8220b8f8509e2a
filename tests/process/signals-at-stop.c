/*
 * Signals that arrive while all threads stand for an epoch: one that ends the program does so in
 * this life only, and is not kept to end every other; one with a handler is handled in each.
 *
 * No thread may be about to be born or to end: there it stands with no signal blocked, and the
 * program ends at once, as it should.
 */
#include <pthread.h>

#include "next-life.h"

#define LIVES 5

static volatile sig_atomic_t handled;

static void handle(int number)
{
	handled = number;
}

static void *wait_for_the_end(void *unused)
{
	while (__atomic_load_n(&life, __ATOMIC_ACQUIRE) < LIVES)
		usleep(1000);
	return NULL;
}

int main(void)
{
	pthread_t other;

	alarm(100); /* it hangs */
	if (getuid() != 0)
		return LIFE_SKIPPED;
	life_open();
	MUST(signal(SIGUSR2, handle) != SIG_ERR);
	MUST(pthread_create(&other, NULL, wait_for_the_end, NULL) == 0);
	usleep(10000);
	life_signals = UINT64_C(1) << (SIGTERM - 1) | UINT64_C(1) << (SIGUSR2 - 1);
	while (life < LIVES) {
		handled = 0;
		life_begin();
		while (!handled)
			usleep(100);
		MUST(handled == SIGUSR2);
	}
	MUST(pthread_join(other, NULL) == 0);
	printf("signals-at-stop: %u lives, and none ended by what came while it stood\n", life);
	return 0;
}
