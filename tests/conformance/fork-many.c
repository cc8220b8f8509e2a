/*
 * Shells fork thousands of times, and their children fork again.
 */
#include "must.h"

int main(void)
{
	char *p = strdup("the same in all");
	for (unsigned i = 0; i < 1000; i++) {
		const pid_t pid = fork();
		if (pid == 0) {
			if (i % 100 == 0) {
				const pid_t grandchild = fork();
				if (grandchild == 0)
					_exit(strcmp(strdup(p), p) == 0 ? 9 : 1);
				MUST(child_status(grandchild) == 9);
			}
			free(p);
			exit(i % 100);
		}
		MUST(pid > 0 && child_status(pid) == (int)(i % 100));
	}
	MUST(strcmp(p, "the same in all") == 0);
}
