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
#include <unistd.h>

#include "command.h"
#include "life.h"
#include "os.h"

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
static uint64_t hash_command(const char *path, char **words)
{
	char real[PATH_MAX];
	const char *slash = strrchr(words[0], '/');
	uint64_t hash = hash_word(UINT64_C(0xcbf29ce484222325), realpath(path, real) ? real : path);

	hash = hash_word(hash, slash ? slash + 1 : words[0]);
	for (words++; *words; words++)
		hash = hash_word(hash, *words);
	return hash ? hash : 1;
}

static void note_command(struct keeper_note *note, const char *path, char **words)
{
	size_t len = 0;

	note->command_hash = hash_command(path, words);
	for (; *words && len < sizeof(note->command) - 1; words++) {
		int added = snprintf(note->command + len, sizeof(note->command) - len, "%s%s",
				     len ? " " : "", *words);
		len += (size_t)added;
	}
}

/* As the library will find it from wherever the program has gone. */
static int note_pool(struct keeper_note *note, const char *path)
{
	char dir[PATH_MAX];

	if (path[0] == '/') {
		snprintf(note->pool, sizeof(note->pool), "%s", path);
		return 0;
	}
	if (!getcwd(dir, sizeof(dir)))
		return -errno;
	const int len = snprintf(note->pool, sizeof(note->pool), "%s/%s", dir, path);
	return (size_t)len < sizeof(note->pool) ? 0 : -ENAMETOOLONG;
}

static int note_all(struct keeper_note *note, const struct config *config)
{
	note->magic = KEEPER_MAGIC;
	note->is_new = config->is_new;
	note->is_quiet = config->is_quiet;
	note->durability = config->durability;
	note->interval_ns = config->interval_ns;
	return note_pool(note, config->pool_path);
}

/* A number no program counts on; it is in the environment, and so the same in each life. */
static int open_note(struct life *life)
{
	char number[16];
	const int fd = memfd_create("heapsake-keeper", MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	life->note_fd = os_fd_move(fd);
	if (life->note_fd < 0)
		return life->note_fd;
	life->note_number = life->note_fd;
	fcntl(life->note_fd, F_SETFD, 0);
	snprintf(number, sizeof(number), "%d", life->note_number);
	setenv("HEAPSAKE_KEEPER", number, 1);
	unsetenv("HEAPSAKE_NEW"); /* told by the note */
	unsetenv("HEAPSAKE_EPOCH");
	return 0;
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

static int refuse_start(const char *what, int error, struct refusal *ret_why)
{
	refuse(ret_why, STATUS_LAUNCH, what, "%s; look at the limits", strerror(-error));
	return -1;
}

int kept_run(const struct config *config, const struct script_command *command, char **words,
	     struct refusal *ret_why)
{
	static struct life life; /* pages of paths */

	if (fix_addresses(ret_why) != 0)
		return -1;
	life.name = words[0];
	life.path = command->path;
	life.argv = command->argv;
	life.is_quiet = config->is_quiet;
	life.note.mode = KEEPER_FRESH;
	int error = note_all(&life.note, config);
	if (error)
		return refuse_start("working directory", error, ret_why);
	note_command(&life.note, command->path, words);
	error = open_note(&life);
	if (error)
		return refuse_start("memfd", error, ret_why);
	life.envp = environ;
	return keeper_run(&life);
}
