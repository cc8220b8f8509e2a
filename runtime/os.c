/*
 * The problem: libc's wrappers write errno, which is thread-local, may be cancellation points, and
 * may be replaced by the program or by another preload. The trick: the system call instruction
 * itself. The guarantee: a function here needs nothing but a stack, so it works before libc is
 * ready, after exit has begun, and on a thread libc has never heard of; and it never changes errno.
 *
 * Built without the stack protector (its canary lives in thread-local storage).
 */
#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "os-x86_64.h"
#include "ours.h"

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
	int fd = os_open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY, 0);
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

void *os_mmap(void *addr, size_t len, int prot, int flags, int fd, uint64_t offset)
{
	if (!addr && ours_zone_is_open())
		return ours_mmap(len, prot, flags, fd, offset);
	return (void *)os_syscall6(SYS_mmap, (long)addr, (long)len, prot, flags, fd, (long)offset);
}

void *os_reserve(size_t len)
{
	return os_mmap(NULL, len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

int os_munmap(void *addr, size_t len)
{
	if (ours_zone_holds(addr))
		return ours_munmap(addr, len);
	return (int)os_syscall3(SYS_munmap, (long)addr, (long)len, 0);
}

int os_mprotect(void *addr, size_t len, int prot)
{
	return (int)os_syscall3(SYS_mprotect, (long)addr, (long)len, prot);
}

void *os_mremap(void *from, size_t len, void *to)
{
	return (void *)os_syscall6(SYS_mremap, (long)from, (long)len, (long)len,
				   MREMAP_MAYMOVE | MREMAP_FIXED, (long)to, 0);
}

int os_madvise(void *addr, size_t len, int advice)
{
	return (int)os_syscall3(SYS_madvise, (long)addr, (long)len, advice);
}

int os_populate(void *addr, size_t len)
{
	return os_madvise(addr, len, 23); /* MADV_POPULATE_WRITE, of which older headers know nothing */
}

int os_mlock(const void *addr, size_t len, unsigned flags)
{
	return (int)os_syscall3(SYS_mlock2, (long)addr, (long)len, flags);
}

int os_mlockall(int flags)
{
	return (int)os_syscall3(SYS_mlockall, flags, 0, 0);
}

int os_name_memory(void *addr, size_t len, const char *name)
{
	return (int)os_syscall6(SYS_prctl, PR_SET_VMA, PR_SET_VMA_ANON_NAME, (long)addr, (long)len,
				(long)name, 0);
}

int os_munlock(const void *addr, size_t len)
{
	return (int)os_syscall3(SYS_munlock, (long)addr, (long)len, 0);
}

#define THREAD_FLAGS                                                                       \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |    \
	 CLONE_CHILD_CLEARTID)

int os_thread_start(void (*fn)(void *), void *argument, size_t stack_bytes, uint32_t *alive_word)
{
	char *stack = os_mmap(NULL, stack_bytes + OS_PAGE_BYTES, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	const uint64_t all = ~UINT64_C(0);
	uint64_t before;

	if (os_is_error(stack))
		return (int)(intptr_t)stack;
	os_mprotect(stack, OS_PAGE_BYTES, PROT_NONE); /* an overflow must not go unseen */
	*alive_word = 1;
	os_syscall4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&before, sizeof(all));
	const long tid = os_thread_clone(THREAD_FLAGS, (void **)(stack + stack_bytes + OS_PAGE_BYTES),
					 alive_word, fn, argument);
	os_syscall4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&before, 0, sizeof(all));
	if (tid < 0)
		os_munmap(stack, stack_bytes + OS_PAGE_BYTES);
	return tid < 0 ? (int)tid : 0;
}

void os_thread_set_name(const char *name)
{
	os_syscall3(SYS_prctl, PR_SET_NAME, (long)name, 0);
}

void os_timer_slack_ns(unsigned long ns)
{
	os_syscall3(SYS_prctl, PR_SET_TIMERSLACK, (long)ns, 0);
}

int os_pkey_mprotect(void *addr, size_t len, int prot, int key)
{
	return (int)os_syscall4(SYS_pkey_mprotect, (long)addr, (long)len, prot, key);
}

/* A system call that reads eight bytes before it finds that it does not know what to do. */
static bool is_word_readable(const char *at)
{
	return os_syscall4(SYS_rt_sigprocmask, -1, (long)at, 0, 8) != -EFAULT;
}

bool os_is_readable(const void *from, size_t len)
{
	const char *start = from;

	return is_word_readable(start) && (len <= 8 || is_word_readable(start + len - 8));
}

