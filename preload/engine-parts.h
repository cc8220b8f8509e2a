/*
 * What stands between the window and the pool, for whatever is kept: room-private, for enter.c and
 * enter-process.c. Functions that can refuse return 0 or a status with *ret_why.
 */
#pragma once

#include "preload.h"

#include "checkpoint/checkpoint.h"
#include "checkpoint/committer.h"
#include "checkpoint/track.h"
#include "flush/medium-dax.h"

struct engine {
	struct medium_dax medium;
	struct checkpoint *checkpoint;
	struct track *track;
	struct region regions[CHECKPOINT_PLAN_REGIONS];
	size_t region_count;
	enum durability durability; /* in effect */
};
extern struct engine engine;

int engine_refuse_error(enum status status, const char *what, int error, struct refusal *ret_why);
/* engine_refuse_page() - a page of the selected epoch could not be read */
int engine_refuse_page(int error, struct refusal *ret_why);

/* engine_open_epoch() - the pool's log, and the epoch that is wanted; with --new an empty pool */
int engine_open_epoch(const struct config *config, struct refusal *ret_why);
int engine_open(struct refusal *ret_why);
void engine_close(void);
/* engine_overlay() - pages the log knows better than home, over the open parts of the window */
int engine_overlay(struct refusal *ret_why);
/* engine_attach() - become the one writer; the heap's window is followed */
int engine_attach(struct refusal *ret_why);
int engine_start_committer(const struct config *config, const struct committer_memory *memory,
			   struct refusal *ret_why);

/* ---- enter.c, for all that keep ---- */
int enter_open_window(enum window_kind kind, struct refusal *ret_why);
int enter_reset_pool(struct refusal *ret_why);
int enter_create_heap(struct refusal *ret_why);
/* enter_start_empty() - nothing in it can be found again: a new heap, and epoch numbers go on */
int enter_start_empty(struct refusal *ret_why);

/* ---- enter-process.c ---- */
int enter_process(const struct config *config, struct refusal *ret_why);
