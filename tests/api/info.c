/*
 * DESIGN 1.3, 2.1: hsk_info() with .size set first; loss_ms is the age of the newest epoch if
 * anything was stored since, else 0. Programs of other versions ask for less or more.
 *
 * with: HEAPSAKE_INTERVAL=0
 * run: first
 * run: second
 * inert: first
 */
#include <unistd.h>

#include "step.h"

HSK_KEEP static int value;

static struct hsk_info ask(void)
{
	struct hsk_info info = {.size = sizeof(info)};

	MUST(hsk_info(&info) == 0 && info.size == sizeof(info));
	return info;
}

/* What there is to go on from is known as early as that. */
static struct hsk_info at_start;

__attribute__((constructor)) static void note_start(void)
{
	at_start = ask();
}

static void sizes(void)
{
	struct {
		struct hsk_info info;
		char more[64];
	} newer;
	struct hsk_info too_small = {.size = 8};

	memset(&newer, 'x', sizeof(newer));
	newer.info.size = sizeof(newer);
	MUST(hsk_info(&newer.info) == 0 && newer.info.size == sizeof(newer.info));
	MUST(is_zero(newer.more, sizeof(newer.more)));
	MUST(hsk_info(&too_small) == -EINVAL);
	too_small.size = 0;
	MUST(hsk_info(&too_small) == -EINVAL);
}

int main(int argc, char **argv)
{
	step_begin(argc, argv);
	struct hsk_info info = ask();
	sizes();
	MUST(info.resumed == (uint32_t)step_is("second"));
	MUST((info.resumed_epoch != 0) == step_is("second"));
	MUST(at_start.resumed == info.resumed && at_start.resumed_epoch == info.resumed_epoch);
	value++;
	usleep(2000);
	MUST((ask().loss_ms > 0) == (info.keep == HSK_KEEP_HEAP)); /* nobody has looked, and yet */
	if (hsk_checkpoint(-1) == -ENODEV) {
		info = ask();
		MUST(info.state == HSK_STATE_NONE && info.keep == HSK_KEEP_NOTHING && info.epoch == 0);
		return 0;
	}
	info = ask();
	MUST(info.state == HSK_STATE_OK && info.keep == HSK_KEEP_HEAP && info.error == 0);
	MUST(info.epoch == hsk_epoch() && info.epoch > 0 && info.epochs > 0);
	MUST(info.oldest_epoch > 0 && info.oldest_epoch <= info.epoch);
	MUST(info.code_moved == 0 && info.log_bytes > 0);
	MUST(info.heap_bytes == (uint64_t)64 << 20 && info.open_bytes > 0);
	return 0;
}
