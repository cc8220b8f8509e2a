/*
 * What a system call by number (syscall.c), or by prctl() (told-calls.c), is to filters.c; and for
 * all else who does it is kept a last time before.
 */
#pragma once

#include <stdbool.h>

bool filters_is_call(long number, long a, long b, long c);
void filters_give_up(void);
void filters_give_up_for(const char *why); /* a constant text */
