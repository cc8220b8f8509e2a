/*
 * The program's beginning and end.
 *
 * Kept globals have to be restored after all static constructors and before the first statement of
 * main(): so libc is handed a main of ours in place of the program's. And the last epoch has to be
 * taken before exit handlers and destructors undo what is to be found again: when main() returns,
 * which never passes through an exported exit(), or when exit() or quick_exit() is called. err(3)
 * and error(3) call exit() inside libc, so the epoch is taken before they say their line; they have
 * any number of arguments, so ours are jumps to libc's.
 *
 * Whoever ends the program while it is inside of a section has something half done: then no last
 * epoch is taken and the newest one stands. _exit(), signals and the end of the last thread pass
 * nothing here; they take none either.
 */
#include "libc-main.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint/committer.h"
#include "checkpoint/cut.h"
#include "ends.h"
#include "keep.h"
#include "lock.h"
#include "os.h"
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
__attribute__((used)) static void *next_err, *next_errx, *next_verr, *next_verrx, *next_error,
	*next_error_at_line;
#define ERR_VERSION "GLIBC_2.2.5"
static main_function *program_main;

static struct {
	char **libcs, **stripped;
} environment;
static bool has_begun, has_ended;
static struct lock ending; /* the second to exit waits for the first one's last epoch */
static _Thread_local bool is_ending; /* this thread, which a signal's handler may have exit again */

static void *libcs_symbol(const char *name)
{
	return dlvsym(RTLD_NEXT, name, ERR_VERSION);
}

void main_init(void)
{
	next_start = foreign_symbol("__libc_start_main");
	next_exit = foreign_symbol("exit");
	next_quick_exit = foreign_symbol("quick_exit");
	next_err = libcs_symbol("err");
	next_errx = libcs_symbol("errx");
	next_verr = libcs_symbol("verr");
	next_verrx = libcs_symbol("verrx");
	next_error = libcs_symbol("error");
	next_error_at_line = libcs_symbol("error_at_line");
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

static void take_last_epoch(void)
{
	if (is_ending) {
		say(SAY_WARN, "exit", "called again while it waits for the last epoch; epoch %llu is the last "
		    "that is known to be durable", (unsigned long long)committer_epoch());
		return;
	}
	is_ending = true;
	lock_acquire(&ending);
	if (!has_ended)
		tell_last_epoch(committer_finish(cut_is_in_section() ? 0 : LAST_EPOCH_MS, 0));
	has_ended = true;
	lock_release(&ending);
	is_ending = false;
}

/* Not of a child: in one of vfork all this is the parent's, which goes on. */
static void end_program(void)
{
	const int errno_before = errno;

	if (os_getpid() != preload.owner)
		return;
	if (preload.keep == KEEP_HEAP && committer_is_open())
		take_last_epoch();
	has_ended = true;
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

__attribute__((used)) static void before_exit(int status)
{
	ends_note_status(status);
	end_program();
}

/* All registers that carry arguments are kept; error() of status 0 comes back. A library may have
 * an error() of its own, which ends nothing, or a variable of that name: libheapsake.map. */
__asm__(".text\n"
	".macro end_and_jump name, may_return\n"
	"	.globl end_by_\\name\n"
	"	.type end_by_\\name, @function\n"
	"	.symver end_by_\\name, \\name@" ERR_VERSION ", remove\n"
	"end_by_\\name:\n"
	"	endbr64\n"
	"	.if \\may_return\n"
	"	testl %edi, %edi\n"
	"	jz 1f\n"
	"	.endif\n"
	"	subq $184, %rsp\n"
	"	.irp n, 0, 1, 2, 3, 4, 5, 6, 7\n"
	"	movaps %xmm\\n, 16 * \\n(%rsp)\n"
	"	.endr\n"
	"	movq %rdi, 128(%rsp)\n"
	"	movq %rsi, 136(%rsp)\n"
	"	movq %rdx, 144(%rsp)\n"
	"	movq %rcx, 152(%rsp)\n"
	"	movq %r8, 160(%rsp)\n"
	"	movq %r9, 168(%rsp)\n"
	"	movq %rax, 176(%rsp)\n"
	"	call before_exit\n"
	"	.irp n, 0, 1, 2, 3, 4, 5, 6, 7\n"
	"	movaps 16 * \\n(%rsp), %xmm\\n\n"
	"	.endr\n"
	"	movq 128(%rsp), %rdi\n"
	"	movq 136(%rsp), %rsi\n"
	"	movq 144(%rsp), %rdx\n"
	"	movq 152(%rsp), %rcx\n"
	"	movq 160(%rsp), %r8\n"
	"	movq 168(%rsp), %r9\n"
	"	movq 176(%rsp), %rax\n"
	"	addq $184, %rsp\n"
	"1:	jmpq *next_\\name(%rip)\n"
	"	.size end_by_\\name, . - end_by_\\name\n"
	".endm\n"
	"	end_and_jump err, 0\n"
	"	end_and_jump errx, 0\n"
	"	end_and_jump verr, 0\n"
	"	end_and_jump verrx, 0\n"
	"	end_and_jump error, 1\n"
	"	end_and_jump error_at_line, 1\n");
