/*
 * What a program tells of itself by number (syscall.c) is told like by name.
 */
#pragma once

#include <stdbool.h>

bool told_is_call(long number);
bool told_is_about_self(long number); /* what is told by it is asked for in cuts */
long told_call(long number, long a, long b, long c, long d, long e);
