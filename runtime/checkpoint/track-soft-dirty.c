/*
 * The problem: kernels before 6.7 follow stores without help from a signal handler in one way
 * only, a soft-dirty bit a page. There is one set of bits for the process, cleared for all of it at
 * once, and nothing tells a store between reading and clearing. So both happen while every thread
 * stands still; no pre-copy. The guarantee: a page stored to since the last call is told. A range
 * added later has lost its bits with the others', so it is told whole once. A mapping that has come
 * in the place of another counts as dirty, whole, until the bits are cleared; of it, too, what is
 * not there is gone.
 *
 * Reading costs 3 ns a page of address space that is open, used or not; clearing write-protects
 * every page the process has.
 */
#include "track-parts.h"

#include <errno.h>
#include <fcntl.h>

#include "os.h"

static int clear_ready(struct track *track)
{
	if (track_fd_is_ours(&track->clear))
		return 0;
	return track_fd_set(&track->clear,
			    os_open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC, 0));
}

static int soft_dirty_collect(struct track *track, track_visit *visit, void *context)
{
	int error = clear_ready(track);

	if (!error)
		error = track_read(track, true, visit, context);
	if (error)
		return error;
	const long written = os_write(track->clear.number, "4", 1);
	return written == 1 ? 0 : written < 0 ? (int)written : -EIO;
}

const struct track_way track_soft_dirty = {
	.name = "soft-dirty",
	.open = clear_ready,
	.collect = soft_dirty_collect,
};
