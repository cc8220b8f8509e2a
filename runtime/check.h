/* Invariants that guard the pool: checked in every build, and fatal. */
#pragma once

#include "say.h"

#define CHECK(condition) \
	do { \
		if (__builtin_expect(!(condition), 0)) \
			say_die("heap", "broken invariant at %s:%d: %s", __FILE_NAME_SHORT__, \
				__LINE__, #condition); \
	} while (0)

#ifdef __FILE_NAME__ /* clang has it, gcc 12 too: the name without the builder's path */
#define __FILE_NAME_SHORT__ __FILE_NAME__
#else
#define __FILE_NAME_SHORT__ __FILE__
#endif
