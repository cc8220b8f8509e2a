/*
 * The program's own beginning and end: main() and exit().
 */
#pragma once

#include <stdbool.h>

void main_init(void);       /* finds libc's own; before main */
/* main_set_environment() - what libc will take for the environment, and what main shall get */
void main_set_environment(char **libcs, char **stripped);
bool main_has_begun(void);  /* the entry of main is reached: kept globals are restored */
/* main_tell_section() - one line: the program is left by this call in the middle of a section */
void main_tell_section(const char *call);
bool main_has_ended(void);  /* main has returned, or exit() been called: nothing is kept any more */
