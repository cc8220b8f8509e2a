/*
 * heapsake: memory that outlives the program. The manual is heapsake(3).
 *
 * A program that is linked with libheapsake (-lheapsake) and run with a pool (heapsake run, or
 * HEAPSAKE_POOL) finds its heap again when it is started the next time: after its end, after
 * kill -9, after a crash, and on a disk after a power cut too. What comes back is an *epoch*: the
 * exact image of everything kept at one instant. Epochs are taken many times a second.
 *
 *     HSK_KEEP static int i;
 *     HSK_KEEP static double result;
 *     int main(void)
 *     {
 *             for (; i < N; ) HSK_TX { result = calculate(i, result); i++; }
 *     }
 *
 * Kept are: memory from malloc and its family, at the same addresses; named roots; HSK_KEEP
 * globals. What is found again is what a root or a kept global leads to.
 *
 * Not kept, and yours to mend after a start:
 *   - execution: main() starts again. Stacks, other globals, thread-local data, registers.
 *   - files, sockets, process and thread ids, and memory from mmap(): numbers in the heap that
 *     name them are stale. So are pointers to them, and to stacks and other globals.
 *   - pointers to code (callbacks, vtables) if the code stands elsewhere: hsk_info.code_moved.
 *     `heapsake run` switches address randomisation off; a rebuilt program is another matter.
 *   - semaphores and barriers in the heap: they count what they counted. Mutexes, read-write and
 *     spin locks (POSIX and C11) and condition variables are usable: nobody holds them or waits.
 *   - a forked child: it works on a copy that nobody keeps. Likewise what a library loaded by
 *     dlmopen() allocates: it has a libc of its own.
 *
 * Atomic, not isolated: a transaction is never kept by half, but other threads see its stores as
 * they happen. Keep your locks; put the transaction outside and the lock inside. Where an
 * exception or the thread's end may abort it, put them the other way round: a lock inside is given
 * back before the bytes are.
 *
 * Threads: every function may be called from any thread; none from a signal handler.
 * Errors: 0, or the negative of an errno. errno itself is never touched.
 * Without a pool everything runs and nothing is kept: hsk_checkpoint() and hsk_status() say
 * -ENODEV. C11 and C++17, gcc and clang.
 */
#ifndef HEAPSAKE_H
#define HEAPSAKE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HSK_API __attribute__((visibility("default")))

/* ---- Data that is kept ---- */

/**
 * HSK_KEEP - a global variable that is part of the pool
 *
 *     HSK_KEEP static struct table *table;
 *
 * Before the first statement of main(), after static constructors, it has the value of the last
 * epoch; in a library that is loaded by dlopen(), before dlopen() returns. In a pool's first run it
 * has its initial value. Of executables and libraries, position-independent or not; not of
 * thread-local, const, inline or template variables, and not of objects whose constructor must run.
 * A kept array takes its size in the program's file, too: large ones belong on the heap.
 *
 * A program that was built anew goes on if its kept variables are the same ones, by name and size
 * and order; else it is refused (5). Stripped programs go on only as they are. (Static ones of one
 * name and size in several functions of a file are known by their order alone.) A library is known
 * by its soname, or file name; two of one name that have kept variables are refused.
 */
#define HSK_KEEP __attribute__((section("hsk_keep"), used))

/**
 * hsk_root() - find a root again
 * @name:  what it was called
 *
 * Return: the pointer that was set, or NULL: there is no such root.
 */
HSK_API void *hsk_root(const char *name);

/**
 * hsk_set_root() - give a pointer a name under which the next run finds it
 * @name:  1 to 63 bytes
 * @ptr:   into the heap; NULL removes the root
 *
 * A root changes with the transaction it is set in; outside of one, by itself. An abort takes it
 * back, if hsk_add() came before it.
 *
 * Return: 0, or
 *   -EINVAL  the name is empty or too long, or ptr is not in the heap
 *   -ENOENT  to be removed, and there is no such root
 *   -ENOSPC  there are 1024 roots
 *   -ENOMEM  no memory to note for an abort what it was
 */
HSK_API int hsk_set_root(const char *name, void *ptr);

/* ---- Transactions ---- */

/**
 * HSK_TX { ... } - no epoch ever holds half of this block
 *
 * It is durable with the next epoch. Leaving the block by its end, return, break, continue or goto
 * commits it (break and continue leave the block, not a loop around it); so does a C++ exception,
 * for which see heapsake.hpp. longjmp() out of it, or the thread's end in it, aborts it (in C++ not
 * one that is cancelled asynchronously, or in open() or a function of stdio). Blocks nest, and the
 * outermost counts.
 *
 * While a thread is inside of one no epoch is taken: be brief, and wait for nothing.
 */
#define HSK_TX HSK_TX_BLOCK_(0, HSK_TX_NAME_(__COUNTER__))

