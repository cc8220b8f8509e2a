/*
 * DESIGN 1.3: what is excluded is stored as zeros, byte-exact, until hsk_exclude(ptr, 0).
 *
 * with: HEAPSAKE_INTERVAL=0
 * run: exclude => signal SIGKILL
 * run: look => signal SIGKILL
 * run: ended
 * inert: exclude
 */
#include "step.h"

HSK_KEEP static char key[40];

static void exclude(void)
{
	char *p = malloc(20000);

	MUST(hsk_set_root("p", p) == 0);
	fill(p, 20000, 1);
	memset(key, 'k', sizeof(key));
	if (hsk_checkpoint(-1) != 0) {
		MUST(hsk_exclude(p, 10) == 0);
		exit(0);
	}
	/* Not stored to any more: it must be noticed nevertheless. */
	MUST(hsk_exclude(p + 100, 9001) == 0);
	MUST(hsk_exclude(key + 1, 3) == 0);
	MUST(hsk_exclude(p + 200, 1) == -EEXIST);
	MUST(hsk_exclude(p + 200, 0) == -ENOENT);
	MUST(hsk_exclude(&p, sizeof(p)) == -EINVAL);
	MUST(hsk_checkpoint(-1) == 0);
	MUST(is_filled(p, 20000, 1) && key[1] == 'k');
	step_kill();
}

static void look(void)
{
	char *p = hsk_root("p"), expected[20000];

	fill(expected, sizeof(expected), 1);
	memset(expected + 100, 0, 9001);
	MUST(memcmp(p, expected, sizeof(expected)) == 0);
	MUST(memcmp(key, "k\0\0\0kkkk", 8) == 0);
	MUST(hsk_exclude(p, 50) == 0);
	MUST(hsk_exclude(p, 0) == 0);
	MUST(hsk_exclude(p + 19000, 10) == 0);
	fill(p, 20000, 2);
	MUST(hsk_checkpoint(-1) == 0);
	MUST(hsk_exclude(p + 19000, 0) == 0);
	MUST(hsk_checkpoint(-1) == 0);
	step_kill();
}

int main(int argc, char **argv)
{
	step_begin(argc, argv);
	if (step_is("exclude"))
		exclude();
	else if (step_is("look"))
		look();
	else
		MUST(is_filled(hsk_root("p"), 20000, 2));
	return 0;
}
