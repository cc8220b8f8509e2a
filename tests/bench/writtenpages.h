/* Which pages were written between two instants, asked of the kernel (Linux 6.7 or newer). */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* written_arm() - from now on, note every page written in every writable mapping, except the
 * stack and [own, own + own_len). 0, or -errno when this kernel cannot do it. Calls no malloc.
 */
int written_arm(const void *own, size_t own_len);

/* written_collect() - the pages written since written_arm(), in order; at most room of them are
 * stored. Returns their number. Calls no malloc. */
size_t written_collect(uintptr_t *ret_pages, size_t room);
