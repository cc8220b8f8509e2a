/*
 * REAL(name) - libc's own function of a name that we stand in for, found at its first use: an inert
 * run looks up none. The lookup does not allocate.
 */
#pragma once

#include "preload.h"

#define REAL(name)                                                                                 \
	({                                                                                         \
		static __typeof__(&(name)) real;                                                   \
		if (unlikely(!real))                                                               \
			real = (__typeof__(&(name)))foreign_symbol(#name);                         \
		real;                                                                              \
	})
