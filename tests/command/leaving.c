/*
 * Killed when it has ended: by what a stream writes that libc finds full after the last destructor,
 * so after the mark. The newer stream is emptied first; the older one, when it is, fills it again.
 */
#include <signal.h>
#include <stdio.h>

static FILE *newer;

static ssize_t fill_again(void *cookie, const char *bytes, size_t len)
{
	(void)cookie;
	fwrite(bytes, 1, len, newer);
	return (ssize_t)len;
}

static ssize_t die_at_second(void *cookie, const char *bytes, size_t len)
{
	static int writes;

	(void)cookie;
	(void)bytes;
	if (++writes == 2)
		raise(SIGKILL);
	return (ssize_t)len;
}

int main(void)
{
	FILE *older = fopencookie(NULL, "w", (cookie_io_functions_t){.write = fill_again});

	newer = fopencookie(NULL, "w", (cookie_io_functions_t){.write = die_at_second});
	fputs("first", newer);
	fputs("second", older);
	return 3;
}
