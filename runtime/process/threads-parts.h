/*
 * What the committer (threads.c), a thread that is stopped (threads-stand.c) and a resume
 * (threads-make.c) share. Room-private.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "absent.h"
#include "frame-x86_64.h"
#include "policy.h"
#include "threads.h"
#include "task.h"

#define THREADS_MAX 65536u
#define THREADS_GROUPS_MAX 4096u
#define THREAD_NAME_BYTES 16
#define THREAD_CPU_WORDS 16 /* 1024 processors */

enum thread_flags {
	THREAD_IS_MAIN = 1,
	THREAD_HAS_ENDED = 2,    /* a main thread that called pthread_exit(): it stays, and is none */
	THREAD_HAS_AFFINITY = 4, /* other than the process began with */
	THREAD_HAS_SCHEDULING = 8,
	THREAD_HAS_NO_NEW_PRIVILEGES = 16,
	THREAD_IS_DUMPABLE = 32, /* of the process; in the main thread's record */
	THREAD_HAS_OWN_RSEQ = 64, /* not libc's: where it is nobody tells */
};

/* What threads-told.c knows of a thread. All zeros: nobody has told anything. */
#define TOLD_MAX 16
struct told_record {
	uint64_t bounding, ambient; /* capabilities */
	uint32_t secure_bits;
	uint32_t has_rights;        /* 0: those above are not known */
	uint32_t known;             /* which of the values are, by place in the table */
	int32_t values[TOLD_MAX];
	uint32_t has_policy;
	struct policy policy;
};

/* LEDGER_THREAD: all of a thread that is not in its memory and not in the frame of its handler
 * (which holds registers, signal mask and alternate stack). */
struct thread_record {
	uint32_t tid;
	uint32_t flags;
	uint64_t fs, gs;
	uint64_t robust_list, robust_bytes;
	uint64_t tid_address; /* 0 there when it ends */
	uint64_t rseq;        /* its area; rseq_bytes 0: none */
	uint32_t rseq_bytes;
	uint32_t timer_slack_ns;
	uint32_t parent_death_signal, reserved;
	uint64_t blocked;     /* signals, but while it stands */
	uint64_t pending;     /* those of them that were sent to it alone */
	struct os_credentials credentials;
	struct os_capabilities capabilities;
	struct frame frame;
	char name[THREAD_NAME_BYTES];
	uint64_t affinity[THREAD_CPU_WORDS];
	struct os_scheduling scheduling;
	struct told_record told;
};

/* A place for a thread. Its record is written by the thread in its handler, before it says that it
 * stands, and read by the committer after. */
struct thread {
	struct thread_record record;
	uint32_t birth;  /* given once to each thread: what ours_self.noted is compared with */
	uint32_t stands; /* the generation it stands in */
	uint32_t old_tid; /* at a resume: what the image calls it */
	uint32_t told;   /* how old what was told was when it was looked at */
};

/*
 * Handlers read generation, absent, threads; all else is the committer's. `order` has the places of
 * the threads that are known, as the kernel lists them; `free` those given back.
 */
struct threads_shared {
	uint32_t generation; /* of stops; whoever stands waits for it to change */
	struct absent absent; /* signalled and not come yet */
	uint32_t made;       /* at a resume: how many wait in their handlers */
	uint32_t may_go;
	struct thread *threads;
	uint16_t *order, *free;
	uint32_t count, free_count, top;
	uint32_t births;
	uint32_t has_fsgsbase;
	int pid;
	int64_t rseq_offset; /* from fs; rseq_bytes 0: libc has registered none */
	uint32_t rseq_bytes;
	uint32_t signals_ended; /* as it was before the stop */
	int group_count; /* supplementary groups of the main thread; -errno: too many */
	uint32_t groups[THREADS_GROUPS_MAX];
	bool main_has_ended; /* all others say what it would have said of the process */
	bool is_dumpable;    /* as who looked last has found it */
	uint32_t main; /* at a resume: its place */
	uint64_t usual_affinity[THREAD_CPU_WORDS];
};
extern struct threads_shared threads_shared;

/* The stop signal's value: this, generation, place. */
#define THREADS_MARK UINT64_C(0x6b70) /* "kp", in its upper 16 bits: ours, not libc's */

/*
 * Calls that began and ended; threads of the program count theirs. Of the image, as are the
 * threads that stand in the middle of one.
 *
 * A thread that stands has noted which signals wait for it alone. One sent to it since is found
 * only by whoever looks again; that costs a file, so it is done only if a call may have sent one
 * between the stop's first signal and its end: if `signals_begun` is not what `signals_ended`
 * was before.
 */
struct threads_calls {
	uint32_t signals_begun, signals_ended;
	uint32_t ids_begun, ids_ended;
};
extern struct threads_calls threads_calls;

/* Told by any thread, ever: what of it is to be asked for (enum process_told), and an age that
 * grows with each time. Of the image. */
struct threads_told {
	uint32_t what, age;
};
extern struct threads_told threads_told;

/* told_note() - on the thread itself, as the two that make it so again
 * told_make_rights() - to be called with all rights there are; -errno: some cannot be given up */
void told_note(struct told_record *record, bool is_main);
void told_make(const struct told_record *record);
int told_make_rights(const struct told_record *record, const struct os_capabilities *wanted);

/* threads_arm() - the stop signal comes to us; libc installs its own when the first thread is made,
 * and makes some for itself. Before each stop. */
void threads_arm(void);

/* threads_read_pending() - the mask of signals that wait for this thread alone; costs a file */
uint64_t threads_read_pending(uint32_t tid);

/* threads_blocked() - the signals that every thread blocks, of threads that stand */
uint64_t threads_blocked(void);

/* threads_new_tid() - of a thread that was made again; 0: there is none of that number */
uint32_t threads_new_tid(uint32_t old_tid);

/* threads_add() - a place for it, or -ENOSPC. Committer, or before there is one. */
int threads_add(uint32_t tid);
