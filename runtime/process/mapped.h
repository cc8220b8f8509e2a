/*
 * Mapped: is everything of the program's mapped as it was? Asked in each pause, so it must cost
 * next to nothing.
 *
 * One thread at a time. No errno, no TLS, no malloc.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* mapped_leave_out() - what is mapped there is none of the program's, as what is in our zone is
 * not: set once. mapped_end_of_ours() - to where what begins here is none; 0: it is the
 * program's */
void mapped_leave_out(uint64_t start, uint64_t end);
uint64_t mapped_end_of_ours(uint64_t start);
/* mapped_end_of_side() - to the kernel, what the program maps right beside ours may be one mapping
 * with it: to where what begins here is all ours or all not */
uint64_t mapped_end_of_side(uint64_t start, uint64_t end);

/* mapped_note() - remember what is mapped now; mapped_forget() - nothing is noted any more */
void mapped_note(void);
void mapped_forget(void);

/* mapped_is_as_noted() - every mapping is where it was, of the same bytes and with the same
 * protection; names are not looked at. false: something has changed, or nobody can tell */
bool mapped_is_as_noted(void);
