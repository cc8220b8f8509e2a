/*
 * The problem: learn of the first store to a page without a signal (4 to 7 us, and read(2) into
 * the page fails with EFAULT) or a handler thread (77 us). The trick: a userfaultfd in asynchronous
 * write-protect mode. The kernel drops the protection itself at the first store, its own stores
 * for read(2) included, and PAGEMAP_SCAN tells which pages have lost it and protects them anew,
 * page by page in one step, while threads run. The guarantee: what was stored before the scan
 * passed is in memory when the page is visited; what is stored later is told by the next scan.
 *
 * Nothing is protected before it is there: a page never touched has no protection, is not told
 * (written, but not there), and is told after its first store (still not protected). So a range of
 * a terabyte costs nothing until it is used.
 *
 * A mapping put into a range from outside is not registered, and the scan stops there with EPERM.
 * Then it is registered and the scan goes on. What cannot be registered (a
 * mapping that can never be written, another's userfaultfd) is found by the opposite question,
 * and told every time.
 */
#include "track-parts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>

#include "maps.h"
#include "os.h"

#define FEATURE_WP_ASYNC (UINT64_C(1) << 15)
#define FLAG_USER_MODE_ONLY 1 /* all that is granted without privilege; more is not needed */
#define NEW_DESCRIPTOR _IO(0xAA, 0x00) /* of /dev/userfaultfd */
#define HEAL_MAX 8

static int open_any(void)
{
	int fd = os_userfaultfd(O_CLOEXEC | FLAG_USER_MODE_ONLY);

	if (fd >= 0)
		return fd;
	int device = os_open("/dev/userfaultfd", O_RDWR | O_CLOEXEC, 0);
	if (device < 0)
		return fd;
	fd = os_ioctl(device, NEW_DESCRIPTOR, (void *)(intptr_t)(O_CLOEXEC | FLAG_USER_MODE_ONLY));
	os_close(device);
	return fd;
}

static int wp_open(struct track *track)
{
	struct uffdio_api api = {.api = UFFD_API, .features = FEATURE_WP_ASYNC};
	int fd = open_any();

	if (fd < 0)
		return fd;
	int error = os_ioctl(fd, UFFDIO_API, &api);
	if (error) {
		os_close(fd);
		return error;
	}
	return track_fd_set(&track->uffd, fd);
}

/* Registering what is registered changes nothing. */
static int wp_register(struct track *track, char *start, size_t len)
{
	struct uffdio_register registration = {
		.range = {(uintptr_t)start, len},
		.mode = UFFDIO_REGISTER_MODE_WP,
	};

	return os_ioctl(track->uffd.number, UFFDIO_REGISTER, &registration);
}

/*
 * Of memory that was not, or not all along. A page may come with a protection that protects
 * nothing: where mremap() moves a mapping beside another, the kernel may make one of the two and
 * end the registration of both; stores then find no hindrance and leave the mark as it is. So all
 * marks are taken away, and what is there counts as written. Nothing is registered if that fails.
 */
static int wp_register_anew(struct track *track, char *start, size_t len)
{
	struct uffdio_writeprotect none = {.range = {(uintptr_t)start, len}, .mode = 0};
	int error = wp_register(track, start, len);

	if (!error)
		error = os_ioctl(track->uffd.number, UFFDIO_WRITEPROTECT, &none);
	if (error && error != -ENOENT) /* nothing is there */
		os_ioctl(track->uffd.number, UFFDIO_UNREGISTER, &none.range);
	return error == -ENOENT ? 0 : error;
}

/* A userfaultfd that the program closed took all registrations with it, unless a forked child
 * still has it: then they stand, and cannot be made again (EBUSY). The scan tells them apart. */
static int wp_ready(struct track *track)
{
	if (track_fd_is_ours(&track->uffd))
		return 0;
	int error = wp_open(track);
	for (unsigned i = 0; i < track->range_count && !error; i++)
		wp_register(track, track->ranges[i].start, track->ranges[i].len);
	return error;
}

static int wp_watch(struct track *track, char *start, size_t len)
{
	int error = wp_ready(track);

	return error ? error : wp_register_anew(track, start, len);
}

static void wp_unwatch(struct track *track, char *start, size_t len)
{
	struct uffdio_range range = {(uintptr_t)start, len};

	if (track_fd_is_ours(&track->uffd))
		os_ioctl(track->uffd.number, UFFDIO_UNREGISTER, &range);
}

