/*
 * The problem: pages that a program makes unreadable (guard pages of stacks that come from malloc,
 * collectors) have contents all the same, which an epoch must have, and the committer would die of
 * reading them. Looking at every page first would double the cost of copying. The trick: the two
 * calls that take the permission away say so before. The guarantee: from then on pages are looked
 * at, while nobody can change their protection. System calls made without libc are not seen.
 */
#include "preload.h"

#include <errno.h>
#include <sys/mman.h>

#include "checkpoint/committer.h"
#include "os.h"
#include "ours.h"
#include "process/process.h"

/* Afterwards: a cut before sees by the mapping's rights that it is open. */
static int finish(int error, void *addr, size_t len, int prot)
{
	if (!error && unlikely(process_is_kept) && prot & PROT_WRITE)
		process_note_opened(addr, len);
	if (!error)
		return 0;
	errno = -error;
	return -1;
}

/* Closed in one step with being noted. */
static int protect(void *addr, size_t len, int prot, int key)
{
	if (prot == PROT_NONE)
		ours_enter();
	const int error = key == -1 ? os_mprotect(addr, len, prot)
				    : os_pkey_mprotect(addr, len, prot, key);
	if (prot == PROT_NONE) {
		if (!error)
			process_note_closing(addr, len);
		ours_leave();
	}
	return finish(error, addr, len, prot);
}

INTERPOSE int mprotect(void *addr, size_t len, int prot)
{
	if (unlikely(!(prot & PROT_READ)))
		committer_note_unreadable(addr, len);
	return protect(addr, len, prot, -1);
}

INTERPOSE int pkey_mprotect(void *addr, size_t len, int prot, int key)
{
	committer_note_unreadable(addr, len); /* which rights a key gives is a thread's affair */
	ours_enter();
	const int result = protect(addr, len, prot, key);
	if (result == 0 && key > 0)
		process_note_unkept("a protection key for memory (pkey_mprotect)");
	ours_leave();
	return result;
}
