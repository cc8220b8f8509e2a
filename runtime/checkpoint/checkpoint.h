/*
 * Checkpoint: from dirty pages to a durable epoch, and back.
 *
 * The engine keeps regions (region.h) of which it knows a number, a length and a place in the
 * pool. One thread at a time uses it (the committer, once there is one); it starts none, and
 * checkpoint_commit() and checkpoint_tend() touch neither errno, thread-local data nor malloc.
 *
 *   open -> attach -> commit, commit, ... -> close       the one writer
 *   open -> page, page, ... -> close                     a reader; nothing is written
 *
 * Errors: 0; -errno forwarded from the medium: nothing has changed for a recovery, the last epoch
 * stands, and a later call may succeed (DEGRADED, and healing); CHECKPOINT_E_DAMAGED: what is on
 * media is not what was written. Functions with ret_why return a positive enum status.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "home.h"
#include "region.h"
#include "say.h"

struct checkpoint;
struct medium;

#define CHECKPOINT_E_DAMAGED 1
#define CHECKPOINT_MORE 2 /* no error: work is left */
#define CHECKPOINT_RETAINED 4 /* newest ones that can always be had */
#define CHECKPOINT_EPOCHS_MAX (CHECKPOINT_RETAINED + 2)
#define CHECKPOINT_NEWEST UINT64_MAX

struct checkpoint_plan {
	const struct region *regions; /* the first: 1, the heap, and 2, the table of all others */
	size_t region_count;
	uint64_t segment_bytes; /* of a pool that kept nothing yet; 0: 8 MiB */
	uint64_t log_bytes;     /* merged when it is that long; twice that only when merging does not
				 * help; 0: 64 MiB */
	uint64_t bulk_pages;    /* zeros before, that an epoch may log; more go home first; 0: 512 */
	uint32_t only_region;   /* of a reader: what the log says of others is not looked at, and their
				 * pages are not to be had. 0: of all */
	uint64_t step_pages;    /* merged in one step, besides its 5 ms; 0: 4096 */
};

/* The plan of every pool: where one looks for the rest. Both lie at the start of their spaces. */
#define CHECKPOINT_REGION_HEAP 1u
#define CHECKPOINT_REGION_TABLE 2u
#define CHECKPOINT_TABLE_PAGES 32u
/* keep=process (runtime/process): pages of the address space outside the heap; which they are; what
 * the kernel knows. Behind the numbers of the table's regions. */
#define CHECKPOINT_REGION_MEMORY 259u
#define CHECKPOINT_REGION_DIRECTORY 260u
#define CHECKPOINT_REGION_STATE 261u
#define CHECKPOINT_MEMORY_PAGES (UINT64_C(1) << 22) /* 16 GiB */
#define CHECKPOINT_DIRECTORY_PAGES 256u
#define CHECKPOINT_STATE_PAGES 1024u
#define CHECKPOINT_PLAN_REGIONS 5u
/* checkpoint_plan_regions() - for a plan; returns how many. Addresses are the caller's to add */
size_t checkpoint_plan_regions(struct region ret_regions[CHECKPOINT_PLAN_REGIONS], enum keep keep,
			       uint64_t heap_pages);

/* A page changed since the last epoch. */
struct checkpoint_page {
	uint32_t region;
	uint64_t index;
	const void *bytes; /* its contents at the cut, until the commit returns; NULL: zeros */
};

struct checkpoint_info {
	uint64_t epoch;        /* newest durable; 0: none yet */
	uint64_t attempt;      /* newest number given to a cut, or, before the first, to one of
				* an earlier life of the pool; the next gets one more */
	uint64_t oldest_epoch; /* oldest that can be had; 0: none */
	uint32_t branch;
	int error;             /* 0: OK; -errno of the last attempt: DEGRADED */
	uint64_t log_bytes;    /* in use */
	uint64_t epochs;       /* committed since attach, and what they cost */
	uint64_t pages;
	uint64_t record_bytes;
	uint64_t user_bytes;   /* lines that had changed */
	uint64_t home_pages;   /* merged */
	uint64_t home_bytes;
	uint64_t mended_pages; /* home was damaged, and the page has been logged whole */
	uint64_t carried_pages;  /* logged anew while home was held still */
	uint64_t carried_rounds; /* how often the log was trimmed for it */
	int tend_error;         /* -errno: the log cannot be emptied, and grows; 0 */
	uint64_t damaged_pages; /* of home: as they are now, as far as is known */
	int damage_error;       /* of the first of them: -errno, it cannot be read; 0: it is this */
	struct home_fault damage;
};

