/* What a program of this folder needs: which of its runs this is, and a way to die in it. */
#pragma once

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "../conformance/must.h"
#include "heapsake.h"

static const char *step_name = "";

static inline int step_is(const char *name)
{
	return strcmp(step_name, name) == 0;
}

static inline void step_begin(int argc, char **argv)
{
	step_name = argc > 1 ? argv[1] : "";
}

static inline void step_kill(void)
{
	raise(SIGKILL);
}
