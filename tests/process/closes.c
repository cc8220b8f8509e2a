/*
 * A program that closes every descriptor it did not open, as daemons do, ours among them: it is
 * kept all the same, and none of what we open again is taken for a descriptor of its own.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NUMBERS 1024
#define PAGES 300
#define PAGE_BYTES 4096

static char pages[PAGES][PAGE_BYTES];

static void close_one_by_one(void)
{
	for (int fd = 3; fd < NUMBERS; fd++)
		close(fd);
}

static void close_at_once(void)
{
	close_range(3, NUMBERS, 0);
}

static void fill(int value)
{
	for (int i = 0; i < PAGES; i++)
		memset(pages[i], value + i, PAGE_BYTES);
}

static bool is_filled(int value)
{
	for (int i = 0; i < PAGES; i++)
		for (int at = 0; at < PAGE_BYTES; at++)
			if (pages[i][at] != (char)(value + i))
				return false;
	return true;
}

static bool comes_back(int value)
{
	char line[16];

	fill(value);
	puts("kill");
	return fgets(line, sizeof(line), stdin) && strcmp(line, "go on\n") == 0 && is_filled(value);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int round = 0; round < 4; round++) {
		(round % 2 ? close_at_once : close_one_by_one)();
		if (!comes_back(round)) {
			printf("closes: round %d is lost\n", round);
			return 1;
		}
	}
	return 0;
}
