/*
 * Advice: what the program has said about ranges of its memory beyond what is in them: madvise(),
 * mlock(), flags of mmap(). The calls that say it are in process.h.
 *
 * At a resume: advice_load() first; advice_make() when the mappings are there and empty, so that
 * huge pages are; advice_lock() when their pages are in; advice_close() when all is done.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ledger.h"
#include "mappings.h"

struct window;

int advice_open(void); /* 0 or -ENOMEM */
/* advice_save() - into the ledger; some of it cannot be said of the heap, and is a veto */
void advice_save(struct ledger_writer *writer, const struct window *heap);

/* advice_is_undumped() - it was said not to dump this one; on the committer's thread */
bool advice_is_undumped(const struct mapping *mapping);

bool advice_load(const struct ledger_reader *state); /* false: it makes no sense */
bool advice_grows_down(const struct mapping *mapping);
bool advice_is_synced(const struct mapping *mapping); /* was mapped with MAP_SYNC */
bool advice_is_read_only(const struct mapping *mapping); /* nobody may make it writable */
int advice_make(const struct mappings *image, const struct window *heap); /* 0 or -errno */
/* Memory that may not be locked here as it was there is not. */
void advice_lock(const struct mappings *image, const struct window *heap);
/* advice_close() - what is mapped from now on is locked, and nobody may change what is sealed, if
 * the program said so */
void advice_close(const struct mappings *image, const struct window *heap);
