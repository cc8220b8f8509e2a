/*
 * Signals: what the program does with each, and those that wait because everybody blocks them.
 *
 * The problem: the kernel tells which signals wait, not what came with them: who has sent them, a
 * value; and real-time signals queue. The trick: when every thread stands, they can be taken out of
 * the queue, noted and put back in their order; nobody is there to see it. Those that stop the
 * process and let it go on are left alone: each, when sent, takes the other away.
 *
 * One that nobody blocks and that is about to end the program is left out: it has come while the
 * threads stood, and an image with it would end so in every life.
 *
 * LEDGER_SIGNAL: one struct signals_record, then a siginfo_t for each signal that was taken.
 */
#include "settings.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "descriptor.h"
#include "ours.h"
#include "task.h"
#include "threads-parts.h"

#define SIGNALS 64
#define QUEUE_MAX 4096
#define BIT(signal) (UINT64_C(1) << ((signal) - 1))
#define LEFT_ALONE (BIT(SIGCONT) | BIT(SIGTSTP) | BIT(SIGTTIN) | BIT(SIGTTOU) | BIT(32) | BIT(33))

struct signals_record {
	struct os_sigaction actions[SIGNALS];
	uint64_t pending; /* of those that are left alone */
};

static bool is_kept(int signal)
{
	return signal != SIGKILL && signal != SIGSTOP && signal != OURS_STOP_SIGNAL;
}

/* As it was. To the kernel only the thread of this very number may say that a signal comes from
 * kill() or from a descriptor; it is for the whole process nevertheless. */
static int put_back(const siginfo_t *info)
{
	return os_sigqueue(os_gettid(), info->si_signo, info);
}

/* A timer's signal that is taken lets the timer send another: taken in each cut, they would pile up
 * for who leaves them waiting. So those of one timer are one again, which says how often. */
static bool joins_other(siginfo_t *queue, unsigned count, const siginfo_t *info)
{
	for (unsigned i = 0; info->si_code == SI_TIMER && i < count; i++) {
		if (queue[i].si_code != SI_TIMER || queue[i].si_signo != info->si_signo ||
		    queue[i].si_timerid != info->si_timerid)
			continue;
		queue[i].si_overrun += info->si_overrun + 1;
		return true;
	}
	return false;
}

/* All that wait; true if they are all there again. The caller is the only thread that runs. */
static bool look_at_queue(uint64_t wanted, siginfo_t *queue, unsigned *ret_count)
{
	bool is_whole = true;
	unsigned taken = 0, count = 0;

	for (; taken < QUEUE_MAX && os_sigtake(wanted, &queue[count]) > 0; taken++)
		count += !joins_other(queue, count, &queue[count]);
	for (unsigned i = 0; i < count; i++)
		is_whole &= put_back(&queue[i]) == 0;
	*ret_count = count;
	return is_whole && taken < QUEUE_MAX; /* a fast timer sends faster than they are taken */
}

static void save_queue(struct ledger_writer *writer, uint64_t waiting)
{
	static siginfo_t *queue OURS;
	unsigned count;

	if (!queue)
		queue = os_reserve(QUEUE_MAX * sizeof(*queue));
	if (os_is_error(queue)) {
		queue = NULL;
		ledger_veto(writer, "no memory to note waiting signals in", NULL);
		return;
	}
	if (!look_at_queue(waiting, queue, &count))
		ledger_veto(writer, "a queue of too many signals", NULL);
	for (unsigned i = 0; i < count; i++)
		memcpy(ledger_put(writer, LEDGER_SIGNAL, sizeof(siginfo_t)), &queue[i],
		       sizeof(siginfo_t));
}

static bool kills_by_default(int signal)
{
	return signal != SIGCHLD && signal != SIGCONT && signal != SIGURG && signal != SIGWINCH &&
	       signal != SIGTSTP && signal != SIGTTIN && signal != SIGTTOU;
}

uint64_t signals_deadly(uint64_t waiting)
{
	uint64_t deadly = 0;

	for (int signal = 1; waiting && signal <= SIGNALS; signal++) {
		struct os_sigaction action;
		if (!(waiting & BIT(signal)) || !kills_by_default(signal))
			continue;
		if (os_sigaction(signal, NULL, &action) == 0 && !action.handler) /* SIG_DFL */
			deadly |= BIT(signal);
	}
	return deadly;
}

static uint64_t seen OURS;

static uint64_t waiting_now(void)
{
	return os_sigpending() & ~BIT(OURS_STOP_SIGNAL);
}

bool signals_have_come(void)
{
	return waiting_now() != seen;
}

void signals_save(struct ledger_writer *writer)
{
	struct signals_record *record = ledger_put(writer, LEDGER_SIGNAL, sizeof(*record));
	uint64_t waiting = seen = waiting_now();

	waiting &= ~signals_deadly(waiting & ~threads_blocked());
	for (int signal = 1; signal <= SIGNALS; signal++)
		if (is_kept(signal))
			os_sigaction(signal, NULL, &record->actions[signal - 1]);
	record->pending = waiting & LEFT_ALONE;
	if (waiting & ~LEFT_ALONE)
		save_queue(writer, waiting & ~LEFT_ALONE);
}

static int fail(struct line *why, int signal, int error)
{
	line_add(why, "signal ");
	line_add_number(why, (unsigned)signal, 10);
	line_add(why, ": errno ");
	line_add_number(why, (unsigned)-error, 10);
	return error;
}

int signals_make(const struct ledger_reader *state, struct line *why)
{
	struct ledger_reader reader = *state;
	size_t len;
	const struct signals_record *record = ledger_next(&reader, LEDGER_SIGNAL, &len);
	int error;

	if (!record || len != sizeof(*record))
		return fail(why, 0, -EINVAL);
	os_sigmask(~UINT64_C(0));
	for (int signal = 1; signal <= SIGNALS; signal++) {
		if (!is_kept(signal))
			continue;
		error = os_sigaction_set(signal, &record->actions[signal - 1]);
		if (!error && record->pending & BIT(signal))
			error = os_kill(os_getpid(), signal);
		if (error)
			return fail(why, signal, error);
	}
	const siginfo_t *info;
	while ((info = ledger_next(&reader, LEDGER_SIGNAL, &len)) && len == sizeof(*info)) {
		error = put_back(info);
		if (error)
			return fail(why, info->si_signo, error);
	}
	return 0;
}
