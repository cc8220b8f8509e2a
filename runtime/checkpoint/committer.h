/*
 * The committer: the thread that makes epochs while the program runs.
 *
 * Wait (the interval, or somebody asks) -> pre-copy written pages while all threads run -> stop
 * them (cut.h) -> copy what is left -> let them go -> checkpoint_commit() -> tell those who wait.
 *
 * One raw clone that libc knows nothing of, all signals blocked: nothing reachable from it touches
 * errno, thread-local data, the stack protector or malloc.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "checkpoint.h"
#include "config.h"

struct pool;
struct track;

/*
 * keep=process: memory that is kept page by page wherever it lies (CHECKPOINT_REGION_MEMORY), and
 * threads that are stopped wherever they are. Called on the committer's thread.
 */
#define COMMITTER_NOT_KEPT UINT64_MAX
struct committer_memory {
	/* place() - which page `start` is kept as, and how many bytes of `len` follow it likewise;
	 * COMMITTER_NOT_KEPT: that many are not kept. address() - the way back; NULL: nowhere now */
	size_t (*place)(char *start, size_t len, uint64_t *ret_page, bool *ret_is_readable);
	char *(*address)(uint64_t page);
	void (*prepare)(void); /* threads run, pre-copy is about to begin */
	int (*stop)(char why[192]); /* 0, or -EAGAIN and nobody is held */
	/* meet() - they stand: follow what they have mapped since. 0 or -errno */
	int (*meet)(void);
	/* replaced() - what is mapped there has come in the place of what was followed; threads may
	 * run. The next meet() is to know */
	void (*replaced)(uint64_t start, uint64_t end);
	/* gone() - they stand: nothing that was kept there is there. is_kept() - is any? */
	void (*gone)(uint64_t start, uint64_t end);
	bool (*is_kept)(uint64_t start, uint64_t end);
	/* describe() - they stand, and their memory is staged: stage the rest. false: vetoed, `why` */
	bool (*describe)(bool has_changes, char why[192]);
	void (*release)(void);
	/* sync() - the epoch is about to be durable: make durable what it takes for granted elsewhere */
	void (*sync)(void);
};

/* From within these functions: a page of a region nobody tracks, as it shall be in the next epoch
 * (bytes NULL: zeros); pages of the memory that are to be looked at. */
void committer_stage(uint32_t region_id, uint64_t page, const char *bytes);
void committer_look_again(uint64_t page, uint64_t page_count);

struct committer_plan {
	struct pool *pool;             /* owned */
	struct checkpoint *checkpoint; /* attached: from here on the committer's alone */
	struct track *track;           /* follows all regions' memory */
	const struct region *regions;  /* the first is the heap */
	size_t region_count;
	uint64_t staging_bytes;        /* of copies of pages at most */
	uint64_t interval_ns;          /* 0: only when asked */
	enum durability durability;    /* in effect */
	const struct committer_memory *memory; /* keep=process; else NULL */
	void (*at_cut)(void);          /* all threads stand, an epoch ends and one begins; may be NULL */
	void (*verify)(void);          /* NULL, or a test's: they stand still, and the epoch is durable */
};

/* committer_open() - keeping begins: stores are followed, regions may be added, what the heap gives
 * back is noted. 0 or -errno */
int committer_open(const struct committer_plan *plan);
/* committer_start() - from now on epochs are made. 0 or -errno */
int committer_start(void);

/* committer_checkpoint() - one epoch that holds everything stored so far, and wait until it is
 * durable: hsk_checkpoint() without the checks of its caller. timeout_ms < 0: no limit.
 * 0, -ETIMEDOUT, -ENOSPC, -EIO (DEGRADED; one attempt was made), -EDEADLK, -ESHUTDOWN, -ENODEV (not
 * open; not started yet) */
int committer_checkpoint(int timeout_ms);

/* committer_finish() - the last epoch, waiting that long for it; none is made after. When it is
 * durable the control page gets these flags. 0 or the above; the committer is idle for good on
 * return */
int committer_finish(int timeout_ms, uint32_t flags);

/* committer_add_region() - keep one more; while epochs are made, any thread. Without an address it
 * is only given a place (home_offset UINT64_MAX on entry, told on return), so that the region table
 * can name it before any epoch has a page of it; called again with one, its memory is followed from
 * then on, and the next epoch has all its pages. 0 or -errno */
int committer_add_region(struct region *region);

/* committer_restore() - the bytes of a region that is nowhere yet as the newest epoch has them,
 * into region->address: for a module loaded while epochs are made. Any thread.
 * 0, CHECKPOINT_E_DAMAGED (*ret_fault says where), -errno */
int committer_restore(const struct region *region, struct home_fault *ret_fault);

/* committer_note_zeros() - the heap has given pages back: they are zeros, and not in use. If they
 * were mapped anew for that, they are followed again on return. 0 or -errno */
int committer_note_zeros(uint64_t page, uint64_t page_count, bool is_mapped_anew);

/* Around a call in which a device may store into memory: no fault tells of that, so what is told
 * meanwhile is lost. committer_scans() before; and with its result, after the call,
 * committer_note_stored() for what it says it stored. */
uint32_t committer_scans(void);
void committer_note_stored(uint32_t scans, void *start, size_t len);

/* committer_note_unreadable() - the caller is about to make memory unreadable. If any of it is
 * kept, from now on pages are looked at before they are copied, while all threads stand. */
void committer_note_unreadable(const void *start, size_t len);

/* committer_hold() - no epoch is begun, and no thread is stopped any more, nor is on its way to be,
 * until committer_go_on() by the same thread, which counts as parked meanwhile. */
void committer_hold(void);
void committer_go_on(void);
/* committer_veto() - while it is held: info says so, until it goes on and makes an epoch; NULL: not
 * any more */
void committer_veto(const char *why);

/* committer_end() - like committer_finish(), and its thread is gone on return; `why` is told */
void committer_end(int timeout_ms, const char *why);

uint64_t committer_epoch(void); /* newest durable */
bool committer_is_open(void);    /* false: no pool, keep=none, a forked child */
void committer_forget(void);     /* in a forked child */
