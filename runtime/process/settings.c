/*
 * Settings: what else is a process's own: directory, umask, limits, brk, groups, sessions.
 *
 * The problem: some of it costs a file to read, and the pause is no time for that; some cannot be
 * given to another process at all. The trick: what is read from files is read before
 * (settings-before.c); what cannot be brought back is a veto, so that there is no epoch a resume
 * would have to refuse. The guarantee: what is in the record, settings_make() can make, in a
 * process that may do what the old one might.
 *
 * Credentials are each thread's own, to the kernel: threads-make.c.
 */
#include "settings.h"

#include <asm/ioctls.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "descriptor.h"
#include "ours.h"
#include "task.h"
#include "threads-parts.h"

#define LIMITS 16
#define THP_EXCEPT_ADVISED 2 /* Linux 6.18 */
#define MEMBARRIER_GET_REGISTRATIONS (1 << 9) /* Linux 6.3; its result has the register commands */
#define MEMBARRIER_REGISTER_ALL ((1 << 2) | (1 << 4) | (1 << 6) | (1 << 8))

enum settings_flags {
	SETTINGS_LEADS_GROUP = 1,
	SETTINGS_LEADS_SESSION = 2,
	SETTINGS_IS_FOREGROUND = 4, /* its group, of its terminal */
	SETTINGS_IS_SUBREAPER = 8,
	SETTINGS_HAS_NO_THP = 16,
	SETTINGS_HAS_ADVISED_THP = 32, /* but where they were asked for */
};

/* LEDGER_SETTINGS: this, group_count groups of 4 bytes, the working directory with its final 0. */
struct settings_record {
	uint64_t brk, brk_start;
	struct rlimit limits[LIMITS];
	uint32_t umask, flags, membarrier;
	int32_t oom_score_adj;
	uint32_t group_count;
	uint32_t core_filter; /* what is dumped; SETTINGS_NOT_KNOWN: the kernel dumps nothing */
};


static uint32_t flags_now(void)
{
	const int pid = os_getpid();
	int is_subreaper = 0;
	uint32_t flags = 0;

	if (os_getpgid() == pid)
		flags |= SETTINGS_LEADS_GROUP | (settings_before.is_foreground ? SETTINGS_IS_FOREGROUND : 0);
	if (os_getsid() == pid)
		flags |= SETTINGS_LEADS_SESSION;
	if (os_prctl(PR_GET_CHILD_SUBREAPER, (uintptr_t)&is_subreaper, 0) == 0 && is_subreaper)
		flags |= SETTINGS_IS_SUBREAPER;
	const int thp = os_prctl(PR_GET_THP_DISABLE, 0, 0);
	if (thp > 0)
		flags |= SETTINGS_HAS_NO_THP | (thp & THP_EXCEPT_ADVISED ? SETTINGS_HAS_ADVISED_THP : 0);
	return flags;
}

static void fill(struct settings_record *record)
{
	const int registrations = os_membarrier_command(MEMBARRIER_GET_REGISTRATIONS);

	record->brk = os_brk(0);
	record->brk_start = settings_before.brk_start;
	for (int i = 0; i < LIMITS; i++)
		os_getrlimit(i, &record->limits[i]);
	record->umask = os_umask(077);
	os_umask(record->umask);
	record->flags = flags_now();
	record->membarrier = registrations >= 0 ? (uint32_t)registrations : MEMBARRIER_REGISTER_ALL;
	record->oom_score_adj = settings_before.oom_score_adj;
	record->core_filter = settings_before.core_filter;
}

