/*
 * DESIGN 1.3, 2.6: what cannot be made durable is said. A pool whose file has been removed ends with
 * the program: it is DEGRADED, and nothing is durable in it any more; what a caller is told is one
 * of the errors heapsake.h names.
 *
 * with: HEAPSAKE_INTERVAL=0
 * run: run
 * says: heapsake: .*: its file has been removed: error 116 \(Stale file handle\); the last epoch stands
 * says: heapsake: exit: the last epoch could not be made durable: .*
 * inert: run
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "step.h"

HSK_KEEP static int count;

static void remove_the_pool(void)
{
	char line[4096];
	FILE *maps = fopen("/proc/self/maps", "r");
	char *path = NULL;

	while (!path && fgets(line, sizeof(line), maps))
		path = strstr(line, "/api.pool\n") ? strchr(line, '/') : NULL;
	fclose(maps);
	MUST(path);
	path[strcspn(path, "\n")] = 0;
	MUST(unlink(path) == 0);
}

int main(int argc, char **argv)
{
	struct hsk_info info = {.size = sizeof(info)};

	step_begin(argc, argv);
	if (hsk_checkpoint(-1) == -ENODEV)
		return 0;
	remove_the_pool();
	count++;
	MUST(hsk_checkpoint(-1) == -EIO);
	HSK_TX_DURABLE { count++; }
	MUST(hsk_status() == -EIO);
	MUST(hsk_info(&info) == 0 && info.state == HSK_STATE_DEGRADED && info.error == ESTALE);
	return 0;
}
