/*
 * What is the process's own and not a thread's comes back without a main thread, too: it has ended,
 * before any epoch could ask it. The other one is known by then, and was asked when it spoke for
 * itself alone.
 */
#include <grp.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "killed.h"

#define LIVES 3
#define PR_SET_MDWE 65
#define PR_GET_MDWE 66
#define REFUSE_EXEC_GAIN 1

static pthread_t first;
static _Atomic bool may_end;

static void *live_on(void *unused)
{
	const gid_t wanted[] = {3, 70000};
	gid_t groups[8];
	sigset_t term;

	die();
	may_end = true;
	MUST(pthread_join(first, NULL) == 0);
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	MUST(pthread_sigmask(SIG_BLOCK, &term, NULL) == 0 && kill(getpid(), SIGTERM) == 0);
	const bool has_groups = setgroups(2, wanted) == 0; /* root may */
	const bool has_mdwe = prctl(PR_SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0) == 0; /* Linux 6.3 */
	for (int life = 1; life < LIVES; life++) {
		die();
		MUST(!has_groups || (getgroups(8, groups) == 2 && groups[1] == 70000));
		MUST(prctl(PR_GET_DUMPABLE) == 1);
		MUST(!has_mdwe || prctl(PR_GET_MDWE, 0, 0, 0, 0) == REFUSE_EXEC_GAIN);
		MUST(sigpending(&term) == 0 && sigismember(&term, SIGTERM));
	}
	exit(failures != 0);
}

int main(void)
{
	pthread_t other;

	setvbuf(stdout, NULL, _IOLBF, 0);
	first = pthread_self();
	MUST(pthread_create(&other, NULL, live_on, NULL) == 0);
	while (!may_end)
		usleep(1000);
	pthread_exit(NULL);
}
