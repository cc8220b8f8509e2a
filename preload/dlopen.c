/*
 * RTLD_DEEPBIND and a replaced malloc do not go together: the library would call glibc's malloc
 * and free, and be given our blocks by libc functions (strdup, getline). While a pool is attached
 * the flag is taken out.
 *
 * dlopen finds the RUNPATH to search by its return address, which must stay the caller's: so this
 * is a tail jump, and nothing else may stand here. The file is always optimised (meson.build); a
 * test with a RUNPATH proves it. dlmopen has a libc of its own, and is left alone.
 */
#include "preload.h"

#include <dlfcn.h>

static void *dlopen_early(const char *file, int mode);

static int mode_mask = ~0;
static void *(*next)(const char *, int) = dlopen_early;

/* Before our constructor (an auditor's, another initfirst library's): the RUNPATH is lost. */
static void *dlopen_early(const char *file, int mode)
{
	dlopen_init(false);
	return next(file, mode);
}

void dlopen_init(bool strips_deepbind)
{
	next = foreign_symbol("dlopen");
	mode_mask = strips_deepbind ? ~RTLD_DEEPBIND : ~0;
}

INTERPOSE void *dlopen(const char *file, int mode)
{
	return next(file, mode & mode_mask);
}
