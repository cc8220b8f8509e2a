/*
 * Pool and library were named relative to a directory the owner has left when it execs: the next
 * program gets the same pool, and no other is made where it stands now. The pool's name has a
 * percent sign. The start line is printed once.
 * expect: stdout the same pool
 * expect: stderr heapsake: .+per%cent.pool: keep none, up to 64 MiB; nothing of this run will come back
 * only: shared kept
 */
#include "must.h"

#include <limits.h>
#include <sys/stat.h>

static void step_start(char **argv, char *library)
{
	char *slash = strrchr(argv[1], '/');
	MUST(slash);
	*slash = '\0';
	MUST(chdir(argv[1]) == 0 && mkdir("elsewhere", 0700) == 0);
	MUST(setenv("HEAPSAKE_POOL", "per%%cent.pool", 1) == 0);
	MUST(setenv("HEAPSAKE_SIZE", "64M", 1) == 0 && setenv("HEAPSAKE_KEEP", "none", 1) == 0);
	char link[PATH_MAX];
	snprintf(link, sizeof(link), ".%s", strrchr(library, '/'));
	MUST(symlink(library, link) == 0);
	MUST(unsetenv("HEAPSAKE_QUIET") == 0 && setenv("LD_PRELOAD", link, 1) == 0);
	execl("/proc/self/exe", argv[0], argv[1], "leave", NULL);
}

int main(int argc, char **argv)
{
	Dl_info info;
	MUST(argc >= 2 && is_in_pool(malloc(100)));
	if (argc == 2) {
		MUST(dladdr(dlsym(RTLD_DEFAULT, "malloc"), &info));
		step_start(argv, strdup(info.dli_fname));
	} else if (strcmp(argv[2], "leave") == 0) {
		MUST(access("per%cent.pool", F_OK) == 0 && chdir("elsewhere") == 0);
		execl("/proc/self/exe", argv[0], argv[1], "arrive", NULL);
	} else {
		MUST(access("per%cent.pool", F_OK) != 0 && access("../per%cent.pool", F_OK) == 0);
		puts("the same pool");
		return 0;
	}
	MUST(!"exec returned");
}
