/*
 * Which epoch a person means who counts back from the newest, and what to say if it is gone.
 */
#include "checkpoint.h"

#include "line.h"

/* One by one: where a run went back there are gaps between them. */
static void list_epochs(struct line *line, const uint64_t *epochs, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		line_add(line, i == 0 ? "" : i + 1 == count ? " and " : ", ");
		line_add_number(line, epochs[i], 10);
	}
}

int checkpoint_choose(struct checkpoint *checkpoint, const char *pool, int64_t wanted,
		      uint64_t *ret_epoch, struct refusal *ret_why)
{
	uint64_t epochs[CHECKPOINT_EPOCHS_MAX];
	const unsigned count = checkpoint_epochs(checkpoint, epochs);
	uint64_t epoch = wanted > 0 ? (uint64_t)wanted : 0;
	char text[CHECKPOINT_EPOCHS_MAX * 32];
	struct line there = line_in(text, sizeof(text));

	if (wanted <= 0 && wanted > -(int64_t)count)
		epoch = epochs[-wanted];
	if (epoch && checkpoint_select(checkpoint, epoch) == 0) {
		*ret_epoch = epoch;
		return 0;
	}
	if (count == 0)
		return refuse(ret_why, STATUS_INCOMPATIBLE, pool,
			      "has no epoch yet, asked for %lld; run without --epoch",
			      (long long)wanted);
	list_epochs(&there, epochs, count);
	return refuse(ret_why, STATUS_INCOMPATIBLE, pool,
		      "epoch %lld cannot be had back, %s can; choose one of these", (long long)wanted,
		      there.text);
}