void settings_save(struct ledger_writer *writer)
{
	static char cwd[PATH_MAX] OURS;
	const int group_count = threads_shared.group_count;
	const int cwd_bytes = os_getcwd(cwd, sizeof(cwd));

	if (settings_before.unkept)
		ledger_veto(writer, settings_before.unkept, NULL);
	if (group_count < 0)
		ledger_veto(writer, "a membership in too many groups", NULL);
	if (cwd_bytes < 0 || cwd[0] != '/') /* "(unreachable)..." */
		ledger_veto(writer, "a working directory that is gone", NULL);
	if (writer->veto[0])
		return;
	const size_t group_bytes = (unsigned)group_count * sizeof(uint32_t);
	struct settings_record *record = ledger_put(writer, LEDGER_SETTINGS,
		sizeof(*record) + group_bytes + (unsigned)cwd_bytes);
	char *const after = (char *)(record + 1);
	fill(record);
	record->group_count = (unsigned)group_count;
	memcpy(after, threads_shared.groups, group_bytes);
	memcpy(after + group_bytes, cwd, (unsigned)cwd_bytes);
}

/* ---- Making ---- */

static const struct settings_record *find(const struct ledger_reader *state, const char **ret_cwd)
{
	struct ledger_reader reader = *state;
	size_t len;
	const struct settings_record *record = ledger_next(&reader, LEDGER_SETTINGS, &len);

	if (!record || len < sizeof(*record) || record->group_count > THREADS_GROUPS_MAX ||
	    len <= sizeof(*record) + record->group_count * sizeof(uint32_t))
		return NULL;
	*ret_cwd = (const char *)(record + 1) + record->group_count * sizeof(uint32_t);
	return record;
}

const uint32_t *settings_groups(const struct ledger_reader *state, unsigned *ret_count)
{
	const char *cwd;
	const struct settings_record *record = find(state, &cwd);

	*ret_count = record ? record->group_count : 0;
	return record ? (const uint32_t *)(record + 1) : NULL;
}

/* As long as the program closes nothing: else an epoch of the new life might have none of this. */
static void know_before(const struct settings_record *record)
{
	settings_prepare();
	settings_before.brk_start = record->brk_start;
	settings_before.oom_score_adj = record->oom_score_adj;
	settings_before.core_filter = record->core_filter;
}

int settings_check(const struct ledger_reader *state, struct refusal *ret_why)
{
	const char *cwd;
	const struct settings_record *record = find(state, &cwd);
	struct stat st;

	if (!record)
		return refuse(ret_why, STATUS_CORRUPT, "the image", "has no settings; use an older epoch");
	if (os_stat(cwd, &st) != 0 || !S_ISDIR(st.st_mode))
		return refuse(ret_why, STATUS_INCOMPATIBLE, cwd,
			      "the program's working directory is gone; make it again");
	if (settings_brk_start() != record->brk_start)
		return refuse(ret_why, STATUS_INCOMPATIBLE, "brk", "the heap began at %#llx and does at "
			      "%#llx; address randomisation must be off, and the kernel the same",
			      (unsigned long long)record->brk_start,
			      (unsigned long long)settings_brk_start());
	for (int i = 0; i < LIMITS; i++) {
		struct rlimit now;
		if (os_getrlimit(i, &now) == 0 && record->limits[i].rlim_cur > now.rlim_max &&
		    os_set_rlimit(i, &(struct rlimit){now.rlim_cur, record->limits[i].rlim_max}) != 0)
			return refuse(ret_why, STATUS_INCOMPATIBLE, "limit",
				      "number %d was %llu and may only be %llu here; raise it (ulimit)", i,
				      (unsigned long long)record->limits[i].rlim_cur,
				      (unsigned long long)now.rlim_max);
	}
	know_before(record);
	return 0;
}

static int fail(struct line *why, const char *what, int error)
{
	line_add(why, what);
	line_add(why, ": errno ");
	line_add_number(why, (unsigned)-error, 10);
	return error;
}

/* The mark alone: what is mapped below it is the business of mappings. To go down it wants memory
 * to give back, to go up none to be there. */
