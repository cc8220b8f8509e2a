/*
 * System calls on files and descriptors: see os.c.
 */
#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>

#include "os-x86_64.h"

int os_open(const char *path, int flags, unsigned mode)
{
	return (int)os_syscall4(SYS_openat, AT_FDCWD, (long)path, flags, mode);
}

int os_close(int fd)
{
	return (int)os_syscall3(SYS_close, fd, 0, 0);
}

int os_memfd(const char *name)
{
	return (int)os_syscall3(SYS_memfd_create, (long)name, 1 /* MFD_CLOEXEC */, 0);
}

/* glibc's struct stat is the kernel's on 64-bit machines. */
int os_fstat(int fd, struct stat *ret_stat)
{
	return (int)os_syscall3(SYS_fstat, fd, (long)ret_stat, 0);
}

int os_fstatfs(int fd, struct statfs *ret_statfs)
{
	return (int)os_syscall3(SYS_fstatfs, fd, (long)ret_statfs, 0);
}

int os_ftruncate(int fd, uint64_t size_bytes)
{
	return (int)os_syscall3(SYS_ftruncate, fd, (long)size_bytes, 0);
}

int os_set_mtime(int fd, uint64_t unix_ns)
{
	const struct timespec times[] = {
		{.tv_nsec = UTIME_OMIT},
		{(time_t)(unix_ns / 1000000000), (long)(unix_ns % 1000000000)},
	};

	return (int)os_syscall4(SYS_utimensat, fd, 0, (long)times, 0);
}

int os_fallocate(int fd, int mode, uint64_t offset, uint64_t len)
{
	return (int)os_syscall4(SYS_fallocate, fd, mode, (long)offset, (long)len);
}

int64_t os_lseek(int fd, int64_t offset, int whence)
{
	return os_syscall3(SYS_lseek, fd, offset, whence);
}

int os_fchmod(int fd, unsigned mode)
{
	return (int)os_syscall3(SYS_fchmod, fd, mode, 0);
}

int os_fdatasync(int fd)
{
	return (int)os_syscall3(SYS_fdatasync, fd, 0, 0);
}

int os_fsync(int fd)
{
	return (int)os_syscall3(SYS_fsync, fd, 0, 0);
}

void os_sync(void)
{
	os_syscall3(SYS_sync, 0, 0, 0);
}

int os_fcntl(int fd, int op, void *arg)
{
	return (int)os_syscall3(SYS_fcntl, fd, op, (long)arg);
}

int os_ioctl(int fd, unsigned long op, void *arg)
{
	return (int)os_syscall3(SYS_ioctl, fd, (long)op, (long)arg);
}

int os_userfaultfd(int flags)
{
	return (int)os_syscall3(SYS_userfaultfd, flags, 0, 0);
}

/* A program started without stderr opens the pool as descriptor 2 and then writes its messages into
 * it; others expect their first open to give 3, or close all up to a hundred. */
int os_fd_move(int fd)
{
	static const int lowest[] = {512, 100, 3}; /* RLIMIT_NOFILE may be lower than that */
	int moved = -EINVAL;

	for (unsigned i = 0; i < sizeof(lowest) / sizeof(*lowest) && moved < 0; i++)
		moved = os_fcntl(fd, F_DUPFD_CLOEXEC, (void *)(intptr_t)lowest[i]);
	if (moved >= 0)
		os_close(fd);
	return moved;
}

int os_open_aside(const char *path, int flags)
{
	const int fd = os_open(path, flags | O_RDONLY | O_CLOEXEC, 0);
	const int moved = fd < 0 ? fd : os_fd_move(fd);

	return moved < 0 ? fd : moved;
}

int os_link(const char *from, const char *to, int flags)
{
	return (int)os_syscall6(SYS_linkat, AT_FDCWD, (long)from, AT_FDCWD, (long)to, flags, 0);
}

int os_unlink(const char *path)
{
	return (int)os_syscall3(SYS_unlinkat, AT_FDCWD, (long)path, 0);
}

int os_renameat2(const char *from, const char *to, unsigned flags)
{
	return (int)os_syscall6(SYS_renameat2, AT_FDCWD, (long)from, AT_FDCWD, (long)to, flags, 0);
}

int os_getcwd(char *buffer, size_t len)
{
	return (int)os_syscall3(SYS_getcwd, (long)buffer, (long)len, 0);
}

/* Reads or writes all of it, however many calls that takes. */
static int transfer_all(long call, int fd, const void *buffer, size_t len, uint64_t offset,
			int flags)
{
	char *at = (char *)(uintptr_t)buffer;

	while (len) {
		struct iovec piece = {.iov_base = at, .iov_len = len};
		long n = os_syscall6(call, fd, (long)&piece, 1, (long)offset, 0, flags);
		if (n == -EINTR)
			continue;
		if (n < 0)
			return (int)n;
		if (n == 0)
			return -EIO;
		at += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int os_pread_all(int fd, void *buffer, size_t len, uint64_t offset)
{
	return transfer_all(SYS_preadv2, fd, buffer, len, offset, 0);
}

int os_pwrite_all(int fd, const void *buffer, size_t len, uint64_t offset)
{
	return transfer_all(SYS_pwritev2, fd, buffer, len, offset, 0);
}

int os_pwrite_synced(int fd, const void *buffer, size_t len, uint64_t offset)
{
	return transfer_all(SYS_pwritev2, fd, buffer, len, offset, RWF_DSYNC);
}

int os_pwrite_zeros(int fd, uint64_t len, uint64_t offset)
{
	static const char zeros[65536];
	int error = 0;

	while (!error && len) {
		const size_t piece = len < sizeof(zeros) ? len : sizeof(zeros);
		error = os_pwrite_all(fd, zeros, piece, offset);
		offset += piece;
		len -= piece;
	}
	return error;
}

long os_read(int fd, void *buffer, size_t len)
{
	long n;

	do
		n = os_syscall3(SYS_read, fd, (long)buffer, (long)len);
	while (n == -EINTR);
	return n;
}

long os_read_file(const char *path, char *buffer, size_t len)
{
	int fd = os_open_aside(path, O_NOCTTY);
	size_t have = 0;

	if (fd < 0)
		return fd;
	while (have < len) {
		long n = os_read(fd, buffer + have, len - have);
		if (n < 0) {
			os_close(fd);
			return n;
		}
		if (n == 0)
			break;
		have += (size_t)n;
	}
	os_close(fd);
	return (long)have;
}

long os_write(int fd, const void *buffer, size_t len)
{
	return os_syscall3(SYS_write, fd, (long)buffer, (long)len);
}

int os_stat(const char *path, struct stat *ret_stat)
{
	return (int)os_syscall4(SYS_newfstatat, AT_FDCWD, (long)path, (long)ret_stat, 0);
}

long os_getdents(int fd, void *buffer, size_t len)
{
	return os_syscall3(SYS_getdents64, fd, (long)buffer, (long)len);
}
