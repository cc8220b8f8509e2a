/*
 * fork: the child never writes the pool.
 *
 * The heap's locks are held across fork, so the child's heap is whole. Under keep=none the heap
 * is the file itself, so before the first fork both sides are turned private for good
 * (window_freeze), and the control page says so. Under keep=heap the child's memory is private
 * already, and nothing is merged into home while it lives (window_lend). vfork, posix_spawn, system
 * and popen share or replace the memory at once and need neither.
 *
 * libc's fork takes the lock of stdio's list of streams after our handlers have run, and whoever
 * holds that (fflush(NULL)) may wait for a stream whose holder wants memory (getline): so it is
 * taken before the heap's locks, as libc does with its own heap's. It is recursive. Without
 * threads nobody takes it, and stdio keeps its short cuts.
 *
 * Under keep=process no cut falls into a fork (a section of ours), so no image holds the locks that
 * are held across it. The child is nobody's: it keeps no descriptor of ours, and signal 33 is
 * libc's again. What an image says of children: process/children.c.
 *
 * A freeze can fail (no memory for the mapping). fork() and clone() then fail with ENOMEM. A fork
 * inside libc (daemon, forkpty) cannot be stopped from an atfork handler; there the child ends
 * at once with a line and STATUS_LAUNCH, and the parent is unharmed.
 *
 * A child of vfork shares all of this with the thread that made it, which stands still: it uses
 * that thread's record (cut.h), and is held by the gates as that thread would be.
 *
 * _Fork() and clone() without CLONE_VM run no handlers, nor do system calls made by number
 * (syscall.c): they freeze first, and the child may use the heap as far as it might have used
 * glibc's (a single-threaded parent: fully). A child that shares its parent's descriptors, or
 * returns from the system call on a stack of its own, keeps the pool's, and with it the lock, until
 * it execs or exits. The first of them takes the heap's locks for a moment: not from a signal
 * handler that interrupted malloc.
 */
#include "preload.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <string.h>
#include <sys/single_threaded.h>
#include <unistd.h>

#include "checkpoint/committer.h"
#include "checkpoint/cut.h"
#include "os.h"
#include "ours.h"
#include "process/process.h"
#include "say.h"

extern pid_t __fork(void);
extern int __clone(int (*fn)(void *), void *stack, int flags, void *arg, ...);
pid_t _Fork(void);

static int freeze_error; /* of the fork in progress; under the heap's locks */
static void *lease OURS; /* likewise: window_lend() */
static pid_t (*next_fork_raw)(void);

/* Of the streams' list; exported by glibc, in no header. All three are there, or none is used. */
static void (*streams_lock)(void);
static void (*streams_unlock)(void);
static void (*streams_reset)(void);
static bool has_streams; /* the fork in progress has taken it; under the heap's locks */

static bool is_shared(void)
{
	return malloc_is_active && preload.window.kind == WINDOW_SHARED &&
	       !preload.window.is_frozen && preload.window.pool;
}

/* keep=heap, and some pages are still home's. */
static bool is_home_shown(void)
{
	return malloc_is_active && preload.window.home_end != 0 && preload.window.pool;
}

/* The pool is opened anew for it, and may be out of reach by now. */
static const char *remedy_for(int error)
{
	const bool is_kept_out = error == -EACCES || error == -EPERM || error == -ENOENT;

	return is_kept_out ? "it has given up its rights, or its root, before its first fork; run it "
			     "as the user it becomes" : "free some memory and descriptors";
}

/* keep=none. The heap's locks are held: no page may come or go meanwhile. Stores may: they land in
 * the file before the switch and in private memory after it, and are seen by this process either
 * way. */
static int freeze(void)
{
	const int error = window_freeze(&preload.window);

	if (error) {
		say(SAY_ERROR, "fork", "the heap cannot be made private: %s; %s", strerrordesc_np(-error),
		    remedy_for(error));
		return error;
	}
	say(SAY_INFO, "fork", "the heap is private memory from here on; %s is no longer written",
	    preload.pool.path);
	return 0;
}

/* keep=heap: what the child shows of home must not change under it. */
static int lend(void)
{
	const int error = window_lend(&preload.window, &lease);

	if (error)
		say(SAY_ERROR, "fork", "the pool cannot be kept still for the child: %s; %s",
		    strerrordesc_np(-error), remedy_for(error));
	return error;
}

static int before_fork(void)
{
	return is_shared() ? freeze() : is_home_shown() ? lend() : 0;
}

static void after_fork(void)
{
	window_lend_end(lease);
	lease = NULL;
}

/* A child made by number or on a stack of its own has no "after": the lease of such a fork ends
 * with the next one, and merging waits so long. */
