/*
 * The problem: to name a place in the code from a thread that may not call dladdr(). The trick:
 * /proc/self/maps, read and understood in pieces. The guarantee: a place is named or left as a
 * number, nothing else.
 */
#include "place.h"

#include <fcntl.h>
#include <string.h>

#include "os.h"

static const char *parse_hex(const char *at, uint64_t *ret_value)
{
	uint64_t value = 0;

	for (;; at++) {
		if (*at >= '0' && *at <= '9')
			value = value * 16 + (uint64_t)(*at - '0');
		else if (*at >= 'a' && *at <= 'f')
			value = value * 16 + (uint64_t)(*at - 'a') + 10;
		else
			break;
	}
	*ret_value = value;
	return at;
}

/* start-end perms offset device inode path */
static bool add_if_inside(struct line *line, const char *text, uint64_t address)
{
	uint64_t start, end, offset;
	const char *at = parse_hex(text, &start);

	at = parse_hex(at + (*at == '-'), &end);
	if (address < start || address >= end)
		return false;
	parse_hex(at + strlen(" rwxp "), &offset);
	const char *path = strchr(at, '/');
	if (!path)
		return false;
	line_add(line, path);
	line_add(line, "+0x");
	line_add_number(line, address - start + offset, 16);
	return true;
}

void place_add(struct line *line, const void *address)
{
	char buffer[1024];
	size_t have = 0;
	bool is_found = false;
	const int fd = os_open("/proc/self/maps", O_RDONLY | O_CLOEXEC, 0);

	while (fd >= 0 && !is_found) {
		const long n = os_read(fd, buffer + have, sizeof(buffer) - 1 - have);
		have += n > 0 ? (size_t)n : 0;
		buffer[have] = 0;
		char *newline = memchr(buffer, '\n', have);
		if (!newline)
			break;
		*newline = 0;
		is_found = add_if_inside(line, buffer, (uintptr_t)address);
		const size_t used = (size_t)(newline - buffer) + 1;
		memmove(buffer, buffer + used, have - used);
		have -= used;
	}
	if (fd >= 0)
		os_close(fd);
	if (is_found)
		return;
	line_add(line, "0x");
	line_add_number(line, (uintptr_t)address, 16);
}
