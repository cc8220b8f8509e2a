/*
 * The problem: a page that rots is found while its program runs on, and the program may have the
 * right bytes in memory, or have been given the wrong ones, for an attached heap shows home as it
 * is. The trick: what the page must be is known by its checksum. If memory still has that, the
 * next epoch logs it, whole, and a merge puts it where it was; if memory has what was found in
 * home, that is not made an epoch's. A page of which the log has some lines is found by the merge
 * that cannot bring it home, and is logged whole likewise. The guarantee: it is called healed only
 * when the log has the very page that was lost; a page that has been stored to since remains in
 * doubt, as long as the round that found it counts.
 *
 * A disk that dies damages more pages than anybody needs to know: of those beyond the first few
 * there is the number.
 */
#include "damage.h"

static struct damaged_page *find(struct damage *damage, uint64_t key)
{
	for (unsigned i = 0; i < damage->count; i++)
		if (damage->pages[i].key == key)
			return &damage->pages[i];
	return NULL;
}

const struct damaged_page *damage_find(const struct damage *damage, uint64_t key, uint64_t number)
{
	const struct damaged_page *page = find((struct damage *)damage, key);

	return page && !page->is_past && page->number == number ? page : NULL;
}

/* A page at rest keeps nobody from anything: one that no merge can pass takes its place. */
static struct damaged_page *make_room(struct damage *damage, uint64_t number)
{
	if (damage->count < DAMAGE_MAX)
		return &damage->pages[damage->count++];
	damage->more_seen++;
	for (unsigned i = DAMAGE_MAX; number != ANNALS_NONE && i-- > 0;)
		if (damage->pages[i].number == ANNALS_NONE)
			return &damage->pages[i];
	return NULL;
}

bool damage_note(struct damage *damage, uint64_t key, uint64_t number, int error,
		 const struct home_fault *fault)
{
	struct damaged_page *page = find(damage, key);

	if (!page)
		page = make_room(damage, number);
	if (!page)
		return false;
	*page = (struct damaged_page){
		.key = key, .fault = *fault, .error = error, .number = number, .is_seen = true,
	};
	return true;
}

/* Those that stay, in their order. */
static void keep(struct damage *damage, unsigned *count, const struct damaged_page *page)
{
	damage->pages[(*count)++] = *page;
}

void damage_settle(struct damage *damage, const struct annals *annals)
{
	unsigned count = 0;

	for (unsigned i = 0; i < damage->count; i++) {
		struct damaged_page *page = &damage->pages[i];
		const uint64_t number = annals_find(annals, page->key, ANNALS_NEWEST);
		const bool is_logged = number != ANNALS_NONE && number != page->number;
		if (is_logged && annals_at(annals, number)->sum == page->fault.expected)
			continue;
		page->is_past = page->is_past || is_logged;
		keep(damage, &count, page);
	}
	damage->count = count;
}

void damage_turn(struct damage *damage)
{
	unsigned count = 0;

	for (unsigned i = 0; i < damage->count; i++)
		if (damage->pages[i].is_seen)
			keep(damage, &count, &damage->pages[i]);
	for (unsigned i = 0; i < count; i++)
		damage->pages[i].is_seen = false;
	damage->count = count;
	damage->more = damage->more_seen;
	damage->more_seen = 0;
}
