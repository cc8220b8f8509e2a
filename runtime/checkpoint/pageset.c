/*
 * The problem: some pages change, or have to be looked at again, without a store that a tracker
 * would tell: memory given back to the system reads as zeros; a page there was no room to copy is
 * told once only. And it is asked for while the program stands. The trick: a bit for each page, in
 * memory that is not there until it is used, and above them a bit for each 4096 pages: a set of two
 * pages 64 GiB apart is emptied in a microsecond. The guarantee: a page added before a take begins
 * is visited by it, for its own bit is set first, and the upper one taken first.
 */
#include "pageset.h"

#include <errno.h>
#include <sys/mman.h>

#include "os.h"

#define BITS 64 /* in a word */

static uint64_t words_for(uint64_t bits)
{
	return (bits + BITS - 1) / BITS;
}

static uint64_t group_count(const struct pageset *set)
{
	return words_for(words_for(words_for(set->page_count)));
}

static uint64_t set_bytes(const struct pageset *set)
{
	return (words_for(set->page_count) + group_count(set)) * sizeof(uint64_t);
}

int pageset_open(struct pageset *ret_set, uint64_t page_count)
{
	struct pageset set = {.page_count = page_count};

	set.words = os_mmap(NULL, set_bytes(&set), PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (os_is_error(set.words))
		return -ENOMEM;
	set.groups = set.words + words_for(page_count);
	*ret_set = set;
	return 0;
}

void pageset_close(struct pageset *set)
{
	if (set->words)
		os_munmap(set->words, set_bytes(set));
	set->words = NULL;
}

/* Of a word, the bits in [first, end) of all. */
static uint64_t bits_of(uint64_t word, uint64_t first, uint64_t end)
{
	const uint64_t from = word * BITS < first ? first % BITS : 0;
	const uint64_t to = word * BITS + BITS > end ? end % BITS : BITS;

	return (to == BITS ? ~UINT64_C(0) : (UINT64_C(1) << to) - 1) & ~UINT64_C(0) << from;
}

static void set_bits(uint64_t *words, uint64_t first, uint64_t end, int order)
{
	for (uint64_t word = first / BITS; word * BITS < end; word++)
		__atomic_fetch_or(&words[word], bits_of(word, first, end), order);
}

void pageset_add(struct pageset *set, uint64_t page, uint64_t page_count)
{
	const uint64_t pages_in_group = BITS * BITS, end = page + page_count;

	if (page_count == 0)
		return;
	set_bits(set->words, page, end, __ATOMIC_RELAXED);
	set_bits(set->groups, page / pages_in_group, (end - 1) / pages_in_group + 1, __ATOMIC_RELEASE);
}

bool pageset_has(const struct pageset *set, uint64_t page)
{
	return __atomic_load_n(&set->words[page / BITS], __ATOMIC_RELAXED) >> (page % BITS) & 1;
}

bool pageset_is_empty(const struct pageset *set)
{
	for (uint64_t i = 0; i < group_count(set); i++)
		if (__atomic_load_n(&set->groups[i], __ATOMIC_RELAXED))
			return false;
	return true;
}

/* Most are empty, and an exchange costs as much as looking at twenty. */
static uint64_t take_word(uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED) ? __atomic_exchange_n(word, 0, __ATOMIC_ACQUIRE)
						       : 0;
}

static void take_group(struct pageset *set, uint64_t group,
		       void (*visit)(void *context, uint64_t page), void *context)
{
	const uint64_t count = words_for(set->page_count), first = group * BITS;

	for (uint64_t word = first; word < first + BITS && word < count; word++) {
		uint64_t bits = take_word(&set->words[word]);
		for (; visit && bits; bits &= bits - 1)
			visit(context, word * BITS + (uint64_t)__builtin_ctzll(bits));
	}
}

void pageset_take(struct pageset *set, void (*visit)(void *context, uint64_t page), void *context)
{
	for (uint64_t i = 0; i < group_count(set); i++)
		for (uint64_t bits = take_word(&set->groups[i]); bits; bits &= bits - 1)
			take_group(set, i * BITS + (uint64_t)__builtin_ctzll(bits), visit, context);
}
