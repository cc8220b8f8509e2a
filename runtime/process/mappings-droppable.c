/*
 * Memory the kernel may empty at any time (MAP_DROPPABLE, Linux 6.11): where glibc draws random
 * numbers, from its version 2.41 on. Nobody can follow it, and it is not to come back: the next
 * life would draw the same. So it is there again, and empty. The kernel tells it only in smaps,
 * which walks all pages; it is read when something cannot be followed that could be before.
 */
#include "mappings.h"

#include <fcntl.h>
#include <string.h>

#include "files-kind.h"
#include "os.h"
#include "ours.h"

/* One of its own: files-look.c knows lines. */
static bool says_droppable(uint64_t start)
{
	static struct file_info smaps OURS;
	bool is_it = false, is_droppable = false;

	smaps.at = smaps.len = 0;
	smaps.fd = os_open("/proc/thread-self/smaps", O_RDONLY | O_CLOEXEC, 0);
	if (smaps.fd < 0)
		return false;
	while (!is_droppable && file_info_next(&smaps)) {
		const char *at = smaps.line;
		const uint64_t number = file_number(&at, 16);
		if (*at == '-')
			is_it = number == start;
		else if (is_it && file_text_begins(smaps.line, "VmFlags:"))
			is_droppable = strstr(smaps.line, " dp") != NULL;
	}
	file_info_close(&smaps);
	return is_droppable;
}

static bool was_droppable(const struct mappings *before, const struct mapping *mapping)
{
	const struct mapping *old = before ? mappings_find(before, mapping->start) : NULL;

	return old && old->kind == MAPPING_DROPPABLE && old->start == mapping->start &&
	       old->end == mapping->end;
}

bool mappings_drop(struct mappings *mappings, const struct mappings *before, uint64_t start)
{
	struct mapping *mapping = (struct mapping *)mappings_find(mappings, start);

	if (!mapping || mapping->start != start || mapping->kind != MAPPING_ANONYMOUS ||
	    mapping->is_shared || (!was_droppable(before, mapping) && !says_droppable(start)))
		return false;
	mapping->kind = MAPPING_DROPPABLE;
	mapping->is_kept = false;
	return true;
}
