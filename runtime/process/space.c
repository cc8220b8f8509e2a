#include "space.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "os.h"
#include "ours.h"

#define CHUNK_BYTES ((uint64_t)SPACE_CHUNK_PAGES * OS_PAGE_BYTES)
#define CHUNK_MAX (UINT64_C(1) << (47 - 21))
#define PLACES (2 * SPACE_SLOTS) /* a power of two, at most half of it used */

static struct {
	struct space_slot *slots; /* the directory */
	uint32_t *places;         /* hash table, chunk -> slot + 1 */
	uint32_t used;            /* no slot at or behind it was ever taken */
	uint32_t free;            /* likely to be the first free one */
	uint64_t full;            /* kept pages there was no slot for */
	bool has_changed[CHECKPOINT_DIRECTORY_PAGES];
} self OURS;

int space_open(void)
{
	memset(&self, 0, sizeof(self));
	self.slots = os_reserve(CHECKPOINT_DIRECTORY_PAGES * OS_PAGE_BYTES);
	self.places = os_reserve(PLACES * sizeof(*self.places));
	return os_is_error(self.slots) || os_is_error(self.places) ? -ENOMEM : 0;
}

static void note_change(const struct space_slot *slot)
{
	const uint64_t offset = (uint64_t)((const char *)slot - (const char *)self.slots);

	self.has_changed[offset / OS_PAGE_BYTES] = true;
	self.has_changed[(offset + sizeof(*slot) - 1) / OS_PAGE_BYTES] = true;
}

/* ---- Chunk to slot ---- */

static uint32_t place_of(uint64_t chunk)
{
	uint32_t at = (uint32_t)(chunk * UINT64_C(0x9e3779b97f4a7c15) >> 40);

	for (;; at++) {
		const uint32_t slot = self.places[at % PLACES];
		if (!slot || self.slots[slot - 1].chunk == chunk)
			return at % PLACES;
	}
}

static struct space_slot *find(uint64_t chunk)
{
	const uint32_t slot = self.places[place_of(chunk)];

	return slot ? &self.slots[slot - 1] : NULL;
}

static struct space_slot *take(uint64_t chunk)
{
	if (!self.slots)
		return NULL;
	while (self.free < self.used && self.slots[self.free].chunk)
		self.free++;
	if (self.free == SPACE_SLOTS)
		return NULL;
	struct space_slot *slot = &self.slots[self.free++];
	if (self.used < self.free)
		self.used = self.free;
	const uint32_t place = place_of(chunk);
	slot->chunk = chunk;
	self.places[place] = self.free;
	note_change(slot);
	return slot;
}

/* Those that may have been passed over for it are put in again. */
static void give(struct space_slot *slot)
{
	uint32_t at = place_of(slot->chunk);

	self.places[at] = 0;
	slot->chunk = 0;
	note_change(slot);
	if (self.free > slot - self.slots)
		self.free = (uint32_t)(slot - self.slots);
	for (at = (at + 1) % PLACES; self.places[at]; at = (at + 1) % PLACES) {
		const uint32_t other = self.places[at];
		self.places[at] = 0;
		self.places[place_of(self.slots[other - 1].chunk)] = other;
	}
}

/* ---- Pages ---- */

static uint64_t bits_of(unsigned word, unsigned first, unsigned end)
{
	const unsigned from = first > word * 64 ? first - word * 64 : 0;
	const unsigned to = end < word * 64 + 64 ? end - word * 64 : 64;

	if (first >= word * 64 + 64 || end <= word * 64)
		return 0;
	return (to == 64 ? ~UINT64_C(0) : (UINT64_C(1) << to) - 1) & ~UINT64_C(0) << from;
}

uint64_t space_keep(uint64_t start, uint64_t len)
{
	const uint64_t chunk = start / CHUNK_BYTES;
	const unsigned first = (unsigned)(start % CHUNK_BYTES / OS_PAGE_BYTES);
	const unsigned end = first + (unsigned)(len / OS_PAGE_BYTES);
	struct space_slot *slot = find(chunk);

	if (!slot)
		slot = take(chunk);
	if (!slot) {
		self.full += len / OS_PAGE_BYTES;
		return SPACE_FULL;
	}
	for (unsigned word = first / 64; word * 64 < end; word++) {
		const uint64_t bits = bits_of(word, first, end);
		if ((slot->kept[word] & bits) == bits)
			continue;
		slot->kept[word] |= bits;
		note_change(slot);
	}
	return (uint64_t)(slot - self.slots) * SPACE_CHUNK_PAGES + first;
}

