/*
 * Children of the program: they are not kept, and the program must find out as it would have.
 *
 * The problem: after a resume it waits for processes that are no more. The trick: each has a stub,
 * with its number and in its process group, which is killed at once: wait(), SIGCHLD and the status
 * are real, as if somebody had killed the child. One that had ended already and was not waited for
 * ends as it did, without a second signal. Pipes to them are at their end (files-pipe.c).
 *
 * Who has children is known by one system call; only then the kernel's lists are read, of each
 * thread, for a child belongs to the thread that made it. A fork is a section of ours
 * (preload/fork.c), and the kernel has it done or not: there is no half of one.
 *
 * Where numbers cannot be chosen a stub would be another's: there no epoch is taken while there are
 * children.
 */
#include "children.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "descriptor.h"
#include "frame-x86_64.h"
#include "ours.h"
#include "task.h"
#include "threads-parts.h"

#define STACK_BYTES 16384u
#define LIST_BYTES 65536u
#define BIT(signal) (UINT64_C(1) << ((signal) - 1))

enum child_flags {
	CHILD_HAS_ENDED = 1,
	CHILD_LEADS_GROUP = 2,
	CHILD_LEADS_SESSION = 4,
	CHILD_IS_IN_OUR_GROUP = 8,
};

/* LEDGER_CHILD */
struct child_record {
	uint32_t pid;
	uint32_t group;
	uint32_t flags;
	uint32_t exit_signal; /* what its parent is told by: SIGCHLD, but for some clones */
	int32_t code;         /* of those that have ended: si_code, si_status */
	int32_t status;
};

/* ---- Saving ---- */

/* -ECHILD: there is none. *ret_info: pid 0, or one that has ended and stays to be waited for */
static int look(idtype_t type, uint32_t pid, siginfo_t *ret_info)
{
	memset(ret_info, 0, sizeof(*ret_info));
	return os_waitid(type, pid, ret_info, WEXITED | WNOHANG | WNOWAIT | __WALL);
}

static uint64_t number_at(const char *at)
{
	uint64_t number = 0;

	while (*at >= '0' && *at <= '9')
		number = number * 10 + (uint64_t)(*at++ - '0');
	return number;
}

static const char *next_word(const char *at)
{
	while (*at && *at != ' ')
		at++;
	return *at ? at + 1 : at;
}

/* Fields 5, 6 and 38 of proc(5). False: it is gone. */
static bool read_stat(struct child_record *child)
{
	char text[1024];

	if (os_read_process(child->pid, "stat", text, sizeof(text)) <= 0)
		return false;
	const char *at = strrchr(text, ')'); /* the name's end, whatever is in it */
	for (unsigned field = 2; at && field < 5; field++)
		at = next_word(at);
	if (!at)
		return false;
	child->group = (uint32_t)number_at(at);
	at = next_word(at);
	child->flags |= number_at(at) == child->pid ? CHILD_LEADS_SESSION : 0;
	for (unsigned field = 6; field < 38; field++)
		at = next_word(at);
	child->exit_signal = (uint32_t)number_at(at);
	child->flags |= child->group == child->pid ? CHILD_LEADS_GROUP : 0;
	child->flags |= child->group == (uint32_t)os_getpgid() ? CHILD_IS_IN_OUR_GROUP : 0;
	return true;
}

static void save_child(struct ledger_writer *writer, uint32_t pid)
{
	struct child_record child = {.pid = pid};
	siginfo_t info;

	if (!read_stat(&child) || look(P_PID, pid, &info) != 0)
		return;
	if (info.si_pid != 0) {
		child.flags |= CHILD_HAS_ENDED;
		child.code = info.si_code;
		child.status = info.si_status;
	}
	*(struct child_record *)ledger_put(writer, LEDGER_CHILD, sizeof(child)) = child;
}

static void veto(struct ledger_writer *writer, const char *what, uint32_t pid)
{
	char text[64] = "?", number[16];
	struct line line = line_in(number, sizeof(number));

	if (pid && os_read_process(pid, "comm", text, sizeof(text)) > 0)
		text[strcspn(text, "\n")] = 0;
	line_add_number(&line, pid, 10);
	char which[96];
	line = line_in(which, sizeof(which));
	line_add(&line, number);
	line_add(&line, " (");
	line_add(&line, text);
	line_add(&line, ")");
	ledger_veto(writer, what, which);
}

/* The lists of all threads; false: the kernel has none. */
static bool visit(void (*visit_one)(struct ledger_writer *writer, uint32_t pid),
		  struct ledger_writer *writer)
{
	static char list[LIST_BYTES] OURS;
	char path[64];
	bool is_whole = true;

	for (uint32_t i = 0; i < threads_shared.count && is_whole; i++) {
		const uint32_t tid = threads_shared.threads[threads_shared.order[i]].record.tid;
		struct line line = line_in(path, sizeof(path));
		line_add(&line, "task/");
		line_add_number(&line, tid, 10);
		line_add(&line, "/children");
		const long len = os_read_process((uint32_t)os_getpid(), path, list, sizeof(list));
		is_whole = len >= 0 && len < (long)sizeof(list) - 1;
		for (const char *at = list; is_whole && *at; at = next_word(at))
			visit_one(writer, (uint32_t)number_at(at));
	}
	return is_whole;
}

