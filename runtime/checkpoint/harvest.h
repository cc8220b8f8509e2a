/* Harvest: the pages that the log has entries of, up to an epoch; each once, in the order of the
 * file. Room-private. */
#pragma once

#include <stdbool.h>

#include "annals.h"
#include "log.h"
#include "queue.h"

struct harvest {
	struct log_epoch target;
	uint64_t number;    /* of the entry to be looked at next */
	uint64_t read_from; /* the piece of the log that was read last */
	uint64_t read_end;
	bool is_unreadable; /* of what was read, some was not: to look at it is a signal */
	struct queue queue; /* what was found and not taken */
};

/* harvest_begin() - up to the end of `target`, which must stay in the log until the end */
void harvest_begin(struct harvest *harvest, const struct annals *annals,
		   const struct log_epoch *target);
void harvest_deinit(struct harvest *harvest);

/* harvest_collect() - a thousand entries more. 0: that was all of them; CHECKPOINT_MORE; -errno */
int harvest_collect(struct harvest *harvest, const struct annals *annals, struct log *log);
