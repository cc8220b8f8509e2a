/*
 * syscall(SYS_fork), SYS_clone and SYS_clone3 make children behind libc's back: as with clone(),
 * the heap is made private first, or the call fails with ENOMEM. All else passes through.
 *
 * A tail jump, as in dlopen.c: a clone child on a stack of its own returns from the system call
 * with nothing but its arguments on that stack, so no frame of ours may be waiting there. One that
 * has a copy of this stack returns through here, and forgets the pool. System calls made without
 * libc (Go, static code) are not seen.
 */
#include "advice-calls.h"
#include "ends.h"
#include "filters.h"
#include "preload.h"
#include "process/process.h"
#include "told-calls.h"

#include <errno.h>
#include <linux/sched.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/syscall.h>

typedef long raw_function(long number, long a, long b, long c, long d, long e, long f);

/* Seven arguments, whatever the header says: what was not passed is garbage, and not looked at. */
raw_function preload_syscall __asm__("syscall");

static raw_function *next;

/* clone3 without arguments is how programs ask whether it is there. */
static bool is_fork(long number, long a, long b)
{
	switch (number) {
#ifdef SYS_fork /* newer machines have clone alone */
	case SYS_fork:
		return true;
#endif
	case SYS_clone:
		return !(a & CLONE_VM);
	case SYS_clone3:
		return a != 0 && b >= CLONE_ARGS_SIZE_VER0 &&
		       !(((const struct clone_args *)a)->flags & CLONE_VM);
	default:
		return false;
	}
}

static uint64_t clone_flags(long number, long a, long b)
{
	if (number == SYS_clone3 && a != 0 && b >= CLONE_ARGS_SIZE_VER0)
		return ((const struct clone_args *)a)->flags;
	return number == SYS_clone ? (uint64_t)a : 0;
}

/* It comes by here, and has descriptors of its own. */
static bool can_forget(long number, long a, long b)
{
	const struct clone_args *args = (const void *)a;

	return number == SYS_clone3 ? !args->stack && !(args->flags & CLONE_FILES) :
	       number == SYS_clone  ? !b && !(a & CLONE_FILES) : true;
}

static __attribute__((noinline, cold)) long fork_here(long number, long a, long b, long c, long d,
						      long e, long f)
{
	process_fork_begin();
	const long pid = next(number, a, b, c, d, e, f);
	if (pid == 0)
		fork_forget_pool();
	else
		process_fork_end();
	return pid;
}

static __attribute__((noinline, cold)) long fail(int error)
{
	errno = error;
	return -1;
}

void syscall_init(void)
{
	next = (raw_function *)foreign_symbol("syscall");
}

INTERPOSE long preload_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	if (unlikely(!next))
		syscall_init();
	if (unlikely(is_fork(number, a, b))) {
		if (fork_freeze() != 0)
			return fail(ENOMEM);
		if (can_forget(number, a, b))
			return fork_here(number, a, b, c, d, e, f);
	}
	if (unlikely(process_is_kept))
		fork_note_sharing(clone_flags(number, a, b));
	if (unlikely(process_is_kept) && advice_is_call(number))
		return advice_call(number, a, b, c, d, e, f);
	if (unlikely(process_is_kept) && number == SYS_setsockopt)
		return setsockopt((int)a, (int)b, (int)c, (const void *)d, (socklen_t)e); /* NOLINT */
	if (unlikely(process_is_kept) && filters_is_call(number, a, b, c))
		filters_give_up();
	if (unlikely(process_is_kept) && told_is_call(number))
		return told_call(number, a, b, c, d, e);
	if (unlikely(number == SYS_exit_group))
		ends_now((int)a);
	return next(number, a, b, c, d, e, f);
}
