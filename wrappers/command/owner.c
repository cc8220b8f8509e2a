/*
 * Whether a pool has an owner is asked of the lock; who that is and how it fares, of the control
 * page. The page is asked last: an owner that came in between has then written it.
 */
#include "owner.h"

#include "pool.h"

void owner_look(struct owner *ret_owner, const struct pool *pool)
{
	struct owner *owner = ret_owner;

	*owner = (struct owner){.is_there = pool_has_owner(pool)};
	owner->was_known = control_read(pool->control, &owner->page) == 0;
	owner->is_known = owner->was_known && owner->is_there &&
			  (owner->page.flags & CONTROL_RUNNING);
}
