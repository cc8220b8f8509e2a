/*
 * The program a process is about to become by execve(), and whether it can be kept.
 */
#pragma once

#include <stdbool.h>

struct successor {
	const char *unkept; /* why nothing of it can be kept; NULL: nothing speaks against it */
	char path[256];     /* the file that is loaded: of a script, its interpreter */
};

/* successor_open() - the file that execve() in `directory`, or execvp(), means; its descriptor or
 * -errno */
int successor_open(int directory, const char *name);
int successor_find(const char *name);
/* successor_look() - closes the descriptor; one that is negative is nothing to speak against */
void successor_look(int fd, struct successor *ret_successor);
