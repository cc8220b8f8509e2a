/* Prints 400 lines that depend on each other, with some work before each; in the middle it waits
 * until there is a file "go-on". */
#include <stdio.h>
#include <unistd.h>

int main(void)
{
	unsigned long sum = 7;

	for (int line = 0; line < 400; line++) {
		for (int i = 0; i < 2000000; i++)
			sum = sum * 31 + (unsigned long)i;
		while (line == 200 && access("go-on", F_OK) != 0)
			usleep(1000);
		printf("%d %lx\n", line, sum);
		fflush(stdout);
	}
	return 0;
}
