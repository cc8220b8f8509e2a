/*
 * The problem: only the kernel knows what is mapped where, and tells it as text, of which a line
 * may be as long as a path. The trick: lines are read through a small chunk and kept as far as they
 * matter. The guarantee: what one read(2) returns is one state of the process; a mapping that comes
 * or goes between two of them may be missed or seen, others not.
 */
#include "maps.h"

#include <fcntl.h>

#include "os.h"

int maps_open(struct maps *ret_maps)
{
	ret_maps->fd = os_open("/proc/thread-self/maps", O_RDONLY | O_CLOEXEC, 0);
	ret_maps->at = ret_maps->len = 0;
	return ret_maps->fd < 0 ? ret_maps->fd : 0;
}

void maps_close(struct maps *maps)
{
	os_close(maps->fd);
}

static const char *parse_hex(const char *at, uintptr_t *ret_value)
{
	uintptr_t value = 0;

	for (;; at++) {
		if (*at >= '0' && *at <= '9')
			value = value * 16 + (uintptr_t)(*at - '0');
		else if (*at >= 'a' && *at <= 'f')
			value = value * 16 + (uintptr_t)(*at - 'a' + 10);
		else
			break;
	}
	*ret_value = value;
	return at;
}

static void parse_line(struct map *map)
{
	const char *at = parse_hex(map->line, &map->start);

	at = parse_hex(*at ? at + 1 : at, &map->end);
	map->is_closed = at[0] == ' ' && at[1] == '-' && at[2] == '-' && at[3] == '-';
}

bool maps_next(struct maps *maps, struct map *ret_map)
{
	size_t len = 0;

	for (;;) {
		if (maps->at == maps->len) {
			const long count = os_read(maps->fd, maps->chunk, sizeof(maps->chunk));
			if (count <= 0)
				return false;
			maps->at = 0;
			maps->len = (unsigned)count;
		}
		const char next = maps->chunk[maps->at++];
		if (next == '\n')
			break;
		if (len < sizeof(ret_map->line) - 1)
			ret_map->line[len++] = next;
	}
	ret_map->line[len] = 0;
	parse_line(ret_map);
	return true;
}
