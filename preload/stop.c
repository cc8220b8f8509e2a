/*
 * The signal that stops a thread where it is: 33, which libc keeps for itself (setuid in all
 * threads) and so never lets a program block or handle it. Ours carry a mark; all others go on to
 * libc's handler. libc installs that when the first thread is made, over ours, and makes some
 * threads for itself; so the committer looks each time before it sends one.
 */
#include <signal.h>
#include <stddef.h>
#include <ucontext.h>

#include "checkpoint/cut.h"
#include "heap/heap.h"
#include "os.h"
#include "stop.h"

static struct os_sigaction next; /* libc's */

static void handle(int number, siginfo_t *info, void *context)
{
	const ucontext_t *at = context;

	if (cut_handle(info, (uintptr_t)at->uc_mcontext.gregs[REG_RIP]))
		return;
	if ((uintptr_t)next.handler > (uintptr_t)SIG_IGN)
		next.handler(number, info, context);
}

/* Also on the committer's thread. */
static void arm(void)
{
	struct os_sigaction now;

	if (os_sigaction(CUT_SIGNAL, NULL, &now) != 0 || now.handler == handle)
		return;
	next = now;
	os_sigaction(CUT_SIGNAL, handle, NULL);
}

int stop_init(void)
{
	const int error = cut_open(heap_is_interrupted, arm);

	if (!error)
		arm();
	return error;
}
