/*
 * The keeper's note to the library in the program it starts: in a memfd whose number is the value
 * of HEAPSAKE_KEEPER, so that environment and arguments are the same in every life. Written by
 * `heapsake run` (wrappers/command), read by our constructor.
 *
 * The command line is the one `run` was given. What runs may be another program by now (a shell
 * that execs, an interpreter): it goes into LEDGER_LAUNCHED as it is here, to be known again.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define KEEPER_MAGIC UINT64_C(0x3272656b65657068) /* "hpeeker2" */
#define KEEPER_COMMAND_BYTES 512
#define KEEPER_PATH_BYTES 4096

/* KEEPER_EXEC: the program has become another by itself, in the same process; what the pool holds
 * is the one it was. */
enum keeper_mode { KEEPER_FRESH = 1, KEEPER_RESUME, KEEPER_EXEC };

/* One of the descriptors 0-2 that the caller of this life has given. */
struct keeper_given {
	uint64_t dev, ino, rdev;
	uint64_t is_open;
};

struct keeper_note {
	uint64_t magic;
	uint32_t mode;
	uint32_t has_exact_tids; /* an own pid namespace, or the right to choose in this one */
	int64_t epoch;           /* to resume: 0 the newest, else as --epoch */
	int32_t keeper_pid;      /* as the outside sees it: for pool_name_owner() */
	uint32_t has_lent_right; /* CAP_CHECKPOINT_RESTORE, to be given back: keeper_return_right() */
	/* What the caller of this life wants, whatever the environment of the first one says. */
	uint32_t is_new;         /* --new: nothing of what is in the pool is to stay */
	uint32_t is_quiet;
	uint32_t durability;     /* enum durability */
	uint64_t interval_ns;
	uint64_t keeper_ticks;   /* pool_process_start() of the keeper */
	uint64_t command_hash;   /* of the whole command line, never 0 */
	struct keeper_given given[3]; /* noted in the life, and handed on when it execs */
	char command[KEEPER_COMMAND_BYTES]; /* and its beginning, for people */
	char pool[KEEPER_PATH_BYTES];       /* absolute */
};

/* keeper_read_note() - whether fd is a keeper's note. It stays open, CLOEXEC: whoever lets the
 * program exec takes that away, for what it becomes to read it again. */
bool keeper_read_note(int fd, struct keeper_note *ret_note);

/* keeper_note_given() - 0-2 are what the caller has given, and no program has put others there */
void keeper_note_given(struct keeper_note *note);

/* keeper_hand_note() - leaves the note for what the caller is about to become: *fd is a descriptor
 * that passes through exec, the old one or, if the program has closed that, a new one. 0 or -errno.
 * keeper_take_note(): it has become nothing, the note is as it was. */
int keeper_hand_note(int *fd, const struct keeper_note *note);
void keeper_take_note(int fd, const struct keeper_note *note);

/* keeper_hold_note() - by the keeper: as long as it lives and has fd open, it is there.
 * keeper_is_gone() - who holds the note is no more: its program is about to be killed, and what it
 * still does is not what it wanted to do. false: it is there, or none has ever held it */
int keeper_hold_note(int fd); /* 0 or -errno */
bool keeper_is_gone(int fd);

/* keeper_return_right() - the calling thread may no longer choose tids, nor can what it execs: as
 * if the program had been started without a keeper. For each thread, the last that is made
 * included. Raw system calls only. 0 or -errno */
int keeper_return_right(void);