static int set_brk(uint64_t end)
{
	const uint64_t page = OS_PAGE_BYTES - 1, now = os_brk(0);
	const uint64_t low = ((now < end ? now : end) + page) & ~page;
	const uint64_t high = ((now < end ? end : now) + page) & ~page;
	void *const between = (void *)(uintptr_t)low;

	if (now == end)
		return 0;
	if (end < now && high > low)
		os_mmap(between, high - low, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	if (os_brk(end) != end)
		return -ENOMEM;
	return end > now && high > low ? os_munmap(between, high - low) : 0;
}

/* The lower ones it may have, where it is not allowed to be given the old ones back. */
static void set_limit(int which, const struct rlimit *limit)
{
	struct rlimit now;

	if (os_set_rlimit(which, limit) == 0 || os_getrlimit(which, &now) != 0)
		return;
	now.rlim_cur = limit->rlim_cur < now.rlim_max ? limit->rlim_cur : now.rlim_max;
	os_set_rlimit(which, &now);
}

/* They are the last to be set: what is open above that of descriptors has to be made, a stack that
 * had grown before it was told to stay small, memory that was locked; and ours needs room. Until
 * then all that is allowed. */
static void lift_limit(int which, const struct rlimit *wanted)
{
	struct rlimit now;

	if (os_getrlimit(which, &now) != 0)
		return;
	if (wanted->rlim_max > now.rlim_max)
		set_limit(which, wanted);
	if (os_getrlimit(which, &now) == 0)
		os_set_rlimit(which, &(struct rlimit){now.rlim_max, now.rlim_max});
}

void settings_limit(const struct ledger_reader *state)
{
	const char *cwd;
	const struct settings_record *record = find(state, &cwd);

	for (int i = 0; record && i < LIMITS; i++)
		set_limit(i, &record->limits[i]);
}

/* All signals are blocked: as a background process it may do this. */
static void take_terminal(void)
{
	const int tty = os_open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY, 0);
	int group = os_getpgid();

	if (tty < 0)
		return;
	os_ioctl(tty, TIOCSPGRP, &group);
	os_close(tty);
}

static int join_groups(uint32_t flags, struct line *why)
{
	const int pid = os_getpid();
	int error = 0;

	if (flags & SETTINGS_LEADS_SESSION && os_getsid() != pid) {
		error = os_setsid();
		if (error < 0)
			return fail(why, "session", error);
	}
	if (flags & SETTINGS_LEADS_GROUP && os_getpgid() != pid) {
		error = os_setpgid();
		if (error < 0)
			return fail(why, "process group", error);
		if (flags & SETTINGS_IS_FOREGROUND)
			take_terminal();
	}
	return 0;
}

/* What it may not have here (a lower score than its starter's) is not worth a refusal. */
static void write_number(const char *path, int64_t number)
{
	char text[24];
	struct line line = line_in(text, sizeof(text));
	const int fd = os_open(path, O_WRONLY | O_CLOEXEC, 0);

	if (fd < 0)
		return;
	line_add(&line, number < 0 ? "-" : "");
	line_add_number(&line, (uint64_t)(number < 0 ? -number : number), 10);
	os_write(fd, line.text, line.len);
	os_close(fd);
}

int settings_make(const struct ledger_reader *state, struct line *why)
{
	const char *cwd;
	const struct settings_record *record = find(state, &cwd);

	if (!record)
		return fail(why, "settings", -EINVAL);
	int error = set_brk(record->brk);
	if (error)
		return fail(why, "brk", error);
	error = os_chdir(cwd);
	if (error)
		return fail(why, cwd, error);
	os_umask(record->umask);
	for (int i = 0; i < LIMITS; i++)
		lift_limit(i, &record->limits[i]);
	for (int bit = 2; bit <= 8; bit += 2)
		if (record->membarrier & (1u << bit))
			os_membarrier_command(1 << bit);
	if (record->flags & SETTINGS_IS_SUBREAPER)
		os_prctl(PR_SET_CHILD_SUBREAPER, 1, 0);
	if (record->flags & SETTINGS_HAS_NO_THP)
		os_prctl(PR_SET_THP_DISABLE, 1, record->flags & SETTINGS_HAS_ADVISED_THP ?
						  THP_EXCEPT_ADVISED : 0);
	write_number("/proc/self/oom_score_adj", record->oom_score_adj);
	if (record->core_filter != SETTINGS_NOT_KNOWN)
		write_number("/proc/self/coredump_filter", record->core_filter);
	return join_groups(record->flags, why);
}
