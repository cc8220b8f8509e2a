/*
 * Transactions of this thread, as the rest of preload/ sees them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hsk_block;

/* The innermost open block of this thread; NULL: none is. */
extern _Thread_local struct hsk_block *tx_innermost;
static inline bool tx_is_open(void)
{
	return tx_innermost != NULL;
}

/* tx_abandon_to() - all blocks inside of this one (NULL: all blocks) are left without their end: an
 * abort. false: it is not open, and nothing was done.
 * tx_abandon_all() - all blocks, whose variables may be gone: the thread has left their stack.
 * tx_abandon_below() - likewise of all blocks whose variables lie below sp. errno survives. */
bool tx_abandon_to(struct hsk_block *block);
void tx_abandon_all(void);
void tx_abandon_below(uintptr_t sp);

/* tx_note_thread_end() - the thread is about to end: the ends that its blocks now come to, where
 * the stack is unwound, are aborts. tx_is_jumping: a longjmp() is under way, which calls the
 * handlers of a cancellation as well; false as soon as the thread is in another call that may be
 * cancelled. */
void tx_note_thread_end(void);
extern _Thread_local bool tx_is_jumping;

/* A durable block was left while this thread held a lock that another needs before there can be a
 * cut: whoever releases the thread's last lock looks here, and calls tx_settle() then. */
extern _Thread_local bool tx_is_pending;
void tx_settle(void);

/* longjmp.c: finds libc's own; before main. */
void longjmp_init(void);
