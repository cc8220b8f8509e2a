/*
 * DESIGN 2.6: a program may take from us what we find its stores with: it closes all descriptors,
 * and may open no more. Then no epoch can be taken, and the state is not OK; it is again as soon as
 * descriptors are to be had.
 *
 * with: HEAPSAKE_INTERVAL=0
 * run: run
 * says: heapsake: .*: what has changed in memory cannot be found: error \d+ \(.+\); the last epoch stands
 * says: heapsake: .*: epochs are durable again
 * run: look
 * inert: run
 */
#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

#include "step.h"

HSK_KEEP static int count;

static void allow_descriptors(rlim_t most)
{
	struct rlimit limit;

	MUST(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	limit.rlim_cur = most < limit.rlim_max ? most : limit.rlim_max;
	MUST(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

static uint32_t state(void)
{
	struct hsk_info info = {.size = sizeof(info)};

	MUST(hsk_info(&info) == 0);
	return info.state;
}

int main(int argc, char **argv)
{
	step_begin(argc, argv);
	if (step_is("look"))
		MUST(count == 2);
	if (step_is("look") || hsk_checkpoint(-1) == -ENODEV)
		return 0;
	for (int fd = 3; fd < 1024; fd++)
		close(fd);
	allow_descriptors(3);
	count++;
	MUST(hsk_checkpoint(-1) == -EIO && state() == HSK_STATE_DEGRADED);
	allow_descriptors(1024);
	count++;
	MUST(hsk_checkpoint(-1) == 0 && state() == HSK_STATE_OK);
	return 0;
}
