/*
 * Locks and conditions in kept memory, as a process left them that is no more.
 */
#pragma once

#include "preload.h"

enum revive_kind { REVIVE_MUTEX, REVIVE_RWLOCK, REVIVE_SPIN, REVIVE_COND };

/* revive_init() - of a run that goes on from an epoch; 0 or -errno */
int revive_init(void);

/* revive() - before the first use of a lock in this run: nobody holds it, and nobody waits. Any
 * thread; a few instructions in a run that goes on from an epoch, one branch in others. */
void revive_known(void *lock, enum revive_kind kind);
static inline void revive(void *lock, enum revive_kind kind)
{
	if (unlikely(preload.is_resumed))
		revive_known(lock, kind);
}
