/*
 * Told: what a thread has told the kernel of itself, by prctl() and its like, and what it may do.
 *
 * The problem: there are dozens of such things, each asked for by a call of its own, and hardly any
 * program has told any; a thread in a cut has no time to ask for all. The trick: one table of what
 * is asked and told alike; and nothing is asked before one of the wrapped calls that tell was made,
 * which leaves its mark in threads_told. Who has started us tells the next process likewise, so
 * that what was never changed need not be known. The guarantee: a cut after such a call has it.
 *
 * What is only about speed is told again where that is allowed. What limits the thread must be, or
 * a resume would run with rights that were given up.
 */
#include "threads-parts.h"

#include <asm/prctl.h>
#include <errno.h>
#include <string.h>
#include <sys/prctl.h>

#include "ours.h"
#include "process.h"

#ifndef PR_SET_MDWE /* Linux 6.3, 6.4 */
#define PR_SET_MDWE 65
#define PR_GET_MDWE 66
#define PR_SET_MEMORY_MERGE 67
#define PR_GET_MEMORY_MERGE 68
#endif

enum told_way {
	BY_RESULT,      /* what it is is what prctl(get) returns */
	BY_POINTER,     /* it is written where prctl(get)'s argument points */
	BY_FEATURE,     /* prctl(get, feature), which also says whether it may be told */
	BY_ARCHITECTURE,
	BY_PRIORITY,    /* of I/O */
	BY_PERSONALITY,
};

/* Numbers of places are on media: only appended to. `first`: an argument before the value. */
static const struct {
	uint8_t way;
	uint8_t is_process; /* not one thread's alone: the main thread's record has it */
	int16_t get, set, first;
} tolds[] = {
	{BY_PRIORITY, 0, 0, 0, -1},
	{BY_PERSONALITY, 0, 0, 0, -1},
	{BY_RESULT, 0, PR_MCE_KILL_GET, PR_MCE_KILL, PR_MCE_KILL_SET},
	{BY_RESULT, 0, PR_GET_IO_FLUSHER, PR_SET_IO_FLUSHER, -1},
	{BY_FEATURE, 0, PR_GET_SPECULATION_CTRL, PR_SET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS},
	{BY_FEATURE, 0, PR_GET_SPECULATION_CTRL, PR_SET_SPECULATION_CTRL, PR_SPEC_INDIRECT_BRANCH},
	{BY_FEATURE, 0, PR_GET_SPECULATION_CTRL, PR_SET_SPECULATION_CTRL, 2 /* ..._L1D_FLUSH */},
	{BY_RESULT, 1, PR_GET_MEMORY_MERGE, PR_SET_MEMORY_MERGE, -1},
	{BY_RESULT, 1, PR_GET_MDWE, PR_SET_MDWE, -1},
	{BY_ARCHITECTURE, 0, ARCH_GET_CPUID, ARCH_SET_CPUID, -1},
	{BY_POINTER, 0, PR_GET_TSC, PR_SET_TSC, -1}, /* the last: clocks may need it */
};
#define TOLDS (sizeof(tolds) / sizeof(tolds[0]))
_Static_assert(TOLDS <= TOLD_MAX, "what is told on media");

struct threads_told threads_told;

void process_note_told(enum process_told what)
{
	if (!process_is_kept)
		return;
	ours_self.noted = 0;
	if (!what)
		return;
	__atomic_or_fetch(&threads_told.what, (uint32_t)what, __ATOMIC_RELAXED);
	__atomic_add_fetch(&threads_told.age, 1, __ATOMIC_RELEASE);
}

/* ---- Asking ---- */

static int ask(unsigned i)
{
	int value = 0;

	switch (tolds[i].way) {
	case BY_POINTER: {
		const int error = os_prctl(tolds[i].get, (uintptr_t)&value, 0);
		return error < 0 ? error : value;
	}
	case BY_FEATURE: return os_prctl(tolds[i].get, (uint64_t)tolds[i].first, 0);
	case BY_ARCHITECTURE: return os_arch_prctl(tolds[i].get, 0);
	case BY_PRIORITY: return os_get_ioprio();
	case BY_PERSONALITY: return os_personality(UINT32_MAX);
	default: return os_prctl(tolds[i].get, 0, 0);
	}
}

