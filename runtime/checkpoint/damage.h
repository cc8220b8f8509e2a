/* Damage: pages of home that are known to be damaged, until they are right again. Room-private. */
#pragma once

#include <stdbool.h>

#include "annals.h"
#include "home.h"

#define DAMAGE_MAX 64u

struct damaged_page {
	uint64_t key;
	struct home_fault fault; /* found: if it could be read */
	int error;               /* -errno: it could not */
	uint64_t number;         /* of its newest entry then; ANNALS_NONE: at rest */
	bool is_seen;            /* in this round */
	bool is_past;            /* the log has had another page there since: told, and that is all */
};

struct damage {
	struct damaged_page pages[DAMAGE_MAX]; /* the first of them was found first */
	unsigned count;
	unsigned more;      /* beyond these, of the last round */
	unsigned more_seen; /* of this one */
};

/* damage_find() - this page, whose newest entry this is (ANNALS_NONE: it has none), is lost, and
 * nothing has come in its place; NULL */
const struct damaged_page *damage_find(const struct damage *damage, uint64_t key, uint64_t number);

/* damage_note() - it is; false: there is no room to remember it */
bool damage_note(struct damage *damage, uint64_t key, uint64_t number, int error,
		 const struct home_fault *fault);

/* damage_settle() - an epoch is durable: which of them does the log have as they should be? */
void damage_settle(struct damage *damage, const struct annals *annals);

/* damage_turn() - a round through all pages is over: what it has not found is not damaged */
void damage_turn(struct damage *damage);
