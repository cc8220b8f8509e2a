/*
 * The problem: who resumes wants to know how much was lost, and a program that is killed tells
 * nobody when that was. The trick: it has a witness with keep=process, its keeper, who notes the
 * time when it is dead; and one that ends by itself notes it. Of others there is the last sign of
 * life, one an epoch: as long as epochs succeed it says no more than how long they take to become
 * durable; but when they have failed for long, that at least so much is lost. The guarantee: what
 * is told is true, or not told.
 *
 * The page is not durable. After a power cut it may be an older one, so it is believed only if it
 * knows the epoch that is gone on from. From an older one than the newest it does not.
 */
#include "ending.h"

#include "control.h"

#define WORTH_TELLING_NS UINT64_C(1000000000)

void ending_read(struct ending *ret_ending, const struct control *control)
{
	struct control_snapshot last;

	*ret_ending = (struct ending){0};
	if (control_read(control, &last) != 0)
		return;
	*ret_ending = (struct ending){
		.epoch = last.status.epoch,
		.cut_unix_ns = last.status.epoch_unix_ns,
		.alive_unix_ns = last.alive_unix_ns,
		.ended_unix_ns = last.ended_unix_ns,
	};
}

void ending_tell(const struct ending *ending, uint64_t epoch, struct line *line)
{
	const uint64_t cut_ns = ending->cut_unix_ns;
	const bool is_seen = ending->ended_unix_ns != 0;
	const uint64_t until_ns = is_seen ? ending->ended_unix_ns : ending->alive_unix_ns;

	if (!epoch || ending->epoch != epoch || !cut_ns || until_ns < cut_ns)
		return; /* or the clock has been set back meanwhile */
	if (!is_seen && until_ns - cut_ns < WORTH_TELLING_NS)
		return;
	line_add(line, is_seen ? ", " : ", at least ");
	line_add_number(line, (until_ns - cut_ns) / 1000000, 10);
	line_add(line, " ms before the end");
}
