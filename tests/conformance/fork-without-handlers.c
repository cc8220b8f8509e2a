/*
 * DESIGN 5, raw clone: _Fork() runs no atfork handlers; what its child stores is its own, and a
 * program with one thread may go on using malloc in it.
 */
#include "must.h"

pid_t _Fork(void);

int main(void)
{
	char *p = strdup("parent");
	for (unsigned i = 0; i < 3; i++) {
		const pid_t pid = _Fork();
		if (pid == 0) {
			strcpy(p, "child");
			memset(calloc(1, 60000000), 1, 60000000);
			exit(heap_violations() == 0 ? 4 : 1);
		}
		MUST(pid > 0 && child_status(pid) == 4 && strcmp(p, "parent") == 0);
	}
	char *q = calloc(1, 60000000);
	MUST(q && is_zero(q, 60000000));
}
