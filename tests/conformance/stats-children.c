/*
 * HEAPSAKE_STATS: one line, of the owner; none of its forked children.
 * expect: stderr \{"schema":1,"size_bytes":268435456,"open_bytes":\d+,"peak_bytes":\d+,"live_bytes":\d+,.*"threads":1\}
 * with: HEAPSAKE_STATS=json
 * only: shared kept
 */
#include "must.h"

int main(void)
{
	MUST(malloc(100));
	const pid_t pid = fork();
	if (pid == 0)
		exit(5);
	MUST(child_status(pid) == 5);
}
