/*
 * Who keeps a cut from being taken, and whose locks are held for life, in words.
 *
 * On the committer's thread, while the others may run: what is read of their records may be of a
 * moment ago.
 */
#include <errno.h>
#include <string.h>

#include "cut-gate.h"
#include "line.h"
#include "os.h"
#include "place.h"

static void name_thread(struct line *line, const struct cut_thread *thread)
{
	char path[64], name[32];
	struct line at = line_in(path, sizeof(path));

	line_add(&at, "/proc/self/task/");
	line_add_number(&at, thread->tid, 10);
	line_add(&at, "/comm");
	const long len = os_read_file(path, name, sizeof(name) - 1);
	name[len > 0 ? len - 1 : 0] = 0;
	line_add(line, "thread ");
	line_add_number(line, thread->tid, 10);
	line_add(line, " (");
	line_add(line, name);
	line_add(line, ")");
}

static void name_hold(struct line *line, const struct cut_hold *hold)
{
	line_add(line, " holds lock 0x");
	line_add_number(line, (uintptr_t)hold->lock, 16);
	line_add(line, ", taken at ");
	place_add(line, hold->site);
}

static void name_one(struct line *line, const struct cut_thread *thread)
{
	name_thread(line, thread);
	if (thread->tx_depth != 0) {
		line_add(line, " stays in its HSK_TX");
	} else if (thread->hold_count != 0 && !cut_is_outside(thread)) {
		name_hold(line, &thread->holds[thread->hold_count - 1]);
	} else {
		line_add(line, " does not stop");
	}
}

/* Who is in a section is waited for; others could have been stopped, had it been for them alone. */
static const struct cut_thread *find_culprit(void)
{
	const struct cut_thread *culprit = NULL;

	for (uint32_t i = 0; i < cut_thread_top(); i++) {
		const struct cut_thread *thread = cut_thread_at(i);
		if (!thread || cut_is_taken(thread))
			continue;
		if (!cut_is_outside(thread))
			return thread;
		culprit = culprit ? culprit : thread;
	}
	return culprit;
}

void cut_name_limit(struct line *line, int send_error, int list_error)
{
	if (send_error == -EAGAIN) {
		line_add(line, "threads cannot be told to stop, for as many signals wait as may; raise "
			 "RLIMIT_SIGPENDING (ulimit -i)");
	} else if (list_error) {
		line_add(line, "threads cannot be listed: ");
		line_add(line, strerrordesc_np(-list_error));
	}
}

void cut_name_culprit(struct line *line)
{
	const struct cut_thread *culprit = find_culprit();

	if (cut_shared.is_overfull)
		line_add(line, "there are, or were, too many threads");
	else if (!culprit || cut_is_outside(culprit))
		cut_name_limit(line, cut_shared.send_error, cut_shared.list_error);
	if (!line->len && culprit)
		name_one(line, culprit);
	if (!line->len)
		line_add(line, "a thread that is not known to libc does not stop");
}

/* What the threads change meanwhile makes it a hold of a moment ago, at worst. */
static const struct cut_hold *find_lifelong(const struct cut_thread *thread)
{
	const uint32_t count = __atomic_load_n(&thread->hold_count, __ATOMIC_ACQUIRE);

	for (uint32_t i = 0; i < count && i < CUT_HOLDS_MAX; i++)
		if (__atomic_load_n(&thread->holds[i].number, __ATOMIC_RELAXED) <= thread->lifelong)
			return &thread->holds[i];
	return NULL;
}

void cut_name_lifelong(struct line *line)
{
	for (uint32_t i = 0; i < cut_thread_top(); i++) {
		const struct cut_thread *thread = cut_thread_at(i);
		const struct cut_hold *hold = thread ? find_lifelong(thread) : NULL;
		if (!hold)
			continue;
		line_add(line, line->len ? "; " : "");
		name_thread(line, thread);
		name_hold(line, hold);
	}
}
