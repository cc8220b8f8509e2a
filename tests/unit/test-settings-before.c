/*
 * What files of /proc tell of a process, where they cannot be read for a while: no descriptor is to be
 * had, or the program closes all it finds. A program in a container, whose system calls are
 * filtered, had no epochs for good where that befell the first look of a life, as if the filter were
 * its own; and an epoch that said nothing of where its brk began was refused.
 */
#include <criterion/criterion.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "process/settings.h"

static struct rlimit files;

static void look_without_descriptors(void)
{
	const struct rlimit none = {0, files.rlim_max};

	cr_assert(setrlimit(RLIMIT_NOFILE, &none) == 0);
	settings_prepare();
	cr_assert(setrlimit(RLIMIT_NOFILE, &files) == 0);
}

static void filter_calls(void)
{
	struct sock_filter all[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
	struct sock_fprog program = {1, all};

	cr_assert(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	cr_assert(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

static void set_up(void)
{
	cr_assert(getrlimit(RLIMIT_NOFILE, &files) == 0);
}

TestSuite(settings_before, .init = set_up);

Test(settings_before, a_filter_that_was_there_is_known_from_the_first_look_that_succeeds)
{
	char why[192];

	filter_calls();
	look_without_descriptors();
	settings_prepare();
	cr_assert(!settings_have_filter());
	cr_assert(settings_allow_stop(why), "%s", why);
	look_without_descriptors();
	cr_assert(!settings_have_filter());
	filter_calls();
	settings_prepare();
	cr_assert(settings_have_filter());
	cr_assert(!settings_allow_stop(why));
}

Test(settings_before, a_new_life_knows_what_the_one_before_it_knew)
{
	static char bytes[1 << 16];
	struct ledger_writer writer = {.bytes = bytes, .capacity = sizeof(bytes)};
	struct refusal why;

	settings_prepare();
	const struct settings_before known = settings_before;
	settings_save(&writer);
	const struct ledger_reader state = {.bytes = bytes, .len = writer.len};
	settings_before = (struct settings_before){0};
	cr_assert(settings_check(&state, &why) == 0);
	look_without_descriptors();
	cr_assert(known.brk_start && settings_before.brk_start == known.brk_start);
	cr_assert(settings_before.oom_score_adj == known.oom_score_adj);
	cr_assert(settings_before.core_filter == known.core_filter);
}
