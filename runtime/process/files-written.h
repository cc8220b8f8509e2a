/* Files the program writes, and whether what it has written is on media: room-private. */
#pragma once

#include "files-kind.h"

/* written_begin() - in the pause, before files are saved: none is known to need a sync.
 * written_note() - this one looks like that. The record is used until files_sync() */
void written_begin(void);
void written_note(const struct file_record *record, const char *path, uint64_t size,
		  uint64_t mtime_ns);
