/*
 * A host and its plugin: the plugin, loaded by dlopen(), keeps globals of its own. It finds them
 * when dlopen() returns, and what it and the host count in one transaction never differs.
 */
#include <dlfcn.h>

#include "storm.h"

HSK_KEEP static uint64_t host_steps;
HSK_KEEP static char *host_text; /* in the heap, the plugin has it as well */

int main(int argc, char **argv)
{
	MUST(argc == 2);
	void *plugin = dlopen(argv[1], RTLD_NOW);
	MUST(plugin);
	uint64_t (*plugin_step)(char *) = (uint64_t (*)(char *))dlsym(plugin, "plugin_step");
	uint64_t (*plugin_steps)(const char *) =
		(uint64_t (*)(const char *))dlsym(plugin, "plugin_steps");
	MUST(plugin_step && plugin_steps);
	MUST(plugin_steps(host_text) == host_steps);
	storm_found(0, host_steps);
	for (;;)
		STORM_BLOCK(0, host_steps) {
			free(host_text);
			host_text = strdup("of the host's");
			MUST(host_text && plugin_step(host_text) == ++host_steps);
		}
}
