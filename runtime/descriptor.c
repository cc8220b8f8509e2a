/*
 * See os.c for why these are not libc's. They stand apart from it because a heap needs none of
 * them.
 */
#include "descriptor.h"

#include <fcntl.h>
#include <linux/kcmp.h>
#include <linux/stat.h>

#include "os-x86_64.h"
#include "os.h"

int os_openat(int directory, const char *path, int flags)
{
	return (int)os_syscall4(SYS_openat, directory, (long)path, flags, 0);
}

int os_readlinkat(int directory, const char *path, char *buffer, size_t len)
{
	return (int)os_syscall4(SYS_readlinkat, directory, (long)path, (long)buffer, (long)len);
}

int os_chown(const char *path, unsigned uid, unsigned gid)
{
	return (int)os_syscall6(SYS_fchownat, AT_FDCWD, (long)path, uid, gid, 0, 0);
}

int os_chmod(const char *path, unsigned mode)
{
	return (int)os_syscall3(SYS_fchmodat, AT_FDCWD, (long)path, mode);
}

uint64_t os_birth_ns(int fd)
{
	struct statx x = {0};

	if (os_syscall6(SYS_statx, fd, (long)"", AT_EMPTY_PATH, STATX_BTIME, (long)&x, 0) < 0 ||
	    !(x.stx_mask & STATX_BTIME))
		return 0;
	return (uint64_t)x.stx_btime.tv_sec * UINT64_C(1000000000) + x.stx_btime.tv_nsec;
}

int os_dup3(int from, int to, int flags)
{
	return (int)os_syscall3(SYS_dup3, from, to, flags);
}

int os_compare_descriptions(int a, int b)
{
	const int pid = os_getpid();

	return (int)os_syscall6(SYS_kcmp, pid, pid, KCMP_FILE, a, b, 0);
}

int os_compare_entered(int fd, int epoll, unsigned number, unsigned nth)
{
	struct kcmp_epoll_slot slot = {(uint32_t)epoll, number, nth};
	const int pid = os_getpid();

	return (int)os_syscall6(SYS_kcmp, pid, pid, KCMP_EPOLL_TFD, fd, (intptr_t)&slot, 0);
}

int os_flock(int fd, int operation)
{
	return (int)os_syscall3(SYS_flock, fd, operation, 0);
}

int os_kill(int pid, int signal)
{
	return (int)os_syscall3(SYS_kill, pid, signal, 0);
}

int os_sync_piece(int fd, uint64_t offset, uint64_t len)
{
	const int write_and_wait = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
				   SYNC_FILE_RANGE_WAIT_AFTER;

	return (int)os_syscall4(SYS_sync_file_range, fd, (long)offset, (long)len, write_and_wait);
}

int os_pipe(int ret_ends[2], int flags)
{
	return (int)os_syscall3(SYS_pipe2, (long)ret_ends, flags, 0);
}

#define SPLICE_WITHOUT_WAITING 2 /* SPLICE_F_NONBLOCK */

long os_tee(int from, int to, size_t len)
{
	return os_syscall4(SYS_tee, from, to, (long)len, SPLICE_WITHOUT_WAITING);
}

int os_eventfd(unsigned count, int flags)
{
	return (int)os_syscall3(SYS_eventfd2, count, flags, 0);
}

int os_timerfd_create(int clock, int flags)
{
	return (int)os_syscall3(SYS_timerfd_create, clock, flags, 0);
}

int os_timerfd_settime(int fd, int flags, const struct itimerspec *value)
{
	return (int)os_syscall4(SYS_timerfd_settime, fd, flags, (long)value, 0);
}

int os_signalfd(uint64_t mask, int flags)
{
	return (int)os_syscall4(SYS_signalfd4, -1, (long)&mask, sizeof(mask), flags);
}

int os_epoll_create(int flags)
{
	return (int)os_syscall3(SYS_epoll_create1, flags, 0, 0);
}

int os_epoll_take(int epoll, struct epoll_event *ret_events, int max)
{
	return (int)os_syscall6(SYS_epoll_pwait, epoll, (long)ret_events, max, 0, 0, 0);
}

int os_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
	return (int)os_syscall4(SYS_epoll_ctl, epoll, operation, fd, (long)event);
}

int os_socket(int family, int type, int protocol)
{
	return (int)os_syscall3(SYS_socket, family, type, protocol);
}

int os_socketpair(int family, int type, int protocol, int ret_ends[2])
{
	return (int)os_syscall4(SYS_socketpair, family, type, protocol, (long)ret_ends);
}

int os_bind(int fd, const void *address, size_t len)
{
	return (int)os_syscall3(SYS_bind, fd, (long)address, (long)len);
}

int os_listen(int fd, int backlog)
{
	return (int)os_syscall3(SYS_listen, fd, backlog, 0);
}

int os_connect(int fd, const void *address, size_t len)
{
	return (int)os_syscall3(SYS_connect, fd, (long)address, (long)len);
}

int os_poll_now(struct pollfd *fds, unsigned count)
{
	return (int)os_syscall3(SYS_poll, (long)fds, count, 0);
}

int os_shutdown(int fd, int how)
{
	return (int)os_syscall3(SYS_shutdown, fd, how, 0);
}

int os_getsockname(int fd, void *address, uint32_t *len)
{
	return (int)os_syscall3(SYS_getsockname, fd, (long)address, (long)len);
}

int os_getpeername(int fd, void *address, uint32_t *len)
{
	return (int)os_syscall3(SYS_getpeername, fd, (long)address, (long)len);
}

int os_getsockopt(int fd, int level, int name, void *value, uint32_t *len)
{
	return (int)os_syscall6(SYS_getsockopt, fd, level, name, (long)value, (long)len, 0);
}

int os_setsockopt(int fd, int level, int name, const void *value, uint32_t len)
{
	return (int)os_syscall6(SYS_setsockopt, fd, level, name, (long)value, len, 0);
}

long os_recvmsg(int fd, struct msghdr *message, int flags)
{
	return os_syscall3(SYS_recvmsg, fd, (long)message, flags);
}

long os_sendto(int fd, const void *bytes, size_t len, int flags, const void *address,
	       size_t address_len)
{
	return os_syscall6(SYS_sendto, fd, (long)bytes, (long)len, flags, (long)address,
			   (long)address_len);
}
