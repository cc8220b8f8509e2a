/*
 * More at once than there is staging for: 300 MB, all of it written anew in one transaction.
 * All pages are of one generation in every epoch.
 */
#include "storm.h"

#define PAGES (size_t)75000
#define WORDS 512

HSK_KEEP static uint64_t (*pages)[WORDS];
HSK_KEEP static uint64_t generation;

static void write_all(void)
{
	generation++;
	for (size_t i = 0; i < PAGES; i++)
		for (size_t word = 0; word < WORDS; word += 32)
			pages[i][word] = storm_mix(i + word, generation);
}

static void verify(void)
{
	for (size_t i = 0; pages && i < PAGES; i++)
		for (size_t word = 0; word < WORDS; word += 32)
			MUST(pages[i][word] == storm_mix(i + word, generation));
}

int main(void)
{
	verify();
	storm_found(0, generation);
	for (;;) {
		HSK_TX_DURABLE {
			if (!pages)
				pages = aligned_alloc(4096, PAGES * sizeof(*pages));
			MUST(pages);
			write_all();
		}
		if (hsk_status() == 0)
			storm_acknowledge(0, generation);
	}
}
