/*
 * The conductor of a cut: what was mapped since is followed, and when the engine has taken all
 * pages the kernel's part is written down: ledger and directory, of which only pages that changed
 * are staged. What is vetoed leaves all of that for a later epoch.
 */
#include "process.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "advice.h"
#include "checkpoint/track.h"
#include "children.h"
#include "control.h"
#include "files.h"
#include "follow.h"
#include "launched.h"
#include "lock.h"
#include "mapped.h"
#include "os.h"
#include "ours.h"
#include "process-parts.h"
#include "settings.h"
#include "space.h"
#include "threads-parts.h"
#include "sem-undo.h"

#define PATIENCE_NS UINT64_C(2000000000)
#define STATE_BYTES (CHECKPOINT_STATE_PAGES * (uint64_t)LAYOUT_BLOCK_BYTES)
#define END_MS 1000
#define FORK_AGAIN_NS 50000

bool process_is_kept OURS;
bool process_is_given_up OURS;
struct process_self process_self OURS;

/* ---- The ledger ---- */

static void save_window(struct ledger_writer *writer)
{
	const struct window *window = process_self.plan.window;

	for (unsigned i = 0; i < window->range_count; i++) {
		struct window_range *range = ledger_put(writer, LEDGER_WINDOW, sizeof(*range));
		*range = window->ranges[i];
	}
}

static void save_end(struct ledger_writer *writer)
{
	if (process_self.has_ended)
		*(int32_t *)ledger_put(writer, LEDGER_ENDED, sizeof(int32_t)) = process_self.status;
}

/* Returns where in it the record of the launch stands, for its clock. */
static struct launched_record *write_ledger(struct ledger_writer *writer)
{
	struct launched_record *launched = launched_save(writer);

	save_end(writer);
	save_window(writer);
	follow_save(writer);
	advice_save(writer, process_self.plan.window);
	threads_save(writer);
	signals_save(writer);
	timers_save(writer);
	settings_save(writer);
	sem_undo_save(writer);
	children_save(writer, process_self.plan.note->has_exact_tids);
	files_save(writer);
	return launched;
}

/* The pages that differ from what was staged before. Behind the end there are zeros. */
static bool stage_ledger(const struct ledger_writer *writer)
{
	const char *const old = process_self.ledgers[process_self.newest];
	const size_t old_len = process_self.lens[process_self.newest];
	bool has_changed = false;

	for (size_t at = 0; at < writer->len + sizeof(uint64_t) || at < old_len; at += OS_PAGE_BYTES) {
		if (memcmp(writer->bytes + at, old + at, OS_PAGE_BYTES) == 0)
			continue;
		committer_stage(CHECKPOINT_REGION_STATE, at / OS_PAGE_BYTES, writer->bytes + at);
		has_changed = true;
	}
	return has_changed;
}

static void stage_directory(uint64_t page, const char *bytes)
{
	committer_stage(CHECKPOINT_REGION_DIRECTORY, page, bytes);
}

/* Then a shell, say, whose terminal was hung up with it, ends by itself before it is killed: that
 * is nothing it wanted, and no life is to begin with it. */
static bool is_keeper_gone(void)
{
	return keeper_is_gone(*process_self.plan.note_fd);
}

static bool describe(bool has_changes, char why[192])
{
	const unsigned next = 1 - process_self.newest;
	struct ledger_writer writer = {.bytes = process_self.ledgers[next],
				       .capacity = STATE_BYTES - OS_PAGE_BYTES};
	struct launched_record *launched = write_ledger(&writer);
	const size_t before = process_self.lens[next];

	if (is_keeper_gone())
		ledger_veto(&writer, "its keeper is gone", NULL);
	if (writer.veto[0]) {
		struct line line = line_in(why, 192);
		line_add(&line, writer.veto);
		process_self.lens[next] = STATE_BYTES - OS_PAGE_BYTES; /* who knows how far */
		return false;
	}
	if (before > writer.len) /* of the epoch before the last */
		memset(writer.bytes + writer.len, 0, before - writer.len);
	if (has_changes | stage_ledger(&writer)) { /* time alone is not worth an epoch */
		launched_set_clock(launched, os_clock_ns(CLOCK_MONOTONIC),
				   os_clock_ns(CLOCK_BOOTTIME));
		committer_stage(CHECKPOINT_REGION_STATE, 0, writer.bytes);
	}
	space_changed(stage_directory);
	process_self.newest = next;
	process_self.lens[next] = writer.len;
	return true;
}

/* ---- The committer's view ---- */

/* While threads run the committer opens files of /proc, which no child is to inherit: so no fork
 * falls into that. Who forks is in a section, who waits for it is in none. */
static struct lock looks OURS;

void process_fork_begin(void)
{
	for (;; os_sleep_ns(FORK_AGAIN_NS)) {
		ours_enter();
		if (!process_is_kept)
			return;
		if (lock_try(&looks))
			break;
		ours_leave();
	}
	follow_note_fork();
}