void told_note(struct told_record *record, bool is_main)
{
	memset(record, 0, sizeof(*record));
	if (threads_told.what & PROCESS_TOLD_RIGHTS) {
		record->has_rights = 1;
		record->secure_bits = (uint32_t)os_prctl(PR_GET_SECUREBITS, 0, 0);
		record->bounding = os_get_bounding();
		record->ambient = os_get_ambient();
	}
	if (!(threads_told.what & PROCESS_TOLD_SOME))
		return;
	record->has_policy = policy_get(&record->policy);
	for (unsigned i = 0; i < TOLDS; i++) {
		const int value = tolds[i].is_process && !is_main ? -1 : ask(i);
		if (value < 0)
			continue;
		record->known |= 1u << i;
		record->values[i] = value;
	}
}

/* ---- Telling ---- */

static void tell(unsigned i, int value)
{
	switch (tolds[i].way) {
	case BY_FEATURE:
		if (value & PR_SPEC_PRCTL)
			os_prctl(tolds[i].set, (uint64_t)tolds[i].first,
				 (uint64_t)(value & ~(int)PR_SPEC_PRCTL));
		return;
	case BY_ARCHITECTURE: os_arch_prctl(tolds[i].set, (uint64_t)value); return;
	case BY_PRIORITY: os_set_ioprio(value); return;
	case BY_PERSONALITY: os_personality((unsigned)value); return;
	default: break;
	}
	if (tolds[i].first < 0)
		os_prctl(tolds[i].set, (uint64_t)value, 0);
	else
		os_prctl(tolds[i].set, (uint64_t)tolds[i].first, (uint64_t)value);
}

void told_make(const struct told_record *record)
{
	if (record->has_policy)
		policy_set(&record->policy);
	for (unsigned i = 0; i < TOLDS; i++)
		if (record->known >> i & 1 && ask(i) != record->values[i])
			tell(i, record->values[i]);
}

/* ---- Rights ---- */

static void drop_from_bounding(uint64_t wanted)
{
	const uint64_t surplus = os_get_bounding() & ~wanted;

	for (uint64_t i = 0; i < 64; i++)
		if (surplus >> i & 1)
			os_prctl(PR_CAPBSET_DROP, i, 0);
}

static void raise_ambient(uint64_t wanted)
{
	os_prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0);
	for (uint64_t i = 0; i < 64; i++)
		if (wanted >> i & 1)
			os_prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i);
}

/* With all it is permitted in effect: what is to remain of that is told after. */
static void become_able(const struct os_capabilities *wanted)
{
	struct os_capabilities able;

	if (os_get_capabilities(&able) != 0)
		return;
	for (int half = 0; half < 2; half++) {
		able.sets[half][0] = able.sets[half][1];
		able.sets[half][2] = wanted->sets[half][2];
	}
	os_set_capabilities(&able);
}

int told_make_rights(const struct told_record *record, const struct os_capabilities *wanted)
{
	if (!record->has_rights)
		return 0;
	become_able(wanted);
	drop_from_bounding(record->bounding);
	if (os_get_ambient() != record->ambient)
		raise_ambient(record->ambient);
	if (os_prctl(PR_GET_SECUREBITS, 0, 0) != (int)record->secure_bits &&
	    os_prctl(PR_SET_SECUREBITS, record->secure_bits, 0) < 0)
		os_prctl(PR_SET_KEEPCAPS, record->secure_bits >> 4 & 1, 0); /* anybody may */
	const bool is_so = os_prctl(PR_GET_SECUREBITS, 0, 0) == (int)record->secure_bits &&
			   !(os_get_bounding() & ~record->bounding) &&
			   !(os_get_ambient() & ~record->ambient);
	return is_so ? 0 : -EPERM;
}
