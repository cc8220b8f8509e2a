/*
 * For programs under `killed`: what must be so in each of their lives, and the end of one.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int failures; /* the status in the end */

static inline void must_at(bool is_so, const char *what, int line)
{
	if (is_so)
		return;
	printf("line %d: not so: %s (%s)\n", line, what, strerror(errno));
	failures++;
}
#define MUST(so) must_at(so, #so, __LINE__)

/* Without stdio, which may be what is looked at. Returns in the next life. */
static inline void die(void)
{
	char line[64];

	if (write(STDOUT_FILENO, "kill\n", 5) != 5 || read(STDIN_FILENO, line, sizeof(line)) <= 0)
		_exit(2);
}
