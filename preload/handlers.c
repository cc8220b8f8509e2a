/*
 * Handlers of the program's signals. One may come while its thread is parked, and the cut would go
 * by a thread that runs: it may change what is kept, or allocate, which it may well do there (the
 * call it interrupted is safe). So what the kernel is told of is ours, and it is the program's turn
 * when the thread is not parked any more, after the gate if need be. A handler that never comes
 * back (siglongjmp) leaves the thread unparked.
 *
 * Under keep=process no thread is ever parked; there they are counted on the thread they run on,
 * for calls that are interrupted by us (undisturbed.h). And one that comes while its thread is
 * stopped in a call finds that the kernel is about to restart it, for our signal's sake. If that is
 * not what the program wants after this one (no SA_RESTART), the call ends with EINTR here.
 *
 * Programs are shown their own handlers. Without epochs, and for what is no function, everything is
 * libc's business alone; so a child of vfork, which shares our table, may still reset its signals.
 */
#include <signal.h>
#include <stdint.h>

#include "checkpoint/cut.h"
#include "os.h"
#include "ours.h"
#include "process/process.h"
#include "real.h"
#include "restarted-x86_64.h"

#ifndef _NSIG
#define _NSIG 65
#endif

/* With three arguments, wanted or not. */
typedef void handler(int number, siginfo_t *info, void *context);
static handler *handlers[_NSIG];

static void end_restarted(int number, ucontext_t *at)
{
	struct os_sigaction now;

	ours_self.stopped_at = 0;
	if (restarted_is_call(at) && os_sigaction(number, NULL, &now) == 0 &&
	    !(now.flags & SA_RESTART))
		restarted_end(at);
}

static void handle(int number, siginfo_t *info, void *context)
{
	handler *const fn = __atomic_load_n(&handlers[number], __ATOMIC_ACQUIRE);
	const struct cut_interrupted interrupted = cut_handler_enter();

	ours_self.handlers++;
	if (unlikely(restarted_at(context) == ours_self.stopped_at && process_is_kept))
		end_restarted(number, context);
	fn(number, info, context);
	cut_handler_leave(interrupted);
}

static bool is_function(const void *fn)
{
	return (uintptr_t)fn > 2 && fn != (const void *)SIG_ERR; /* SIG_DFL, SIG_IGN, SIG_HOLD */
}

static bool is_ours(int number, const void *fn)
{
	return (cut_is_on || process_is_kept) && number > 0 && number < _NSIG && is_function(fn);
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

sighandler_t bsd_signal(int number, sighandler_t fn);
INTERPOSE sighandler_t bsd_signal(int number, sighandler_t fn)
{
	return set(REAL(bsd_signal), number, fn);
}

sighandler_t ssignal(int number, sighandler_t fn);
INTERPOSE sighandler_t ssignal(int number, sighandler_t fn)
{
	return set(REAL(ssignal), number, fn);
}

/* In the header it is deprecated. */
sighandler_t preload_sigset(int number, sighandler_t fn) __asm__("sigset");
INTERPOSE sighandler_t preload_sigset(int number, sighandler_t fn)
{
	return set((sighandler_t (*)(int, sighandler_t))foreign_symbol("sigset"), number, fn);
}
