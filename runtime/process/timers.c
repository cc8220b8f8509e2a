/*
 * Timers: the three of setitimer(), and those of timer_create().
 *
 * The problem: a timer's number is the kernel's choice, and the program has it in its memory. The
 * trick: newer kernels let it be chosen; on others numbers are given one after the other, so timers
 * are made and deleted until it is the wanted one's turn. What is left of each is what was left at
 * the cut: time in which a process does not exist does not pass for it.
 *
 * Whose signal is for a thread that has ended is silent, but its number stays the program's: it is
 * made again as one that tells nobody. A clock of a thread's time on the processor has the thread's
 * number in its own; 0 is whoever made the timer, which the kernel does not tell. If the signal is
 * for one thread it is taken to be that one, as of a profiler's, or it is the only one there is;
 * else it is a veto.
 *
 * LEDGER_TIMER: one struct timers_record, then a struct timer_record for each of timer_create().
 */
#include "settings.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "ours.h"
#include "task.h"
#include "threads-parts.h"

#define TRIES_MAX 1000000
#define RESTORE_IDS 77 /* PR_TIMER_CREATE_RESTORE_IDS, Linux 6.15 */

struct timers_record {
	struct itimerval intervals[3];
};

struct timer_record {
	int32_t id, signal, notify, tid; /* as in struct sigevent */
	int64_t clock;
	uint64_t value;
	struct itimerspec left;
};

/* ---- Reading /proc/self/timers ---- */

static const char *number_after(const char *text, const char *name, int64_t *ret_number)
{
	const char *at = strstr(text, name);
	int64_t number = 0;

	if (!at)
		return NULL;
	at += strlen(name);
	const bool is_negative = *at == '-';
	at += is_negative;
	for (; *at >= '0' && *at <= '9'; at++)
		number = number * 10 + (*at - '0');
	*ret_number = is_negative ? -number : number;
	return at;
}

static uint64_t hexadecimal(const char *at)
{
	uint64_t number = 0;

	for (;; at++) {
		if (*at >= '0' && *at <= '9')
			number = number << 4 | (uint64_t)(*at - '0');
		else if (*at >= 'a' && *at <= 'f')
			number = number << 4 | (uint64_t)(*at - 'a' + 10);
		else
			return number;
	}
}

/* What a block says:
 *	ID: 3
 *	signal: 34/00007f1234567890
 *	notify: signal/tid.1234
 *	ClockID: 1
 * Returns what follows it, or NULL: it is no such block. */
static const char *parse(const char *text, struct timer_record *ret_record)
{
	int64_t id, signal, tid, clock;
	const char *at = number_after(text, "ID: ", &id);
	const char *value = at ? number_after(at, "signal: ", &signal) : NULL;
	const char *notify = value ? strstr(value, "notify: ") : NULL;
	const char *whom = notify ? number_after(notify, "id.", &tid) : NULL;
	const char *end = whom ? number_after(whom, "ClockID: ", &clock) : NULL;

	if (!end)
		return NULL;
	const bool is_none = strncmp(notify + 8, "none", 4) == 0;
	const bool is_thread = strncmp(notify + 8, "thread", 6) == 0;
	const bool has_tid = strstr(notify, "/tid.") && strstr(notify, "/tid.") < whom;
	*ret_record = (struct timer_record){
		.id = (int32_t)id,
		.signal = (int32_t)signal,
		.notify = (is_none ? SIGEV_NONE : is_thread ? SIGEV_THREAD : SIGEV_SIGNAL) |
			  (has_tid ? SIGEV_THREAD_ID : 0),
		.tid = has_tid ? (int32_t)tid : 0,
		.clock = clock,
		.value = hexadecimal(value + 1),
	};
	return end;
}

/* It has expired, and its thread has not got the signal yet, perhaps since it stands: that it is to
 * come, and what with, would be lost. */
static bool is_on_its_way(const struct timer_record *timer)
{
	return timer->tid && timer->signal > 0 &&
	       threads_read_pending((uint32_t)timer->tid) >> (timer->signal - 1) & 1;
}

/* ---- Clocks of threads ---- */

/* Negative; three bits say what is counted, the rest is the thread's number, inverted. */
static bool is_thread_clock(int64_t clock)
{
	return clock < 0 && (clock & 7) >= 4;
}

static uint32_t clock_tid(int64_t clock)
{
	return ~(uint32_t)(clock >> 3);
}

static int64_t clock_of(uint32_t tid, int64_t like)
{
	return (int64_t)((uint64_t)~(int64_t)tid << 3 | ((uint64_t)like & 7));
}

static bool name_clock(struct timer_record *timer)
{
	if (!is_thread_clock(timer->clock) || clock_tid(timer->clock) != 0)
		return true;
	const uint32_t only = threads_shared.count == 1 ? (uint32_t)os_getpid() : 0;
	const uint32_t tid = timer->tid ? (uint32_t)timer->tid : only;
	timer->clock = clock_of(tid, timer->clock);
	return tid != 0;
}

