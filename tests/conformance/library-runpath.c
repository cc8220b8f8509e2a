/*
 * DESIGN 5: dlopen searches the RUNPATH of its caller, not ours.
 */
#include <dlfcn.h>
#include <libgen.h>

#include "must.h"

int main(int argc, char **argv)
{
	char path[4096];
	MUST(argc == 2);
	snprintf(path, sizeof(path), "%s/libcaller.so", dirname(strdup(argv[0])));
	void *caller = dlopen(path, RTLD_NOW);
	MUST(caller);
	const char *(*caller_open)(void) = dlsym(caller, "caller_open");
	const char *error = caller_open();
	if (error)
		fprintf(stderr, "%s\n", error);
	MUST(!error);
}