/* What is protected against reading can still be read as a debugger does. */
int os_read_memory(void *to, const void *from, size_t len)
{
	const struct iovec local = {to, len}, remote = {(void *)(uintptr_t)from, len};
	const long count = os_syscall6(SYS_process_vm_readv, os_getpid(), (long)&local, 1,
				       (long)&remote, 1, 0);

	if (count == (long)len)
		return 0;
	const int fd = os_open("/proc/thread-self/mem", O_RDONLY | O_CLOEXEC, 0);
	const int error = fd < 0 ? fd : os_pread_all(fd, to, len, (uintptr_t)from);

	if (fd >= 0)
		os_close(fd);
	return error;
}

int os_tgkill(int tid, int signal)
{
	return (int)os_syscall3(SYS_tgkill, os_getpid(), tid, signal);
}

#define SA_RESTORER 0x04000000u

int os_sigaction(int signal, void (*handler)(int, siginfo_t *, void *),
		 struct os_sigaction *ret_old)
{
	const struct os_sigaction action = {
		.handler = handler,
		.flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK | SA_RESTORER,
		.restorer = os_signal_return,
		.mask = ~UINT64_C(0),
	};

	return (int)os_syscall4(SYS_rt_sigaction, signal, handler ? (long)&action : 0, (long)ret_old,
				sizeof(action.mask));
}

int os_tgsigqueue_in(int pid, int tid, int signal, void *value)
{
	siginfo_t info = {.si_signo = signal, .si_code = SI_QUEUE};

	info.si_pid = pid;
	info.si_value.sival_ptr = value;
	return (int)os_syscall4(SYS_rt_tgsigqueueinfo, pid, tid, signal, (long)&info);
}

int os_tgsigqueue(int tid, int signal, void *value)
{
	return os_tgsigqueue_in(os_getpid(), tid, signal, value);
}

/* Where the expedited kind is refused (by a sandbox) the slow one is tried, which waits for a grace
 * period. */
void os_membarrier(void)
{
	static bool is_registered;

	if (!is_registered) {
		os_syscall3(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
		is_registered = true;
	}
	if (os_syscall3(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0)
		os_syscall3(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
}

int os_stat(const char *path, struct stat *ret_stat)
{
	return (int)os_syscall4(SYS_newfstatat, AT_FDCWD, (long)path, (long)ret_stat, 0);
}

long os_getdents(int fd, void *buffer, size_t len)
{
	return os_syscall3(SYS_getdents64, fd, (long)buffer, (long)len);
}

int os_getpid(void)
{
	return (int)os_syscall3(SYS_getpid, 0, 0, 0);
}

int os_gettid(void)
{
	return (int)os_syscall3(SYS_gettid, 0, 0, 0);
}

int os_capget(struct __user_cap_data_struct *ret_sets)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};

	return (int)os_syscall3(SYS_capget, (long)&header, (long)ret_sets, 0);
}

int os_capset(const struct __user_cap_data_struct *sets)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};

	return (int)os_syscall3(SYS_capset, (long)&header, (long)sets, 0);
}

unsigned os_getuid(void)
{
	return (unsigned)os_syscall3(SYS_getuid, 0, 0, 0);
}

unsigned os_geteuid(void)
{
	return (unsigned)os_syscall3(SYS_geteuid, 0, 0, 0);
}

int os_getrlimit(int resource, struct rlimit *ret_limit)
{
	return (int)os_syscall4(SYS_prlimit64, 0, resource, 0, (long)ret_limit);
}

uint64_t os_clock_ns(clockid_t clock)
{
	struct timespec now = {0};

	os_syscall3(SYS_clock_gettime, clock, (long)&now, 0);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

void os_sleep_ns(uint64_t ns)
{
	struct timespec left = {
		.tv_sec = (time_t)(ns / UINT64_C(1000000000)),
		.tv_nsec = (long)(ns % UINT64_C(1000000000)),
	};

	while (os_syscall4(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, (long)&left, (long)&left) ==
	       -EINTR)
		;
}

_Noreturn void os_on_stack(void *top, void (*fn)(void))
{
	os_jump_to_stack(top, fn);
}

long os_futex_wait(uint32_t *word, uint32_t expected, const struct timespec *timeout)
{
	return os_syscall4(SYS_futex, (long)word, FUTEX_WAIT, expected, (long)timeout);
}

long os_futex_wake(uint32_t *word, int count)
{
	return os_syscall3(SYS_futex, (long)word, FUTEX_WAKE, count);
}

int os_getrandom(void *buffer, size_t len)
{
	char *at = buffer;

	while (len) {
		long n = os_syscall3(SYS_getrandom, (long)at, (long)len, 0);
		if (n == -EINTR)
			continue;
		if (n < 0)
			return (int)n;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

_Noreturn void os_exit_group(int status)
{
	for (;;)
		os_syscall3(SYS_exit_group, status, 0, 0);
}
