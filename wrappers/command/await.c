/*
 * The problem: who is killed leaves its children behind for a moment, and they write what is the
 * next life's to write. The trick: the last keeper is gone only after everybody in its namespace;
 * it is waited for before the next life begins. Who has killed the keeper itself has killed them
 * all at once.
 */
#include "kept.h"

#include "os.h"
#include "owner.h"
#include "pool.h"

#define LOOK_AGAIN_NS UINT64_C(2000000)
#define PATIENCE_NS UINT64_C(30000000000)
#define PATIENCE_OWNED_NS UINT64_C(500000000) /* it may be dying; if it lives, it will be named */

static bool is_over(const struct pool *pool, uint64_t waited_ns)
{
	struct owner owner;

	owner_look(&owner, pool);
	if (owner.is_there)
		return waited_ns > PATIENCE_OWNED_NS;
	return !owner.was_known || !(owner.page.flags & CONTROL_KEPT) || waited_ns > PATIENCE_NS ||
	       !pool_process_lives(owner.page.owner.pid, owner.page.owner.start_ticks);
}

void kept_await_last(const char *path)
{
	static struct pool pool;
	struct refusal ignored;

	if (!pool_exists(path) || pool_open(&pool, path, POOL_READ, &ignored) != 0)
		return;
	const uint64_t began_ns = os_clock_ns(CLOCK_MONOTONIC);
	while (!is_over(&pool, os_clock_ns(CLOCK_MONOTONIC) - began_ns))
		os_sleep_ns(LOOK_AGAIN_NS);
	pool_close(&pool);
}