/**
 * HSK_TX_DURABLE { ... } - the same, and it is durable when the block has been left
 *
 * If it could not be made durable, hsk_status() says so. Inside another block it makes that
 * one durable too. One epoch serves all threads that wait for one.
 */
#define HSK_TX_DURABLE HSK_TX_BLOCK_(HSK_TX_IS_DURABLE, HSK_TX_NAME_(__COUNTER__))

/**
 * hsk_status() - what became of this thread's last durable block
 *
 * Return: 0 it is durable (or there was none yet); otherwise it will be with a later epoch:
 *   -EINPROGRESS     another thread waits, inside a transaction or with a lock held, for a lock
 *                    this thread holds: the outermost unlock waits for the epoch
 *   -ENOSPC, -EIO    the pool is DEGRADED
 *   -ENODEV          there is no pool that keeps anything, main() has not begun yet, or this is a
 *                    forked child
 *   -ESHUTDOWN       the program is ending
 */
HSK_API int hsk_status(void);

/**
 * hsk_add() - let an abort give a range its bytes of now back
 * @ptr, @len:  any memory
 *
 * From a transaction's first hsk_add() on, memory freed in it is given back at its end, memory
 * allocated in it is freed by an abort, roots set in it are taken back, and realloc() copies. What
 * libc allocates (a stream, its buffer, asprintf()'s strings; not strdup()'s) is not freed; what
 * other libraries do, is, also those that libc loads (by iconv_open(), to convert to any but the
 * simplest character sets) and then calls again: have them make what they keep before the block,
 * and load none in it. Without a pool the malloc may be another's (a sanitizer's, valgrind's): its
 * blocks are not noted, to free them is final. To valgrind give
 * --soname-synonyms=somalloc=nouserintercepts.
 *
 * Return: 0, or
 *   -EINVAL     not in a transaction
 *   -ECANCELED  the transaction has been aborted
 *   -ENOMEM     no memory to note it; the range is not covered
 */
HSK_API int hsk_add(void *ptr, size_t len);

/**
 * hsk_abort() - abort the outermost transaction, at once
 *
 * All ranges added have their bytes back on return. What was stored elsewhere stays as it is.
 * Leaving the block is up to you: until then hsk_add() returns -ECANCELED. Outside of a
 * transaction it does nothing.
 */
HSK_API void hsk_abort(void);

/**
 * HSK_ABORT(); - hsk_abort() and leave this block
 *
 * By `break`: inside a loop or a switch of your own within the block, that is what it leaves.
 */
#define HSK_ABORT() \
	__extension__({ \
		hsk_abort(); \
		break; \
	})

/* ---- Epochs ---- */

/**
 * hsk_checkpoint() - make everything stored so far durable
 * @timeout_ms:  longest wait, in milliseconds; negative waits for ever
 *
 * Return: 0 once the epoch is durable; otherwise
 *   -EDEADLK       called inside a transaction, or another thread waits, inside a transaction or
 *                  with a lock held, for a lock the caller holds
 *   -ETIMEDOUT     the epoch is still in progress and will commit on its own
 *   -ENOSPC, -EIO  the pool is DEGRADED; one attempt was made
 *   -ENODEV        there is no pool that keeps anything, main() has not begun yet, or this is a
 *                  forked child
 *   -ESHUTDOWN     the program is ending
 */
HSK_API int hsk_checkpoint(int timeout_ms);

/**
 * hsk_epoch() - the newest durable epoch
 *
 * Return: its number; 0 if there is none, as at first in a run that begins empty. Numbers rise and
 * are never given twice in a pool, not even over restarts.
 */
HSK_API uint64_t hsk_epoch(void);

/**
 * hsk_resumed() - does this run go on from an earlier one?
 *
 * Return: 1 if it has found its heap or its kept globals, or is a process that came back; else 0.
 */
HSK_API int hsk_resumed(void);

/**
 * hsk_on_resume() - have a function called after each resume of a process that is kept whole
 * @fn:  called on a thread of its own, while all others already go on where the epoch found them:
 *       to seed random generators anew, to connect again
 * @arg: given to it
 *
 * With keep=process only; else nothing is ever resumed, and nothing called. In order of their
 * registration, which cannot be undone.
 *
 * Return: 0; -EINVAL: no function; -ENOSPC: 64 are registered; -EAGAIN: no thread can be had
 */
HSK_API int hsk_on_resume(void (*fn)(void *arg), void *arg);

/**
 * hsk_exclude() - let epochs hold zeros in place of a range
 * @ptr:  of kept memory
 * @len:  bytes, exactly; 0 ends the exclusion that began at ptr
 *
 * For secrets and for what is made anew in any case. Holds in this run only. Do not free the
 * memory, or have an abort free it, before it has ended: who gets it next would be kept as zeros.
 *
 * Return: 0, or
 *   -EINVAL  the range is not in kept memory
 *   -ENOENT  nothing to end
 *   -EEXIST  overlaps another such range
 *   -ENOSPC  there are 1024
 */
