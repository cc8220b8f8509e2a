/*
 * usage: old-kernel COMMAND...
 *
 * Runs a command where the kernel, to all that it can see, has neither userfaultfd nor PAGEMAP_SCAN,
 * as Linux 6.1, or a container that forbids them. Where there are no soft-dirty bits either, what
 * was stored to is then found by comparing.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGEMAP_SCAN _IOWR('f', 16, uint64_t[12])

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define SKIP_UNLESS(value, count) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, (count))
#define SAY(result) BPF_STMT(BPF_RET | BPF_K, (result))
#define FAIL(error) SAY(SECCOMP_RET_ERRNO | (error))

static struct sock_filter filter[] = {
	LOAD(nr),
	SKIP_UNLESS(SYS_userfaultfd, 1),
	FAIL(EPERM),
	SKIP_UNLESS(SYS_ioctl, 3),
	LOAD(args[1]),
	SKIP_UNLESS(PAGEMAP_SCAN, 1),
	FAIL(ENOTTY),
	SAY(SECCOMP_RET_ALLOW),
};

int main(int argc, char **argv)
{
	struct sock_fprog program = {sizeof(filter) / sizeof(*filter), filter};

	if (argc < 2 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
		perror("old-kernel");
		return 125;
	}
	execvp(argv[1], argv + 1);
	perror(argv[1]);
	return 127;
}
