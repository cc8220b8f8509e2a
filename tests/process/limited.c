/*
 * A program that has lowered how many descriptors it may have, below some that are open: they and
 * the limit come back.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define HIGH 300
#define LIMIT 100

static int come_back(int number)
{
	struct rlimit limit;
	char line[16];

	puts("kill");
	if (!fgets(line, sizeof(line), stdin) || strcmp(line, "go on\n") != 0)
		return 0;
	if (fcntl(HIGH, F_GETFD) < 0)
		return printf("limited: descriptor %d is not there\n", HIGH) < 0;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur != LIMIT || dup2(1, LIMIT) >= 0)
		return printf("limited: the limit is %llu\n", (unsigned long long)limit.rlim_cur) < 0;
	return number;
}

int main(void)
{
	const int null = open("/dev/null", O_RDWR);

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (dup2(null, HIGH) < 0 || setrlimit(RLIMIT_NOFILE, &(struct rlimit){LIMIT, LIMIT}) < 0)
		return 2;
	return come_back(1) && come_back(2) ? 0 : 1;
}
