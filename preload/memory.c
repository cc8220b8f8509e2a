/*
 * The window as the heap wants it: struct heap_memory, and the one warning when it is full.
 *
 * grow and purge are called with the heap's page lock held, so nothing here locks. A child that
 * came by a raw clone finds the owner's pool still open; its first growth forgets it.
 */
#include "preload.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include "checkpoint/committer.h"
#include "layout.h"
#include "os.h"
#include "ours.h"
#include "say.h"

static int grow_error; /* why the last growth failed; 0: the window's end was reached */

static int grow(void *context, size_t offset, size_t len)
{
	struct preload_state *state = context;
	if (state->window.pool && unlikely(os_getpid() != state->owner))
		fork_forget_pool();
	ours_enter();
	grow_error = window_grow(&state->window, offset, len);
	ours_leave();
	return grow_error;
}

static int purge(void *context, size_t offset, size_t len)
{
	struct preload_state *state = context;
	ours_enter();
	int error = window_purge(&state->window, offset, len);
	if (error >= 0 && state->keep != KEEP_NONE)
		error = committer_note_zeros(offset / LAYOUT_BLOCK_BYTES, len / LAYOUT_BLOCK_BYTES,
					     error == 1);
	ours_leave();
	return error > 0 ? 0 : error;
}

static void populate(void *context, size_t offset, size_t len)
{
	struct preload_state *state = context;
	window_populate(&state->window, offset, len);
}

static void alloc_failed(void *context, size_t size)
{
	(void)context;
	memory_warn_full(size);
	errno = ENOMEM;
}

const struct heap_memory memory_of_window = {
	.context = &preload,
	.grow = grow,
	.purge = purge,
	.populate = populate,
	.thread_enter = thread_enter,
	.alloc_failed = alloc_failed,
};

/* A program that asks for more than any machine has is told by ENOMEM alone. */
void memory_warn_full(size_t size)
{
	static atomic_flag is_told = ATOMIC_FLAG_INIT;
	if (size >= LAYOUT_ADDRESS_END || atomic_flag_test_and_set(&is_told))
		return;
	if (grow_error)
		say(SAY_WARN, preload.pool.path,
		    "cannot be grown: %s; malloc returns NULL until there is room",
		    strerrordesc_np(-grow_error));
	else if (heap_limit() < preload.window.size_bytes)
		say(SAY_WARN, preload.pool.path,
		    "full: %zu more bytes do not fit into the %zu MiB that its heap was laid out for; "
		    "go on in a new pool, made larger", size, heap_limit() >> 20);
	else
		say(SAY_WARN, preload.pool.path,
		    "full: %zu more bytes do not fit into its %zu MiB; set a larger HEAPSAKE_SIZE",
		    size, preload.window.size_bytes >> 20);
}

/* What lies behind them may be the file, whose bytes would be seen again; and zeros that nobody has
 * stored would be missing in the next epoch. Where the file is the heap its blocks stay: to have
 * none is SIGBUS on a full disk. */
bool memory_forget(void *start, size_t len)
{
	char *const from = start;
	const size_t whole = (len + OS_PAGE_BYTES - 1) & ~(size_t)(OS_PAGE_BYTES - 1);
	const struct window *window = &preload.window;

	if (!malloc_is_active || !whole || (uintptr_t)from % OS_PAGE_BYTES || !heap_has(from) ||
	    !heap_has(from + whole - 1))
		return false;
	if ((window->kind == WINDOW_PRIVATE || window->is_frozen) && heap_forget(from, whole) == 0)
		return true;
	if (os_populate(from, whole) != 0)
		return false;
	memset(from, 0, whole);
	return true;
}
