/*
 * Inside: may this thread be stopped, or is it in the middle of something?
 *
 * No epoch holds a half-done operation of the allocator. Whoever stops a thread by a signal asks
 * heap_is_interrupted() in the handler and, where it is true, tries again a little later. It costs
 * the fast paths nothing: their code, all of it, lies in a section of its own (HEAP_TEXT), so the
 * interrupted instruction's address tells; what they leave it for has first said so in a counter
 * of the thread's (inside_enter), and takes it back last.
 *
 * Who holds a lock of the heap, or waits for one, is inside.
 *
 * A handler of the program's that interrupted malloc's fast path is not inside: a cut in it may
 * lose one slot, never hand one out twice; see struct layout_bin.
 */
#pragma once

#include <stdint.h>

/* Never inlined: elsewhere its instructions would not be known. */
#define HEAP_TEXT __attribute__((section("heap_text"), noinline))
/* Never out of line, for the same reason. */
#define HEAP_INLINE static inline __attribute__((always_inline))

extern _Thread_local volatile uint32_t inside_depth __attribute__((tls_model("initial-exec")));

HEAP_INLINE void inside_enter(void)
{
	inside_depth = inside_depth + 1;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

HEAP_INLINE void inside_leave(void)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	inside_depth = inside_depth - 1;
}
