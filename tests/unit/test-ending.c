/* What is said of the end of the last run is true, or not said. */
#include <criterion/criterion.h>
#include <string.h>

#include "control.h"
#include "ending.h"

#define MS UINT64_C(1000000)
#define CUT (UINT64_C(1700000000) * 1000 * MS)

static const char *told_of(struct ending ending, uint64_t epoch)
{
	static char text[64];
	struct line line = line_in(text, sizeof(text));

	ending_tell(&ending, epoch, &line);
	return text;
}

Test(ending, an_end_that_was_seen_is_told)
{
	const struct ending seen = {812, CUT, CUT + 3 * MS, CUT + 84 * MS + 999999};

	cr_assert_str_eq(told_of(seen, 812), ", 84 ms before the end");
	cr_assert_str_eq(told_of((struct ending){812, CUT, 0, CUT}, 812), ", 0 ms before the end");
}

Test(ending, of_one_that_nobody_saw_only_a_long_time_is_told)
{
	cr_assert_str_eq(told_of((struct ending){812, CUT, CUT + 999 * MS, 0}, 812), "");
	cr_assert_str_eq(told_of((struct ending){812, CUT, CUT + 61000 * MS, 0}, 812),
			 ", at least 61000 ms before the end");
}

Test(ending, nothing_is_told_that_is_not_known)
{
	const struct ending seen = {812, CUT, CUT, CUT + 84 * MS};

	cr_assert_str_eq(told_of(seen, 811), "", "an older epoch was asked for");
	cr_assert_str_eq(told_of(seen, 813), "", "the page is older than the log, after a power cut");
	cr_assert_str_eq(told_of((struct ending){812, 0, CUT, CUT}, 812), "", "no epoch in that run");
	cr_assert_str_eq(told_of((struct ending){812, CUT, 0, CUT - 1}, 812), "", "clock set back");
	cr_assert_str_eq(told_of((struct ending){0}, 0), "");
}

Test(ending, is_read_from_the_page_of_the_last_owner)
{
	static struct control page;
	const struct control_owner owner = {.pid = 42, .program = "redis"};
	struct control_status status = {.epoch = 812, .epoch_unix_ns = CUT};
	struct ending ending = {1, 2, 3, 4};

	ending_read(&ending, &page);
	cr_assert_eq(ending.epoch, 0, "garbage");
	control_enter_owner(&page, &owner, KEEP_PROCESS);
	control_publish(&page, &status);
	ending_read(&ending, &page);
	cr_assert(ending.epoch == 812 && ending.cut_unix_ns == CUT && ending.ended_unix_ns == 0);
	cr_assert_gt(ending.alive_unix_ns, CUT);
	control_note_end(&page, CUT + 5);
	ending_read(&ending, &page);
	cr_assert_eq(ending.ended_unix_ns, CUT + 5);
	control_enter_owner(&page, &owner, KEEP_PROCESS);
	ending_read(&ending, &page);
	cr_assert(ending.epoch == 0 && ending.alive_unix_ns == 0 && ending.ended_unix_ns == 0);
	control_publish(&page, &status);
	control_leave_owner(&page);
	ending_read(&ending, &page);
	cr_assert_geq(ending.ended_unix_ns, ending.alive_unix_ns);
}
