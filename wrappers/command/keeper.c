/*
 * The keeper of a program: to whoever started it, it is the program.
 *
 * It has the pid the caller knows, so what the caller does to that pid must happen to the program,
 * and what happens to the program must show there: signals are passed on, the keeper stops when the
 * program stops and is continued with it, returns its status, and dies of the signal it died of. If
 * the keeper is killed, so is the program at once (init.c): nobody is left who could tell its end.
 *
 * It holds none of the caller's descriptors but stderr: a pipe the program closes is closed.
 */
#include "life.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command.h"
#include "launch.h"
#include "os.h"

#define CRASH_SOON_NS (UINT64_C(5) * 1000000000)

struct keeper {
	struct life *life;
	pid_t init;
	int socket;
	int signal_fd;
	int stop_count; /* MESSAGE_STOPPED heard */
	bool has_ended;
	int status; /* the program's, as wait(2) tells it */
	uint64_t ended_unix_ns;
	uint64_t start_ns;
	int start_error; /* an errno: it could not be started, because of `what` */
	bool lacks_namespace;
	char what[64];
};

/* ---- The beginning ---- */

static int keeper_fork_init(struct keeper *keeper, int flags)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	for (int i = 0; i < 2; i++) { /* 0 to 2 may be free: the caller has closed them */
		const int moved = os_fd_move(ends[i]);
		ends[i] = moved < 0 ? ends[i] : moved;
	}
	keeper->socket = ends[0];
	keeper->init = namespaces_fork(flags);
	if (keeper->init == 0) {
		close(ends[0]);
		init_run(keeper->life, ends[1], flags);
	}
	const int error = keeper->init < 0 ? -errno : 0;
	close(ends[1]);
	if (error)
		close(ends[0]);
	return error;
}

static void keeper_hear(struct keeper *keeper, const struct message *message);

static void keeper_note_end(struct keeper *keeper, int status)
{
	keeper->has_ended = true;
	keeper->status = status;
	keeper->ended_unix_ns = os_clock_ns(CLOCK_REALTIME);
}

/* Until it is known whether there is a program. */
static void keeper_await_start(struct keeper *keeper)
{
	struct message message;

	do {
		if (!message_receive(keeper->socket, &message)) {
			keeper_note_end(keeper, SIGKILL);
			return;
		}
		keeper_hear(keeper, &message);
	} while (message.kind != MESSAGE_STARTED && !keeper->has_ended &&
		 message.kind != MESSAGE_NO_NAMESPACE);
}

static void keeper_warn_unnamed(const struct keeper *keeper, int error, const char *what)
{
	if (keeper->life->is_quiet)
		return;
	say(SAY_WARN, keeper->life->name, "no namespace of its own (%s: %s), so after a resume it may "
	    "have other pids, and mutexes that know their owner fail; allow user namespaces here", what,
	    namespaces_error(error));
}

/* True: there is a program, or it is known why there is none. */
static bool keeper_try(struct keeper *keeper, int flags)
{
	const int error = keeper_fork_init(keeper, flags);

	keeper->lacks_namespace = error != 0;
	keeper->start_error = -error;
	snprintf(keeper->what, sizeof(keeper->what), "%s", error ? "clone" : "");
	if (error)
		return false;
	keeper_await_start(keeper);
	if (!keeper->lacks_namespace)
		return true;
	close(keeper->socket);
	waitpid(keeper->init, NULL, 0);
	return false;
}

static int keeper_start(struct keeper *keeper)
{
	int flags[NAMESPACES_MAX];
	const unsigned count = namespaces_flags(flags);

	for (unsigned i = 0; i < count; i++)
		if (keeper_try(keeper, flags[i]))
			return 0;
	keeper_warn_unnamed(keeper, keeper->start_error, keeper->what);
	return keeper_try(keeper, 0) ? 0 : -keeper->start_error;
}

/* ---- Signals ---- */

/* A stop that did not come to it: see keeper_stop. */
static bool is_from_ourselves(const struct signalfd_siginfo *got)
{
	return got->ssi_code == SI_TKILL && (pid_t)got->ssi_pid == getpid();
}

