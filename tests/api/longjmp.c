/*
 * DESIGN 1.3: longjmp out of a block aborts it: by each name of longjmp, to a frame further out and
 * to the same one; not if the jump stays inside. The thread's end in a block aborts it too.
 *
 * with: HEAPSAKE_INTERVAL=0
 * run: jump
 * run: end
 * inert: jump
 * inert: end
 */
#include <errno.h>
#include <setjmp.h>

#include "step.h"

HSK_KEEP static int value = 1;
static jmp_buf plain;
static sigjmp_buf with_mask, without_mask;
void __longjmp_chk(jmp_buf env, int status);

static int is_inside(void)
{
	return hsk_add(&value, 1) != -EINVAL;
}

static void change(void)
{
	MUST(hsk_add(&value, sizeof(value)) == 0);
	value = 2;
}

static __attribute__((noinline)) void jump_from_within(int how)
{
	HSK_TX {
		change();
		if (how == 0)
			longjmp(plain, 1);
		else if (how == 1)
			_longjmp(plain, 1);
		else if (how == 2)
			siglongjmp(with_mask, 1);
		else if (how == 3)
			siglongjmp(without_mask, 1);
		else
			__longjmp_chk(plain, 1);
	}
}

static void to_a_frame_further_out(void)
{
	for (volatile int how = 0; how <= 4; how++) {
		if (setjmp(plain) == 0 && sigsetjmp(with_mask, 1) == 0 &&
		    sigsetjmp(without_mask, 0) == 0)
			jump_from_within(how);
		MUST(value == 1 && !is_inside());
	}
}

static void to_the_same_frame(void)
{
	if (setjmp(plain) == 0)
		HSK_TX {
			change();
			HSK_TX { longjmp(plain, 1); }
		}
	MUST(value == 1 && !is_inside());
}

static void out_of_the_inner_block_only(void)
{
	HSK_TX {
		change();
		if (setjmp(plain) == 0)
			HSK_TX { longjmp(plain, 1); }
		MUST(value == 1 && is_inside());
		MUST(hsk_add(&value, sizeof(value)) == -ECANCELED);
	}
	MUST(!is_inside());
}

static void within_the_block(void)
{
	HSK_TX {
		change();
		if (setjmp(plain) == 0)
			longjmp(plain, 1);
		MUST(value == 2 && is_inside());
		MUST(hsk_add(&value, sizeof(value)) == 0);
		hsk_abort();
	}
	MUST(value == 1);
}

extern int __cxa_thread_atexit_impl(void (*function)(void *), void *argument, void *module);
extern void *__dso_handle;

/* The ended thread's blocks were on its stack; by then others have it: to look at them is wrong. */
static void use_the_stack(void *unused)
{
	volatile char bytes[4096];

	(void)unused;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)0xa5;
}

static __attribute__((noinline)) void end_in_a_block(void)
{
	HSK_TX {
		change();
		pthread_exit(NULL);
	}
}

static void *end_inside(void *unused)
{
	volatile char room[1024];

	room[0] = 0;
	__cxa_thread_atexit_impl(use_the_stack, NULL, &__dso_handle);
	end_in_a_block();
	return room[0] ? NULL : unused;
}

static void the_threads_end(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, end_inside, NULL);
	pthread_join(thread, NULL);
	MUST(value == 1);
	MUST(hsk_checkpoint(10000) == (hsk_epoch() ? 0 : -ENODEV));
}

int main(int argc, char **argv)
{
	step_begin(argc, argv);
	if (step_is("end"))
		the_threads_end();
	to_a_frame_further_out();
	to_the_same_frame();
	out_of_the_inner_block_only();
	within_the_block();
	return 0;
}
