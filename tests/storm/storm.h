/*
 * What a program that is killed again and again tells the driver (tests/storm/run).
 *
 * Each *line of work* (a thread, or the program as a whole) counts its steps in kept memory. At its
 * start the program verifies what it finds and says how far each line has come; then it goes on
 * for ever, and acknowledges a step once it is durable. The driver outside remembers. It is killed
 * at any moment: what it wrote to the pipe before has been said.
 */
#pragma once

#include <pthread.h>

#include "../conformance/must.h"
#include "heapsake.h"

static inline void storm_say(char what, unsigned line, uint64_t steps)
{
	char text[64];
	const int len = snprintf(text, sizeof(text), "%c %u %llu\n", what, line,
				 (unsigned long long)steps);

	MUST(write(STDOUT_FILENO, text, (size_t)len) == len);
}

static inline void storm_found(unsigned line, uint64_t steps)
{
	storm_say('f', line, steps);
}

static inline void storm_acknowledge(unsigned line, uint64_t steps)
{
	storm_say('a', line, steps);
}

/*
 * STORM_BLOCK(line, steps) { a step } - a transaction, now and then a durable one: every
 * STORM_EVERYth of the line, as the driver says. steps, an expression, is acknowledged if it is
 * durable. Between two durable ones it is epochs of their own time that the program is killed in.
 */
static inline uint64_t storm_every(void)
{
	static uint64_t every;
	const char *text = every ? NULL : getenv("STORM_EVERY");

	if (!every)
		every = text ? strtoull(text, NULL, 10) : 10;
	return every;
}

struct storm_block {
	bool is_durable, is_open;
};

static inline void storm_block_end(unsigned line, uint64_t steps, bool is_durable)
{
	if (is_durable && hsk_status() == 0)
		storm_acknowledge(line, steps);
}

#define STORM_BLOCK(line, steps) \
	for (struct storm_block storm = {(steps) % storm_every() == 0, true}; storm.is_open; \
	     storm.is_open = false, storm_block_end((line), (steps), storm.is_durable)) \
		for (struct hsk_block block __attribute__((cleanup(hsk_tx_end))) = \
			     {hsk_tx_begin(&block, storm.is_durable ? HSK_TX_IS_DURABLE : 0), 1}; \
		     block.is_open; block.is_open = 0)

/* Pseudo-random and the same each time: what step n of a line does. */
static inline uint64_t storm_dice(uint64_t line, uint64_t step)
{
	uint64_t x = (line << 48) ^ step;

	x = (x ^ (x >> 31)) * UINT64_C(0x7fb5d329728ea185);
	x = (x ^ (x >> 27)) * UINT64_C(0x81dadef4bc2dd44d);
	return x ^ (x >> 33);
}

/* In the middle of a step, once in a while: an epoch must wait for the step's end, although the
 * thread sleeps here, in a call where others may be taken. */
static inline void storm_linger(uint64_t dice)
{
	if (dice >> 32 << 55 == 0) /* one in 512 */
		usleep(500);
}

/* So that no mistake makes two states look alike: a sum of these over a set says what is in it. */
static inline uint64_t storm_mix(uint64_t key, uint64_t value)
{
	return storm_dice(0, key * UINT64_C(0x9e3779b97f4a7c15) + value) | 1;
}