static void veto_child(struct ledger_writer *writer, uint32_t pid)
{
	veto(writer, "a child process, and no pid namespace to give its number back in", pid);
}

void children_save(struct ledger_writer *writer, bool has_exact_tids)
{
	siginfo_t info;

	if (look(P_ALL, 0, &info) == -ECHILD)
		return;
	if (!visit(has_exact_tids ? save_child : veto_child, writer))
		ledger_veto(writer, "child processes that the kernel does not list "
				    "(CONFIG_PROC_CHILDREN), or too many", NULL);
}

/* Only the main thread's: this is for a message. */
int children_find_living(void)
{
	char path[64], list[1024];
	struct line line = line_in(path, sizeof(path));
	siginfo_t info;

	line_add(&line, "task/");
	line_add_number(&line, (uint32_t)os_getpid(), 10);
	line_add(&line, "/children");
	if (look(P_ALL, 0, &info) == -ECHILD ||
	    os_read_process((uint32_t)os_getpid(), path, list, sizeof(list)) <= 0)
		return 0;
	for (const char *at = list; *at; at = next_word(at))
		if (look(P_PID, (uint32_t)number_at(at), &info) == 0 && info.si_pid == 0)
			return (int)number_at(at);
	return 0;
}

/* ---- Making ---- */

static void die_of(int signal)
{
	const struct os_sigaction standard = {.handler = NULL};

	os_set_rlimit(RLIMIT_CORE, &(struct rlimit){1, 1}); /* less than any core: none */
	if (signal != SIGKILL)
		os_sigaction_set(signal, &standard);
	os_kill(os_getpid(), signal);
	os_sigmask(~BIT(signal));
}

/* The stub: another process, in our memory, on a stack of its own. */
static void end(void *argument)
{
	const struct child_record *child = argument;

	if (child->flags & CHILD_LEADS_SESSION)
		os_setsid();
	else if (!(child->flags & CHILD_IS_IN_OUR_GROUP))
		os_join_group((int)child->group);
	if (!(child->flags & CHILD_HAS_ENDED))
		die_of(SIGKILL);
	else if (child->code != CLD_EXITED)
		die_of(child->status);
	os_exit_group(child->status);
}

static int make(const struct child_record *child, char *stack, bool has_exact_tids)
{
	const uint32_t pid = child->pid;
	siginfo_t info;
	const long made = frame_clone(&(struct frame_clone){
		.flags = CLONE_VM,
		.exit_signal = child->exit_signal,
		.stack = (uintptr_t)stack,
		.stack_bytes = STACK_BYTES,
		.set_tid = has_exact_tids ? (uintptr_t)&pid : 0,
		.set_tid_count = has_exact_tids ? 1 : 0,
	}, end, (void *)(uintptr_t)child);

	if (made < 0)
		return (int)made;
	/* The stack is the next one's. Where nobody wants to know of children: until it is gone. */
	while (os_waitid(P_PID, (uint32_t)made, &info, WEXITED | WNOWAIT | __WALL) == -EINTR)
		;
	return 0;
}

/* Who has ended has told so, and what waits is in the image. All signals are blocked. */
static int make_quietly(const struct child_record *child, char *stack, bool has_exact_tids)
{
	const bool waits = os_sigpending() & BIT(SIGCHLD);
	siginfo_t info;
	const int error = make(child, stack, has_exact_tids);

	if (!waits)
		os_sigtake(BIT(SIGCHLD), &info);
	return error;
}

static int make_all(const struct ledger_reader *ledger, uint32_t flags, char *stack,
		    bool has_exact_tids, struct line *why)
{
	const uint32_t which = CHILD_HAS_ENDED | CHILD_LEADS_GROUP;
	struct ledger_reader reader = *ledger;
	const struct child_record *child;
	size_t len;
	int error = 0;

	while (!error && (child = ledger_next(&reader, LEDGER_CHILD, &len)) &&
	       len == sizeof(*child)) {
		if ((child->flags & which) != flags)
			continue;
		error = flags & CHILD_HAS_ENDED ? make_quietly(child, stack, has_exact_tids) :
						  make(child, stack, has_exact_tids);
		if (!error)
			continue;
		line_add(why, "child ");
		line_add_number(why, child->pid, 10);
		line_add(why, ": errno ");
		line_add_number(why, (unsigned)-error, 10);
	}
	return error;
}

/* Those who lead a group before those who join it. */
int children_make(const struct ledger_reader *ledger, bool has_exact_tids, struct line *why)
{
	static const uint32_t order[] = {CHILD_HAS_ENDED | CHILD_LEADS_GROUP, CHILD_LEADS_GROUP,
					 CHILD_HAS_ENDED, 0};
	struct ledger_reader reader = *ledger;
	size_t len;
	int error = 0;

	if (!ledger_next(&reader, LEDGER_CHILD, &len))
		return 0;
	char *stack = os_mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (os_is_error(stack))
		return (int)(intptr_t)stack;
	for (unsigned i = 0; i < sizeof(order) / sizeof(*order) && !error; i++)
		error = make_all(ledger, order[i], stack, has_exact_tids, why);
	os_munmap(stack, STACK_BYTES);
	return error;
}
