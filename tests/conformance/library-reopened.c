/*
 * dlopen and dlclose again and again: blocks outlive the library that made them.
 */
#include <dlfcn.h>
#include <libgen.h>

#include "must.h"

int main(int argc, char **argv)
{
	char path[4096], *texts[50];
	MUST(argc == 2);
	snprintf(path, sizeof(path), "%s/libplugin.so", dirname(strdup(argv[0])));
	for (unsigned i = 0; i < 50; i++) {
		void *library = dlopen(path, RTLD_LAZY);
		MUST(library);
		char *(*plugin_text)(void) = dlsym(library, "plugin_text");
		texts[i] = plugin_text();
		dlclose(library);
	}
	for (unsigned i = 0; i < 50; i++) {
		MUST(strcmp(texts[i], "from the plugin") == 0);
		free(texts[i]);
	}
}
