/*
 * Home: where pages lie when the log no longer says what they are. Room-private.
 */
#pragma once

#include "anchor.h"
#include "annals.h"
#include "log.h"
#include "pageset.h"
#include "roster.h"
#include "sumblock.h"

#define HOME_E_DAMAGED 1 /* what is on media is not what was written; home->fault says where */

struct home_fault {
	uint64_t file_offset;
	uint64_t expected; /* checksums of the page; 0: zeros */
	uint64_t found;
};

struct home {
	struct anchor *anchor;
	struct log *log;
	const struct annals *annals;
	struct medium *medium;
	const struct roster *roster;
	uint64_t seed;                     /* of line sums */
	uint64_t zero_lines[LAYOUT_LINES]; /* the sums of a page of zeros */
	/* What may be looked at where it lies, so that an error of the disk would be a SIGBUS: of the
	 * log what was read before; of home what the program has just stored to; checksums in blocks of
	 * the file that were read before. */
	bool is_log_viewed;
	bool is_viewed;
	struct pageset sums_read;
	struct sumblock sumblock; /* of pages written and not settled */
	struct home_fault fault;
	uint64_t fault_key; /* of the page */
};

/* home_open() - all but what lies in it is known */
void home_open(struct home *ret_home, struct anchor *anchor, struct log *log,
	       const struct annals *annals, const struct roster *roster);

/* home_attach() - the pool has its shape: sums are going to be asked for again and again */
void home_attach(struct home *home);
void home_close(struct home *home);

/* home_sum() - the checksum home's page must have; 0: it counts as zeros, whatever is there. After
 * an error home->fault has its place */
int home_sum(struct home *home, uint64_t key, uint64_t *ret_sum);
/* home_sums() - of pages whose checksums stand in one block of theirs */
int home_sums(struct home *home, uint64_t key, unsigned count, uint64_t *ret_sums);

/* home_image() - the page as the records up to `seq` have it, verified; and the sums of its lines.
 * 0, HOME_E_DAMAGED, -errno; of -EIO home->fault says the place, too */
int home_image(struct home *home, uint64_t key, uint64_t seq, void *ret_page,
	       uint64_t ret_lines[LAYOUT_LINES]);

/* home_read() - pages as they lie in home, verified against these checksums, of which none is 0 */
int home_read(struct home *home, uint64_t key, unsigned count, const uint64_t *sums,
	      void *ret_pages);

/* home_run() - are the homes of these pages, and their sums, each in one piece? */
bool home_run(const struct home *home, uint64_t key, unsigned count);

/* home_draft() - a run of pages alone, NULL: zeros; nothing says that they are there */
int home_draft(struct home *home, uint64_t key, unsigned count, const void *pages);

/* home_write() - a run of pages and their checksums; NULL: they are there already, or, if their
 * checksums are 0, zeros. home_settle() - of all of them the checksums, too, are written: durable
 * after the next sync. home_abandon(): some may never be */
int home_write(struct home *home, uint64_t key, unsigned count, const void *pages,
	       const uint64_t *sums);
int home_settle(struct home *home);
void home_abandon(struct home *home);
