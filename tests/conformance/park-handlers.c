/*
 * POSIX: a handler may come while a thread waits, allocate there (what it interrupted is safe), and
 * leave by siglongjmp; sigaction() and signal() return the handlers that were given to them.
 * with: HEAPSAKE_KEEP=heap
 * with: HEAPSAKE_INTERVAL=1ms
 * with: HEAPSAKE_LOG=error
 * only: shared inert
 */
#include "must.h"

#include <setjmp.h>
#include <signal.h>
#include <sys/time.h>

static sigjmp_buf back;
static volatile int calls;
static char *volatile block;

static void allocate(int number)
{
	MUST(number == SIGALRM);
	free(block);
	block = malloc(100 + (size_t)calls % 5000);
	calls++;
}

static void leave(int number, siginfo_t *info, void *context)
{
	MUST(number == SIGALRM && info->si_code == SI_KERNEL && context);
	siglongjmp(back, 1);
}

int main(void)
{
	const struct itimerval often = {{0, 300}, {0, 300}}, off = {{0, 0}, {0, 0}};
	const struct itimerval once = {{0, 0}, {0, 700}};
	struct sigaction action = {.sa_sigaction = leave, .sa_flags = SA_SIGINFO}, old;
	int ends[2];
	char byte;

	MUST(signal(SIGALRM, allocate) == SIG_DFL);
	MUST(setitimer(ITIMER_REAL, &often, NULL) == 0);
	while (calls < 2000)
		sleep(1);
	MUST(setitimer(ITIMER_REAL, &off, NULL) == 0 && signal(SIGALRM, SIG_IGN) == allocate);
	MUST(sigaction(SIGALRM, &action, NULL) == 0 && sigaction(SIGALRM, NULL, &old) == 0);
	MUST(old.sa_sigaction == leave && old.sa_flags & SA_SIGINFO);
	MUST(pipe(ends) == 0);
	for (volatile int i = 0; i < 200; i++)
		if (sigsetjmp(back, 1) == 0) {
			MUST(setitimer(ITIMER_REAL, &once, NULL) == 0);
			MUST(read(ends[0], &byte, 1) == 1);
		}
	MUST(signal(SIGALRM, SIG_DFL) == (void (*)(int))(void *)leave);
}
