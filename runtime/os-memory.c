/*
 * System calls on memory: see os.c. What is mapped without an address goes to our zone once there
 * is one (ours.h), so that nothing of ours stands among the program's mappings.
 */
#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>

#include "os-x86_64.h"
#include "ours.h"

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

int os_mincore(void *addr, size_t len, unsigned char *ret_is_there)
{
	return (int)os_syscall3(SYS_mincore, (long)addr, (long)len, (long)ret_is_there);
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
