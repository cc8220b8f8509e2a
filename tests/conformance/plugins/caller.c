/* Its RUNPATH, and nobody else's, leads to libneedle.so. */
#include <dlfcn.h>
#include <stddef.h>

const char *caller_open(void);

const char *caller_open(void)
{
	return dlopen("libneedle.so", RTLD_NOW) ? NULL : dlerror();
}
