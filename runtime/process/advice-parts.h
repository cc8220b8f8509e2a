/*
 * What notes of advice (advice.c) and their way back (advice-make.c) share. Room-private.
 */
#pragma once

#include "advice.h"
#include "lock.h"
#include "policy.h"

#define ADVICE_RANGES_MAX 4096 /* more: a veto */

enum advice_bits {
	ADVICE_DONTFORK = 1,
	ADVICE_WIPEONFORK = 2,
	ADVICE_DONTDUMP = 4,
	ADVICE_HUGE = 8,
	ADVICE_NO_HUGE = 16,
	ADVICE_MERGEABLE = 32,
	ADVICE_RANDOM = 64,
	ADVICE_SEQUENTIAL = 128,
	ADVICE_GUARD = 256,
	ADVICE_LOCKED = 512,
	ADVICE_LOCKED_ON_FAULT = 1024,
	ADVICE_GROWS_DOWN = 2048,
	ADVICE_SEALED = 4096,
	ADVICE_SYNC = 8192, /* MAP_SYNC: stores to a file are on media without a call */
	ADVICE_READ_ONLY = 16384, /* shared, of a file that was opened so */
	ADVICE_POLICY = 0xff0000, /* its number; 0: none of its own */
	ADVICE_ALL = 0xff7fff,
};
#define ADVICE_POLICY_SHIFT 16
#define ADVICE_LOCKS (ADVICE_LOCKED | ADVICE_LOCKED_ON_FAULT)
/* The rest is only for speed. */
#define ADVICE_MATTERS                                                                             \
	(ADVICE_DONTFORK | ADVICE_WIPEONFORK | ADVICE_DONTDUMP | ADVICE_GUARD | ADVICE_LOCKS |     \
	 ADVICE_GROWS_DOWN | ADVICE_SEALED | ADVICE_SYNC)

/* What madvise() is told, and what it makes of what it was told before. */
struct advice_meaning {
	int advice;
	uint32_t clears, sets;
};
#define ADVICE_MEANINGS 15
extern const struct advice_meaning advice_meanings[ADVICE_MEANINGS];

/* LEDGER_ADVICE. An empty one has for bits what mlockall() said of mappings to come. */
struct advice_range {
	uint64_t start, end;
	uint64_t bits;
};

/* ascending, disjoint, bits != 0, neighbours that touch differ. */
struct advice_list {
	uint32_t count;
	struct advice_range ranges[ADVICE_RANGES_MAX];
};

struct advice_self {
	struct lock lock;
	int future;
	uint64_t is_lost; /* what is not only for speed: there was no room for it, once */
	struct advice_list *now;
	struct advice_list *next; /* the other one */
	struct advice_list *moved;
};
extern struct advice_self advice_self;

static inline uint64_t advice_lower(uint64_t one, uint64_t other)
{
	return one < other ? one : other;
}

static inline uint64_t advice_higher(uint64_t one, uint64_t other)
{
	return one > other ? one : other;
}
