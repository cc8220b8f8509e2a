/*
 * System calls, one function each: 0 or a count on success, -errno on failure.
 *
 * They touch neither errno nor thread-local data nor the stack protector, so that code running on
 * a thread libc knows nothing about (the committer) can use them.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <time.h>

#define OS_PAGE_BYTES 4096u

int os_open(const char *path, int flags, unsigned mode);
int os_close(int fd);
int os_memfd(const char *name); /* CLOEXEC */
int os_fstat(int fd, struct stat *ret_stat);
int os_fstatfs(int fd, struct statfs *ret_statfs);
int os_ftruncate(int fd, uint64_t size_bytes);
int os_set_mtime(int fd, uint64_t unix_ns);
int os_fallocate(int fd, int mode, uint64_t offset, uint64_t len);
int os_fchmod(int fd, unsigned mode);
int64_t os_lseek(int fd, int64_t offset, int whence); /* the new offset */
int os_fdatasync(int fd);
int os_fsync(int fd);
void os_sync(void); /* everything of everybody */
int os_fcntl(int fd, int op, void *arg);
int os_ioctl(int fd, unsigned long op, void *arg);
int os_userfaultfd(int flags);
/* os_fd_move() - the same description under a number programs do not count on; closes fd,
 * unless there is none (-errno) */
int os_fd_move(int fd);
/* os_open_aside() - for ourselves, to be read, under such a number at once: a program that closes
 * all it finds, or counts on the lowest number, meets it there as briefly as can be */
int os_open_aside(const char *path, int flags);
int os_link(const char *from, const char *to, int flags); /* flags of linkat(2) */
int os_unlink(const char *path);
int os_renameat2(const char *from, const char *to, unsigned flags);

int os_getcwd(char *buffer, size_t len); /* length with the final 0 */

/* Whole buffers: a short read or write is continued; end of file is -EIO. */
int os_pread_all(int fd, void *buffer, size_t len, uint64_t offset);
int os_pwrite_all(int fd, const void *buffer, size_t len, uint64_t offset);
int os_pwrite_zeros(int fd, uint64_t len, uint64_t offset);
int os_pwrite_synced(int fd, const void *buffer, size_t len, uint64_t offset); /* RWF_DSYNC */
long os_read(int fd, void *buffer, size_t len); /* 0 at end of file */
/* One read until end of file or the buffer is full; returns the count. */
long os_read_file(const char *path, char *buffer, size_t len);

/* os_is_error */
void *os_mmap(void *addr, size_t len, int prot, int flags, int fd, uint64_t offset);
void *os_reserve(size_t len); /* private memory, zeros: what is not used costs nothing */
int os_munmap(void *addr, size_t len);
int os_mprotect(void *addr, size_t len, int prot);
void *os_mremap(void *from, size_t len, void *to); /* moves, replacing what is there */
int os_madvise(void *addr, size_t len, int advice);
int os_mincore(void *addr, size_t len, unsigned char *ret_is_there); /* a byte a page */
int os_populate(void *addr, size_t len); /* all faults of stores, now; -EINVAL: Linux < 5.14 */
int os_mlock(const void *addr, size_t len, unsigned flags);
int os_mlockall(int flags);
int os_name_memory(void *addr, size_t len, const char *name); /* anonymous; NULL: none */
int os_munlock(const void *addr, size_t len);
int os_pkey_mprotect(void *addr, size_t len, int prot, int key);
/* os_is_readable() - of at most a page's length; without a signal if it is not */
bool os_is_readable(const void *from, size_t len);
/* os_read_memory() - of our own process, whatever its protection; slow. 0 or -errno */
int os_read_memory(void *to, const void *from, size_t len);
static inline bool os_is_error(const void *p)
{
	return (uintptr_t)p > (uintptr_t)-4096;
}

/* os_thread_start() - fn(argument) on a thread that libc knows nothing of, all signals blocked:
 * neither errno nor thread-local data nor malloc for anything it calls. *alive_word is not 0
 * until it ends; then the kernel makes it 0 and wakes who waits there. 0 or -errno */
int os_thread_start(void (*fn)(void *argument), void *argument, size_t stack_bytes,
		    uint32_t *alive_word);
void os_thread_set_name(const char *name); /* of the calling thread; 15 bytes */
void os_timer_slack_ns(unsigned long ns);  /* likewise */

/* os_tgkill() - to a thread of this process; signal 0: is it there? -ESRCH: no */
int os_tgkill(int tid, int signal);
/* os_sigaction() - the kernel's own call: also for the signals libc keeps to itself. handler NULL:
 * only asks. With SA_SIGINFO, SA_RESTART and SA_ONSTACK, all other signals waiting meanwhile. */
struct os_sigaction {
	void (*handler)(int number, siginfo_t *info, void *context);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};
int os_sigaction(int signal, void (*handler)(int number, siginfo_t *info, void *context),
		 struct os_sigaction *ret_old);
int os_tgsigqueue(int tid, int signal, void *value); /* si_code SI_QUEUE, si_value value */
int os_tgsigqueue_in(int pid, int tid, int signal, void *value); /* pid: our own, known */
/* os_membarrier() - every running thread of this process has passed a full memory barrier */
void os_membarrier(void);
int os_stat(const char *path, struct stat *ret_stat);
long os_getdents(int fd, void *buffer, size_t len);

/* os_on_stack() - go on with fn(), which does not return, on the stack that ends at `top` (16-byte
 * aligned) */
_Noreturn void os_on_stack(void *top, void (*fn)(void));

/* os_copy() - memcpy() that needs nothing: libc's goes by sizes of caches that it keeps among its
 * own data, and where those are zeros it does not end */
void os_copy(void *to, const void *from, size_t bytes);

int os_getpid(void);
int os_gettid(void);
/* Capabilities of the calling thread, two structs of version 3. */
struct __user_cap_data_struct;
int os_capget(struct __user_cap_data_struct *ret_sets);
int os_capset(const struct __user_cap_data_struct *sets);
unsigned os_getuid(void);
unsigned os_geteuid(void);
int os_getrlimit(int resource, struct rlimit *ret_limit);
uint64_t os_clock_ns(clockid_t clock);
void os_sleep_ns(uint64_t ns);
long os_futex_wait(uint32_t *word, uint32_t expected, const struct timespec *timeout);
long os_futex_wake(uint32_t *word, int count);
long os_write(int fd, const void *buffer, size_t len);
int os_getrandom(void *buffer, size_t len);
_Noreturn void os_exit_group(int status);
