/*
 * Follow: the memory outside the heap whose stores are told, as mappings come and go. The
 * committer's; follow_note() is anybody's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ledger.h"

struct track;

int follow_open(struct track *track); /* 0 or -ENOMEM */

/* follow_note() - what is mapped there, or what is in it, has changed without a store: it is looked
 * at anew. Any thread of the program's, in a section of ours */
void follow_note(uint64_t start, uint64_t end);
/* follow_note_opened() - it can be written from now on: a mapping of a file may get pages of its
 * own. Likewise */
void follow_note_opened(uint64_t start, uint64_t end);

/* follow_note_fork() - from now on there are children who may store to what is shared. Likewise */
void follow_note_fork(void);

/* follow_meet() - take in what is mapped now, and nobody maps anything meanwhile. 0 or -errno: try
 * again. follow_look() - threads run: what it misses the next meet finds */
int follow_meet(void);
void follow_look(void);

/* follow_know() - what is there now is what the last epoch has of it; nobody stores to it yet */
void follow_know(uint64_t start, uint64_t end);

/* The committer's view of it: committer_memory. */
size_t follow_place(char *start, size_t len, uint64_t *ret_page, bool *ret_is_readable);
char *follow_address(uint64_t page);

void follow_gone(uint64_t start, uint64_t end);

void follow_save(struct ledger_writer *writer);
