/*
 * The problem: memory given back to the system reads as zeros afterwards, and no tracker tells:
 * without a store there is no fault. The trick: who gives back says so here, before the pages can
 * be used again; at the next collection they are looked at as if they had been written, and what
 * is found there counts, zeros or not. The guarantee: a page noted before a collection begins is
 * visited by it.
 */
#include "zeros.h"

#include <errno.h>
#include <sys/mman.h>

#include "lock.h"
#include "os.h"

static struct {
	uint64_t *words; /* bits; NULL: closed */
	uint64_t word_count;
	struct lock lock; /* of the bounds */
	uint64_t first, end; /* words with bits lie in [first, end) */
} zeros;

int zeros_open(uint64_t page_count)
{
	const uint64_t words = (page_count + 63) / 64;
	void *memory = os_mmap(NULL, words * sizeof(uint64_t), PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (os_is_error(memory))
		return -ENOMEM;
	zeros.words = memory;
	zeros.word_count = words;
	zeros.first = words;
	zeros.end = 0;
	return 0;
}

void zeros_close(void)
{
	if (zeros.words)
		os_munmap(zeros.words, zeros.word_count * sizeof(uint64_t));
	zeros.words = NULL;
}

static uint64_t bits_of(uint64_t word, uint64_t page, uint64_t end)
{
	const uint64_t from = word * 64 < page ? page % 64 : 0;
	const uint64_t to = word * 64 + 64 > end ? end % 64 : 64;

	return (to == 64 ? ~UINT64_C(0) : (UINT64_C(1) << to) - 1) & ~UINT64_C(0) << from;
}

void zeros_note(uint64_t page, uint64_t page_count)
{
	const uint64_t end = page + page_count;

	if (!zeros.words || page_count == 0)
		return;
	for (uint64_t word = page / 64; word * 64 < end; word++)
		__atomic_fetch_or(&zeros.words[word], bits_of(word, page, end), __ATOMIC_RELAXED);
	lock_acquire(&zeros.lock);
	zeros.first = page / 64 < zeros.first ? page / 64 : zeros.first;
	zeros.end = (end + 63) / 64 > zeros.end ? (end + 63) / 64 : zeros.end;
	lock_release(&zeros.lock);
}

void zeros_take(void (*visit)(void *context, uint64_t page), void *context)
{
	lock_acquire(&zeros.lock);
	const uint64_t first = zeros.first, end = zeros.end;
	zeros.first = zeros.word_count;
	zeros.end = 0;
	lock_release(&zeros.lock);
	for (uint64_t word = first; word < end; word++) {
		uint64_t bits = __atomic_exchange_n(&zeros.words[word], 0, __ATOMIC_RELAXED);
		for (; bits; bits &= bits - 1)
			visit(context, word * 64 + (uint64_t)__builtin_ctzll(bits));
	}
}
