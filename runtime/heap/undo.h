/*
 * Undo: what this thread allocates and frees between heap_undo_begin() and its end is noted.
 *
 * Meanwhile its cache is one of no capacity (tcache_suspend), so every malloc and free takes the
 * slow path, and only there anybody looks.
 */
#pragma once

#include "state.h"

struct undo_chunk;

/* A thread's notes. Outside of an undo (heap_undo_is_active) there are none; one chunk is kept for
 * the next. */
struct undo {
	struct undo_chunk *newest;
};
extern _Thread_local struct undo undo_self __attribute__((tls_model("initial-exec")));

HEAP_INLINE bool undo_is_active(void)
{
	return heap_undo_is_active;
}

/* undo_note_alloc() - a block is LIVE now, or NULL; returns it, or NULL: no memory for the note */
void *undo_note_alloc(void *p);
/* undo_note_free() - the program has freed a block, which is CACHED by now and in no cache, and
 * stays so until the end. Without memory for the note it is LIVE again: lost, but never in use
 * twice. */
void undo_note_free(void *p);

void undo_thread_exit(void); /* nothing is kept; an undo is aborted */
void undo_reset(void);       /* nothing is kept; an undo is forgotten, as the heap is. Tests. */
