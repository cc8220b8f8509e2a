/*
 * Sets a filter for all its threads that kills for what only those who keep it need. Its other
 * thread sleeps; given an argument it stores all the time, so that there is always an epoch under
 * way.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KILLS(name)                                                                                \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1),                                     \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)

static int set_filter(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		KILLS(openat), KILLS(ioctl), KILLS(pwrite64), KILLS(pwritev2), KILLS(futex_waitv),
		KILLS(rt_tgsigqueueinfo), KILLS(getcwd),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = {sizeof(code) / sizeof(*code), code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return -1;
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
}

static void *wait_long(void *unused)
{
	for (;;)
		usleep(1000);
	return unused;
}

static void *store_long(void *unused)
{
	static char memory[8 << 20];

	for (int i = 0;; i++)
		memset(memory, i, sizeof(memory));
	return unused;
}

int main(int argc, char **argv)
{
	pthread_t other;

	pthread_create(&other, NULL, argc > 1 ? store_long : wait_long, NULL);
	/* Only a question: nothing changes. */
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, NULL) != -1 || errno != EFAULT)
		return 1;
	usleep(100000);
	if (set_filter() != 0)
		return 77;
	usleep(600000); /* many an epoch */
	printf("filtered\n");
	return 0;
}
