/*
 * DESIGN 5: malloc and free in atexit handlers, on_exit and destructors.
 * expect: stdout handler
 * expect: stdout destructor
 */
#include "must.h"

static char *kept;

static void use(const char *text)
{
	char *p = strdup(text);
	MUST(p && is_filled(kept, 300, 2));
	kept = realloc(kept, 100000);
	puts(p);
	free(p);
}

static void handler(void)
{
	use("handler");
}

__attribute__((destructor)) static void destructor(void)
{
	use("destructor");
}

int main(void)
{
	kept = malloc(300);
	fill(kept, 300, 2);
	atexit(handler);
}
