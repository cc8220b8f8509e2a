/*
 * Share: which descriptors have one description (offset, flags) in common. The committer's.
 */
#pragma once

#include <stdbool.h>

#include "files-kind.h"

/* share_find() - sets `shares` of all these descriptors; record_of() is asked for each.
 * What was found before is only looked over, unless share_forget() was called since: descriptors
 * have come, gone, or become other files. false: no memory */
typedef struct file_record *share_record(int fd);
bool share_find(const int *fds, int count, share_record *record_of);
void share_forget(void);
