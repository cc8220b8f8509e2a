/*
 * What a program says of its memory by number (syscall.c) is said like by name.
 */
#pragma once

#include <stdbool.h>

bool advice_is_call(long number);
long advice_call(long number, long a, long b, long c, long d, long e, long f);
