/*
 * DESIGN 2.7, 4.3: after the first fork neither side's stores reach the file or the other side.
 * only: shared
 */
#include <fcntl.h>

#include "must.h"

static char *file_text(const char *path, const void *p)
{
	static char text[16];
	const int fd = open(path, O_RDONLY);
	MUST(fd >= 0);
	MUST(pread(fd, text, 10, (off_t)((uintptr_t)p - 0x200000000000) + (2 << 20)) == 10);
	close(fd);
	return text;
}

int main(int argc, char **argv)
{
	char *p = malloc(100);
	MUST(argc == 2);
	strcpy(p, "before...");
	const pid_t pid = fork();
	if (pid == 0) {
		MUST(strcmp(p, "before...") == 0);
		strcpy(p, "child....");
		for (size_t n = 1; n < 50000000; n = n * 2 + 1) {
			void *q = calloc(1, n);
			MUST(q && is_zero(q, n));
			memset(q, 1, n);
			free(q);
		}
		exit(strcmp(file_text(argv[1], p), "before...") == 0 ? 7 : 1);
	}
	MUST(child_status(pid) == 7);
	MUST(strcmp(p, "before...") == 0);
	strcpy(p, "parent...");
	MUST(strcmp(file_text(argv[1], p), "before...") == 0);
	char *q = calloc(1, 30000000);
	MUST(q && is_zero(q, 30000000));
}
