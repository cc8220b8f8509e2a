/*
 * What `run -k process` starts: the program anew, or the one that the pool holds.
 *
 * The problem: a process comes back only into a copy of the world it was started in: the same
 * arguments and environment to the byte (they lie at the end of its stack), no randomised
 * addresses. The trick: whatever may differ from life to life (the pool's path, --new, -q, the
 * interval) is told by a note in a memfd, and only the memfd's number is in the environment.
 */
#include "kept.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "launch.h"
#include "life.h"
#include "os.h"
#include "past.h"
#include "pool.h"
#include "program.h"

static int refuse_start(const char *what, int error, struct refusal *ret_why)
{
	refuse(ret_why, STATUS_LAUNCH, what, "%s; look at the limits", strerror(-error));
	return -1;
}

/* ---- The note ---- */

/* FNV-1a: each word with its final 0. */
static uint64_t hash_word(uint64_t hash, const char *word)
{
	do
		hash = (hash ^ (unsigned char)*word) * UINT64_C(0x100000001b3);
	while (*word++);
	return hash;
}

/* The command line: what file it is, by which name it is called, and its arguments. */
static uint64_t hash_command(char **words)
{
	char path[PATH_MAX], real[PATH_MAX];
	const char *slash = strrchr(words[0], '/');
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	if (program_find(words[0], path) == 0 && realpath(path, real))
		hash = hash_word(hash, real);
	hash = hash_word(hash, slash ? slash + 1 : words[0]);
	for (words++; *words; words++)
		hash = hash_word(hash, *words);
	return hash ? hash : 1;
}

static void note_command(struct keeper_note *note, char **words)
{
	size_t len = 0;

	note->command_hash = hash_command(words);
	for (; *words && len < sizeof(note->command) - 1; words++)
		len += (size_t)snprintf(note->command + len, sizeof(note->command) - len, "%s%s",
					len ? " " : "", *words);
}

/* As the library will find it from wherever the program has gone. */
static int note_pool(struct keeper_note *note, const char *path)
{
	char dir[PATH_MAX] = "";

	if (path[0] != '/' && !getcwd(dir, sizeof(dir)))
		return -errno;
	const int len = snprintf(note->pool, sizeof(note->pool), "%s%s%s", dir, *dir ? "/" : "", path);
	return (size_t)len < sizeof(note->pool) ? 0 : -ENAMETOOLONG;
}

