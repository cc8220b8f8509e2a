/*
 * heapsake.h: the thread's end in a block aborts it. In C++ the end unwinds the stack, and the block
 * came to its end on the way as if all of it had been done: pthread_exit(), and being cancelled, in
 * a call and in a wait for a condition. A jump that stays in the block is no end, though libc calls
 * the same handlers for it; and what was allocated is freed by its destructor, not by the abort.
 *
 * with: HEAPSAKE_INTERVAL=0
 * run: run
 * inert: run
 */
#include <heapsake.hpp>

#include <csetjmp>
#include <csignal>
#include <cstdlib>
#include <pthread.h>
#include <string>
#include <threads.h>
#include <unistd.h>

#include "../conformance/must.h"

HSK_KEEP static int value = 1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static volatile bool is_inside;
static sigjmp_buf again;

static void change()
{
	MUST(hsk_add(&value, sizeof(value)) == 0);
	value = 2;
	is_inside = true;
}

static void *exits(void *)
{
	HSK_TX {
		change();
		pthread_exit(nullptr);
	}
	return nullptr;
}

static void *exits_with_an_object(void *)
{
	heapsake::durable_tx tx;
	change();
	const std::string text(100, 'x');
	thrd_exit(text[0]);
}

static void *is_cancelled_in_a_call(void *)
{
	HSK_TX {
		heapsake::tx tx;
		change();
		const std::string text(100, 'x');
		for (;;)
			pause();
	}
	return nullptr;
}

static void unlock(void *)
{
	pthread_mutex_unlock(&lock);
}

static void *is_cancelled_in_a_wait(void *)
{
	HSK_TX {
		change();
		pthread_mutex_lock(&lock);
		pthread_cleanup_push(unlock, nullptr);
		for (;;)
			pthread_cond_wait(&cond, &lock);
		pthread_cleanup_pop(0);
	}
	return nullptr;
}

static void *is_cancelled_between(void *)
{
	HSK_TX {
		change();
		for (;;)
			pthread_testcancel();
	}
	return nullptr;
}

static void ends(void *(*body)(void *), bool is_cancelled)
{
	pthread_t thread;

	is_inside = false;
	MUST(pthread_create(&thread, nullptr, body, nullptr) == 0);
	while (is_cancelled && !is_inside)
		usleep(1000);
	if (is_cancelled)
		MUST(pthread_cancel(thread) == 0);
	MUST(pthread_join(thread, nullptr) == 0);
	MUST(value == 1);
}

static void jump(int)
{
	siglongjmp(again, 1);
}

static void a_jump_is_no_end()
{
	signal(SIGALRM, jump);
	HSK_TX {
		change();
		if (sigsetjmp(again, 1) == 0) {
			alarm(1);
			for (;;)
				pause();
		}
	}
	MUST(value == 2);
}

int main()
{
	ends(exits, false);
	ends(exits_with_an_object, false);
	ends(is_cancelled_in_a_call, true);
	ends(is_cancelled_in_a_wait, true);
	ends(is_cancelled_between, true);
	a_jump_is_no_end();
	MUST(hsk_checkpoint(20000) == (hsk_epoch() ? 0 : -ENODEV));
}
