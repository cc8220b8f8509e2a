/*
 * The first process of the program's namespaces, whose end the kernel makes the end of all others.
 *
 * It starts the program, reaps whatever becomes its child, tells the keeper what becomes of the
 * program, and hands it the signals that were meant for it. When the keeper goes, however it goes,
 * the socket's end is the signal to go, too.
 *
 * The problem: a signal that reaches the keeper was sent to it alone (kill PID) and is to be passed
 * on, or to the whole process group (Ctrl-C, kill -PGID, kill(0) by the program itself), and then
 * the program has it already. The trick: init is a member of the group as well, with all signals
 * blocked: what was sent to the group waits here, too. The kernel goes through a group from its
 * youngest member to its eldest, so when the keeper has it, init does. What the kernel sends of its
 * own accord it sends to the group, but for two: an alarm() set before the keeper became one, and
 * the hang-up of the terminal whose session it leads (ssh -t, xterm -e).
 *
 * SIGCONT and the stop signals take one another away where they wait, so they ask for more: on a
 * busy machine what the keeper has read is heard here when the group has been told the opposite by
 * then, and the program, too. Passed on that late it would undo what was sent after it. So where
 * the opposite waits here, it is outdated, and after whatever is passed on, the group's newer word
 * is repeated. But a SIGCONT that the keeper has read after it had heard of a stop is for that very
 * stop, as long as the program has not left it.
 *
 * Where namespaces are forbidden, the same code runs without: then it is the subreaper, and kills
 * what is left itself.
 *
 * Children that the program has left when it ended are ours, and may live on. Those that have not
 * ended a moment later are what it goes on as: that is not kept, and told. The keeper is gone by
 * then, for nobody shall wait for that.
 */
#include "life.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os.h"
#include "task.h"

#define LEFT_MS 500 /* a child that ends sooner is no daemon */

struct init {
	struct life *life;
	int socket;
	int child_fd; /* signalfd: children have changed */
	int flags;
	pid_t program;
	int stop_count;  /* of the program: MESSAGE_STOPPED told */
	bool is_stopped; /* the program, as it was told last */
	bool has_ended;  /* the program; children of its own may be left */
	uint64_t tell_ns; /* when it is time to tell of them; 0: not, or not any more */
};

static void init_tell(const struct init *init, enum message_kind kind, int value,
		      const char *detail)
{
	struct message message = {.kind = kind, .value = value};

	snprintf(message.detail, sizeof(message.detail), "%s", detail);
	message_send(init->socket, &message);
}

static bool init_is_first(const struct init *init)
{
	return (init->flags & CLONE_NEWPID) != 0;
}

/* ---- The program ---- */

static void init_become_program(struct init *init, bool has_exact_tids)
{
	struct life *life = init->life;
	const char *what;

	life->note.has_exact_tids = has_exact_tids;
	life->note.has_lent_right = (init->flags & CLONE_NEWUSER) && geteuid() != 0;
	if (!init_is_first(init)) /* the kernel does not do it for us */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	const int error = life_become(life, &what);
	init_tell(init, MESSAGE_NOT_STARTED, -error, what);
	_exit(0);
}

/* Without, a program that waits until a time by such a clock waits longer than it meant to. */
static void init_put_clocks_forward(struct init *init)
{
	struct life *life = init->life;

	if (!life->monotonic_ahead_ns && !life->boottime_ahead_ns)
		return;
	const int error = namespaces_put_clocks_forward(life);
	if (error && !life->is_quiet)
		say(SAY_WARN, life->name, "no time namespace (%s): its monotonic clock goes back by %lld s, "
		    "and what it waits for comes that much later", namespaces_error(-error),
		    (long long)(life->monotonic_ahead_ns / 1000000000));
}

/* Without a namespace of our own the keeper has told. */
static bool init_can_choose(const struct init *init)
{
	const int error = namespaces_try_number();

	if (error && init_is_first(init) && !init->life->is_quiet)
		say(SAY_WARN, init->life->name, "thread ids cannot be chosen here (clone3: %s), so after a "
		    "resume it may have other ones, and mutexes that know their owner fail; allow "
		    "clone3(2) here", strerror(-error));
	return error == 0;
}

static int init_start(struct init *init)
{
	bool has_exact_tids = init_can_choose(init);
	pid_t pid = -1;

	if (has_exact_tids && init->life->pid) {
		pid = namespaces_fork_as(init->life->pid);
		has_exact_tids = pid >= 0;
	}
	if (pid < 0)
		pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		init_become_program(init, has_exact_tids);
	init->program = pid;
	init_tell(init, MESSAGE_STARTED, pid, "");
	return 0;
}

