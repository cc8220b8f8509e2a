/* Recovery: from media back to a history. Room-private. */
#pragma once

#include "annals.h"
#include "log.h"
#include "say.h"

/* recover_chain() - walk the chain from the trim, verify every record, and enter the epochs into
 * the log and their entries (of one region alone, if it is not 0) into the annals; a torn tail is
 * quiet, damage with valid records behind it is STATUS_CORRUPT. Writes nothing: any number of
 * recoveries of the same bytes find the same. */
int recover_chain(struct log *log, struct annals *annals, uint32_t only_region,
		  struct refusal *ret_why);