uint64_t space_address(uint64_t page)
{
	const struct space_slot *slot = &self.slots[page / SPACE_CHUNK_PAGES];
	const unsigned at = page % SPACE_CHUNK_PAGES;

	if (!slot->chunk || !(slot->kept[at / 64] >> (at % 64) & 1))
		return 0;
	return slot->chunk * CHUNK_BYTES + (uint64_t)at * OS_PAGE_BYTES;
}

static void forget_in(struct space_slot *slot, unsigned first, unsigned end,
		      void (*hear)(uint64_t page, uint64_t count))
{
	const uint64_t base = (uint64_t)(slot - self.slots) * SPACE_CHUNK_PAGES;
	uint64_t left = 0;

	for (unsigned word = 0; word < 8; word++) {
		uint64_t bits = slot->kept[word] & bits_of(word, first, end);
		if (bits) {
			slot->kept[word] &= ~bits;
			note_change(slot);
		}
		for (; bits; bits &= bits - 1)
			hear(base + word * 64 + (unsigned)__builtin_ctzll(bits), 1);
		left |= slot->kept[word];
	}
	if (!left)
		give(slot);
}

/* The slots that have pages in [start, end), one after the other; *ret_first and *ret_end: which of
 * its own. A reservation of terabytes has fewer slots than chunks, a small mapping fewer chunks
 * than there are slots. *at: 0 at first. */
static struct space_slot *next_slot(uint64_t start, uint64_t end, uint64_t *at, unsigned *ret_first,
				    unsigned *ret_end)
{
	const uint64_t first = start / CHUNK_BYTES;
	const uint64_t chunks = (end + CHUNK_BYTES - 1) / CHUNK_BYTES - first;
	const bool is_small = chunks < self.used;

	while (*at < (is_small ? chunks : self.used)) {
		const uint64_t i = (*at)++;
		struct space_slot *slot = is_small ? find(first + i) : &self.slots[i];
		const uint64_t base = slot ? slot->chunk * CHUNK_BYTES : 0;
		if (!base || base >= end || base + CHUNK_BYTES <= start)
			continue;
		*ret_first = start > base ? (unsigned)((start - base) / OS_PAGE_BYTES) : 0;
		*ret_end = end - base < CHUNK_BYTES ? (unsigned)((end - base) / OS_PAGE_BYTES)
						    : SPACE_CHUNK_PAGES;
		return slot;
	}
	return NULL;
}

void space_forget(uint64_t start, uint64_t end, void (*hear)(uint64_t page, uint64_t count))
{
	struct space_slot *slot;
	unsigned first, last;
	uint64_t at = 0;

	while ((slot = next_slot(start, end, &at, &first, &last)))
		forget_in(slot, first, last, hear);
}

bool space_has(uint64_t start, uint64_t end)
{
	struct space_slot *slot;
	unsigned first, last;
	uint64_t at = 0;

	while ((slot = next_slot(start, end, &at, &first, &last)))
		for (unsigned word = 0; word < 8; word++)
			if (slot->kept[word] & bits_of(word, first, last))
				return true;
	return false;
}

void space_changed(void (*hear)(uint64_t page, const char *bytes))
{
	for (unsigned i = 0; i < CHECKPOINT_DIRECTORY_PAGES; i++) {
		if (self.has_changed[i])
			hear(i, (const char *)self.slots + (uint64_t)i * OS_PAGE_BYTES);
		self.has_changed[i] = false;
	}
}

void space_visit(void (*visit)(void *context, uint64_t slot, const struct space_slot *found),
		 void *context)
{
	for (uint32_t i = 0; i < self.used; i++)
		if (self.slots[i].chunk)
			visit(context, i, &self.slots[i]);
}

bool space_load(const char *directory)
{
	memcpy(self.slots, directory, SPACE_SLOTS * sizeof(*self.slots));
	for (uint32_t i = 0; i < SPACE_SLOTS; i++) {
		const uint64_t chunk = self.slots[i].chunk;
		if (!chunk)
			continue;
		if (chunk >= CHUNK_MAX || find(chunk))
			return false;
		self.used = i + 1;
		self.places[place_of(chunk)] = i + 1;
	}
	return true;
}
