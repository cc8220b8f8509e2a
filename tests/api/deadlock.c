/*
 * DESIGN 2.4: if another thread is blocked mid-section on a lock the caller holds, hsk_checkpoint()
 * is -EDEADLK, and a durable block is pending until the outermost unlock, which waits. One warning
 * names the lock. The caller's own held locks do not count as a section.
 *
 * with: HEAPSAKE_INTERVAL=0
 * run: own => signal SIGKILL
 * run: blocked => signal SIGKILL
 * says: heapsake: HSK_TX_DURABLE: .*
 * run: look
 * inert: own
 */
#include "step.h"

HSK_KEEP static int own, pending;
static pthread_mutex_t outer = PTHREAD_MUTEX_INITIALIZER, inner = PTHREAD_MUTEX_INITIALIZER;
static _Atomic int has_inner;

static void *wait_for_outer(void *unused)
{
	pthread_mutex_lock(&inner);
	has_inner = 1;
	pthread_mutex_lock(&outer);
	pthread_mutex_unlock(&outer);
	pthread_mutex_unlock(&inner);
	return unused;
}

static void with_an_own_lock(void)
{
	pthread_mutex_lock(&outer);
	HSK_TX_DURABLE { own = 1; }
	const int status = hsk_status();
	MUST(status == 0 || status == -ENODEV);
	MUST(hsk_checkpoint(-1) == status);
	pthread_mutex_unlock(&outer);
	if (status == 0)
		step_kill();
}

static void with_a_lock_another_waits_for(void)
{
	pthread_t thread;

	MUST(own == 1);
	pthread_mutex_lock(&outer);
	pthread_create(&thread, NULL, wait_for_outer, NULL);
	while (!has_inner)
		usleep(1000);
	usleep(50000);
	MUST(hsk_checkpoint(-1) == -EDEADLK);
	HSK_TX_DURABLE { pending = 1; }
	MUST(hsk_status() == -EINPROGRESS);
	pthread_mutex_unlock(&outer);
	MUST(hsk_status() == 0);
	step_kill();
}

int main(int argc, char **argv)
{
	step_begin(argc, argv);
	if (step_is("own"))
		with_an_own_lock();
	else if (step_is("blocked"))
		with_a_lock_another_waits_for();
	else
		MUST(pending == 1);
	return 0;
}
