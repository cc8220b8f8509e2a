/*
 * DESIGN 1.3: errno is untouched by every function, whatever it returns.
 *
 * with: HEAPSAKE_INTERVAL=0
 * run: all
 * inert: all
 */
#include "step.h"

HSK_KEEP static int value;

#define QUIETLY(call) \
	do { \
		errno = 4711; \
		(void)(call); \
		MUST(errno == 4711); \
	} while (0)

int main(int argc, char **argv)
{
	struct hsk_info info = {.size = sizeof(info)};
	char *p = malloc(100);

	step_begin(argc, argv);
	QUIETLY(hsk_root("none"));
	QUIETLY(hsk_set_root("one", p));
	QUIETLY(hsk_set_root("one", &info));
	QUIETLY(hsk_set_root("", p));
	QUIETLY(hsk_checkpoint(-1));
	QUIETLY(hsk_checkpoint(0));
	QUIETLY(hsk_epoch());
	QUIETLY(hsk_resumed());
	QUIETLY(hsk_status());
	QUIETLY(hsk_exclude(p, 10));
	QUIETLY(hsk_exclude(p, 0));
	QUIETLY(hsk_exclude(&info, 1));
	QUIETLY(hsk_info(&info));
	QUIETLY(hsk_add(&value, 4));
	QUIETLY(hsk_abort());
	errno = 4711;
	HSK_TX { QUIETLY(hsk_add(&value, 4)); value++; }
	HSK_TX { QUIETLY(hsk_add(&value, 4)); QUIETLY(hsk_abort()); }
	HSK_TX_DURABLE { value++; }
	MUST(errno == 4711);
	return 0;
}