int fork_freeze(void)
{
	process_note_fork();
	if (!is_shared() && !is_home_shown())
		return 0;
	ours_enter();
	heap_prefork();
	after_fork();
	const int error = before_fork();
	heap_postfork_parent();
	ours_leave();
	return error;
}

/* In a child: nothing of the owner's is held open any more. */
void fork_forget_pool(void)
{
	if (!preload.window.pool)
		return;
	committer_forget();
	cut_close();
	preload.window.pool = NULL;
	pool_forget(&preload.pool);
	process_forget();
}

static void fork_prepare(void)
{
	if (!malloc_is_active)
		return;
	process_fork_begin();
	const bool takes_streams = streams_lock && !__libc_single_threaded;
	if (takes_streams)
		streams_lock();
	heap_prefork();
	has_streams = takes_streams;
	after_fork();
	freeze_error = before_fork();
}

static void fork_parent(void)
{
	if (!malloc_is_active)
		return;
	const bool had_streams = has_streams; /* the next fork may begin once the locks are free */
	after_fork();
	heap_postfork_parent();
	if (had_streams)
		streams_unlock();
	process_fork_end();
}

static void fork_child(void)
{
	if (!malloc_is_active)
		return;
	if (freeze_error) {
		say(SAY_ERROR, "fork", "this child would write its parent's pool; it ends here");
		os_exit_group(STATUS_LAUNCH);
	}
	heap_postfork_child();
	if (has_streams) /* as libc has just done */
		streams_reset();
	fork_forget_pool();
}

int fork_init(void)
{
	next_fork_raw = foreign_symbol("_Fork");
	streams_unlock = foreign_symbol("_IO_list_unlock");
	streams_reset = foreign_symbol("_IO_list_resetlock");
	if (streams_unlock && streams_reset)
		streams_lock = foreign_symbol("_IO_list_lock");
	return -pthread_atfork(fork_prepare, fork_parent, fork_child);
}

INTERPOSE pid_t fork(void)
{
	if (unlikely(fork_freeze() != 0)) {
		errno = ENOMEM;
		return -1;
	}
	return __fork();
}

INTERPOSE pid_t _Fork(void)
{
	if (!next_fork_raw)
		next_fork_raw = foreign_symbol("_Fork");
	if (unlikely(!next_fork_raw || fork_freeze() != 0)) {
		errno = next_fork_raw ? ENOMEM : ENOSYS;
		return -1;
	}
	process_fork_begin();
	const pid_t pid = next_fork_raw();
	if (pid == 0)
		fork_forget_pool();
	else
		process_fork_end();
	return pid;
}

static void have_record(void)
{
	if (cut_is_on)
		cut_thread();
}

__attribute__((used)) static void *next_vfork;

__attribute__((used)) static void before_vfork(void)
{
	if (!next_vfork)
		next_vfork = foreign_symbol("vfork");
	have_record();
}

/* It returns twice, so that ours may not be waiting on the stack. */
__asm__(".text\n"
	"	.globl vfork\n"
	"	.type vfork, @function\n"
	"vfork:\n"
	"	endbr64\n"
	"	subq $8, %rsp\n"
	"	call before_vfork\n"
	"	addq $8, %rsp\n"
	"	jmpq *next_vfork(%rip)\n"
	"	.size vfork, . - vfork\n");

/* What a clone child begins with: in its copy of the stack of who calls clone(). */
struct beginning {
	int (*fn)(void *argument);
	void *argument;
};

static int begin(void *argument)
{
	const struct beginning *beginning = argument;

	fork_forget_pool();
	return beginning->fn(beginning->argument);
}

/* Another process with the same memory does not stand when all threads do. Not so what waits for an
 * exec or an end (vfork): there the cut is tried again. */
void fork_note_sharing(uint64_t flags)
{
	if ((flags & (CLONE_VM | CLONE_THREAD | CLONE_VFORK)) == CLONE_VM)
		process_note_unkept("memory that another process has as well (clone with CLONE_VM)");
}

INTERPOSE int clone(int (*fn)(void *), void *stack, int flags, void *arg, ...)
{
	va_list rest;
	va_start(rest, arg);
	void *parent_tid = va_arg(rest, void *);
	void *tls = va_arg(rest, void *);
	void *child_tid = va_arg(rest, void *);
	va_end(rest);

	if (!(flags & CLONE_VM) && fork_freeze() != 0) {
		errno = ENOMEM;
		return -1;
	}
	if (flags & CLONE_VM)
		have_record();
	fork_note_sharing((uint64_t)(unsigned)flags);
	if (flags & (CLONE_VM | CLONE_FILES) || !fn)
		return __clone(fn, stack, flags, arg, parent_tid, tls, child_tid);
	struct beginning beginning = {fn, arg};
	process_fork_begin();
	const int pid = __clone(begin, stack, flags, &beginning, parent_tid, tls, child_tid);
	process_fork_end();
	return pid;
}