/* Under a number that no program counts on. */
static int open_note(struct life *life)
{
	const int fd = memfd_create("heapsake-keeper", MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	life->note_fd = os_fd_move(fd);
	return life->note_fd < 0 ? life->note_fd : 0;
}

/* What is the same for a first life and for all others. */
static int prepare_life(struct life *life, const struct config *config, struct refusal *ret_why)
{
	int error = open_note(life);

	if (error)
		return refuse_start("memfd", error, ret_why);
	life->is_quiet = config->is_quiet;
	life->note.magic = KEEPER_MAGIC;
	life->note.is_new = config->is_new;
	life->note.is_quiet = config->is_quiet;
	life->note.durability = config->durability;
	life->note.interval_ns = config->interval_ns;
	life->note.keeper_pid = getpid();
	life->note.keeper_ticks = pool_process_start(getpid());
	error = note_pool(&life->note, config->pool_path);
	return error ? refuse_start("working directory", error, ret_why) : 0;
}

/* ---- The world it is started in ---- */

static int fix_addresses(struct refusal *ret_why)
{
	const int persona = personality(0xffffffff);

	if (persona >= 0 && personality((unsigned long)persona | ADDR_NO_RANDOMIZE) >= 0 &&
	    (personality(0xffffffff) & ADDR_NO_RANDOMIZE))
		return 0;
	refuse(ret_why, STATUS_LAUNCH, "personality",
	       "address randomisation cannot be switched off here, and with it no process comes back; "
	       "let the container call personality(2), or use -k heap");
	return -1;
}

/* Told by the note; what is in the environment now is there in each life. */
static void clean_environment(int note_number)
{
	char number[16];

	snprintf(number, sizeof(number), "%d", note_number);
	setenv("HEAPSAKE_KEEPER", number, 1);
	unsetenv("HEAPSAKE_NEW");
	unsetenv("HEAPSAKE_EPOCH");
}

static int start_fresh(struct life *life, const struct script_command *command, char **words)
{
	life->name = words[0];
	life->path = command->path;
	life->argv = command->argv;
	life->note.mode = KEEPER_FRESH;
	life->note_number = life->note_fd;
	clean_environment(life->note_number);
	life->envp = environ;
	return keeper_run(life);
}

/* ---- Again ---- */

static int64_t ahead_ns(uint64_t recorded_ns, clockid_t clock)
{
	const uint64_t now_ns = os_clock_ns(clock);

	return recorded_ns > now_ns ? (int64_t)(recorded_ns - now_ns) : 0;
}

/* It would be started without us, or be another program: nobody would know. */
static int check_files(const struct past *past, const char *pool, struct refusal *ret_why)
{
	const char *preload = past_variable(past, "LD_PRELOAD");
	char library[PATH_MAX];
	struct stat st;
	size_t len;

	if (launch_find_library(library, ret_why) != 0)
		return -1;
	const char *theirs = preload ? config_own_preload(preload, &len) : NULL;
	if (!theirs || strlen(library) != len || memcmp(library, theirs, len) != 0) {
		refuse(ret_why, STATUS_INCOMPATIBLE, pool, "was kept by %.*s; use the heapsake of that "
		       "installation", theirs ? (int)len : 7, theirs ? theirs : "nothing");
		return -1;
	}
	if (stat(past->exe, &st) == 0 && st.st_ino == past->launched.exe_ino &&
	    (uint64_t)st.st_size == past->launched.exe_size)
		return 0;
	refuse(ret_why, STATUS_INCOMPATIBLE, pool, "its program %s was replaced since; put the old one "
	       "back, or give --new to start afresh", past->exe);
	return -1;
}

/* What was said in an earlier life holds until something else is said. */
static void take_settings(struct keeper_note *note, const struct past *past)
{
	static struct config theirs;
	struct refusal ignored;

	if (config_from_environment(&theirs, past->envp, &ignored) != 0)
		return;
	if (!getenv("HEAPSAKE_INTERVAL"))
		note->interval_ns = theirs.interval_ns;
	if (!getenv("HEAPSAKE_DURABILITY"))
		note->durability = theirs.durability;
}

static int start_again(struct life *life, struct past *past, const struct config *config,
		       struct refusal *ret_why)
{
	const struct launched_record *launched = &past->launched;
	const char *number = past_variable(past, "HEAPSAKE_KEEPER");

	if (check_files(past, life->note.pool, ret_why) != 0)
		return -1;
	take_settings(&life->note, past);
	life->name = life->note.command;
	memcpy(life->note.command, launched->command, sizeof(life->note.command));
	life->note.command_hash = launched->command_hash;
	life->note.mode = KEEPER_RESUME;
	life->note.epoch = config->has_epoch ? (int64_t)past->epoch : 0;
	life->note_number = number ? (int)strtol(number, NULL, 10) : life->note_fd;
	life->path = past->exe;
	life->argv = past->argv;
	life->envp = past->envp;
	life->cwd = past->cwd;
	life->stack_limit = launched->stack_limit;
	life->pid = (pid_t)launched->pid;
	life->monotonic_ahead_ns = ahead_ns(launched->clock_ns, CLOCK_MONOTONIC);
	life->boottime_ahead_ns = ahead_ns(launched->boot_ns, CLOCK_BOOTTIME);
	return keeper_run(life);
}

static int refuse_other(const struct life *life, const struct past *past, struct refusal *ret_why)
{
	refuse(ret_why, STATUS_INCOMPATIBLE, life->note.pool, "holds \"%.300s\", not \"%.300s\"; "
	       "resume it with 'heapsake resume', or give --new to start afresh",
	       past->launched.command, life->note.command);
	return -1;
}

static int refuse_ended(const struct life *life, const struct past *past, struct refusal *ret_why)
{
	refuse(ret_why, STATUS_INCOMPATIBLE, life->note.pool,
	       "at epoch %llu its program has ended, with status %d; run it to start afresh, or resume "
	       "with --epoch=-1", (unsigned long long)past->epoch, past->end_status);
	return -1;
}

/* ---- The two ways to be called ---- */

int kept_run(const struct config *config, const struct script_command *command, char **words,
	     struct refusal *ret_why)
{
	static struct life life; /* pages of paths */
	struct past past = {.kind = PAST_NONE};

	kept_await_last(config->pool_path);
	if (fix_addresses(ret_why) != 0 || prepare_life(&life, config, ret_why) != 0)
		return -1;
	note_command(&life.note, words);
	if (!config->is_new && past_read(&past, config->pool_path, config->epoch, ret_why) != 0)
		return -1;
	if (past.kind == PAST_ENDED && config->has_epoch)
		return refuse_ended(&life, &past, ret_why);
	if (past.kind != PAST_RUNNING)
		return start_fresh(&life, command, words);
	if (past.launched.command_hash != life.note.command_hash)
		return refuse_other(&life, &past, ret_why);
	return start_again(&life, &past, config, ret_why);
}

int kept_resume(const struct config *config, struct refusal *ret_why)
{
	static struct life life;
	struct past past;

	if (!pool_exists(config->pool_path)) {
		refuse(ret_why, STATUS_USAGE, config->pool_path, "there is no such pool; give its path");
		return -1;
	}
	kept_await_last(config->pool_path);
	if (fix_addresses(ret_why) != 0 || prepare_life(&life, config, ret_why) != 0 ||
	    past_read(&past, config->pool_path, config->epoch, ret_why) != 0)
		return -1;
	if (past.kind == PAST_RUNNING)
		return start_again(&life, &past, config, ret_why);
	if (past.kind == PAST_ENDED)
		return refuse_ended(&life, &past, ret_why);
	refuse(ret_why, STATUS_INCOMPATIBLE, life.note.pool,
	       "holds no process; it is resumed what was started with 'heapsake run -k process'");
	return -1;
}
