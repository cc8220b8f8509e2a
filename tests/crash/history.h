/*
 * A history: a program that stores, commits, dies and starts again on a simulated disk, and an
 * oracle that knows what each cut looked like.
 */
#pragma once

#include "checkpoint/checkpoint.h"
#include "disk.h"

#define HISTORY_PAGES 24u
#define HISTORY_EPOCHS 2048u

struct oracle {
	uint64_t acked; /* newest epoch the program was told is durable */
	uint64_t cut;   /* newest epoch it took a cut for */
	uint64_t hash[HISTORY_EPOCHS];
	/* Until a branch's writer has adopted what it found, the numbers it will give may still stand
	 * for cuts whose appends had failed. */
	uint64_t other_cut;
	uint64_t other_hash; /* of epoch `cut` */
};

struct history {
	struct disk *disk;
	struct checkpoint *checkpoint; /* NULL: not attached */
	struct checkpoint_plan plan;
	struct region regions[2];
	char *memory; /* HISTORY_PAGES pages */
	bool dirty[HISTORY_PAGES];   /* since the last epoch */
	bool drafted[HISTORY_PAGES]; /* and given as a draft since it was last stored to */
	struct oracle oracle;
	uint64_t random;
	bool is_attaching;
	bool is_held;        /* home must stay as it is */
	uint64_t home_hash;  /* as it was then */
	unsigned depth; /* how many crashes ago it began */
	const char *script;
	uint64_t step;
};

/* What is wrong, in one line; then the program ends. */
extern void (*history_violation)(const struct history *history, const char *fact, uint64_t a,
				 uint64_t b);

void history_init(struct history *history, struct disk *disk);
/* history_begin() - a new pool on the disk, and a program attached to it */
void history_begin(struct history *history, uint64_t seed);
/* history_resume() - the same program after a power cut */
void history_resume(struct history *history, const struct history *before, uint64_t seed);
void history_end(struct history *history);
/* history_carried() - how often, in all of them, the log was trimmed while home was held */
uint64_t history_carried(void);

/* history_step() - one action, by its letter:
 *   s store a line   S store a page   z zero a page   c commit   a commit, compared   t tend
 *   e finish   d draft some pages   l hold or let go   w hold still   o let go   r add a region   m merge   k kill and restart   b kill and restart from an older epoch
 *   p one of the next four calls fails   f one call fails with EIO   F many do   y the next sync does   x the next append does   n the disk is full for a while   h all is well again */
void history_step(struct history *history, char action);

/* history_verify() - what a restart finds must be a cut that may be found; returns its epoch */
uint64_t history_verify(const struct history *history, struct disk *image, bool with_retained);
