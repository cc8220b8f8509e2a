/*
 * Process: which pages and which state of the kernel's make up a process, and how it comes back.
 * This room's face: handed to the committer by enter.c. README.md explains.
 */
#pragma once

#include "say.h"
#include "ledger.h"

struct keeper_note;
