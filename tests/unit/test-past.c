/* What the command reads of a kept process: how it was started, and whether it has ended. */
#include <criterion/criterion.h>
#include <string.h>

#include "command/past.h"

static char bytes[1 << 16];
static struct ledger_writer writer;

static const char strings[] = "/usr/bin/prog\0/a b\0prog\0\0-x\0HOME=/\0HEAPSAKE_KEEPER=512\0LD_PRELOAD=x";

static struct launched_record *write_launched(void)
{
	memset(bytes, 0, sizeof(bytes));
	writer = (struct ledger_writer){.bytes = bytes, .capacity = sizeof(bytes)};
	struct launched_record *record =
		ledger_put(&writer, LEDGER_LAUNCHED, sizeof(*record) + sizeof(strings));
	record->argc = 3;
	record->envc = 3;
	record->pid = 2;
	record->stack_limit = 8 << 20;
	strcpy(record->command, "prog  -x");
	memcpy(record + 1, strings, sizeof(strings));
	return record;
}

static bool parse(struct past *ret_past)
{
	return past_parse(ret_past, (struct ledger_reader){bytes, sizeof(bytes), 0});
}

Test(past, says_how_the_program_was_started)
{
	struct past past = {.kind = PAST_NONE};

	write_launched();
	cr_assert(parse(&past));
	cr_assert_eq(past.kind, PAST_RUNNING);
	cr_assert_str_eq(past.exe, "/usr/bin/prog");
	cr_assert_str_eq(past.cwd, "/a b");
	cr_assert_str_eq(past.argv[0], "prog");
	cr_assert_str_eq(past.argv[1], "");
	cr_assert_str_eq(past.argv[2], "-x");
	cr_assert_null(past.argv[3]);
	cr_assert_str_eq(past.envp[2], "LD_PRELOAD=x");
	cr_assert_null(past.envp[3]);
	cr_assert_eq(past.launched.pid, 2);
	cr_assert_str_eq(past.launched.command, "prog  -x");
}

Test(past, variables_are_found_by_their_whole_names)
{
	struct past past = {.kind = PAST_NONE};

	write_launched();
	cr_assert(parse(&past));
	cr_assert_str_eq(past_variable(&past, "HEAPSAKE_KEEPER"), "512");
	cr_assert_str_eq(past_variable(&past, "HOME"), "/");
	cr_assert_null(past_variable(&past, "HEAPSAKE_KEEP"));
	cr_assert_null(past_variable(&past, "HEAPSAKE_KEEPERS"));
}

Test(past, an_ended_program_says_with_which_status)
{
	struct past past = {.kind = PAST_NONE};

	write_launched();
	*(int32_t *)ledger_put(&writer, LEDGER_ENDED, sizeof(int32_t)) = 7;
	cr_assert(parse(&past));
	cr_assert_eq(past.kind, PAST_ENDED);
	cr_assert_eq(past.end_status, 7);
}

Test(past, nonsense_is_not_believed)
{
	struct past past = {.kind = PAST_NONE};

	memset(bytes, 0, sizeof(bytes));
	cr_assert_not(parse(&past), "nothing");
	write_launched()->argc = 4;
	cr_assert_not(parse(&past), "a string is missing");
	write_launched()->envc = UINT32_MAX;
	cr_assert_not(parse(&past), "counts that wrap around");
	write_launched();
	memset(bytes + writer.len - 8, 'x', 8); /* no final zero */
	cr_assert_not(parse(&past), "an endless string");
}

Test(past, a_command_line_without_its_end_is_cut_off)
{
	struct past past = {.kind = PAST_NONE};
	struct launched_record *record = write_launched();

	memset(record->command, 'c', sizeof(record->command));
	cr_assert(parse(&past));
	cr_assert_eq(strlen(past.launched.command), KEEPER_COMMAND_BYTES - 1);
}
