/*
 * Settings that only files of /proc tell: read before each cut, while threads run, for they hardly
 * ever change. And what the program has done that no next process can be given: whoever does it
 * says so, and there is no epoch any more.
 */
#include "settings.h"

#include <fcntl.h>
#include <string.h>

#include "descriptor.h"
#include "files-kind.h"
#include "os.h"
#include "ours.h"
#include "process.h"

struct settings_before settings_before OURS = {.core_filter = SETTINGS_NOT_KNOWN};

static struct {
	char veto[96];
	uint64_t filters; /* of system calls, set by whoever started us */
	bool is_known, is_filtered;
} before OURS;

/* ---- Text of /proc ---- */

static int64_t number_at(const char *text)
{
	const bool is_negative = *text == '-';
	int64_t number = 0;

	for (text += is_negative; *text >= '0' && *text <= '9'; text++)
		number = number * 10 + (*text - '0');
	return is_negative ? -number : number;
}

static uint64_t hex_at(const char *text)
{
	return file_number(&text, 16);
}

static int64_t number_named(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	if (!at)
		return 0;
	for (at += strlen(name); *at == ' ' || *at == '\t'; at++)
		;
	return number_at(at);
}

/* A number of /proc/self/stat, counted from 1 as proc(5) does; from 3 on. */
static int64_t field(const char *stat, unsigned wanted)
{
	const char *at = strrchr(stat, ')'); /* the name's end, whatever is in it */

	for (unsigned i = 2; at && i < wanted; i++) {
		at = strchr(at, ' ');
		at += at != NULL;
	}
	return at ? number_at(at) : 0;
}

static bool read_text(const char *path, char *text, size_t len)
{
	const long have = os_read_file(path, text, len - 1);

	text[have > 0 ? have : 0] = 0;
	return have > 0;
}

uint64_t settings_brk_start(void)
{
	char text[1024];

	return read_text("/proc/thread-self/stat", text, sizeof(text)) ? (uint64_t)field(text, 47) : 0;
}

/* A program that closes all it finds closes this, too, and may have the number be another file's:
 * what was known before stands then. */
static bool read_status(char *text, size_t len)
{
	return read_text("/proc/self/status", text, len) && strncmp(text, "Name:", 5) == 0;
}

static void look_at_status(void)
{
	char text[4096];

	if (!read_status(text, sizeof(text)))
		return;
	const uint64_t filters = (uint64_t)number_named(text, "Seccomp_filters:");
	if (!before.is_known)
		before.filters = filters;
	before.is_known = true;
	struct line line = line_in(before.veto, sizeof(before.veto));
	before.is_filtered = filters != before.filters;
	const int64_t tracer = number_named(text, "TracerPid:");
	if (tracer) {
		line_add(&line, "a tracer, process ");
		line_add_number(&line, (uint64_t)tracer, 10);
	} else if (before.is_filtered) {
		line_add(&line, "a filter for system calls (seccomp)");
	}
}

static void look_at_root(void)
{
	struct line line = line_in(before.veto, sizeof(before.veto));
	char root[2];

	if (os_readlinkat(AT_FDCWD, "/proc/thread-self/root", root, sizeof(root)) != 1)
		line_add(&line, "a root directory of its own (chroot)");
}

void settings_prepare(void)
{
	char text[1024];

	look_at_status();
	if (!before.veto[0])
		look_at_root();
	if (read_text("/proc/self/coredump_filter", text, sizeof(text)))
		settings_before.core_filter = (uint32_t)hex_at(text);
	if (read_text("/proc/self/oom_score_adj", text, sizeof(text)))
		settings_before.oom_score_adj = (int32_t)number_at(text);
	if (read_text("/proc/thread-self/stat", text, sizeof(text)) && field(text, 47)) {
		settings_before.brk_start = (uint64_t)field(text, 47);
		settings_before.is_foreground = field(text, 5) > 0 && field(text, 5) == field(text, 8);
	}
}

void process_note_unkept(const char *what)
{
	if (process_is_kept && !settings_before.unkept)
		settings_before.unkept = what;
}

bool settings_have_filter(void)
{
	return before.is_filtered;
}

bool settings_allow_stop(char why[192])
{
	struct line line = line_in(why, 192);

	line_add(&line, before.veto);
	if (!line.len && settings_before.unkept)
		line_add(&line, settings_before.unkept);
	return !line.len;
}
