/*
 * DESIGN 1.3: an abort gives ranges that were added their bytes back at once, stores not added stay,
 * and later hsk_add calls return -ECANCELED. From the first hsk_add on, frees take effect at the
 * commit, blocks allocated are freed by the abort, roots are taken back, and realloc copies.
 * HSK_ABORT() leaves its block.
 * All of that without a pool too; and what libc allocates for itself in a block stays: a message
 * printed before the abort once left stdout with a buffer that was given out again.
 *
 * with: HEAPSAKE_INTERVAL=0
 * run: all => signal SIGKILL
 * run: look
 * inert: all
 */
#include <malloc.h>
#include <stdio.h>

#include "step.h"

HSK_KEEP static int added, not_added;

static void bytes_come_back(void)
{
	added = 1;
	not_added = 1;
	HSK_TX {
		MUST(hsk_add(&added, sizeof(added)) == 0);
		added = 2;
		not_added = 2;
		hsk_abort();
		MUST(added == 1 && not_added == 2);
		MUST(hsk_add(&added, sizeof(added)) == -ECANCELED);
		added = 3;
	}
	MUST(added == 3);
	MUST(hsk_add(&added, sizeof(added)) == -EINVAL);
	hsk_abort();
	HSK_TX { MUST(hsk_add(&added, sizeof(added)) == 0); added = 4; }
	MUST(added == 4);
}

static void the_outermost_is_aborted(void)
{
	int left = 0, outer = 0;

	HSK_TX {
		MUST(hsk_add(&added, sizeof(added)) == 0);
		added = 50;
		HSK_TX {
			added = 51;
			if (added)
				HSK_ABORT();
			left = 1;
		}
		outer = 1;
		MUST(added == 4 && hsk_add(&added, 1) == -ECANCELED);
	}
	MUST(left == 0 && outer == 1);
}

static void blocks_follow(void)
{
	char *before = malloc(1000), *moved, *grown, *during = NULL;

	strcpy(before, "before");
	HSK_TX {
		MUST(hsk_add(&added, sizeof(added)) == 0);
		during = hide(malloc(500));
		moved = hide(malloc(30));
		strcpy(moved, "moved");
		grown = realloc(hide(moved), 3000);
		MUST(strcmp(grown, "moved") == 0);
		free(hide(before));
		MUST(strcmp(before, "before") == 0);
		HSK_ABORT();
	}
	MUST(strcmp(before, "before") == 0); /* not freed: the abort has taken it back */
	free(before);
	HSK_TX {
		MUST(hsk_add(&added, sizeof(added)) == 0);
		during = malloc(500);
		strcpy(during, "kept");
	}
	MUST(strcmp(during, "kept") == 0);
	free(during);
}

static void copies_of_strings_follow(void)
{
	const struct mallinfo2 before = mallinfo2();

	for (int i = 0; i < 1000; i++)
		HSK_TX {
			MUST(hsk_add(&added, sizeof(added)) == 0);
			MUST(strcmp(hide(strdup("a string that is copied")), "a string that is copied") == 0);
			MUST(strlen(hide(strndup("and cut", 3))) == 3);
			hsk_abort();
		}
	MUST(mallinfo2().uordblks < before.uordblks + 32000);
}

/* Roots that an abort left led to blocks that it freed, and the next run followed them. */
static void roots_follow(void)
{
	char *old = malloc(16), *other = malloc(16);

	MUST(hsk_set_root("moved", old) == 0 && hsk_set_root("removed", other) == 0);
	HSK_TX {
		MUST(hsk_set_root("before", other) == 0);
		MUST(hsk_add(&added, sizeof(added)) == 0);
		MUST(hsk_set_root("new", malloc(16)) == 0);
		MUST(hsk_set_root("moved", malloc(16)) == 0 && hsk_set_root("moved", other) == 0);
		MUST(hsk_set_root("removed", NULL) == 0);
		MUST(hsk_set_root("none", NULL) == -ENOENT);
		HSK_ABORT();
	}
	MUST(!hsk_root("new") && !hsk_root("none") && hsk_root("before") == other);
	MUST(hsk_root("moved") == old && hsk_root("removed") == other);
	HSK_TX {
		MUST(hsk_add(&added, sizeof(added)) == 0);
		MUST(hsk_set_root("moved", other) == 0);
	}
	MUST(hsk_root("moved") == other);
}

static void what_libc_has_stays(void)
{
	enum { COUNT = 64, BYTES = 4096 };
	char *blocks[COUNT];

	HSK_TX {
		MUST(hsk_add(&added, sizeof(added)) == 0);
		MUST(printf("the first use of stdout\n") > 0);
		MUST(setenv("SET_IN_A_BLOCK", "it stays", 1) == 0);
		hsk_abort();
	}
	for (int i = 0; i < COUNT; i++) {
		blocks[i] = malloc(i % 2 ? BYTES : BYTES / 4);
		memset(blocks[i], 'x', BYTES / 4);
	}
	MUST(printf("the next one\n") > 0);
	MUST(strcmp(getenv("SET_IN_A_BLOCK"), "it stays") == 0);
	for (int i = 0; i < COUNT; i++) {
		for (int j = 0; j < BYTES / 4; j++)
			MUST(blocks[i][j] == 'x');
		free(blocks[i]);
	}
}

int main(int argc, char **argv)
{
	step_begin(argc, argv);
	if (step_is("look")) {
		MUST(added == 4 && not_added == 2);
		return 0;
	}
	bytes_come_back();
	the_outermost_is_aborted();
	what_libc_has_stays();
	blocks_follow();
	copies_of_strings_follow();
	roots_follow();
	if (hsk_checkpoint(-1) == 0) {
		HSK_TX_DURABLE { MUST(hsk_add(&added, sizeof(added)) == 0); added = 9; hsk_abort(); }
		step_kill();
	}
	return 0;
}
