/*
 * The program's beginning and end.
 *
 * Kept globals have to be restored after all static constructors and before the first statement of
 * main(): so libc is handed a main of ours in place of the program's. And the last epoch has to be
 * taken before exit handlers and destructors undo what is to be found again: when main() returns,
 * which never passes through an exported exit(), or when exit() or quick_exit() is called.
 *
 * Whoever ends the program while it is inside of a section has something half done: then no last
 * epoch is taken and the newest one stands. _exit(), signals and the end of the last thread pass
 * nothing here; they take none either.
 */
#include "libc-main.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint/committer.h"
#include "checkpoint/cut.h"
#include "ends.h"
#include "keep.h"
#include "lock.h"
#include "preload.h"
#include "say.h"
#include "tx.h"

#define LAST_EPOCH_MS 1000
#define FIRST_EPOCH_MS 10000

typedef int main_function(int argc, char **argv, char **envp);
typedef int start_function(main_function *main, int argc, char **argv, void (*init)(void),
			   void (*fini)(void), void (*rtld_fini)(void), void *stack_end);

start_function __libc_start_main;

static start_function *next_start;
static __attribute__((noreturn)) void (*next_exit)(int status);
static __attribute__((noreturn)) void (*next_quick_exit)(int status);
static main_function *program_main;

static struct {
	char **libcs, **stripped;
} environment;
static bool has_begun, has_ended;
static struct lock ending; /* the second to exit waits for the first one's last epoch */

void main_init(void)
{
	next_start = foreign_symbol("__libc_start_main");
	next_exit = foreign_symbol("exit");
	next_quick_exit = foreign_symbol("quick_exit");
}

void main_set_environment(char **libcs, char **stripped)
{
	environment.libcs = libcs;
	environment.stripped = stripped;
}

bool main_has_begun(void)
{
	return has_begun;
}

bool main_has_ended(void)
{
	return has_ended;
}

void main_tell_section(const char *call)
{
	say(SAY_WARN, call, "called inside a %s, which is not kept; epoch %llu is the last",
	    tx_is_open() ? "transaction" : "section, with a lock held",
	    (unsigned long long)committer_epoch());
}

static void tell_last_epoch(int error)
{
	if (cut_is_in_section())
		main_tell_section("exit");
	else if (error == -ETIMEDOUT)
		say(SAY_WARN, "exit", "the last epoch did not come to be within %d ms; epoch %llu is "
		    "the last", LAST_EPOCH_MS, (unsigned long long)committer_epoch());
	else if (error)
		say(SAY_WARN, "exit", "the last epoch could not be made durable: %s; epoch %llu is the "
		    "last", strerrordesc_np(-error), (unsigned long long)committer_epoch());
}

static void end_program(void)
{
	const int errno_before = errno;

	lock_acquire(&ending);
	if (!has_ended && preload.keep == KEEP_HEAP && committer_is_open())
		tell_last_epoch(committer_finish(cut_is_in_section() ? 0 : LAST_EPOCH_MS));
	has_ended = true;
	lock_release(&ending);
	errno = errno_before;
}

/* Not before: what constructors find is not yet what the last epoch had. */
static void begin_epochs(void)
{
	int error = committer_is_open() ? committer_start() : 0;

	if (error)
		say(SAY_ERROR, "epochs", "no thread for them: %s; nothing of this run is kept",
		    strerrordesc_np(-error));
	else if (preload.keep == KEEP_PROCESS)
		error = committer_checkpoint(FIRST_EPOCH_MS);
	if (error && preload.keep == KEEP_PROCESS)
		say(SAY_WARN, preload.pool.path, "there is no epoch yet: %s; killed now, the program "
		    "would start afresh", strerrordesc_np(-error));
}

static int enter_main(int argc, char **argv, char **envp)
{
	keep_enter_main();
	begin_epochs();
	has_begun = true;
	const int status = program_main(argc, argv, envp);
	ends_note_status(status);
	end_program();
	return status;
}

/* A constructor that has set a variable has made a copy of the whole. */
static void clean_environment(void)
{
	char **out = environ;

	if (!environment.libcs)
		return;
	if (environ == environment.libcs) {
		environ = environment.stripped;
		return;
	}
	for (char **in = environ; in && *in; in++)
		if (**in)
			*out++ = *in;
	if (out)
		*out = NULL;
}

INTERPOSE int __libc_start_main(main_function *main, int argc, char **argv, void (*init)(void),
				void (*fini)(void), void (*rtld_fini)(void), void *stack_end)
{
	program_main = main;
	clean_environment();
	return next_start(malloc_is_active ? enter_main : main, argc, argv, init, fini, rtld_fini,
			  stack_end);
}

INTERPOSE void exit(int status)
{
	ends_note_status(status);
	end_program();
	next_exit(status);
}

INTERPOSE void quick_exit(int status)
{
	end_program();
	ends_now(status); /* libc asks nobody after its handlers */
	next_quick_exit(status);
}
