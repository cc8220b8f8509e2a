/*
 * Policies: on which NUMA nodes pages are to lie: of a thread, and of ranges of memory, where a
 * number stands for one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ledger.h"

#define POLICY_WORDS 2 /* 128 nodes */

struct policy {
	uint32_t mode; /* with its flags; 0: as if nothing had been said */
	uint32_t reserved;
	uint64_t nodes[POLICY_WORDS];
};

/* policy_of() - what is said to set_mempolicy(), or to mbind() */
struct policy policy_of(int mode, const void *nodes, uint64_t count);
/* Of the calling thread. false: there is no NUMA here */
bool policy_get(struct policy *ret_policy);
void policy_set(const struct policy *policy); /* what is not allowed here is left: it is speed */

/* policy_number() - 1 to 255; 0 for none, and where there are too many. Under the caller's lock */
unsigned policy_number(const struct policy *policy);
void policy_bind(unsigned number, void *start, size_t len);
void policies_save(struct ledger_writer *writer);
bool policies_load(const struct ledger_reader *state); /* false: it makes no sense */