static void save_created(struct ledger_writer *writer)
{
	static char text[65536] OURS;
	struct timer_record timer;
	const long len = os_read_file("/proc/self/timers", text, sizeof(text) - 1);
	const char *at = text;

	if (len < 0 || len == sizeof(text) - 1) {
		ledger_veto(writer, len < 0 ? "no way to read /proc/self/timers" :
					      "a multitude of timers", NULL);
		return;
	}
	text[len] = 0;
	while ((at = parse(at, &timer))) {
		if (os_timer_gettime(timer.id, &timer.left) != 0)
			ledger_veto(writer, "a timer that cannot be read", NULL);
		if (!name_clock(&timer))
			ledger_veto(writer, "a timer of a thread's time on the processor", NULL);
		if (is_on_its_way(&timer))
			ledger_veto(writer, "a timer's signal on its way to a thread", NULL);
		memcpy(ledger_put(writer, LEDGER_TIMER, sizeof(timer)), &timer, sizeof(timer));
	}
}

/* The kernel starts a periodic one again only when its signal is taken: until then nothing is left
 * of it, and set like that it would stand still for ever. Only that of real time: the others go on
 * by themselves, and one with nothing left is one that was stopped. */
static void keep_running(struct itimerval *interval)
{
	if (!interval->it_value.tv_sec && !interval->it_value.tv_usec)
		interval->it_value = interval->it_interval;
}

void timers_save(struct ledger_writer *writer)
{
	struct timers_record *record = ledger_put(writer, LEDGER_TIMER, sizeof(*record));

	for (int which = 0; which < 3; which++)
		os_getitimer(which, &record->intervals[which]);
	keep_running(&record->intervals[ITIMER_REAL]);
	save_created(writer);
	/* Else one that has just expired would have neither time left nor a signal that waits. */
	if (signals_have_come())
		ledger_veto(writer, "a signal that comes this instant", NULL);
}

/* ---- Making them again ---- */

/* Whom it is for, and whose time it counts; false: one of them is there no more. */
static bool find_threads(const struct timer_record *timer, int *ret_tid, int64_t *ret_clock)
{
	*ret_tid = timer->tid ? (int)threads_new_tid((uint32_t)timer->tid) : 0;
	*ret_clock = timer->clock;
	if (!is_thread_clock(timer->clock))
		return !timer->tid || *ret_tid;
	const uint32_t counted = threads_new_tid(clock_tid(timer->clock));
	*ret_clock = counted ? clock_of(counted, timer->clock) : CLOCK_MONOTONIC;
	return counted && (!timer->tid || *ret_tid);
}

/* With numbers to choose it is there at the first try. */
static int create(const struct timer_record *timer)
{
	struct sigevent event;
	int64_t clock;
	int error, tid;

	memset(&event, 0, sizeof(event));
	event.sigev_notify = find_threads(timer, &tid, &clock) ? timer->notify : SIGEV_NONE;
	event.sigev_signo = timer->signal;
	event.sigev_value.sival_ptr = (void *)(uintptr_t)timer->value;
	event._sigev_un._tid = tid;
	for (unsigned i = 0; i < TRIES_MAX; i++) {
		int id = timer->id;
		error = os_timer_create((clockid_t)clock, &event, &id);
		if (error || id == timer->id)
			return error;
		os_timer_delete(id);
		if (id > timer->id)
			return -EEXIST; /* its turn is over */
	}
	return -ERANGE;
}

static int fail(struct line *why, const char *what, int id, int error)
{
	line_add(why, what);
	line_add_number(why, (unsigned)id, 10);
	line_add(why, ": errno ");
	line_add_number(why, (unsigned)-error, 10);
	return error;
}

/* The one with the lowest number above `last`: where numbers cannot be chosen, they only grow. */
static const struct timer_record *next_by_id(struct ledger_reader reader, int64_t last)
{
	const struct timer_record *timer, *lowest = NULL;
	size_t len;

	while ((timer = ledger_next(&reader, LEDGER_TIMER, &len)))
		if (len == sizeof(*timer) && timer->id > last && (!lowest || timer->id < lowest->id))
			lowest = timer;
	return lowest;
}

static int make_created(const struct ledger_reader *reader, struct line *why)
{
	const struct timer_record *timer;
	int64_t last = -1;

	while ((timer = next_by_id(*reader, last))) {
		int error = create(timer);
		if (!error)
			error = os_timer_settime(timer->id, &timer->left);
		if (error)
			return fail(why, "timer ", timer->id, error);
		last = timer->id;
	}
	return 0;
}

int timers_make(const struct ledger_reader *state, struct line *why)
{
	struct ledger_reader reader = *state;
	size_t len;
	const struct timers_record *record = ledger_next(&reader, LEDGER_TIMER, &len);

	if (!record || len != sizeof(*record))
		return fail(why, "interval timer ", 0, -EINVAL);
	for (int which = 0; which < 3; which++) {
		const int error = os_setitimer(which, &record->intervals[which]);
		if (error)
			return fail(why, "interval timer ", which, error);
	}
	const bool has_choice = os_prctl(RESTORE_IDS, 1, 0) == 0;
	const int error = make_created(&reader, why);
	if (has_choice)
		os_prctl(RESTORE_IDS, 0, 0);
	return error;
}
