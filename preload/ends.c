/*
 * The ends of a process that is kept: exit by any status says so, and the next run starts afresh.
 *
 * Through exit handlers and destructors epochs go on; the mark is set by the last thing that runs:
 * our destructor (start.c), or one of these, which end the process at once. Death by a signal is no
 * end, nor is that of a child that shares our memory (vfork).
 */
#include "ends.h"

#include <sys/syscall.h>
#include <unistd.h>

#include "os.h"
#include "preload.h"
#include "process/process.h"

static int wanted; /* what exit() was given, or main() returned */

void ends_note_status(int status)
{
	wanted = status;
}

void ends_now(int status)
{
	if (likely(!process_is_kept) || os_getpid() != preload.owner)
		return;
	left_tell();
	process_ended(status);
}

void ends_last(void)
{
	ends_now(wanted);
}

INTERPOSE void _exit(int status)
{
	ends_now(status);
	os_exit_group(status);
}

INTERPOSE void _Exit(int status)
{
	ends_now(status);
	os_exit_group(status);
}