static struct pagemap_query query_written(const struct track *track, bool is_new)
{
	struct pagemap_query query = track_there(track);

	query.flags = PAGES_PROTECT | PAGES_CHECK;
	query.all |= is_new ? 0 : PAGES_WRITTEN;
	return query;
}

/* The rest of a range that holds mappings we cannot follow. */
static int collect_foreign(struct track *track, uint64_t at, uint64_t end, bool is_new,
			   track_visit *visit, void *context)
{
	struct pagemap_query query = query_written(track, is_new);
	uint64_t again = at;

	query.flags = PAGES_PROTECT; /* passes over them */
	int error = track_scan(track, &query, &at, end, visit, context);
	if (error)
		return error;
	query = track_there(track);
	query.inverted |= PAGES_WP_ALLOWED;
	query.all |= PAGES_WP_ALLOWED;
	return track_scan(track, &query, &again, end, visit, context);
}

/* A mapping's registration is asked for at its first page. */
static bool is_registered(const struct track *track, uint64_t start)
{
	struct pagemap_query query = query_written(track, true);
	struct pagemap_run run;

	query.flags = PAGES_CHECK;
	return pagemap_scan(track->pagemap.number, &query, start, start + OS_PAGE_BYTES, &run, 1) !=
	       -EPERM;
}

static int heal_span(struct track *track, uint64_t start, uint64_t end)
{
	char *const memory = (char *)(uintptr_t)start;

	if (track->replaced)
		track->replaced(memory, end - start);
	return wp_register_anew(track, memory, end - start);
}

/* Mappings in a range that have come from outside, or lost their registration. Each is asked for
 * before it is registered: then nobody can tell any more. */
static int heal(struct track *track, const struct track_range *range)
{
	const uint64_t range_start = (uintptr_t)range->start, range_end = range_start + range->len;
	struct maps maps;
	struct map map;
	int error = wp_ready(track);

	if (error)
		return error;
	if (maps_open(&maps) != 0)
		return heal_span(track, range_start, range_end);
	while (maps_next(&maps, &map)) {
		const uint64_t start = map.start > range_start ? map.start : range_start;
		const uint64_t end = map.end < range_end ? map.end : range_end;
		if (start >= end || is_registered(track, start))
			continue;
		const int failed = heal_span(track, start, end);
		error = error ? error : failed;
	}
	maps_close(&maps);
	return error;
}

/* See track-dense.c. */
static int scan_range(struct track *track, const struct track_range *range, uint64_t *at,
		      track_visit *visit, void *context)
{
	static const struct pagemap_query dense = {.flags = PAGES_PROTECT | PAGES_CHECK,
						   .all = PAGES_WRITTEN, .returned = PAGES_WRITTEN};
	const struct pagemap_query sparse = query_written(track, range->is_new);
	const uint64_t end = (uintptr_t)range->start + range->len;
	int error = 0;

	while (*at < end && !error) {
		bool is_dense;
		const uint64_t stop = track_stretch(track, *at, end, &is_dense);
		error = track_scan(track, is_dense && !range->is_new ? &dense : &sparse, at, stop, visit,
				   context);
	}
	return error;
}

static int collect_range(struct track *track, const struct track_range *range, track_visit *visit,
			 void *context)
{
	uint64_t at = (uintptr_t)range->start;
	const uint64_t end = at + range->len;

	for (int heals = 0;; heals++) {
		int error = scan_range(track, range, &at, visit, context);
		if (error != -EPERM)
			return error;
		if (heals == HEAL_MAX || heal(track, range) != 0)
			return collect_foreign(track, at, end, range->is_new, visit, context);
	}
}

static void pass_over(void *context, char *start, size_t len)
{
}

static int wp_settle(struct track *track, char *start, size_t len)
{
	const struct pagemap_query query = query_written(track, true);
	uint64_t at = (uintptr_t)start;

	return track_scan(track, &query, &at, at + len, pass_over, NULL);
}

static int wp_collect(struct track *track, track_visit *visit, void *context)
{
	int error = wp_ready(track);

	for (unsigned i = 0; i < track->range_count && !error; i++)
		error = collect_range(track, &track->ranges[i], visit, context);
	return error;
}

const struct track_way track_wp = {
	.name = "userfaultfd",
	.open = wp_open,
	.watch = wp_watch,
	.renew = wp_register,
	.unwatch = wp_unwatch,
	.settle = wp_settle,
	.collect = wp_collect,
};
