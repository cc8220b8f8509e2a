/*
 * Aborts and exclusions: every third step changes everything it can, allocates, frees, and then
 * takes it back by HSK_ABORT(). A secret beside it is excluded: no epoch ever holds it.
 *
 * The image is always that of the steps which were not aborted, and the secret's bytes are zeros.
 */
#include "storm.h"

#define WORDS 5000
#define BLOCKS 64

struct state {
	uint64_t steps;  /* not aborted */
	uint64_t digest; /* of words and blocks */
	uint64_t words[WORDS];
	char *blocks[BLOCKS]; /* filled with their number */
	size_t sizes[BLOCKS];
	char open_before[100];
	char secret[5000]; /* begins and ends inside of lines and pages */
	char open_after[100];
};

static struct state *state;

static void word_set(size_t at, uint64_t value)
{
	MUST(hsk_add(&state->words[at], sizeof(state->words[at])) == 0);
	state->digest += storm_mix(at, value) - storm_mix(at, state->words[at]);
	state->words[at] = value;
}

static void block_renew(size_t at, size_t size)
{
	MUST(hsk_add(&state->blocks[at], sizeof(state->blocks[at])) == 0);
	MUST(hsk_add(&state->sizes[at], sizeof(state->sizes[at])) == 0);
	free(state->blocks[at]);
	state->blocks[at] = malloc(size);
	MUST(state->blocks[at]);
	fill(state->blocks[at], size, (unsigned)at);
	state->sizes[at] = size;
}

static void change(uint64_t dice)
{
	MUST(hsk_add(&state->digest, sizeof(state->digest)) == 0);
	MUST(hsk_add(&state->steps, sizeof(state->steps)) == 0);
	for (unsigned i = 0; i < 10; i++)
		word_set(storm_dice(dice, i) % WORDS, dice + i);
	block_renew(dice % BLOCKS, 1 + dice % 9000);
	state->steps++;
}

static void verify(void)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < WORDS; i++)
		sum += storm_mix(i, state->words[i]);
	MUST(sum == state->digest);
	for (size_t i = 0; i < BLOCKS; i++)
		MUST(is_filled(state->blocks[i], state->sizes[i], (unsigned)i));
	MUST(is_zero(state->secret, sizeof(state->secret)));
	for (size_t i = 0; i < sizeof(state->open_before); i++)
		MUST(state->open_before[i] == 'o' && state->open_after[i] == 'o');
}

static struct state *state_new(void)
{
	struct state *made = calloc(1, sizeof(*made));

	MUST(made);
	memset(made->open_before, 'o', sizeof(made->open_before));
	memset(made->open_after, 'o', sizeof(made->open_after));
	for (size_t i = 0; i < WORDS; i++)
		made->digest += storm_mix(i, 0);
	MUST(hsk_set_root("state", made) == 0);
	return made;
}

int main(void)
{
	state = hsk_root("state");
	if (!state)
		state = state_new();
	verify();
	storm_found(0, state->steps);
	MUST(hsk_exclude(state->secret, sizeof(state->secret)) == 0);
	for (uint64_t tries = 0;; tries++) {
		const uint64_t dice = storm_dice(20, state->steps * 3 + tries % 3);
		memset(state->secret, (int)(dice | 1), sizeof(state->secret));
		HSK_TX {
			change(dice);
			if (dice % 3 == 0)
				HSK_ABORT();
		}
		STORM_BLOCK(0, state->steps) { change(dice + 1); }
	}
}
