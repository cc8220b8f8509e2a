/*
 * malloc_info(3): well-formed XML on the stream, 0; options must be 0, else EINVAL.
 */
#include "must.h"

#define DEPTH_MAX 8
#define NAME_MAX_BYTES 32

/* Tags nest and close by name, and quotes come in pairs. Returns the number of elements. */
static unsigned count_elements(const char *text)
{
	char open[DEPTH_MAX][NAME_MAX_BYTES], name[NAME_MAX_BYTES];
	unsigned depth = 0, count = 0;

	for (const char *tag = strchr(text, '<'); tag; tag = strchr(tag + 1, '<')) {
		const char *end = strchr(tag, '>');
		const bool is_closing = tag[1] == '/';
		unsigned quotes = 0;
		MUST(end && sscanf(tag + 1 + is_closing, "%31[a-z]", name) == 1);
		for (const char *at = tag; at < end; at++)
			quotes += *at == '"';
		MUST(quotes % 2 == 0);
		count += !is_closing;
		if (is_closing) {
			MUST(depth > 0 && strcmp(open[--depth], name) == 0);
		} else if (end[-1] != '/') {
			MUST(depth < DEPTH_MAX);
			strcpy(open[depth++], name);
		}
		MUST(depth > 0 || strcmp(end, ">\n") == 0);
	}
	MUST(depth == 0);
	return count;
}

int main(void)
{
	char *text = NULL;
	size_t length;
	FILE *stream = open_memstream(&text, &length);
	MUST(stream && malloc_info(1, stream) == EINVAL);
	MUST(malloc_info(0, stream) == 0);
	fclose(stream);
	MUST(strncmp(text, "<malloc version=", 16) == 0);
	MUST(count_elements(text) >= 5);
	free(text);
}
