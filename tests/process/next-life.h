/*
 * Another life for a process, without keeping its memory: a copy made by fork, in a pid namespace of
 * its own, of which all threads but one are gone; that one makes all the rest again. The old life
 * waits, stopped, and ends as the new one does. Needs root; otherwise it ends with 77.
 *
 *	life_open()     first of all, on the main thread
 *	life_begin()    goes on in the next life, and so do all other threads
 *	life            which one it is: 0, 1, ...; a futex
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process/settings.h"
#include "process/threads-parts.h"
#include "line.h"
#include "os-x86_64.h"
#include "ours.h"

#define LIFE_SKIPPED 77
#define LIFE_PATIENCE_NS UINT64_C(20000000000)
#define LIFE_STATE_BYTES (1 << 20)

static uint32_t life;
static uint64_t life_signals; /* that come while all threads stand for the next life */
static bool life_is_exact = true; /* else everybody gets another number */

static void must_at(bool is_so, const char *what, int line)
{
	if (is_so)
		return;
	fprintf(stderr, "life %u, line %d: %s\n", life, line, what);
	_exit(1);
}
#define MUST(so) must_at(so, #so, __LINE__)

static struct {
	char *state;
	size_t len;
	int pid;
} life_kept OURS;

static void life_fail(const char *what, const char *why, long error)
{
	char text[256];
	struct line line = line_in(text, sizeof(text));

	line_add(&line, "life: ");
	line_add(&line, what);
	line_add(&line, why);
	line_add(&line, ": ");
	line_add_number(&line, (uint64_t)-error, 10);
	line_add(&line, "\n");
	os_write(2, text, line.len);
	os_exit_group(1);
}

/* What fork has handed on is not to look as if it had been made again. */
static void life_spoil(void)
{
	const struct os_sigaction usual = {0};
	struct rlimit limit;
	const struct os_credentials root = {0};

	os_set_credentials(&root);
	os_set_groups(NULL, 0);
	os_chdir("/");
	os_umask(022);
	for (int i = RLIMIT_CORE; i <= RLIMIT_NOFILE; i++)
		if (os_getrlimit(i, &limit) == 0)
			os_set_rlimit(i, &(struct rlimit){123, limit.rlim_max});
	for (int signal = 1; signal <= 64; signal++)
		if (signal != OURS_STOP_SIGNAL)
			os_sigaction_set(signal, &usual);
	os_prctl(PR_SET_CHILD_SUBREAPER, 0, 0);
	os_prctl(PR_SET_THP_DISABLE, 0, 0);
	const int score = os_open("/proc/self/oom_score_adj", O_WRONLY, 0);
	os_write(score, "0", 1);
	os_close(score);
}

static void life_live(void *unused)
{
	const struct ledger_reader state = {life_kept.state, life_kept.len, 0};
	char why[192];
	struct line line = line_in(why, sizeof(why));

	life_spoil();
	threads_shared.pid = os_getpid(); /* as threads_open() in a new process */
	threads_strip();
	int error = threads_check(&state, life_is_exact, why);
	if (!error)
		error = settings_make(&state, &line);
	if (!error)
		error = signals_make(&state, &line);
	if (!error)
		error = threads_make(&state, &line);
	if (!error)
		error = timers_make(&state, &line);
	if (error)
		life_fail("not made again: ", why, error);
	settings_limit(&state);
	life++;
	os_futex_wake(&life, INT32_MAX);
	threads_go();
}

static int life_wait(long pid)
{
	int status = 0;

	while (os_syscall4(SYS_wait4, pid, (long)&status, 0, 0) == -EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The first process of its namespace, with a /proc that shows that. */
static void life_init(void *unused)
{
	const uint32_t pid = (uint32_t)life_kept.pid;
	const struct frame_clone clone = {.exit_signal = SIGCHLD,
					  .set_tid = life_is_exact ? (uintptr_t)&pid : 0,
					  .set_tid_count = life_is_exact};

	os_prctl(PR_SET_PDEATHSIG, SIGKILL, 0);
	os_syscall6(SYS_mount, (long)"none", (long)"/", 0, MS_REC | MS_PRIVATE, 0, 0);
	const long error = os_syscall6(SYS_mount, (long)"proc", (long)"/proc", (long)"proc", 0, 0, 0);
	if (error < 0)
		life_fail("no /proc", "", error);
	const long child = frame_clone(&clone, life_live, NULL);
	if (child < 0)
		life_fail("no second life", "", child);
	os_exit_group(life_wait(child));
}

/* False: vetoed, and all go on. */
static bool life_save(void)
{
	struct ledger_writer writer = {.bytes = life_kept.state, .capacity = LIFE_STATE_BYTES};
	char why[192] = "";

	const int error = threads_stop(LIFE_PATIENCE_NS, why);
	if (error)
		life_fail("not stopped: ", why, error);
	for (int signal = 1; signal < 64; signal++)
		if (life_signals >> (signal - 1) & 1)
			os_syscall4(SYS_kill, os_getpid(), signal, 0, 0);
	settings_prepare();
	threads_save(&writer);
	signals_save(&writer);
	timers_save(&writer);
	settings_save(&writer);
	life_kept.len = writer.len;
	if (writer.veto[0])
		threads_release();
	return !writer.veto[0];
}

/* On the stopper: a thread libc does not know. The old life ends as the new one does. */
static void life_end(void *unused)
{
	const struct frame_clone clone = {.flags = CLONE_NEWPID | CLONE_NEWNS,
					  .exit_signal = SIGCHLD};

	os_set_groups(NULL, 0); /* the committer's own are nobody's business */
	for (unsigned i = 0; !life_save(); i++) {
		if (i == 100)
			life_fail("vetoed", "", 0);
		os_sleep_ns(5000000);
	}
	const long init = frame_clone(&clone, life_init, NULL);
	if (init == -EPERM)
		os_exit_group(LIFE_SKIPPED);
	if (init < 0)
		life_fail("no namespace", "", init);
	os_exit_group(life_wait(init));
}

static void life_open(void)
{
	ours_open_zone();
	MUST(threads_open() == 0);
	life_kept.pid = os_getpid();
	life_kept.state = os_mmap(NULL, LIFE_STATE_BYTES, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(!os_is_error(life_kept.state));
}

static void life_begin(void)
{
	uint32_t is_alive;
	const uint32_t before = life;

	MUST(os_thread_start(life_end, NULL, 1 << 20, &is_alive) == 0);
	while (__atomic_load_n(&life, __ATOMIC_ACQUIRE) == before)
		os_futex_wait(&life, before, NULL);
}
