/*
 * DESIGN 4.3: vfork, posix_spawn, system and popen do not turn the heap private.
 * only: shared
 */
#include <spawn.h>

#include "must.h"

static bool is_shared(const char *pool)
{
	char line[4096];
	bool is_found = false;
	FILE *maps = fopen("/proc/self/maps", "r");
	while (fgets(line, sizeof(line), maps))
		is_found |= strstr(line, pool) && strstr(line, " rw-s ") &&
			    strncmp(line, "2000", 4) == 0; /* the control page is another */
	fclose(maps);
	return is_found;
}

int main(int argc, char **argv)
{
	MUST(argc == 2 && is_shared(argv[1]));
	MUST(system("exit 3") >> 8 == 3);
	FILE *output = popen("echo text", "r");
	char line[16], *const none[] = {NULL}, *const args[] = {strdup("true"), NULL};
	MUST(output && fgets(line, sizeof(line), output) && strcmp(line, "text\n") == 0);
	pclose(output);
	pid_t pid;
	MUST(posix_spawn(&pid, "/bin/true", NULL, NULL, args, none) == 0 && child_status(pid) == 0);
	pid = vfork();
	if (pid == 0)
		_exit(8);
	MUST(child_status(pid) == 8);
	MUST(is_shared(argv[1]));
	pid = fork();
	if (pid == 0)
		_exit(is_shared(argv[1]));
	MUST(child_status(pid) == 0 && !is_shared(argv[1]));
}