HSK_API int hsk_exclude(void *ptr, size_t len);

enum hsk_state {
	HSK_STATE_NONE = 0,     /* no pool that keeps anything */
	HSK_STATE_OK = 1,
	HSK_STATE_DEGRADED = 2, /* the last epoch stands, new ones fail, or soon may, as the pool only
				 * grows: see error */
	HSK_STATE_VETOED = 3,   /* the last epoch stands, no new one can be taken: `heapsake info` */
	HSK_STATE_CORRUPT = 4,  /* epochs go on, but a part of what is kept was found damaged on media */
};

enum hsk_durability {
	HSK_DURABILITY_MEDIA = 0, /* epochs survive power cuts */
	HSK_DURABILITY_CACHE = 1, /* epochs survive the program, not the machine */
};

enum hsk_keep_level {
	HSK_KEEP_NOTHING = 0, /* no pool, or keep=none */
	HSK_KEEP_HEAP = 2,
	HSK_KEEP_PROCESS = 3,
};

struct hsk_info {
	uint64_t size;          /* set by the caller first: sizeof(struct hsk_info) */
	uint64_t epoch;         /* newest durable, 0: none */
	uint64_t oldest_epoch;  /* that can be had back */
	uint64_t resumed_epoch; /* this run went on from; 0: it began empty */
	uint64_t epoch_age_ms;  /* since the newest one's instant; 0: none in this run */
	uint64_t loss_ms;       /* what a crash now would cost: 0 if nothing was stored since, when
				 * last looked; with an interval of 0 nobody looks, and it is the age */
	uint64_t epochs;        /* made by this run */
	uint64_t heap_bytes;    /* the pool's size for it */
	uint64_t open_bytes;    /* of these in use, or once in use */
	uint64_t log_bytes;     /* of epochs not yet merged */
	uint32_t keep;          /* enum hsk_keep_level */
	uint32_t state;         /* enum hsk_state */
	uint32_t durability;    /* enum hsk_durability, in effect */
	int32_t error;          /* DEGRADED: the errno of the last failure */
	uint32_t resumed;       /* as hsk_resumed() */
	uint32_t code_moved;    /* modules that stand elsewhere, or are others, than in the epoch
				 * this run went on from: kept pointers to their code are stale */
};

/**
 * hsk_info() - how keeping goes
 * @info:  .size set to sizeof(*info); as much as that is filled in, and .size says how much
 *
 * Return: 0, or
 *   -EINVAL  .size is too small to be right
 */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow" /* C++: a function with the name of a struct, as stat() */
HSK_API int hsk_info(struct hsk_info *info);
#pragma GCC diagnostic pop

/* ---- What the macros stand on ---- */

/* An open block; on the stack of the function it is in. */
struct hsk_block {
	struct hsk_block *outer;
	int is_open;
};

/**
 * hsk_tx_begin(), hsk_tx_end() - the two ends of a block, for other languages
 * @block:  the same for both, on the stack, .outer set to what hsk_tx_begin() returns; blocks end
 *          in reverse order
 * @flags:  0 or HSK_TX_IS_DURABLE
 */
HSK_API struct hsk_block *hsk_tx_begin(struct hsk_block *block, unsigned flags);
HSK_API void hsk_tx_end(struct hsk_block *block);

/**
 * hsk_unwind() - hsk_abort() on behalf of an exception that is passing
 *
 * Memory allocated in the transaction and not freed yet is not freed: the exception's own is a part
 * of it.
 */
HSK_API void hsk_unwind(void);
#define HSK_TX_IS_DURABLE 1u

#define HSK_TX_BLOCK_(flags, block) \
	for (struct hsk_block block __attribute__((cleanup(hsk_tx_end))) = \
		     {hsk_tx_begin(&block, (flags)), 1}; block.is_open; block.is_open = 0)
#define HSK_TX_NAME_(number) HSK_TX_PASTE_(hsk_tx_, number)
#define HSK_TX_PASTE_(prefix, number) prefix##number

/*
 * Each module tells the library where its kept globals are, before main() or when it is loaded.
 * The section begins at a multiple of 64 bytes; without kept globals, start is stop.
 */
HSK_API void hsk_keep_register(void *start, void *stop);
extern char __start_hsk_keep[] __attribute__((weak, visibility("hidden")));
extern char __stop_hsk_keep[] __attribute__((weak, visibility("hidden")));
__asm__(".pushsection hsk_keep, \"aw\", @progbits\n\t.balign 64\n\t.popsection");

__attribute__((constructor, weak, visibility("hidden"))) void hsk_keep_register_module(void);
void hsk_keep_register_module(void)
{
	hsk_keep_register(__start_hsk_keep, __stop_hsk_keep);
}

#ifdef __cplusplus
}
#endif
#endif
