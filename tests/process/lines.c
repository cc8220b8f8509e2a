/* usage: lines [COUNT WORK PAUSE_US]
 *
 * Prints lines that depend on each other, 400 if nothing else is said, with some work before each;
 * in front of the 200th it waits until there is a file "go-on". */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	const int count = argc > 3 ? atoi(argv[1]) : 400, work = argc > 3 ? atoi(argv[2]) : 2000000;
	const useconds_t pause_us = argc > 3 ? (useconds_t)atoi(argv[3]) : 0;
	unsigned long sum = 7;

	for (int line = 0; line < count; line++) {
		for (int i = 0; i < work; i++)
			sum = sum * 31 + (unsigned long)i;
		while (line == 200 && access("go-on", F_OK) != 0)
			usleep(1000);
		printf("%d %lx\n", line, sum);
		fflush(stdout);
		if (pause_us)
			usleep(pause_us);
	}
	return 0;
}
