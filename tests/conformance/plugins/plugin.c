/* Allocates and frees across libraries: strdup's block is libc's doing, the frees are ours. */
#include <stdlib.h>
#include <string.h>

char *plugin_text(void);

char *plugin_text(void)
{
	char *first = strdup("from the plugin");
	char *second = malloc(100);
	strcpy(second, first);
	free(first);
	return second;
}
