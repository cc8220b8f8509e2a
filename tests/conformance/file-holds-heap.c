/*
 * DESIGN 4.3, keep=none: what the program stores is in the pool file at once.
 * only: shared
 */
#include <fcntl.h>

#include "must.h"

int main(int argc, char **argv)
{
	char *p = malloc(1000), text[16] = "";
	strcpy(p, "in the file");
	const int fd = open(argv[1], O_RDONLY);
	const off_t offset = (off_t)((uintptr_t)p - 0x200000000000) + (2 << 20);
	MUST(argc == 2 && fd >= 0 && pread(fd, text, 12, offset) == 12);
	MUST(strcmp(text, "in the file") == 0);
}
