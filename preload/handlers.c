/*
 * Handlers of the program's signals. One may come while its thread is parked, and the cut would go
 * by a thread that runs: it may change what is kept, or allocate, which it may well do there (the
 * call it interrupted is safe). So what the kernel is told of is ours, and it is the program's turn
 * when the thread is not parked any more, after the gate if need be. A handler that never comes
 * back (siglongjmp) leaves the thread unparked.
 *
 * Programs are shown their own handlers. Without epochs, and for what is no function, everything is
 * libc's business alone; so a child of vfork, which shares our table, may still reset its signals.
 */
#include <signal.h>
#include <stdint.h>

#include "checkpoint/cut.h"
#include "real.h"

#ifndef _NSIG
#define _NSIG 65
#endif

/* With three arguments, wanted or not. */
typedef void handler(int number, siginfo_t *info, void *context);
static handler *handlers[_NSIG];

static void handle(int number, siginfo_t *info, void *context)
{
	handler *const fn = __atomic_load_n(&handlers[number], __ATOMIC_ACQUIRE);
	const struct cut_interrupted interrupted = cut_handler_enter();

	fn(number, info, context);
	cut_handler_leave(interrupted);
}

static bool is_function(const void *fn)
{
	return (uintptr_t)fn > 2 && fn != (const void *)SIG_ERR; /* SIG_DFL, SIG_IGN, SIG_HOLD */
}

static bool is_ours(int number, const void *fn)
{
	return cut_is_on && number > 0 && number < _NSIG && is_function(fn);
}

/* Before the kernel knows: from then on it may come. */
static void *replace(int number, const void *fn)
{
	return __atomic_exchange_n((void **)&handlers[number], (void *)(uintptr_t)fn, __ATOMIC_ACQ_REL);
}

INTERPOSE int sigaction(int number, const struct sigaction *action, struct sigaction *ret_old)
{
	if (number <= 0 || number >= _NSIG)
		return REAL(sigaction)(number, action, ret_old);
	void *before = handlers[number];
	struct sigaction ours;
	const bool is_replaced = action && is_ours(number, (const void *)action->sa_handler);
	if (is_replaced) {
		ours = *action;
		ours.sa_sigaction = handle;
		before = replace(number, (const void *)action->sa_handler);
	}
	const int result = REAL(sigaction)(number, is_replaced ? &ours : action, ret_old);
	if (result != 0 && is_replaced)
		replace(number, before);
	if (result == 0 && ret_old && ret_old->sa_sigaction == handle)
		ret_old->sa_sigaction = (handler *)before;
	return result;
}

/* signal() and its kin differ in flags, which libc sets. */
static sighandler_t set(sighandler_t (*real)(int number, sighandler_t fn), int number,
			sighandler_t fn)
{
	if (number <= 0 || number >= _NSIG)
		return real(number, fn);
	void *before = handlers[number];
	const bool is_replaced = is_ours(number, (const void *)fn);
	if (is_replaced)
		before = replace(number, (const void *)fn);
	const sighandler_t old = real(number, is_replaced ? (sighandler_t)(void *)handle : fn);
	if (old == SIG_ERR && is_replaced)
		replace(number, before);
	return old == (sighandler_t)(void *)handle ? (sighandler_t)before : old;
}

INTERPOSE sighandler_t signal(int number, sighandler_t fn)
{
	return set(REAL(signal), number, fn);
}

INTERPOSE sighandler_t sysv_signal(int number, sighandler_t fn)
{
	return set(REAL(sysv_signal), number, fn);
}

sighandler_t __sysv_signal(int number, sighandler_t fn);
INTERPOSE sighandler_t __sysv_signal(int number, sighandler_t fn)
{
	return set(REAL(__sysv_signal), number, fn);
}
