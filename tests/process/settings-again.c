/*
 * What is a process's own, in its next lives: handlers, signals that wait, timers, directory,
 * limits, and the rest of what only the kernel knows.
 */
#include <errno.h>
#include <grp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>

#include "next-life.h"

#define LIVES 3
#define MEMBARRIER_REGISTER_PRIVATE (1 << 4)
#define MEMBARRIER_GET_REGISTRATIONS (1 << 9)

static sigset_t blocked;

/* ---- Signals ---- */

static volatile sig_atomic_t handled, handled_value;

static void handle(int number, siginfo_t *info, void *context)
{
	handled = number;
	handled_value = info->si_value.sival_int;
}

static void set_signals(void)
{
	struct sigaction action = {.sa_sigaction = handle,
				   .sa_flags = SA_SIGINFO | SA_RESTART | SA_NODEFER};

	sigaddset(&action.sa_mask, SIGHUP);
	MUST(sigaction(SIGUSR1, &action, NULL) == 0);
	MUST(sigaction(SIGUSR2, &action, NULL) == 0);
	MUST(sigaction(SIGRTMIN + 1, &action, NULL) == 0);
	MUST(sigaction(SIGALRM, &action, NULL) == 0);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	sigaddset(&blocked, SIGRTMIN + 1);
	sigaddset(&blocked, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &blocked, NULL);
	kill(getpid(), SIGUSR1);
	for (int i = 1; i <= 5; i++)
		sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = 100 + i});
}

static void check_signals(void)
{
	struct sigaction action;
	sigset_t pending, one;
	siginfo_t info;

	MUST(sigaction(SIGUSR1, NULL, &action) == 0 && action.sa_sigaction == handle);
	MUST((action.sa_flags & ~0x04000000) == (SA_SIGINFO | SA_RESTART | SA_NODEFER));
	MUST(sigismember(&action.sa_mask, SIGHUP) && !sigismember(&action.sa_mask, SIGINT));
	MUST(sigaction(SIGPIPE, NULL, &action) == 0 && action.sa_handler == SIG_IGN);
	MUST(sigaction(SIGTERM, NULL, &action) == 0 && action.sa_handler == SIG_DFL);
	MUST(sigpending(&pending) == 0);
	MUST(sigismember(&pending, SIGUSR1) && sigismember(&pending, SIGRTMIN + 1));
	MUST(!sigismember(&pending, SIGHUP) && !sigismember(&pending, SIGRTMIN));
	kill(getpid(), SIGUSR2);
	MUST(handled == SIGUSR2);
	if (life < LIVES)
		return;
	sigemptyset(&one);
	sigaddset(&one, SIGRTMIN + 1);
	for (int i = 1; i <= 5; i++) {
		MUST(sigwaitinfo(&one, &info) == SIGRTMIN + 1);
		MUST(info.si_code == SI_QUEUE && info.si_value.sival_int == 100 + i);
	}
	MUST(sigpending(&pending) == 0 && !sigismember(&pending, SIGRTMIN + 1));
}

/* ---- Timers ---- */

static timer_t long_timer, short_timer, thread_timer, silent_timer;
static _Atomic unsigned thread_timer_calls;

static void on_thread_timer(union sigval value)
{
	MUST(value.sival_int == 4711);
	thread_timer_calls++;
}

static void make_timer(clockid_t clock, struct sigevent event, time_t seconds, long ns,
		       timer_t *ret_timer)
{
	const struct itimerspec when = {.it_value = {.tv_sec = seconds, .tv_nsec = ns},
					.it_interval = {.tv_sec = seconds, .tv_nsec = ns}};

	MUST(timer_create(clock, &event, ret_timer) == 0);
	MUST(timer_settime(*ret_timer, 0, &when, NULL) == 0);
}

static void set_timers(void)
{
	const struct itimerval profile = {.it_value.tv_sec = 1000, .it_interval.tv_sec = 7};
	timer_t unused[3];

	for (int i = 0; i < 3; i++)
		make_timer(CLOCK_MONOTONIC, (struct sigevent){.sigev_notify = SIGEV_NONE}, 9, 0,
			   &unused[i]);
	make_timer(CLOCK_MONOTONIC, (struct sigevent){.sigev_notify = SIGEV_SIGNAL,
		   .sigev_signo = SIGRTMIN + 2, .sigev_value.sival_int = 12}, 1000, 0, &long_timer);
	make_timer(CLOCK_REALTIME, (struct sigevent){.sigev_notify = SIGEV_SIGNAL,
		   .sigev_signo = SIGALRM, .sigev_value.sival_int = 34}, 0, 2000000, &short_timer);
	make_timer(CLOCK_MONOTONIC, (struct sigevent){.sigev_notify = SIGEV_THREAD,
		   .sigev_notify_function = on_thread_timer, .sigev_value.sival_int = 4711}, 0, 2000000,
		   &thread_timer);
	make_timer(CLOCK_PROCESS_CPUTIME_ID, (struct sigevent){.sigev_notify = SIGEV_NONE}, 1000, 0,
		   &silent_timer);
	for (int i = 0; i < 3; i++)
		MUST(timer_delete(unused[i]) == 0);
	MUST(setitimer(ITIMER_PROF, &profile, NULL) == 0);
}