static void keeper_pass_on(struct keeper *keeper)
{
	struct signalfd_siginfo got;

	if (read(keeper->signal_fd, &got, sizeof(got)) != sizeof(got))
		return;
	if ((got.ssi_signo == SIGCHLD && got.ssi_code > 0) || is_from_ourselves(&got)) /* of init */
		return;
	struct message message = {.kind = MESSAGE_SIGNAL, .value = keeper->stop_count};
	message.signal.si_signo = (int)got.ssi_signo;
	message.signal.si_code = got.ssi_code;
	message.signal.si_pid = (pid_t)got.ssi_pid;
	message.signal.si_uid = got.ssi_uid;
	message.signal.si_value.sival_ptr = (void *)(uintptr_t)got.ssi_ptr;
	message_send(keeper->socket, &message);
}

/* ---- Stopped, and continued ---- */

/* Who is stopped hears no messages: they come with SIGCONT then. Only then, for the kernel takes a
 * stop signal that waits to be read away when it sends one. */
static void keeper_wake_by_messages(const struct keeper *keeper, bool is_on)
{
	fcntl(keeper->socket, F_SETSIG, SIGCONT);
	fcntl(keeper->socket, F_SETOWN, getpid());
	fcntl(keeper->socket, F_SETFL, is_on ? O_ASYNC : 0);
}

static bool has_input(int fd)
{
	struct pollfd polled = {.fd = fd, .events = POLLIN};

	return poll(&polled, 1, 0) > 0;
}

/* Here we stop, and here we go on. */
static void stop_by_pending(int number)
{
	const struct sigaction standard = {.sa_handler = SIG_DFL};
	struct sigaction callers;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, number);
	sigaction(number, &standard, &callers);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigaction(number, &callers, NULL);
}

/*
 * The stop signal is raised while it is blocked. From then on whatever continues us, the caller's
 * SIGCONT or one that comes with a message, takes it away again: so after one last look for
 * messages it may strike, and nothing that came in between is missed. If there is a message, the
 * stop signal is read like any other, and forgotten: a SIGCONT of ours against it would be passed
 * on, and late. SIGSTOP cannot be blocked.
 * (A stop signal sent to us alone while we are being continued stops us alone.)
 */
static void keeper_stop(struct keeper *keeper, int number)
{
	while (has_input(keeper->signal_fd)) /* else one of these may be taken away with it */
		keeper_pass_on(keeper);
	keeper->stop_count++; /* what was read before is older than the stop */
	if (has_input(keeper->socket)) /* outdated */
		return;
	keeper_wake_by_messages(keeper, true);
	if (number != SIGSTOP) {
		raise(number); /* of the thread: a caller's own waits beside it */
		if (!has_input(keeper->socket))
			stop_by_pending(number);
	} else if (!has_input(keeper->socket)) {
		kill(getpid(), SIGSTOP);
	}
	keeper_wake_by_messages(keeper, false);
}

/* ---- Messages ---- */

static void keeper_hear(struct keeper *keeper, const struct message *message)
{
	switch (message->kind) {
	case MESSAGE_STOPPED:
		keeper_stop(keeper, message->value);
		break;
	case MESSAGE_ENDED:
		keeper_note_end(keeper, message->value);
		break;
	case MESSAGE_NO_NAMESPACE:
	case MESSAGE_NOT_STARTED:
		keeper->lacks_namespace = message->kind == MESSAGE_NO_NAMESPACE;
		keeper->start_error = message->value;
		memcpy(keeper->what, message->detail, sizeof(keeper->what));
		break;
	default:
		break;
	}
}

static void keeper_loop(struct keeper *keeper)
{
	struct message message;

	while (!keeper->has_ended) {
		struct pollfd polled[] = {{.fd = keeper->socket, .events = POLLIN},
					  {.fd = keeper->signal_fd, .events = POLLIN}};
		if (poll(polled, 2, -1) < 0)
			continue;
		if (polled[1].revents)
			keeper_pass_on(keeper);
		if (!polled[0].revents)
			continue;
		if (message_receive(keeper->socket, &message)) {
			keeper_hear(keeper, &message);
		} else { /* init was killed, and with it all */
			keeper_note_end(keeper, SIGKILL);
		}
	}
}

/* ---- The end ---- */

static _Noreturn void die_of(int number)
{
	sigset_t set;

	setrlimit(RLIMIT_CORE, &(struct rlimit){0}); /* the core there is, is the program's */
	prctl(PR_SET_DUMPABLE, 0);
	signal(number, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, number);
	kill(getpid(), number);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	_exit(128 + number); /* not reached by a signal that kills */
}

