/* Records of spans, and where the free ones are filed. For span.c; the page lock is held. */
#pragma once

#include <stdbool.h>

#include "state.h"

/* span_table_open() - open a table's first `needed` bytes; *open says how many are already */
#define SPAN_TABLE_STEP_BYTES UINT64_C(65536)
bool span_table_open(uint64_t table, uint64_t *open, uint64_t needed);

/* A record, zeroed; NULL: the table is full, or could not be opened. */
struct layout_span *span_record_new(void);
void span_record_free(struct layout_span *span);

/* span_bin_of() - which of the bins holds free spans of so many pages */
unsigned span_bin_of(uint32_t pages);

/* span_file() - file a free span under its kind and size as it is */
void span_file(struct layout_span *span);
/* span_file_joined() - the same, joined with its neighbours of the same kind */
void span_file_joined(struct layout_span *span);
void span_unfile(struct layout_span *span);

/* span_find() - a filed span of at least so many pages; NULL: none. Its own bin holds some that
 * are a little too short: `tries` of them are looked at, of longer ones' bins the first. */
struct layout_span *span_find(enum span_kind kind, uint32_t pages, uint32_t tries);
#define SPAN_TRIES 32u
/* span_free_neighbour() - the span that begins or ends at this page, if it is free of this kind */
struct layout_span *span_free_neighbour(uint64_t offset, enum span_kind kind);

/* span_split() - cut a free, unfiled span after `pages`; the rest is filed; false: no record */
bool span_split(struct layout_span *span, uint32_t pages);

/* The pagemap's entries of the first and the last page. */
void span_map_ends(const struct layout_span *span, uint32_t id);
uint32_t span_last_page(const struct layout_span *span);

uint32_t span_clock_seconds(void); /* the system's, which every boot begins anew */
uint32_t span_now_seconds(void);   /* the heap's own: as long as it has been in use */
