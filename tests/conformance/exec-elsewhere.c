/*
 * The pool was named relative to a directory the owner has left when it execs: the next program
 * gets the same pool, and no other is made where it stands now. The name has a percent sign.
 * expect: stdout the same pool
 * only: shared private
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
	MUST(setenv("HEAPSAKE_QUIET", "1", 1) == 0 && setenv("LD_PRELOAD", library, 1) == 0);
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
