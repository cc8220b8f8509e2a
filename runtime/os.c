/*
 * The problem: libc's wrappers write errno, which is thread-local, may be cancellation points, and
 * may be replaced by the program or by another preload. The trick: the system call instruction
 * itself. The guarantee: a function here needs nothing but a stack, so it works before libc is
 * ready, after exit has begun, and on a thread libc has never heard of; and it never changes errno.
 *
 * Built without the stack protector (its canary lives in thread-local storage). Here: threads,
 * signals, identities, clocks; files and memory have files of their own.
 */
#include "os.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/mman.h>

#include "os-x86_64.h"

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

void os_copy(void *to, const void *from, size_t bytes)
{
	os_copy_string(to, from, bytes);
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