/* checkpoint_open() - find the history of the pool on this medium; verifies all of the log that
 * counts, writes nothing */
int checkpoint_open(struct checkpoint **ret_checkpoint, struct medium *medium,
		    const struct checkpoint_plan *plan, struct refusal *ret_why);
void checkpoint_close(struct checkpoint *checkpoint);

/* checkpoint_epochs() - the retained epochs, newest first; returns how many. The newest, and until
 * the first merge of a run the one it attached to and the one before */
unsigned checkpoint_epochs(const struct checkpoint *checkpoint,
			   uint64_t ret_epochs[CHECKPOINT_EPOCHS_MAX]);

/* checkpoint_select() - the epoch that checkpoint_page() reads; -ENOENT: not retained */
int checkpoint_select(struct checkpoint *checkpoint, uint64_t epoch);

/* checkpoint_choose() - the same for people: its number, or -N, N before the newest of those
 * retained; 0: the newest. STATUS_INCOMPATIBLE names the pool and which there are */
int checkpoint_choose(struct checkpoint *checkpoint, const char *pool, int64_t wanted,
		      uint64_t *ret_epoch, struct refusal *ret_why);

/* checkpoint_page() - a page of the selected epoch, verified; checkpoint_fault() says where it is
 * damaged */
int checkpoint_page(struct checkpoint *checkpoint, uint32_t region, uint64_t index,
		    void *ret_page);
struct home_fault checkpoint_fault(const struct checkpoint *checkpoint);
/* checkpoint_pages() - the same of pages [index, index + count), into memory that is zeros: that of
 * pages which are zeros is not touched. After an error any of it may have been written to */
int checkpoint_pages(struct checkpoint *checkpoint, uint32_t region, uint64_t index,
		     uint64_t count, void *ret_pages);

/* checkpoint_scrub() - verify the pages [first, first + count) of a region at the selected epoch;
 * those that are zeros without an entry are passed over. hear() is told of each that is damaged
 * (CHECKPOINT_E_DAMAGED) or cannot be read (-errno, and the place alone); if it returns something,
 * that ends it. *ret_pages: how many were looked at. */
typedef int checkpoint_hear(void *context, uint64_t index, int error,
			    const struct home_fault *fault);
int checkpoint_scrub(struct checkpoint *checkpoint, uint32_t region, uint64_t first,
		     uint64_t count, checkpoint_hear *hear, void *context, uint64_t *ret_pages);

/* checkpoint_overlay() - visit the pages of a region that are, at the selected epoch, not what lies
 * in their home; verified, ascending. The others are their home as it is, not verified, and
 * after checkpoint_attach() byte for byte. A visitor's error ends it and is returned. */
typedef int checkpoint_visit(void *context, uint64_t index, bool is_zero, const void *page);
int checkpoint_overlay(struct checkpoint *checkpoint, uint32_t region, checkpoint_visit *visit,
		       void *context);
/* checkpoint_entry_count() - how many pages of all regions that may be */
uint64_t checkpoint_entry_count(const struct checkpoint *checkpoint);

/* checkpoint_attach() - become the one writer, going on from the selected epoch; from an older
 * one than the newest by a branch record, durable on return. -errno: nothing is decided yet, try
 * again or go on reading. */
int checkpoint_attach(struct checkpoint *checkpoint);

/* checkpoint_add_region() - keep one more; all regions that any retained epoch names must be there
 * before the first commit. Its home is where it says, or, with home_offset UINT64_MAX (attached,
 * LAYOUT_USE_REGIONS), laid out behind the last one and told. One that is there already must be
 * the same, and takes the new address. 0; -EINVAL; -EEXIST; -ERANGE: not in the pool; -ENOSPC;
 * -errno of the medium: try again */