/* ---- Children ---- */

/* True: that was the last child. */
static bool init_reap(struct init *init)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED)) > 0) {
		if (pid != init->program)
			continue;
		init->is_stopped = WIFSTOPPED(status);
		if (WIFSTOPPED(status)) {
			init->stop_count++;
			init_tell(init, MESSAGE_STOPPED, WSTOPSIG(status), "");
		} else if (WIFCONTINUED(status)) {
			init_tell(init, MESSAGE_CONTINUED, 0, "");
		} else {
			init->has_ended = true;
			init_tell(init, MESSAGE_ENDED, status, "");
		}
	}
	return pid < 0 && errno == ECHILD;
}

/* Without a pid namespace: children, and those who become ours because theirs are gone. */
static void kill_descendants(void)
{
	pid_t child;

	while ((child = process_first_child(getpid())) != 0) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
}

/* The keeper is gone without a word. */
static _Noreturn void init_end(const struct init *init)
{
	if (init_is_first(init))
		kill(-1, SIGKILL);
	else
		kill_descendants();
	const uint64_t ended_unix_ns = os_clock_ns(CLOCK_REALTIME);
	while (waitpid(-1, NULL, __WALL) > 0 || errno == EINTR)
		;
	if (!init->has_ended)
		life_note_end(init->life, ended_unix_ns);
	_exit(0);
}

/* ---- Signals ---- */

static sigset_t set_of_opposites(int number)
{
	sigset_t set;

	sigemptyset(&set);
	if (number == SIGCONT) {
		sigaddset(&set, SIGTSTP);
		sigaddset(&set, SIGTTIN);
		sigaddset(&set, SIGTTOU);
	} else if (number == SIGTSTP || number == SIGTTIN || number == SIGTTOU) {
		sigaddset(&set, SIGCONT);
	}
	return set;
}

/* The one that waits here; 0: none. */
static int waiting_opposite(int number)
{
	const sigset_t opposites = set_of_opposites(number);
	sigset_t waiting;

	sigpending(&waiting);
	for (int other = 1; other < SIGRTMIN; other++)
		if (sigismember(&opposites, other) && sigismember(&waiting, other))
			return other;
	return 0;
}

static void take_opposites(int number)
{
	const sigset_t opposites = set_of_opposites(number);
	const struct timespec at_once = {0};

	while (sigtimedwait(&opposites, NULL, &at_once) > 0)
		;
}

/* Did we get it, too? Then the group did. */
static bool is_sent_to_group(const siginfo_t *theirs)
{
	const struct timespec at_once = {0};
	siginfo_t ours;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, theirs->si_signo);
	if (sigtimedwait(&set, &ours, &at_once) < 0)
		return false;
	return ours.si_code == theirs->si_code && (ours.si_pid == 0 || ours.si_pid == theirs->si_pid);
}

/* Since the keeper has read it, the group has been told the opposite. Should a SIGCONT here be the
 * older one after all, because the stop signal took the keeper's away, it outdates but one. */
static bool is_outdated(int number)
{
	if (!waiting_opposite(number))
		return false;
	if (number != SIGCONT)
		take_opposites(number);
	return true;
}

/* To end the stop that the program is in: the keeper has heard of it, and so has been continued
 * after it, and the program has not. Where that was said to the group, too, it has. */
static bool init_is_for_this_stop(struct init *init, const struct message *message)
{
	if (message->signal.si_signo != SIGCONT)
		return false;
	init_reap(init);
	return init->is_stopped && message->value == init->stop_count;
}

/* A SIGCONT comes with a hang-up. */
static bool is_for_one(const siginfo_t *signal)
{
	const int number = signal->si_signo;

	return signal->si_code <= 0 ||
	       (signal->si_code == SI_KERNEL &&
		(number == SIGALRM || number == SIGHUP || number == SIGCONT));
}

static void init_signal_program(struct init *init, const siginfo_t *signal)
{
	siginfo_t info = *signal;

	if (info.si_code == SI_QUEUE) /* the value came along; the kernel wants it from ourselves */
		syscall(SYS_rt_sigqueueinfo, init->program, info.si_signo, &info);
	else
		kill(init->program, info.si_signo);
	if (info.si_signo == SIGCONT)
		init->is_stopped = false;
	const int newer = waiting_opposite(info.si_signo);
	if (newer)
		kill(init->program, newer);
}

