/* Merge: from the log to home. Room-private. */
#pragma once

#include "home.h"

/* merge_run() - bring home to the end of `target` and trim the log to there. 0: done, durable, in
 * both superblocks. Else home may hold any part of it, the trim is where it was, and the next
 * merge does everything again. */
int merge_run(struct home *home, struct log *log, const struct log_epoch *target);
