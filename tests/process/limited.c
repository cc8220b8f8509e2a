/*
 * A program that has lowered how much it may have, below what it has of it: descriptors, stack.
 * All that and the limits come back.
 */
#include <fcntl.h>
#include <sys/resource.h>

#include "killed.h"

#define LIVES 3
#define HIGH 300
#define FILES 100
#define STACK_BYTES ((size_t)4 << 20)

static const struct {
	int which;
	rlim_t limit;
} limits[] = {
	{RLIMIT_NOFILE, FILES}, {RLIMIT_STACK, 1 << 20},
};

static void set(void)
{
	const int null = open("/dev/null", O_RDWR);

	MUST(dup2(null, HIGH) == HIGH && close(null) == 0);
	for (unsigned i = 0; i < sizeof(limits) / sizeof(*limits); i++)
		MUST(setrlimit(limits[i].which, &(struct rlimit){limits[i].limit, limits[i].limit}) == 0);
}

static void check(void)
{
	struct rlimit limit;

	MUST(fcntl(HIGH, F_GETFD) >= 0 && dup2(1, FILES) < 0);
	for (unsigned i = 0; i < sizeof(limits) / sizeof(*limits); i++)
		MUST(getrlimit(limits[i].which, &limit) == 0 && limit.rlim_cur == limits[i].limit &&
		     limit.rlim_max == limits[i].limit);
}

/* Below all that is needed to die and to look. */
static __attribute__((noinline)) void live_deep_down(void)
{
	volatile char stack[STACK_BYTES];

	memset((char *)stack, 7, sizeof(stack));
	set();
	for (int life = 1; life < LIVES; life++) {
		die();
		check();
		MUST(stack[0] == 7 && stack[STACK_BYTES - 1] == 7);
	}
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	live_deep_down();
	return failures != 0;
}
