/*
 * What has been said of sockets by setsockopt() and cannot be asked for: memberships of groups, and
 * all that socket-options.c has no place for. The call that says it is in process.h.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ledger.h"

/* On the committer's thread. While threads run: said_begin_look() - before descriptors are looked
 * for, said_prune() - after it: where there is much, sockets for which has() is false are gone.
 * said_save() - what was said of this one, which is descriptor fd */
void said_begin_look(void);
uint32_t said_age(void); /* another one if setsockopt() has been called since */
void said_prune(bool (*has)(uint64_t ino));
void said_save(uint64_t ino, uint32_t fd, struct ledger_writer *writer);

/* At a resume: said_make() - it is said again of what is to be descriptor fd. false: some of it was
 * refused */
bool said_make(int made, uint32_t fd, const struct ledger_reader *state);
