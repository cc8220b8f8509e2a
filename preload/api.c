/*
 * The C API but for transactions (tx.c) and kept globals (keep.c): each function checks what its
 * caller must not do and forwards to the room whose business it is.
 *
 * Three kinds of process come here: one that keeps its heap, one that has a pool and keeps nothing
 * (keep=none), and one without a pool. The latter two get an answer for everything that can be
 * done without keeping, and -ENODEV where the answer would be a lie; so does a forked child.
 */
#include "preload.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "checkpoint/committer.h"
#include "checkpoint/cut.h"
#include "checkpoint/exclude.h"
#include "control.h"
#include "heapsake.h"
#include "keep.h"
#include "libc-main.h"
#include "names.h"
#include "os.h"
#include "tx.h"

HSK_API void *hsk_root(const char *name)
{
	return malloc_is_active ? heap_get_root(name) : names_get(name);
}

HSK_API int hsk_set_root(const char *name, void *ptr)
{
	heap_undo_set_root *set = malloc_is_active ? heap_set_root : names_set;
	const int error = heap_undo_is_active ? heap_undo_root(name, hsk_root(name), set) : 0;

	return error ? error : set(name, ptr);
}

/* Everybody who waits is told of a deadlock, and who holds no lock is no part of one: it waits on
 * until the others have let go. */
static int wait_on(int timeout_ms)
{
	const uint64_t began_ns = os_clock_ns(CLOCK_MONOTONIC);
	int error = committer_checkpoint(timeout_ms);

	while (error == -EDEADLK && !cut_has_locks()) {
		const uint64_t waited_ms = (os_clock_ns(CLOCK_MONOTONIC) - began_ns) / 1000000;
		if (timeout_ms >= 0 && waited_ms >= (uint64_t)timeout_ms)
			return -ETIMEDOUT;
		error = committer_checkpoint(timeout_ms < 0 ? timeout_ms : timeout_ms - (int)waited_ms);
	}
	return error;
}

/* Whatever is wrong with a pool that is DEGRADED: hsk_info.error is more exact. */
static int of_the_pool(int error)
{
	switch (error) {
	case 0:
	case -EDEADLK:
	case -ETIMEDOUT:
	case -ESHUTDOWN:
	case -ENODEV:
		return error;
	case -ENOSPC:
	case -EDQUOT:
	case -EFBIG:
		return -ENOSPC;
	default:
		return -EIO;
	}
}

HSK_API int hsk_checkpoint(int timeout_ms)
{
	if (!committer_is_open())
		return -ENODEV;
	if (main_has_ended())
		return -ESHUTDOWN;
	if (tx_is_open())
		return -EDEADLK;
	return of_the_pool(wait_on(timeout_ms));
}

HSK_API uint64_t hsk_epoch(void)
{
	return committer_epoch();
}

HSK_API int hsk_resumed(void)
{
	return preload.is_resumed;
}

static bool is_kept(const char *start, size_t len)
{
	return (heap_has(start) && heap_has(start + len - 1)) || keep_has(start, len);
}

HSK_API int hsk_exclude(void *ptr, size_t len)
{
	if (!committer_is_open())
		return 0;
	if (len && (len > PTRDIFF_MAX || !is_kept(ptr, len)))
		return -EINVAL;
	return exclude_set(ptr, len);
}

/* ---- hsk_info() ---- */

static uint64_t ms_since(uint64_t unix_ns)
{
	const uint64_t now_ns = os_clock_ns(CLOCK_REALTIME);

	return now_ns > unix_ns ? (now_ns - unix_ns) / 1000000 : 0;
}

static void fill_from_status(struct hsk_info *info, const struct control_snapshot *now)
{
	const struct control_status *status = &now->status;
	const uint64_t since = status->epoch_unix_ns ? status->epoch_unix_ns : now->started_unix_ns;

	info->epoch = status->epoch;
	info->oldest_epoch = status->oldest_epoch;
	info->epoch_age_ms = status->epoch_unix_ns ? ms_since(since) : 0;
	info->loss_ms = status->dirty_unix_ns ? ms_since(since) : 0;
	info->epochs = status->counters.epochs;
	info->log_bytes = status->log_bytes;
	info->state = status->state == CONTROL_OK	? HSK_STATE_OK :
		      status->state == CONTROL_VETOED	? HSK_STATE_VETOED :
		      status->state == CONTROL_CORRUPT	? HSK_STATE_CORRUPT :
							  HSK_STATE_DEGRADED;
	info->error = status->error;
	info->durability = status->durability == DURABILITY_MEDIA ? HSK_DURABILITY_MEDIA :
								    HSK_DURABILITY_CACHE;
}

static void fill(struct hsk_info *info)
{
	struct control_snapshot now = {0};

	info->resumed = preload.is_resumed;
	info->resumed_epoch = preload.resumed_epoch;
	info->code_moved = preload.code_moved;
	info->heap_bytes = preload.window.size_bytes;
	info->open_bytes = preload.window.open_bytes;
	if (!committer_is_open() || !preload.pool.control)
		return;
	info->keep = preload.keep == KEEP_PROCESS ? HSK_KEEP_PROCESS : HSK_KEEP_HEAP;
	info->state = HSK_STATE_OK;
	const uint64_t epoch = committer_epoch();
	for (int tries = 0; tries < 1000; tries++) { /* an epoch is told a moment after it is durable */
		if (control_read(preload.pool.control, &now) == 0 && now.status.epoch >= epoch)
			break;
		os_sleep_ns(1000);
	}
	fill_from_status(info, &now);
}

/* Programs of older versions know less of it, those of newer ones more. */
HSK_API int hsk_info(struct hsk_info *info)
{
	struct hsk_info whole = {0};
	const uint64_t room = info->size;

	if (room < offsetof(struct hsk_info, code_moved) + sizeof(info->code_moved) ||
	    room > OS_PAGE_BYTES)
		return -EINVAL;
	whole.size = room < sizeof(whole) ? room : sizeof(whole);
	fill(&whole);
	memset(info, 0, room);
	memcpy(info, &whole, whole.size);
	return 0;
}
