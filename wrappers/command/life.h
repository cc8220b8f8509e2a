/*
 * A life: one run of a program that is kept whole, from its exec to its end. Three processes share
 * it: the keeper, which the caller has started and waits for (keeper.c); init, the first process of
 * the program's own namespaces (init.c, namespaces.c); and the program.
 *
 *   caller ── keeper ═══ socket ═══ init (1) ── program (2) ── its children
 *
 * All are in one process group, so that a terminal's signals reach the program by themselves.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "process/keeper.h"
#include "say.h"

struct life {
	const char *name; /* what the user calls the program */
	const char *path;
	char **argv, **envp;
	const char *cwd;         /* NULL: where we are */
	uint64_t stack_limit;    /* RLIMIT_STACK, soft; 0: as it is */
	pid_t pid;               /* what it must be again; 0: the first there is */
	int64_t monotonic_ahead_ns, boottime_ahead_ns; /* of ours: what its clocks must show at least */
	struct keeper_note note; /* what is known of it before the program is there */
	int note_fd;             /* CLOEXEC; the program finds it as note_number */
	int note_number;
	bool is_quiet;

	/* Of the calling process before it became the keeper: the program gets them as they were. */
	sigset_t caller_mask;
	bool caller_ignores_children; /* SIGCHLD */
	uid_t uid;
	gid_t gid;
	int outputs[3]; /* O_PATH; -1: no regular file */
};

/* keeper_run() - start it and stay until it ends: the status for exit. Does not return if the
 * program was killed by a signal. */
int keeper_run(struct life *life);

/* life_become() - the program's own process turns into it; -errno and what could not be done */
int life_become(struct life *life, const char **ret_what);

/* ---- Between keeper and init: whole messages, on a socket whose end is the other's ---- */

enum message_kind {
	/* from init */
	MESSAGE_STARTED = 1,  /* value: its pid. Should exec fail, we hear that later */
	MESSAGE_NO_NAMESPACE, /* value: an errno; detail: what could not be done. Nothing was started */
	MESSAGE_NOT_STARTED,  /* value: an errno; detail: what could not be done. Last message */
	MESSAGE_STOPPED,      /* value: by which signal */
	MESSAGE_CONTINUED,
	MESSAGE_ENDED,        /* value: its wait status */
	MESSAGE_LIVES_ON,     /* after RELEASE: there are children left */
	/* from the keeper */
	MESSAGE_SIGNAL,       /* signal: a signal has come; value: after how many MESSAGE_STOPPED */
	MESSAGE_RELEASE,      /* the keeper ends, what is left may live on */
};

struct message {
	uint32_t kind;
	int32_t value;
	siginfo_t signal;
	char detail[64];
};

bool message_send(int socket, const struct message *message);
/* False: the other end is gone. Waits. */
bool message_receive(int socket, struct message *ret_message);

/* life_remember_outputs() - which of descriptors 0 to 2 are regular files, before they go.
 * life_note_end() - into the pool, when the program is dead: when that was, and how long they are;
 * by what they are longer when it is resumed, somebody else has written */
void life_remember_outputs(struct life *life);
void life_note_end(const struct life *life, uint64_t ended_unix_ns);

/* life_next() - what the same command line would do next, when the program was killed */
enum life_next {
	LIFE_RESUMES,
	LIFE_HAS_ENDED,  /* by itself, and was killed on its way out */
	LIFE_WAS_NEVER,  /* there was no epoch yet */
};
enum life_next life_next(const struct life *life);

/* init_run() - what the new process does; `flags` are those it was made with. */
_Noreturn void init_run(struct life *life, int socket, int flags);

/* namespaces_flags() - what to clone init with, in order of preference; returns how many there are.
 * namespaces_enter() - of init, before anything else: 0, or -errno and what could not be done */
#define NAMESPACES_MAX 2
unsigned namespaces_flags(int ret_flags[NAMESPACES_MAX]);
/* namespaces_fork() - fork(2), into these. libc is not told: the child uses nothing that minds */
pid_t namespaces_fork(int flags);
/* namespaces_fork_as() - fork(2), under a number of our choice, where we may choose */
pid_t namespaces_fork_as(pid_t wanted);
/* namespaces_try_number() - may we? 0, or -errno. In a namespace of our own: if there is clone3(2).
 * In the caller's: who is root outside may, and the number may be another's by now */
int namespaces_try_number(void);
const char *namespaces_error(int error); /* an errno of these, for people */
int namespaces_enter(const struct life *life, int flags, const char **ret_what);

/* namespaces_put_clocks_forward() - of the children of the calling process, from the next one on; 0
 * or -errno */
int namespaces_put_clocks_forward(const struct life *life);

/* process_first_child() - the eldest child a process has; 0: none */
pid_t process_first_child(pid_t pid);

#define CLOSE_KEPT_MAX 9
/* close_all_but() - every descriptor but these, CLOSE_KEPT_MAX at most; those below 0 are none */
void close_all_but(const int *kept, unsigned count);
