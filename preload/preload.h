/*
 * What the files of preload/ tell each other.
 *
 * start.c sets everything up before main; from then on the pool, the window and the heap are
 * constant, but for what fork.c does in a child.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "config.h"
#include "heap/heap.h"
#include "pool.h"
#include "window.h"

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* A name of libc's that we stand in for. Everything else is hidden. */
#define INTERPOSE __attribute__((visibility("default")))

/* The pool of this process and what is mapped of it. */
struct preload_state {
	struct pool pool;
	struct window window; /* .pool is NULL in a forked child */
	pid_t owner;          /* the process that attached; 0 while there is no pool */
	enum keep keep;       /* of this run */
	bool is_resumed;      /* the heap of an earlier run's epoch is there */
	uint64_t resumed_epoch; /* that one; 0: none */
	unsigned code_moved;  /* modules that stand elsewhere than in that epoch */
};
extern struct preload_state preload;

/* choice-*.c: the one difference between libheapsake.so and those of the tests. */
extern const enum window_kind choice_window_kind;
extern void (*const choice_verify)(void); /* committer_plan.verify */

/* malloc.c: true from the moment the heap is in the pool. */
extern bool malloc_is_active;
/* malloc.c: set by each calloc() before that. */
extern bool malloc_is_reached;

/* memory.c: the window, as the heap wants it. */
extern const struct heap_memory memory_of_window;
void memory_warn_full(size_t size);
/* memory_forget() - madvise(MADV_DONTNEED): whole pages of the heap are zeros; false: they are not
 * the heap's, or cannot be stored to */
bool memory_forget(void *start, size_t len);

/* foreign.c: pointers that are not in our heap. */
void foreign_init(void);
/* foreign_allocated() - what glibc has given; NULL: the transaction has no memory to note it
 * foreign_keep_libcs() - a block is given inside of a transaction that may be aborted, to code that
 * goes on at `site`: what libc allocates for itself stays. Returns p */
void *foreign_allocated(void *p);
void *foreign_keep_libcs(void *p, const void *site);
void foreign_free(void *p);
void *foreign_realloc(void *p, size_t size);
size_t foreign_usable_size(void *p);
/* foreign_abandon_heap() - from here on nobody touches the heap: it is broken, we are dying */
void foreign_abandon_heap(void);
/* libc's own function of a name we export; does not allocate when it is there */
void *foreign_symbol(const char *name);

/* thread.c: caches go back when their threads end. 0 or -errno. */
int thread_init(void);
void thread_enter(void *context);

/* exec.c: finds libc's own; keeps our part of envp for what the owner execs: 0 or -E2BIG. */
void exec_init(void);
int exec_save(char *const *envp);

/* fork.c, dlopen.c, syscall.c, random.c, backtrace.c, stats.c: before main, with the pool attached
 * or about to be. */
int fork_init(void);
int fork_freeze(void);       /* before a fork that only we see: 0, or -errno and do not fork */
void fork_forget_pool(void); /* in a child: nothing of the owner's stays open */
void fork_note_sharing(uint64_t flags); /* of a clone that is to come */
void dlopen_init(bool strips_deepbind);
void syscall_init(void);
void random_init(void);
void backtrace_init(void);
void stats_init(void);
void stats_print(enum stats_form form); /* to stderr, now */
void stats_print_at_exit(enum stats_form form);
