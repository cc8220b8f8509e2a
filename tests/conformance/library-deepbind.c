/*
 * DESIGN 5: a library opened with RTLD_DEEPBIND frees what libc's strdup gave it.
 */
#include <dlfcn.h>
#include <libgen.h>

#include "must.h"

int main(int argc, char **argv)
{
	char path[4096];
	MUST(argc == 2);
	snprintf(path, sizeof(path), "%s/libplugin.so", dirname(strdup(argv[0])));
	void *library = dlopen(path, RTLD_NOW | RTLD_DEEPBIND);
	if (!library)
		fprintf(stderr, "%s\n", dlerror());
	char *(*plugin_text)(void) = dlsym(library, "plugin_text");
	char *text = plugin_text();
	MUST(strcmp(text, "from the plugin") == 0);
	free(text);
	dlclose(library);
}
