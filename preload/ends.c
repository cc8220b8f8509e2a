/*
 * The ends of a process that is kept: exit by any status says so, and the next run starts afresh.
 *
 * Through exit handlers and destructors epochs go on; the mark is set by the last thing that runs:
 * our destructor (start.c), or one of these, which end the process at once. Death by a signal is no
 * end, nor is that of a child that shares our memory (vfork).
 *
 * After all destructors libc writes out what its streams still hold. Killed between the mark and
 * that, the program would have ended without its last lines, so they are written before.
 */
#include "ends.h"

#include <stdio.h>
#include <stdio_ext.h>
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
	left_tell();
	if (unlikely(process_is_kept) && os_getpid() == preload.owner)
		process_ended(status);
}

/* The list of libc's streams: an interface as old as they are, declared in no header. */
extern FILE *_IO_list_all; /* NOLINT(bugprone-reserved-identifier) */

/* Only output: libc gives back what was read too much, too, but later. A stream another thread is
 * at is left to libc, which waits for nobody either. */
static void write_streams(void)
{
	for (FILE *stream = _IO_list_all; stream; stream = stream->_chain) {
		if (__fpending(stream) == 0 || ftrylockfile(stream) != 0)
			continue;
		fflush_unlocked(stream);
		funlockfile(stream);
	}
}

void ends_last(void)
{
	if (process_is_kept && os_getpid() == preload.owner)
		write_streams();
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
