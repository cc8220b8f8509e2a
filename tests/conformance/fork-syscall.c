/*
 * DESIGN 5, raw clone: syscall() by number: what children of fork, clone and clone3 store is
 * theirs; a child on a stack of its own returns there; other calls pass through.
 */
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>

#include "must.h"

static char *text;

static void expect_private(long pid)
{
	if (pid == 0) {
		strcpy(text, "child");
		memset(calloc(1, 60000000), 1, 60000000);
		_exit(4);
	}
	MUST(pid > 0 && child_status((pid_t)pid) == 4 && strcmp(text, "parent") == 0);
}

int main(void)
{
	struct {
		uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, rest[6];
	} args = {.exit_signal = SIGCHLD};
	text = strdup("parent");
	MUST(syscall(SYS_getpid) == getpid());
	MUST(syscall(-1) == -1 && errno == ENOSYS);
	MUST(syscall(SYS_clone3, NULL, 0) == -1 && (errno == EINVAL || errno == ENOSYS));
	const bool has_clone3 = errno == EINVAL;
	errno = 0;
	expect_private(syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL));
	if (has_clone3)
		expect_private(syscall(SYS_clone3, &args, sizeof(args)));
#ifdef SYS_fork
	expect_private(syscall(SYS_fork));
#endif
	char *q = calloc(1, 60000000);
	MUST(q && is_zero(q, 60000000) && errno == 0);
}