void process_note_fork(void)
{
	if (process_is_kept)
		follow_note_fork();
}

/* A child forgets instead. */
void process_fork_end(void)
{
	if (process_is_kept)
		lock_release(&looks);
	ours_leave();
}

static void prepare(void)
{
	lock_acquire(&looks);
	follow_look();
	files_prepare();
	settings_prepare();
	lock_release(&looks);
	if (settings_have_filter())
		process_is_kept = false; /* for good: it is left alone, by its own calls, too */
}

static int stop(char why[192])
{
	if (!settings_allow_stop(why)) {
		committer_veto(why);
		why[0] = 0; /* it is said */
		return -EAGAIN;
	}
	lock_acquire(&looks);
	const int error = threads_stop(PATIENCE_NS, why);
	lock_release(&looks);
	return error;
}

const struct committer_memory process_memory = {
	.place = follow_place,
	.address = follow_address,
	.prepare = prepare,
	.stop = stop,
	.meet = follow_meet,
	.replaced = follow_note,
	.gone = follow_gone,
	.is_kept = space_has,
	.describe = describe,
	.release = threads_release,
	.sync = files_sync,
};

/* ---- Beginning and end ---- */

int process_open(const struct process_plan *plan, int argc, char *const *argv, char *const *envp)
{
	process_self.plan = *plan;
	os_getrandom(&process_self.life, sizeof(process_self.life));
	process_self.outputs_known =
		control_take_outputs(plan->control, process_self.output_bytes);
	files_open(plan->pool, plan->note);
	process_self.ledgers[0] = os_reserve(STATE_BYTES);
	process_self.ledgers[1] = os_reserve(STATE_BYTES);
	if (os_is_error(process_self.ledgers[0]) || os_is_error(process_self.ledgers[1]))
		return -ENOMEM;
	mapped_leave_out((uintptr_t)plan->window->base,
			 (uintptr_t)plan->window->base + plan->window->size_bytes);
	int error = launched_open(plan->note, argc, argv, envp);
	if (!error)
		error = advice_open();
	if (!error)
		error = follow_open(plan->track);
	if (!error)
		error = threads_open();
	process_is_kept = !error;
	return error;
}

void process_forget(void)
{
	ours_self.depth = 0; /* process_fork_begin() */
	process_owes_errors = false; /* the parent's: nobody asks here */
	if (!process_is_kept)
		return;
	process_is_kept = false;
	threads_forget();
	ours_forget();
}

void process_note_mapping(const void *start, size_t len)
{
	const uint64_t from = (uintptr_t)start & ~(uint64_t)(OS_PAGE_BYTES - 1);
	const uint64_t end = ((uintptr_t)start + len + OS_PAGE_BYTES - 1) & ~(uint64_t)(OS_PAGE_BYTES - 1);

	const struct window *window = process_self.plan.window;
	const uint64_t base = (uintptr_t)window->base;

	if (!process_is_kept || end <= from)
		return;
	ours_enter();
	if (end <= base || from >= base + window->size_bytes)
		follow_note(from, end);
	else if (from >= base && end <= base + window->size_bytes)
		committer_note_zeros((from - base) / OS_PAGE_BYTES, (end - from) / OS_PAGE_BYTES,
				     false);
	ours_leave();
}

void process_note_closing(const void *start, size_t len)
{
	if (process_is_kept && !track_can_run(process_self.plan.track))
		process_note_mapping(start, len);
}

void process_note_opened(const void *start, size_t len)
{
	if (!process_is_kept)
		return;
	ours_enter();
	follow_note_opened((uintptr_t)start, (uintptr_t)start + len);
	ours_leave();
}

int process_find_child(void)
{
	return children_find_living();
}

/* A forked child ends alone. */
void process_ended(int status)
{
	if (!process_is_kept || is_keeper_gone())
		return;
	process_self.status = status;
	process_self.has_ended = true;
	committer_finish(END_MS, CONTROL_ENDED);
}

void process_give_up(const char *why)
{
	committer_end(END_MS, why);
	process_is_kept = false;
	process_is_given_up = true;
}

/* ---- Calls a cut may fall into ---- */

static void count(uint32_t *calls)
{
	__atomic_add_fetch(calls, 1, __ATOMIC_SEQ_CST);
}

void process_signal_begin(void)
{
	count(&threads_calls.signals_begun);
}

void process_signal_end(void)
{
	count(&threads_calls.signals_ended);
}

void process_ids_begin(void)
{
	count(&threads_calls.ids_begun);
}

void process_ids_end(void)
{
	count(&threads_calls.ids_ended);
}

uint32_t process_life(void)
{
	return __atomic_load_n(&process_self.life, __ATOMIC_ACQUIRE);
}

/* Who waits here at an epoch waits on in the next life, where the word is another. */
uint32_t process_wait_for_life(uint32_t life)
{
	while (process_life() == life)
		os_futex_wait(&process_self.life, life, NULL);
	return process_life();
}
