/*
 * A process whose main thread has ended by pthread_exit() lives on with the others, in this life and
 * the next; and one that has filtered its system calls is left alone.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <string.h>

#include "next-life.h"

#define LIVES 3

static pthread_t first;

static bool is_zombie(void)
{
	char text[512];
	const long len = os_read_file("/proc/self/stat", text, sizeof(text) - 1);

	text[len > 0 ? len : 0] = 0;
	const char *at = strrchr(text, ')');
	return at && at[2] == 'Z';
}

/* After this any handler of ours would be one system call too many. */
static void filter_calls(void)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	const struct sock_fprog program = {1, &allow};
	char why[192] = "";

	settings_prepare();
	MUST(settings_allow_stop(why) && !why[0]);
	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0);
	settings_prepare();
	MUST(!settings_allow_stop(why) && strstr(why, "seccomp"));
}

static void *live_on(void *unused)
{
	const int tid = os_gettid();

	MUST(pthread_join(first, NULL) == 0);
	MUST(is_zombie());
	while (life < LIVES) {
		life_begin();
		alarm(100);
		MUST(os_gettid() == tid);
		while (!is_zombie()) /* all go on, this one to its end */
			usleep(1000);
	}
	printf("threads-ended: without a main thread in %u lives\n", life);
	fflush(stdout);
	_exit(0);
}

static void *try_filter(void *unused)
{
	filter_calls();
	return NULL;
}

int main(void)
{
	pthread_t other;

	alarm(100); /* it hangs */
	life_open();
	settings_prepare();
	pthread_t trying;
	if (fork() == 0) { /* where it does no harm */
		MUST(pthread_create(&trying, NULL, try_filter, NULL) == 0);
		MUST(pthread_join(trying, NULL) == 0);
		_exit(0);
	}
	int status;
	MUST(wait(&status) > 0 && status == 0);
	first = pthread_self();
	MUST(pthread_create(&other, NULL, live_on, NULL) == 0);
	pthread_exit(NULL);
}
