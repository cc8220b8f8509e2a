/* Who uses a pool, as far as can be known from outside. */
#pragma once

#include <stdbool.h>

#include "control.h"

struct pool;

struct owner {
	bool is_there;  /* somebody holds the owner's lock, which cannot lie */
	bool is_known;  /* and the control page, which may hold anything, says who: `page` */
	bool was_known; /* the page of whoever was the last owner can be read: `page` */
	struct control_snapshot page;
};

/* owner_look() - of a pool that is open but not owned by us */
void owner_look(struct owner *ret_owner, const struct pool *pool);
