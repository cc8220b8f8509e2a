/* Where an address lies: module and offset, as in "/usr/bin/redis-server+0x1234". */
#pragma once

#include "line.h"

/* place_add() - to the line; of memory without a name the address alone. No libc, any thread. */
void place_add(struct line *line, const void *address);
