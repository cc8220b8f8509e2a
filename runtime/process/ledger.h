/*
 * Ledger: what the kernel knows of a process, as bytes of an epoch (the *state* region). Records of
 * a kind, one behind the other, each written and read by one file of this room, which alone knows
 * what is in it.
 *
 * Deterministic: what has not changed must give the same bytes, or every epoch logs it. No times of
 * day, no counters that nobody needs, padding zero (ledger_put() gives zeroed memory).
 * A writer never fails: a record that does not fit, or that names what cannot be brought back, is a
 * veto. No errno, no TLS, no malloc.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ledger_kind {
	LEDGER_END,      /* zeros behind the last record */
	LEDGER_LAUNCHED, /* launched.c: exe, argv, envp, cwd, identity of machine and files */
	LEDGER_WINDOW,   /* process.c: what of the heap's window is open */
	LEDGER_MAPPING,  /* mappings.c */
	LEDGER_THREAD,   /* threads.c */
	LEDGER_FILE,     /* files.c */
	LEDGER_PIPE,     /* files-*.c: contents and details of kinds */
	LEDGER_SOCKET,
	LEDGER_EPOLL,
	LEDGER_LOCK,
	LEDGER_SIGNAL,   /* signals.c: dispositions, pending */
	LEDGER_TIMER,    /* timers.c */
	LEDGER_SETTINGS, /* settings.c: cwd, umask, limits, ... */
	LEDGER_CHILD,    /* children.c */
	LEDGER_ENDED,    /* the program has ended: never resumed. Status */
	LEDGER_CONTENTS, /* files-nameless.c: of files that have no name */
	LEDGER_ADVICE,   /* advice.c */
	LEDGER_POLICY,   /* policy.c */
	LEDGER_OPTION,   /* socket-said.c */
};

struct ledger_writer {
	char *bytes;
	size_t capacity;
	size_t len;
	char veto[160]; /* "": none; else what cannot be kept, for people */
};

#define LEDGER_RECORD_MAX (UINT64_C(1) << 20) /* of a payload, for whoever may have a long one */

/* ledger_put() - a new record's payload, zeroed, 8-aligned, to be filled at once; never NULL, but
 * forgotten if there is a veto (too much of it is one) */
void *ledger_put(struct ledger_writer *writer, enum ledger_kind kind, size_t len);
/* ledger_veto() - what cannot be kept, and which one (NULL: nothing to add); the first counts */
void ledger_veto(struct ledger_writer *writer, const char *what, const char *which);

struct ledger_reader {
	const char *bytes;
	size_t len;
	size_t at; /* 0: from the first record */
};

/* ledger_next() - the next record of this kind, or NULL: there is none (left), or the bytes are no
 * records. Valid as long as the bytes. */
const void *ledger_next(struct ledger_reader *reader, enum ledger_kind kind, size_t *ret_len);
