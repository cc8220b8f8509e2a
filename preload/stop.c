/*
 * The signal that stops a thread where it is: 33, which libc keeps for itself (setuid in all
 * threads) and so never lets a program block or handle it. Ours carry a mark; all others go on to
 * libc's handler. libc installs that when the first thread is made, over ours, so we look after
 * each new thread.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <threads.h>
#include <ucontext.h>

#include "checkpoint/cut.h"
#include "heap/heap.h"
#include "os.h"
#include "real.h"
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

static void install(void)
{
	struct os_sigaction now;

	if (os_sigaction(CUT_SIGNAL, NULL, &now) != 0 || now.handler == handle)
		return;
	next = now;
	os_sigaction(CUT_SIGNAL, handle, NULL);
}

int stop_init(void)
{
	const int error = cut_open(heap_is_interrupted);

	if (!error)
		install();
	return error;
}

INTERPOSE int pthread_create(pthread_t *ret_thread, const pthread_attr_t *attributes,
			     void *(*fn)(void *), void *argument)
{
	const int result = REAL(pthread_create)(ret_thread, attributes, fn, argument);

	if (cut_is_on)
		install();
	return result;
}

INTERPOSE int thrd_create(thrd_t *ret_thread, thrd_start_t fn, void *argument)
{
	const int result = REAL(thrd_create)(ret_thread, fn, argument);

	if (cut_is_on)
		install();
	return result;
}
