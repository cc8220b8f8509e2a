/*
 * Every writable mapping is registered with a userfaultfd for asynchronous write-protection:
 * the kernel notes the first write to a page by dropping the protection, without a signal or a
 * handler. PAGEMAP_SCAN then lists the pages that lost it.
 *
 * Pages that were never touched have nothing to protect and would all count as written; so only
 * PRESENT or SWAPPED ones are asked for. An allocator that gives a page back is thereby not
 * counted as having written it.
 *
 * libc's headers may be older than the kernel; the definitions are the kernel's interface.
 */
#include "writtenpages.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096
#define MAX_RANGES 4096
#define MAX_REGIONS 1024
#define FEATURE_WP_ASYNC (UINT64_C(1) << 15)

/* struct pm_scan_arg and struct page_region of linux/fs.h */
struct scan_argument {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};

struct scan_region {
	uint64_t start, end, categories;
};

#define SCAN _IOWR('f', 16, struct scan_argument)
#define SCAN_WP_MATCHING 1
#define PAGE_WRITTEN 2
#define PAGE_PRESENT 8
#define PAGE_SWAPPED 16

static struct range {
	uintptr_t start, end;
} ranges[MAX_RANGES];
static size_t range_count;
static int pagemap_fd = -1, watch_fd = -1;

/* A line of /proc/self/maps; 0 when it is nothing to watch. */
static int maps_parse_line(const char *line, struct range *ret_range)
{
	char mode[5];

	if (sscanf(line, "%lx-%lx %4s", &ret_range->start, &ret_range->end, mode) != 3)
		return 0;
	return mode[1] == 'w' && !strstr(line, "[stack]") && !strstr(line, "[v");
}

static int maps_read(uintptr_t own, uintptr_t own_end)
{
	static char text[1 << 20];
	size_t len = 0;
	ssize_t got;
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	while ((got = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)got;
	close(fd);
	text[len] = 0;
	range_count = 0;
	for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
		struct range range;

		*end = 0;
		if (!maps_parse_line(line, &range))
			continue;
		if (range.start < own_end && own < range.end)
			continue;
		if (range_count == MAX_RANGES)
			return -E2BIG;
		ranges[range_count++] = range;
	}
	return 0;
}

static long range_scan(const struct range *range, uint64_t flags, struct scan_region *regions,
		       uintptr_t from, uintptr_t *ret_next)
{
	struct scan_argument argument = {
		.size = sizeof(argument),
		.flags = flags,
		.start = from,
		.end = range->end,
		.vec = (uintptr_t)regions,
		.vec_len = regions ? MAX_REGIONS : 0,
		.category_mask = PAGE_WRITTEN,
		.category_anyof_mask = PAGE_PRESENT | PAGE_SWAPPED,
		.return_mask = regions ? PAGE_WRITTEN : 0,
	};
	long count = ioctl(pagemap_fd, SCAN, &argument);

	/* walk_end may be stale; a full vector's last region says where to go on. */
	if (ret_next)
		*ret_next = count == MAX_REGIONS ? regions[count - 1].end : range->end;
	return count < 0 ? -errno : count;
}

int written_arm(const void *own, size_t own_len)
{
	struct uffdio_api api = {.api = UFFD_API, .features = FEATURE_WP_ASYNC};
	int ret = maps_read((uintptr_t)own, (uintptr_t)own + own_len);

	if (ret < 0)
		return ret;
	watch_fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* UFFD_USER_MODE_ONLY */);
	pagemap_fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (watch_fd < 0 || pagemap_fd < 0 || ioctl(watch_fd, UFFDIO_API, &api) < 0)
		return -errno;
	for (size_t i = 0; i < range_count; i++) {
		struct uffdio_register registration = {
			.range = {ranges[i].start, ranges[i].end - ranges[i].start},
			.mode = UFFDIO_REGISTER_MODE_WP,
		};
		if (ioctl(watch_fd, UFFDIO_REGISTER, &registration) < 0)
			return -errno;
	}
	/* Protecting comes last and by scan: what is not present needs none. */
	for (size_t i = 0; i < range_count; i++) {
		long count =
			range_scan(&ranges[i], SCAN_WP_MATCHING, NULL, ranges[i].start, NULL);
		if (count < 0)
			return (int)count;
	}
	return 0;
}

size_t written_collect(uintptr_t *ret_pages, size_t room)
{
	static struct scan_region regions[MAX_REGIONS];
	size_t page_count = 0;

	for (size_t i = 0; i < range_count; i++) {
		uintptr_t from = ranges[i].start, next;

		for (; from < ranges[i].end; from = next) {
			long count = range_scan(&ranges[i], 0, regions, from, &next);

			for (long r = 0; r < count; r++)
				for (uintptr_t at = regions[r].start; at < regions[r].end;
				     at += PAGE)
					if (page_count < room)
						ret_pages[page_count++] = at / PAGE;
			if (count < 0)
				break;
		}
	}
	close(pagemap_fd);
	close(watch_fd); /* which ends the watch */
	return page_count;
}