int checkpoint_add_region(struct checkpoint *checkpoint, struct region *region);

/* checkpoint_draft() - before the cut: a page changed since the last epoch, as it is now. What
 * costs time is done with it, and if there are many, most is written. If it is stored to
 * afterwards it must be given again, here or to the commit; the memory may be stored to during the
 * call. 0; else the next commit fails with the same, and all pages drafted for it must be given
 * again with the one after. */
int checkpoint_draft(struct checkpoint *checkpoint, const struct checkpoint_page *page);

/* checkpoint_expect() - the page will be drafted or committed, 3 `steps` from now, 2 and 1: what is
 * known of it comes nearer, without waiting. May be left out */
void checkpoint_expect(const struct checkpoint *checkpoint, uint32_t region, uint64_t index,
		       unsigned steps);

/* checkpoint_hold() - what must be left alone from now on, one or both. RETAIN: the epoch attached
 * to, and the one before (the first seconds after an attach); STILL: home, down to pages nobody
 * counts on (processes live that were forked from ours and see it): what the log has is carried
 * forward in it, and not merged. */
enum checkpoint_hold { CHECKPOINT_FREE = 0, CHECKPOINT_STILL = 1, CHECKPOINT_RETAIN = 2 };
void checkpoint_hold(struct checkpoint *checkpoint, unsigned hold);

/* checkpoint_commit() - make the pages an epoch. Each page at most once, in any order.
 * 0: durable, and recovery returns to it or a later one; without any change no epoch is made.
 * Else: the epoch counts as never taken, although a recovery after a crash may still find it;
 * the pages must be given again with the next. Stopped in the middle: one of these two. */
int checkpoint_commit(struct checkpoint *checkpoint, const struct checkpoint_page *pages,
		      size_t page_count, uint64_t *ret_epoch);

/* checkpoint_commit_compared() - the same of all pages of all regions with an address, told
 * changed from unchanged by comparing; nobody may store to them meanwhile */
int checkpoint_commit_compared(struct checkpoint *checkpoint, uint64_t *ret_epoch);

/* checkpoint_tend() - a piece of housekeeping, some 5 ms of it, while nobody waits: have space
 * ready for the next records; merge when the log is as long as it was wanted. CHECKPOINT_MORE: call
 * again soon; 0: there is nothing to do; an error harms no epoch, and the next call tries again.
 * CHECKPOINT_E_DAMAGED: it met a page that is lost: see checkpoint_mend() */
int checkpoint_tend(struct checkpoint *checkpoint);
/* checkpoint_is_pressed() - home is held, and the log far longer than it could be: tend to it even
 * if somebody waits */
bool checkpoint_is_pressed(const struct checkpoint *checkpoint);
/* checkpoint_finish() - a clean end, after the last epoch: what the next attach would have to look
 * for is known not to be there. May fail: then it looks */
void checkpoint_finish(struct checkpoint *checkpoint);
/* checkpoint_patrol() - a piece of a round through home, some hundreds of KiB of it, while nobody
 * waits: pages that no entry of the log tells of are compared with their checksums, as they are on
 * media. found() is told of each that is damaged: if it is committed, changed or not, and memory
 * still has what was lost, it is right again. CHECKPOINT_MORE: the round goes on with the next
 * call; 0: it is over, the next call begins another; -errno */
typedef void checkpoint_found(uint32_t region, uint64_t index);
int checkpoint_patrol(struct checkpoint *checkpoint, checkpoint_found *found);
/* checkpoint_mend() - the same of pages that the log tells of and that are lost all the same, as
 * whoever had to bring them home has found */
void checkpoint_mend(struct checkpoint *checkpoint, checkpoint_found *found);
/* checkpoint_merge() - merge all that retention allows, now; while held still: trim what has been
 * carried */
int checkpoint_merge(struct checkpoint *checkpoint);

void checkpoint_info(const struct checkpoint *checkpoint, struct checkpoint_info *ret_info);
