/*
 * Transactions: the blocks of HSK_TX and HSK_TX_DURABLE.
 *
 * A block is a variable on the stack, chained to the block around it. The outermost one is a
 * section for the cut (cut.h): no epoch falls into it, and that is all there is to atomicity.
 * Durable means to wait, after the section, for an epoch that holds it; one serves all who wait.
 * Abort is the heap's business (heap_undo_*): it begins with the first hsk_add(), so that a block
 * without one pays nothing for it.
 *
 * A thread that waits for its epoch and holds a lock may wait for ever: the epoch needs a cut, the
 * cut another thread's section to end, and that thread may want the lock. The committer sees it
 * and says -EDEADLK; then the block's status is -EINPROGRESS, and the thread waits as soon as it
 * holds no lock any more.
 */
#include "tx.h"

#include <errno.h>
#include <stddef.h>

#include "checkpoint/committer.h"
#include "checkpoint/cut.h"
#include "heapsake.h"
#include "preload.h"
#include "say.h"

enum tx_flags {
	TX_DURABLE = HSK_TX_IS_DURABLE,
	TX_UNDO = 2,    /* something was added */
	TX_ABORTED = 4,
	TX_ENDING = 8,  /* the thread ends in it */
};

/* Of this thread, beside tx_innermost. flags are 0 while there is none. */
static _Thread_local struct {
	unsigned flags;
	bool is_known; /* its end will be told to tx_abandon_all() */
	bool has_status;
	int status;
} tx;

_Thread_local struct hsk_block *tx_innermost;
_Thread_local bool tx_is_pending;
_Thread_local bool tx_is_jumping;

static void set_status(int status)
{
	tx.has_status = true;
	tx.status = status;
}

static void warn_pending(void)
{
	static bool is_warned;

	if (!__atomic_exchange_n(&is_warned, true, __ATOMIC_RELAXED))
		say(SAY_WARN, "HSK_TX_DURABLE", "left with a lock held that another thread waits for "
		    "inside a section; it is durable with the unlock. Put the lock inside the block");
}

static void make_durable(void)
{
	const int error = hsk_checkpoint(-1);

	tx_is_pending = error == -EDEADLK;
	set_status(tx_is_pending ? -EINPROGRESS : error);
	if (tx_is_pending)
		warn_pending();
}

void tx_settle(void)
{
	if (!tx_innermost)
		make_durable();
}

/* The outermost block is left and anything out of the ordinary was asked for. Where the thread's
 * end unwinds the stack, destructors free what was allocated. */
static __attribute__((noinline)) void end_marked(unsigned flags)
{
	if (flags & TX_ENDING)
		heap_undo_keep();
	if (flags & TX_UNDO)
		(flags & TX_ENDING ? heap_undo_abort : heap_undo_commit)();
	cut_tx_leave();
	if ((flags & TX_DURABLE) && !(flags & (TX_ABORTED | TX_ENDING)))
		make_durable();
}

static void end_outermost(void)
{
	const unsigned flags = tx.flags;

	tx.flags = 0;
	if (likely(!flags))
		cut_tx_leave();
	else
		end_marked(flags);
}

/* Once a thread, or after a block that is still pending. */
static __attribute__((noinline)) void begin_specially(void)
{
	if (!tx.is_known)
		thread_enter(NULL);
	tx.is_known = true;
	if (tx_is_pending) /* its unlock may come inside of this one */
		tx.flags |= TX_DURABLE;
}

static __attribute__((noinline)) struct hsk_block *begin_outermost(void)
{
	if (unlikely(!tx.is_known || tx_is_pending))
		begin_specially();
	cut_tx_enter();
	return NULL;
}

HSK_API struct hsk_block *hsk_tx_begin(struct hsk_block *block, unsigned flags)
{
	struct hsk_block *outer = tx_innermost;

	tx_innermost = block;
	tx.flags |= flags;
	return outer ? outer : begin_outermost();
}

HSK_API void hsk_tx_end(struct hsk_block *block)
{
	tx_innermost = block->outer;
	if (!block->outer)
		end_outermost();
}

HSK_API int hsk_status(void)
{
	if (tx.has_status)
		return tx.status;
	return committer_is_open() ? 0 : -ENODEV;
}

HSK_API int hsk_add(void *ptr, size_t len)
{
	if (!tx_innermost)
		return -EINVAL;
	if (tx.flags & TX_ABORTED)
		return -ECANCELED;
	const int error = heap_undo_begin();
	if (error)
		return error;
	tx.flags |= TX_UNDO;
	return heap_undo_add(ptr, len);
}

HSK_API void hsk_unwind(void)
{
	heap_undo_keep();
	hsk_abort();
}

HSK_API void hsk_abort(void)
{
	if (!tx_innermost || (tx.flags & TX_ABORTED))
		return;
	if (tx.flags & TX_UNDO)
		heap_undo_abort();
	tx.flags = (tx.flags & TX_DURABLE) | TX_ABORTED;
}

void tx_note_thread_end(void)
{
	if (tx_innermost)
		tx.flags |= TX_ENDING;
}

static void abandon_innermost(void)
{
	tx_innermost = tx_innermost->outer;
	if (!tx_innermost)
		end_outermost();
}

void tx_abandon_all(void)
{
	if (!tx_innermost)
		return;
	hsk_abort();
	tx_innermost = NULL;
	end_outermost();
}

bool tx_abandon_to(struct hsk_block *block)
{
	for (const struct hsk_block *at = tx_innermost; at != block; at = at->outer)
		if (!at)
			return false;
	if (tx_innermost != block)
		hsk_abort();
	while (tx_innermost != block)
		abandon_innermost();
	return true;
}

void tx_abandon_below(uintptr_t sp)
{
	if (tx_innermost && (uintptr_t)tx_innermost < sp)
		hsk_abort();
	while (tx_innermost && (uintptr_t)tx_innermost < sp)
		abandon_innermost();
}