/* Of itself, and soon after it was resumed: it may do so for ever. */
static bool is_crash_again(const struct keeper *keeper, uint64_t lived_ns)
{
	static const int crashes[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};
	bool is_crash = false;

	for (size_t i = 0; i < sizeof(crashes) / sizeof(*crashes); i++)
		is_crash |= WTERMSIG(keeper->status) == crashes[i];
	return is_crash && keeper->life->note.mode == KEEPER_RESUME && lived_ns < CRASH_SOON_NS;
}

static const char *outlook(const struct life *life)
{
	switch (life_next(life)) {
	case LIFE_HAS_ENDED: return " when it had ended by itself; the same command line starts afresh";
	case LIFE_WAS_NEVER: return " before its first epoch; the same command line starts afresh";
	default: return "; the same command line resumes it, --new starts afresh";
	}
}

static void keeper_say_killed(const struct keeper *keeper)
{
	const struct life *life = keeper->life;
	const int number = WTERMSIG(keeper->status);
	const uint64_t lived_ns = os_clock_ns(CLOCK_MONOTONIC) - keeper->start_ns;

	if (is_crash_again(keeper, lived_ns))
		say_line("heapsake: %s was killed by signal %d, %llu ms after its resume; if it always "
			 "is, go back further: heapsake resume --epoch=-1 %s", life->name, number,
			 (unsigned long long)lived_ns / 1000000, life->note.pool);
	else
		say_line("heapsake: %s was killed by signal %d%s", life->name, number, outlook(life));
}

static _Noreturn void keeper_die(const struct keeper *keeper)
{
	close(keeper->socket); /* its children end with it: a resume will find them dead */
	waitpid(keeper->init, NULL, 0);
	if (!keeper->life->is_quiet)
		keeper_say_killed(keeper);
	life_note_end(keeper->life, keeper->ended_unix_ns);
	die_of(WTERMSIG(keeper->status));
}

static int keeper_say_not_started(const struct keeper *keeper)
{
	const char *name = keeper->life->name;

	if (!keeper->what[0])
		return launch_say_not_started(name, keeper->start_error);
	say(SAY_ERROR, name, "cannot be started: %s: %s", keeper->what, strerror(keeper->start_error));
	return STATUS_LAUNCH;
}

/* Children it has left live on without us, as they would without a keeper. */
static void keeper_release(struct keeper *keeper)
{
	struct message message;

	message_send(keeper->socket, &(struct message){.kind = MESSAGE_RELEASE});
	while (message_receive(keeper->socket, &message))
		if (message.kind == MESSAGE_LIVES_ON)
			return;
	waitpid(keeper->init, NULL, 0);
}

static int keeper_end(struct keeper *keeper)
{
	if (!keeper->start_error && WIFSIGNALED(keeper->status))
		keeper_die(keeper);
	keeper_release(keeper);
	return keeper->start_error ? keeper_say_not_started(keeper) : WEXITSTATUS(keeper->status);
}

/* Nothing is handled here, all is read: no signal is lost between two looks. */
static int keeper_take_signals(struct keeper *keeper)
{
	struct sigaction children;
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &keeper->life->caller_mask);
	sigaction(SIGCHLD, &(struct sigaction){.sa_handler = SIG_DFL}, &children);
	keeper->life->caller_ignores_children = children.sa_handler == SIG_IGN;
	keeper->signal_fd = os_fd_move(signalfd(-1, &all, SFD_CLOEXEC));
	return keeper->signal_fd < 0 ? keeper->signal_fd : 0;
}

/* stdin and stdout stay something, lest a file of ours become them. */
static void keeper_let_go(const struct keeper *keeper)
{
	const int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	dup2(null, 0);
	dup2(null, 1);
	const int *outputs = keeper->life->outputs;
	close_all_but((int[]){0, 1, 2, keeper->socket, keeper->signal_fd, outputs[0], outputs[1],
			      outputs[2], keeper->life->note_fd}, 9);
}

int keeper_run(struct life *life)
{
	struct keeper keeper = {
		.life = life,
		.signal_fd = -1,
		.start_ns = os_clock_ns(CLOCK_MONOTONIC),
	};

	life->uid = geteuid();
	life->gid = getegid();
	life_remember_outputs(life);
	int error = keeper_take_signals(&keeper);
	if (!error)
		error = keeper_hold_note(life->note_fd);
	if (!error)
		error = keeper_start(&keeper);
	if (error) {
		say(SAY_ERROR, life->name, "cannot be started: %s", strerror(-error));
		return STATUS_LAUNCH;
	}
	keeper_let_go(&keeper);
	keeper_loop(&keeper);
	return keeper_end(&keeper);
}
