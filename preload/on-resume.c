/*
 * What a program wants to do after a resume: draw new random numbers, connect again.
 *
 * The problem: an epoch stops every thread between any two instructions, locks held, and in none of
 * them may a function of the program's be called. The trick: a thread of its own, made when the
 * first function is registered, that waits for this process to be another one: in the image it
 * waits, like all others, and what it waits for has come when it goes on.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include "checkpoint/cut.h"
#include "heapsake.h"
#include "lock.h"
#include "preload.h"
#include "process/process.h"

#define FUNCTIONS_MAX 64

static struct {
	struct lock lock;
	unsigned count;
	struct {
		void (*fn)(void *argument);
		void *argument;
	} functions[FUNCTIONS_MAX];
	bool has_thread;
} self;

static void *wait_for_lives(void *unused)
{
	uint32_t life = process_life();

	(void)unused;
	for (;;) {
		life = process_wait_for_life(life);
		for (unsigned i = 0; i < __atomic_load_n(&self.count, __ATOMIC_ACQUIRE); i++)
			self.functions[i].fn(self.functions[i].argument);
	}
	return NULL;
}

/* The program's signals are for its own threads. */
static int make_thread(void)
{
	pthread_t thread;
	sigset_t all, before;

	if (self.has_thread || !process_is_kept)
		return 0;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	const int error = pthread_create(&thread, NULL, wait_for_lives, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error)
		return -error;
	pthread_detach(thread);
	self.has_thread = true;
	return 0;
}

HSK_API int hsk_on_resume(void (*fn)(void *argument), void *argument)
{
	int error;

	if (!fn)
		return -EINVAL;
	lock_acquire(&self.lock);
	error = self.count == FUNCTIONS_MAX ? -ENOSPC : make_thread();
	if (!error) {
		self.functions[self.count].fn = fn;
		self.functions[self.count].argument = argument;
		__atomic_store_n(&self.count, self.count + 1, __ATOMIC_RELEASE);
	}
	lock_release(&self.lock);
	return error;
}