static void init_pass_on(struct init *init, const struct message *message)
{
	const siginfo_t *signal = &message->signal;
	const bool is_for_this_stop = init_is_for_this_stop(init, message);
	const bool has_got_it = is_sent_to_group(signal);

	if (signal->si_signo == SIGCHLD) /* it may have been of a child of ours */
		init_reap(init);
	if (init->has_ended || !is_for_one(signal))
		return;
	if (is_for_this_stop)
		take_opposites(SIGCONT); /* of before, or we hear of them next */
	else if (has_got_it || is_outdated(signal->si_signo))
		return;
	init_signal_program(init, signal);
}

/* ---- Until the end ---- */

/* The program has ended as it wanted to; the children it has left do not end with the keeper. */
static void init_live_on(struct init *init)
{
	if (init_reap(init))
		_exit(0);
	init_tell(init, MESSAGE_LIVES_ON, 0, "");
	close(init->socket);
	init->socket = -1;
	init->tell_ns = os_clock_ns(CLOCK_MONOTONIC) + LEFT_MS * UINT64_C(1000000);
}

static void init_tell_left(struct init *init)
{
	const pid_t pid = process_first_child(getpid());
	char name[32];

	const long len = os_read_process((uint32_t)pid, "comm", name, sizeof(name));
	name[len > 0 ? len - 1 : 0] = 0; /* it ends with a newline */
	if (pid)
		say(SAY_WARN, init->life->note.pool, "the program has ended, and process %d (%s) that it "
		    "has left behind is not kept; what is to be kept must not make itself a daemon: run "
		    "it in the foreground", pid, name);
	init->tell_ns = 0;
	close(2); /* whoever reads it waits for us no longer */
}

/* How long poll() may wait: -1, for ever. */
static int init_patience_ms(const struct init *init)
{
	const uint64_t now_ns = os_clock_ns(CLOCK_MONOTONIC);

	if (!init->tell_ns)
		return -1;
	return init->tell_ns > now_ns ? (int)((init->tell_ns - now_ns) / 1000000) + 1 : 0;
}

static void init_listen(struct init *init)
{
	struct message message;

	if (!message_receive(init->socket, &message))
		init_end(init);
	if (message.kind == MESSAGE_SIGNAL)
		init_pass_on(init, &message);
	else if (message.kind == MESSAGE_RELEASE)
		init_live_on(init);
}

static _Noreturn void init_loop(struct init *init)
{
	for (;;) {
		struct signalfd_siginfo ignored;
		struct pollfd polled[] = {{.fd = init->child_fd, .events = POLLIN},
					  {.fd = init->socket, .events = POLLIN}};
		const int count = poll(polled, 2, init_patience_ms(init));
		if (count == 0)
			init_tell_left(init);
		if (count <= 0)
			continue;
		if (polled[0].revents & POLLIN) {
			if (read(init->child_fd, &ignored, sizeof(ignored)) < 0)
				continue;
			if (init_reap(init) && init->socket < 0)
				_exit(0);
		}
		if (polled[1].revents)
			init_listen(init);
	}
}

static void init_watch_children(struct init *init)
{
	sigset_t set;

	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	init->child_fd = os_fd_move(signalfd(-1, &set, SFD_CLOEXEC));
}

static _Noreturn void init_give_up(const struct init *init, enum message_kind kind, int error,
				   const char *what)
{
	init_tell(init, kind, -error, what);
	_exit(0);
}

_Noreturn void init_run(struct life *life, int socket, int flags)
{
	struct init init = {.life = life, .socket = socket, .flags = flags};
	const char *what;

	int error = namespaces_enter(life, flags, &what);
	if (error)
		init_give_up(&init, MESSAGE_NO_NAMESPACE, error, what);
	init_watch_children(&init);
	if (!init_is_first(&init))
		prctl(PR_SET_CHILD_SUBREAPER, 1);
	init_put_clocks_forward(&init);
	error = init_start(&init);
	if (error)
		init_give_up(&init, MESSAGE_NOT_STARTED, error, "fork");
	/* The program's are its alone, but for where the keeper speaks, too. */
	close_all_but((int[]){2, init.socket, init.child_fd, life->outputs[0], life->outputs[1],
			      life->outputs[2]}, 6);
	init_loop(&init);
}
