/* What is told of trouble, while it lasts: to who looks, and once in a line. */
#include "kept-pages.h"

#include <errno.h>

#include "checkpoint/report.h"

TestSuite(report, .init = scratch_open, .fini = scratch_close);

static struct control page;
static struct report report = {.control = &page, .pool = "some.pool"};
static struct control_snapshot snapshot;
static char said[1024];

/* What is published now; and what has been said of it. */
static void publish(void)
{
	const char *path = scratch_path("said");
	const int caller = dup(2), own = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	cr_assert(dup2(own, 2) == 2);
	report_publish(&report, engine);
	cr_assert(dup2(caller, 2) == 2);
	const ssize_t len = pread(own, said, sizeof(said) - 1, 0);
	cr_assert_geq(len, 0);
	said[len] = 0;
	close(own);
	close(caller);
	cr_assert_eq(control_read(&page, &snapshot), 0);
}

static void fail_from_now(uint64_t calls)
{
	disk.fault = DISK_FAULT_EIO;
	disk.fault_from = disk.calls;
	disk.fault_until = disk.calls + calls;
}

/* So much that there is something to merge, and the next segment is zeros already. */
static void fill_log(void)
{
	control_enter_owner(&page, &(struct control_owner){.pid = 42}, KEEP_HEAP);
	make_pool_on(&disk);
	open_engine(&disk.medium);
	for (unsigned i = 0; i < 40; i++) {
		memset(memory[i % PAGES], (int)i + 1, PAGE);
		commit();
	}
}

static int tend(void)
{
	int status;

	do
		status = checkpoint_tend(engine);
	while (status == CHECKPOINT_MORE);
	return status;
}

/* It was known to nobody until the disk was full. */
Test(report, a_log_that_cannot_be_emptied_is_told_once_and_shown_while_it_is_so)
{
	fill_log();
	publish();
	cr_assert(snapshot.status.state == CONTROL_OK && !said[0], "%s", said);
	fail_from_now(1000);
	for (unsigned i = 0; i < 3; i++) {
		cr_assert_eq(tend(), -EIO);
		publish();
		cr_assert_eq(snapshot.status.state, CONTROL_DEGRADED);
		cr_assert_eq(snapshot.status.error, EIO);
		cr_assert(strstr(snapshot.status.why, "log cannot be emptied"), "%s", snapshot.status.why);
		cr_assert_eq(strstr(said, "some.pool: the log cannot be emptied") != NULL, i == 0, "%s", said);
	}
	disk.fault = DISK_FAULT_NONE;
	publish();
	cr_assert_eq(snapshot.status.state, CONTROL_DEGRADED);
	cr_assert_eq(tend(), 0);
	publish();
	cr_assert_eq(snapshot.status.state, CONTROL_OK);
	cr_assert(strstr(said, "emptied again"), "%s", said);
	checkpoint_close(engine);
}

/* Who commits then says so. */
Test(report, a_full_disk_is_not_told_by_who_empties_the_log)
{
	fill_log();
	fail_from_now(1000);
	disk.fault = DISK_FAULT_NO_SPACE;
	cr_assert_eq(tend(), -ENOSPC);
	publish();
	cr_assert(snapshot.status.state == CONTROL_OK && !said[0], "%s", said);
	checkpoint_close(engine);
}
