/*
 * PARKED, EVENT - at the top of a function that stands in for a call that may block: until it is
 * left, by whatever way (cancellation too: these files are built with -fexceptions), the thread is
 * parked. EVENT for waits for something to happen, which end the section of locks held across.
 */
#pragma once

#include "checkpoint/cut.h"
#include "real.h"

static inline void park_end(const bool *is_parked)
{
	if (*is_parked)
		cut_unpark();
}

static inline bool park_begin(void (*park)(void))
{
	if (likely(!cut_is_on))
		return false;
	park();
	return true;
}

#define PARKED_BY(park)                                                                            \
	const bool parked __attribute__((cleanup(park_end))) = park_begin(park);                   \
	(void)parked
#define PARKED PARKED_BY(cut_park)
#define EVENT PARKED_BY(cut_park_event)
