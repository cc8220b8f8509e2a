/*
 * The problem: some pages change, or have to be looked at again, without a store that a tracker
 * would tell: memory given back to the system reads as zeros; a page there was no room to copy is
 * told once only. The trick: a bit for each page, in memory that is not there until it is used, and
 * bounds around the bits, so that an empty set costs nothing to look through. The guarantee: a page
 * added before a take begins is visited by it.
 */
#include "pageset.h"

#include <errno.h>
#include <sys/mman.h>

#include "os.h"

int pageset_open(struct pageset *ret_set, uint64_t page_count)
{
	const uint64_t words = (page_count + 63) / 64;
	void *memory = os_mmap(NULL, words * sizeof(uint64_t), PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (os_is_error(memory))
		return -ENOMEM;
	*ret_set = (struct pageset){.words = memory, .word_count = words, .first = words};
	return 0;
}

void pageset_close(struct pageset *set)
{
	if (set->words)
		os_munmap(set->words, set->word_count * sizeof(uint64_t));
	set->words = NULL;
}

static uint64_t bits_of(uint64_t word, uint64_t page, uint64_t end)
{
	const uint64_t from = word * 64 < page ? page % 64 : 0;
	const uint64_t to = word * 64 + 64 > end ? end % 64 : 64;

	return (to == 64 ? ~UINT64_C(0) : (UINT64_C(1) << to) - 1) & ~UINT64_C(0) << from;
}

void pageset_add(struct pageset *set, uint64_t page, uint64_t page_count)
{
	const uint64_t end = page + page_count;

	if (page_count == 0)
		return;
	for (uint64_t word = page / 64; word * 64 < end; word++)
		__atomic_fetch_or(&set->words[word], bits_of(word, page, end), __ATOMIC_RELAXED);
	lock_acquire(&set->lock);
	set->first = page / 64 < set->first ? page / 64 : set->first;
	set->end = (end + 63) / 64 > set->end ? (end + 63) / 64 : set->end;
	lock_release(&set->lock);
}

bool pageset_has(const struct pageset *set, uint64_t page)
{
	return __atomic_load_n(&set->words[page / 64], __ATOMIC_RELAXED) >> (page % 64) & 1;
}

bool pageset_is_empty(const struct pageset *set)
{
	return set->first >= set->end;
}

void pageset_take(struct pageset *set, void (*visit)(void *context, uint64_t page), void *context)
{
	lock_acquire(&set->lock);
	const uint64_t first = set->first, end = set->end;
	set->first = set->word_count;
	set->end = 0;
	lock_release(&set->lock);
	for (uint64_t word = first; word < end; word++) {
		uint64_t bits = __atomic_exchange_n(&set->words[word], 0, __ATOMIC_RELAXED);
		for (; visit && bits; bits &= bits - 1)
			visit(context, word * 64 + (uint64_t)__builtin_ctzll(bits));
	}
}
