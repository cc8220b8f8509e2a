/*
 * The problem: info and a refused second owner want to know who owns the pool, and the owner may
 * die at any instruction. The trick: a seqlock in a page every process can map; who has died is
 * told by pid and start time together. The guarantee: readers never wait for the owner and never
 * act on half a record; a page full of garbage costs a message its detail and nothing else.
 */
#include "control.h"

#include <errno.h>
#include <string.h>

#include "os.h"

/* The owner is one process and calls these under its own lock, so there is one writer. */
static void write_begin(struct control *control)
{
	/* An owner that died here left seq odd: odd stays odd. */
	__atomic_store_n(&control->seq, control->seq | 1, __ATOMIC_RELAXED);
	/* The fields' stores stay behind the odd seq. */
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

static void write_end(struct control *control)
{
	/* Even again, after the fields. */
	__atomic_store_n(&control->seq, control->seq + 1, __ATOMIC_RELEASE);
}

void control_enter_owner(struct control *control, const struct control_owner *owner, enum keep keep)
{
	uint64_t now_ns = os_clock_ns(CLOCK_REALTIME);

	write_begin(control);
	control->magic = LAYOUT_CONTROL_MAGIC;
	control->flags = CONTROL_RUNNING;
	control->start_ticks = owner->start_ticks;
	control->started_unix_ns = now_ns;
	control->pid = owner->pid;
	control->keep = keep;
	control->open_bytes = 0;
	memcpy(control->program, owner->program, sizeof(control->program));
	control->program[sizeof(control->program) - 1] = 0;
	write_end(control);
}

void control_leave_owner(struct control *control)
{
	write_begin(control);
	control->flags &= ~(uint32_t)CONTROL_RUNNING;
	write_end(control);
}

void control_set_flag(struct control *control, uint32_t flag)
{
	__atomic_fetch_or(&control->flags, flag, __ATOMIC_RELAXED);
}

void control_set_heap(struct control *control, uint64_t open_bytes)
{
	__atomic_store_n(&control->open_bytes, open_bytes, __ATOMIC_RELAXED);
}

static void copy_fields(const struct control *control, struct control_snapshot *snapshot)
{
	const volatile char *program = control->program;

	snapshot->owner.pid = control->pid;
	snapshot->owner.start_ticks = control->start_ticks;
	for (size_t i = 0; i < sizeof(snapshot->owner.program); i++)
		snapshot->owner.program[i] = program[i];
	snapshot->flags = __atomic_load_n(&control->flags, __ATOMIC_RELAXED);
	snapshot->open_bytes = __atomic_load_n(&control->open_bytes, __ATOMIC_RELAXED);
	snapshot->started_unix_ns = control->started_unix_ns;
}

static bool is_sane(const struct control_snapshot *snapshot)
{
	return snapshot->owner.pid > 0 &&
	       memchr(snapshot->owner.program, 0, sizeof(snapshot->owner.program));
}

int control_read(const struct control *control, struct control_snapshot *ret_snapshot)
{
	struct control_snapshot snapshot;

	for (int tries = 0; tries < 100; tries++) {
		uint32_t before = __atomic_load_n(&control->seq, __ATOMIC_ACQUIRE);
		if (before & 1)
			continue;
		if (control->magic != LAYOUT_CONTROL_MAGIC)
			return -EINVAL;
		copy_fields(control, &snapshot);
		/* The copy is complete before seq is looked at again. */
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (__atomic_load_n(&control->seq, __ATOMIC_RELAXED) != before)
			continue;
		if (!is_sane(&snapshot))
			return -EINVAL;
		*ret_snapshot = snapshot;
		return 0;
	}
	return -EAGAIN;
}
