/*
 * syscall(SYS_fork), SYS_clone and SYS_clone3 make children behind libc's back: as with clone(),
 * the heap is made private first, or the call fails with ENOMEM. All else passes through.
 *
 * A tail jump, as in dlopen.c: a clone child on a stack of its own returns from the system call
 * with nothing but its arguments on that stack, so no frame of ours may be waiting there. System
 * calls made without libc (Go, static code) are not seen.
 */
#include "ends.h"
#include "preload.h"

#include <errno.h>
#include <linux/sched.h>
#include <stdint.h>
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
	if (unlikely(is_fork(number, a, b)) && fork_freeze() != 0)
		return fail(ENOMEM);
	if (unlikely(number == SYS_exit_group))
		ends_now((int)a);
	return next(number, a, b, c, d, e, f);
}