static bool is_long(const timer_t *timer)
{
	struct itimerspec left;

	return timer_gettime(*timer, &left) == 0 && left.it_interval.tv_sec == 1000 &&
	       left.it_value.tv_sec >= 900 && left.it_value.tv_sec < 1000;
}

static void check_timers(void)
{
	struct itimerval profile;
	const unsigned calls = thread_timer_calls;
	siginfo_t info;
	sigset_t one;
	timer_t next;

	MUST(is_long(&long_timer) && is_long(&silent_timer));
	MUST(getitimer(ITIMER_PROF, &profile) == 0 && profile.it_interval.tv_sec == 7);
	MUST(profile.it_value.tv_sec >= 900 && profile.it_value.tv_sec <= 1000);
	sigemptyset(&one);
	sigaddset(&one, SIGALRM);
	for (int i = 0; i < 3; i++) {
		MUST(sigwaitinfo(&one, &info) == SIGALRM);
		MUST(i == 0 || (info.si_code == SI_TIMER && info.si_value.sival_int == 34));
	}
	while (thread_timer_calls < calls + 3)
		usleep(1000);
	MUST(timer_create(CLOCK_MONOTONIC, NULL, &next) == 0 && timer_delete(next) == 0);
}

/* ---- The rest ---- */

static char directory[] = "/tmp/settings-again-XXXXXX";
static char *grown;

static void set_rest(void)
{
	const gid_t groups[] = {3, 1, 70000};

	MUST(mkdtemp(directory) && chdir(directory) == 0);
	umask(0127);
	MUST(setrlimit(RLIMIT_NOFILE, &(struct rlimit){333, 444}) == 0);
	MUST(setrlimit(RLIMIT_CORE, &(struct rlimit){0, 4096}) == 0);
	MUST(setgroups(3, groups) == 0);
	MUST(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
	MUST(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0);
	MUST(os_membarrier_command(MEMBARRIER_REGISTER_PRIVATE) == 0);
	setpgid(0, 0);
	grown = sbrk(300000);
	memset(grown, 7, 300000);
	FILE *score = fopen("/proc/self/oom_score_adj", "w");
	MUST(score && fputs("123", score) > 0 && fclose(score) == 0);
}

static void check_rest(void)
{
	char now[64], score[16];
	struct rlimit limit;
	gid_t groups[8];
	int is_subreaper = 0;

	MUST(getcwd(now, sizeof(now)) && strcmp(now, directory) == 0);
	const mode_t mask = umask(0);
	umask(mask);
	MUST(mask == 0127);
	MUST(getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur == 333 && limit.rlim_max == 444);
	MUST(getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_cur == 0 && limit.rlim_max == 4096);
	MUST(getgroups(8, groups) == 3 && groups[2] == 70000);
	MUST(prctl(PR_GET_CHILD_SUBREAPER, &is_subreaper) == 0 && is_subreaper == 1);
	MUST(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 1);
	const int registered = os_membarrier_command(MEMBARRIER_GET_REGISTRATIONS);
	MUST(registered < 0 || registered & MEMBARRIER_REGISTER_PRIVATE);
	MUST(getpgid(0) == getpid());
	MUST(os_read_file("/proc/self/oom_score_adj", score, sizeof(score)) == 4 &&
	     memcmp(score, "123\n", 4) == 0);
	MUST(sbrk(0) == grown + 300000 && grown[299999] == 7);
	MUST(sbrk(100000) == grown + 300000 && sbrk(-100000) == grown + 400000);
}

/* ---- Who it is ---- */

static _Atomic bool may_end;

static void *be_somebody_else(void *unused)
{
	uid_t uid[3];
	gid_t gid[3];

	while (!may_end)
		usleep(1000);
	MUST(getresuid(&uid[0], &uid[1], &uid[2]) == 0 && getresgid(&gid[0], &gid[1], &gid[2]) == 0);
	MUST(uid[0] == 0 && uid[1] == 1234 && uid[2] == 0);
	MUST(gid[0] == 4321 && gid[1] == 4321 && gid[2] == 4321);
	return NULL;
}

int main(void)
{
	pthread_t other;
	uid_t uid[3];

	alarm(100); /* it hangs */
	if (getuid() != 0)
		return LIFE_SKIPPED;
	life_open();
	settings_prepare();
	set_signals();
	set_timers();
	set_rest();
	MUST(pthread_create(&other, NULL, be_somebody_else, NULL) == 0);
	MUST(setresgid(4321, 4321, 4321) == 0);
	while (life < LIVES) {
		life_begin();
		alarm(0);
		check_signals();
		check_timers();
		check_rest();
		alarm(100);
	}
	MUST(rmdir(directory) == 0);
	MUST(setresuid(0, 1234, 0) == 0); /* which goes to the others by libc's signal 33 */
	may_end = true;
	MUST(pthread_join(other, NULL) == 0);
	MUST(getresuid(&uid[0], &uid[1], &uid[2]) == 0 && uid[1] == 1234);
	printf("settings-again: all as it was in %u lives\n", life);
	return 0;
}
