/*
 * What a program says of its sockets, by name or by number (syscall.c), under keep=process: not all
 * of it can be asked for later, so it is noted (process/socket-said.c). Call and note are one
 * section of ours: no cut falls between them.
 */
#include <errno.h>
#include <sys/socket.h>

#include "descriptor.h"
#include "ours.h"
#include "preload.h"
#include "process/process.h"
#include "real.h"

INTERPOSE int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	if (likely(!process_is_kept))
		return REAL(setsockopt)(fd, level, name, value, len);
	ours_enter();
	const int error = os_setsockopt(fd, level, name, value, len);
	if (error >= 0)
		process_note_option(fd, level, name, value, len);
	ours_leave();
	if (error >= 0)
		return 0;
	errno = -error;
	return -1;
}
