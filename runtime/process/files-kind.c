/*
 * The first kind that claims a descriptor has it, most particular first; what nobody claims is
 * refused, so that a kind of file not thought of stops epochs rather than come back wrong.
 */
#include "files-kind.h"

static const struct file_kind *const kinds[FILE_KINDS] = {
	[FILE_REFUSED] = &file_refused,   [FILE_REGULAR] = &file_regular,
	[FILE_NODE] = &file_node,         [FILE_TTY] = &file_tty,
	[FILE_PIPE] = &file_pipe,         [FILE_EVENTFD] = &file_eventfd,
	[FILE_TIMERFD] = &file_timerfd,   [FILE_SIGNALFD] = &file_signalfd,
	[FILE_EPOLL] = &file_epoll,       [FILE_SOCKET] = &file_socket,
};

const struct file_kind *file_kind_of(uint32_t number)
{
	return number < FILE_KINDS ? kinds[number] : NULL;
}

enum file_kind_number file_kind_find(const struct file_look *look)
{
	for (unsigned i = FILE_REFUSED + 1; i < FILE_KINDS; i++)
		if (kinds[i]->claims(look))
			return (enum file_kind_number)i;
	return FILE_REFUSED;
}
