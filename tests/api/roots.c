/*
 * DESIGN 1.3: hsk_root, hsk_set_root: NULL for no such root; the pointer is in the heap; NULL
 * removes; names of 1 to 63 bytes; 1024 roots. They last over kill -9.
 *
 * with: HEAPSAKE_INTERVAL=0
 * run: set => signal SIGKILL
 * run: again => signal SIGKILL
 * run: removed
 * inert: set
 */
#include "step.h"

#define LONGEST "123456789012345678901234567890123456789012345678901234567890123"

static int outside;

static void set(void)
{
	char name[16];
	char *p = malloc(100);

	MUST(!hsk_resumed());
	MUST(hsk_root("first") == NULL);
	MUST(hsk_set_root("first", NULL) == -ENOENT);
	MUST(hsk_set_root("", p) == -EINVAL);
	MUST(hsk_set_root(LONGEST "4", p) == -EINVAL);
	MUST(hsk_root(LONGEST "4") == NULL);
	MUST(hsk_set_root(LONGEST, p) == 0);
	MUST(hsk_root(LONGEST) == p);
	MUST(hsk_set_root("first", p + 7) == 0);
	MUST(hsk_root("first") == p + 7);
	for (int i = 0; i < 1022; i++) {
		snprintf(name, sizeof(name), "root %d", i);
		MUST(hsk_set_root(name, p + i % 100) == 0);
	}
	MUST(hsk_set_root("one more", p) == -ENOSPC);
	MUST(hsk_set_root("root 5", NULL) == 0);
	MUST(hsk_root("root 5") == NULL);
	MUST(hsk_set_root("one more", p) == 0);
	strcpy(p, "still here");
	if (hsk_checkpoint(-1) == 0) {
		MUST(hsk_set_root("first", &outside) == -EINVAL);
		step_kill();
	}
}

static void again(void)
{
	char *p = hsk_root(LONGEST);

	MUST(hsk_resumed());
	MUST(p && strcmp(p, "still here") == 0);
	MUST(hsk_root("first") == p + 7);
	MUST(hsk_root("root 5") == NULL);
	MUST(hsk_root("root 1021") == p + 1021 % 100);
	MUST(hsk_set_root("first", NULL) == 0);
	HSK_TX_DURABLE { hsk_set_root(LONGEST, p + 6); }
	step_kill();
}

int main(int argc, char **argv)
{
	step_begin(argc, argv);
	if (step_is("set"))
		set();
	else if (step_is("again"))
		again();
	else
		MUST(hsk_root("first") == NULL && strcmp(hsk_root(LONGEST), "here") == 0);
	return 0;
}
