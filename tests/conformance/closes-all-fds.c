/*
 * DESIGN 5: a program that closes every descriptor still grows its heap, into the file.
 * only: shared kept
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "must.h"

int main(int argc, char **argv)
{
	struct stat st;
	MUST(argc == 2);
	for (int fd = 3; fd < 1024; fd++)
		close(fd);
	const int null = open("/dev/null", O_RDWR);
	for (int fd = 4; fd < 64; fd++)
		MUST(dup2(null, fd) == fd);
	const size_t n = 100 << 20;
	char *p = malloc(n);
	MUST(p);
	memset(p, 1, n);
	MUST(stat(argv[1], &st) == 0 && st.st_size >= 256 << 20);
	free(p);
}
