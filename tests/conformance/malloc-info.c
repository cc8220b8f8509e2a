/*
 * malloc_info(3): XML on the stream, 0; options must be 0, else EINVAL.
 */
#include "must.h"

int main(void)
{
	char *text = NULL;
	size_t length;
	FILE *stream = open_memstream(&text, &length);
	MUST(stream && malloc_info(1, stream) == EINVAL);
	MUST(malloc_info(0, stream) == 0);
	fclose(stream);
	MUST(length > 50 && strncmp(text, "<malloc version=", 16) == 0);
	MUST(strstr(text, "</malloc>\n"));
	free(text);
}
