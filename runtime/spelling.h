/* Spelling: how far a mistyped word is from one that exists. */
#pragma once

#include <stddef.h>

/* spelling_distance() - letters to change, add or drop to make b of the first a_len of a; words of
 * SPELLING_MAX letters or more are that far from everything */
#define SPELLING_MAX 32u
unsigned spelling_distance(const char *a, size_t a_len, const char *b);
