/*
 * Slabs keep one byte of state per slot, far from the slots. The bytes are the whole truth: to
 * find free slots is to look for zero bytes, eight at a time, and to take a run of them is one
 * memset. No list runs through the slots, so taking, giving back and freeing write no user page;
 * and a double or invalid free is seen at once, because the byte is not LIVE.
 *
 * A slab belongs to a shard, as a thread cache does: threads of different shards take slots from
 * different slabs and do not write each other's state lines. Slabs with free slots stand in their
 * shard's list, the one in use first; one that gets free slots back queues at its end, to gather
 * more before it is used.
 *
 * Once there are epochs, slots that are handed out one here, one there cost a copied page each. So
 * a slab is used only when it has gathered free slots, an eighth of them; until then a new one is,
 * unless an eighth of the class is free anyway. A program that replaces a few of a million objects
 * then dirties a fraction of the pages, for an eighth more memory at most.
 */
#include "slab.h"

#include "check.h"
#include "meta.h"
#include "span.h"

#define POPULATE_FROM_SLABS 4
#define SPARING_FROM_SLABS 8 /* a class of fewer has no pages to spare */
#define SPARE_PART 8

static void list_append(struct layout_slab_list *list, struct layout_span *span)
{
	const uint32_t id = heap_span_id(span);
	span->next = 0;
	span->prev = list->tail;
	*(list->tail ? &state.spans[list->tail].next : &list->head) = id;
	list->tail = id;
}

static void list_prepend(struct layout_slab_list *list, struct layout_span *span)
{
	const uint32_t id = heap_span_id(span);
	span->next = list->head;
	span->prev = 0;
	*(list->head ? &state.spans[list->head].prev : &list->tail) = id;
	list->head = id;
}

static void list_remove(struct layout_slab_list *list, const struct layout_span *span)
{
	*(span->prev ? &state.spans[span->prev].next : &list->head) = span->next;
	*(span->next ? &state.spans[span->next].prev : &list->tail) = span->prev;
}

/* One more where bytes are left behind the last slot: a pointer to there is told from a slot. */
static size_t states_bytes(const struct layout_class *geometry)
{
	const uint64_t rest =
		geometry->page_count * HEAP_PAGE_BYTES % geometry->slot_bytes;
	return geometry->slot_count + (rest != 0);
}

static struct layout_span *slab_new(unsigned shard, unsigned class)
{
	const struct layout_class *geometry = &state.header->classes[class];
	struct layout_span *span = NULL;

	lock_acquire(&state.page_lock);
	const uint64_t states = meta_new(states_bytes(geometry));
	if (states != 0) {
		span = span_new(geometry->page_count, 1, SPAN_SLAB);
		if (!span)
			meta_free(states, states_bytes(geometry));
	}
	if (span) {
		span->states = (uint8_t *)heap_pointer(states);
		span->slot_bytes = geometry->slot_bytes;
		span->inverse = geometry->inverse;
		span->slot_count = span->free_count = geometry->slot_count;
		span->class = (uint8_t)class;
		span->shard = (uint8_t)shard;
		span_map_pages(span, heap_span_id(span));
	}
	lock_release(&state.page_lock);
	return span;
}

/* slab_add() - one more slab, the first in the list. A class that has some fills its next one
 * before long: faulting it in with one call costs half of what a fault a page does. */
static struct layout_span *slab_add(struct layout_slab_list *list, unsigned shard, unsigned class)
{
	struct layout_span *span = slab_new(shard, class);
	if (!span)
		return NULL;
	if (list->count >= POPULATE_FROM_SLABS && span->flags & SPAN_ZERO)
		state.memory.populate(state.memory.context, heap_start_of(span),
				      span->page_count * HEAP_PAGE_BYTES);
	span->flags = 0;
	list->count++;
	list->free_count += span->free_count;
	list_prepend(list, span);
	return span;
}

/* slab_drop() - a wholly free slab's pages go back */
static void slab_drop(struct layout_slab_list *list, struct layout_span *span)
{
	list_remove(list, span);
	list->count--;
	list->free_count -= span->free_count;
	span->flags = 0;
	lock_acquire(&state.page_lock);
	meta_free(heap_offset(span->states), states_bytes(&state.header->classes[span->class]));
	span_release(span);
	lock_release(&state.page_lock);
}

/* The first index >= from whose state is FREE; slot_count if there is none. State arrays are
 * padded to 64 bytes, so eight at a time never reads beyond them. */
static uint32_t find_free(const uint8_t *states, uint32_t from, uint32_t count)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	uint32_t i = from & ~7u;
	uint64_t skip = UINT64_C(0xff) << (from % 8 * 8);
	skip = (skip & -skip) - 1; /* the bytes below `from` count as taken */
	for (; i < count; i += 8, skip = 0) {
		const uint64_t word =
			__atomic_load_n((const uint64_t *)(states + i), __ATOMIC_RELAXED) | skip;
		const uint64_t zeros = (word - ones) & ~word & (ones << 7);
		if (zeros)
			return i + (uint32_t)__builtin_ctzll(zeros) / 8;
	}
	return count;
}

static uint32_t run_end(const uint8_t *states, uint32_t first, uint32_t stop)
{
	uint32_t i = first + 1;
	while (i < stop && slot_state_get(&states[i]) == SLOT_FREE)
		i++;
	return i;
}

bool slab_has_free(unsigned shard, unsigned class)
{
	return state.header->slabs[shard][class].head != 0;
}

static bool has_gathered(const struct layout_slab_list *list, const struct layout_span *span)
{
	return !__atomic_load_n(&state.has_epochs, __ATOMIC_RELAXED) || list->count < SPARING_FROM_SLABS ||
	       span->free_count >= span->slot_count / SPARE_PART ||
	       list->free_count >= (uint64_t)list->count * span->slot_count / SPARE_PART;
}

/* The slab in use, until it is full; or the next. */
static struct layout_span *choose(struct layout_slab_list *list, unsigned shard, unsigned class,
				  bool may_grow)
{
	struct layout_span *head = list->head ? &state.spans[list->head] : NULL;

	if (head && (head->flags & SPAN_IN_USE || has_gathered(list, head)))
		return head;
	if (!may_grow)
		return NULL;
	struct layout_span *grown = slab_add(list, shard, class);
	return grown ? grown : head;
}

bool slab_take(unsigned shard, unsigned class, uint32_t want, bool may_grow,
	       struct slab_run *ret_run)
{
	struct layout_slab_list *list = &state.header->slabs[shard][class];
	struct layout_span *span = choose(list, shard, class, may_grow);

	if (!span)
		return false;
	uint8_t *states = span->states;
	const uint32_t first = find_free(states, span->cursor, span->slot_count);
	CHECK(first < span->slot_count);
	const uint32_t stop = span->slot_count - first < want ? span->slot_count : first + want;
	const uint32_t end = run_end(states, first, stop);

	for (uint32_t i = first; i < end; i++)
		slot_state_set(&states[i], SLOT_CACHED);
	span->free_count -= end - first;
	list->free_count -= end - first;
	span->cursor = end;
	span->flags = span->free_count ? SPAN_IN_USE : 0;
	if (span->free_count == 0)
		list_remove(list, span);
	*ret_run = (struct slab_run){span, first, end};
	return true;
}

void slab_give(struct layout_span *span, const struct layout_entry *entries, uint32_t count)
{
	struct layout_slab_list *list = &state.header->slabs[span->shard][span->class];
	const uint8_t *states = span->states;
	const uint8_t *cursor = states + span->cursor;

	for (uint32_t i = 0; i < count; i++) {
		slot_state_set(entries[i].state, SLOT_FREE);
		cursor = entries[i].state < cursor ? entries[i].state : cursor;
	}
	span->cursor = (uint32_t)(cursor - states);
	if (span->free_count == 0)
		list_append(list, span);
	span->free_count += count;
	list->free_count += count;
	if (span->free_count == span->slot_count && list->head != list->tail)
		slab_drop(list, span);
}

static void list_trim(struct layout_slab_list *list)
{
	for (uint32_t id = list->head, next; id != 0; id = next) {
		struct layout_span *span = &state.spans[id];
		next = span->next;
		if (span->free_count == span->slot_count)
			slab_drop(list, span);
	}
}

void slab_trim(void)
{
	for (unsigned shard = 0; shard < state.header->shard_count; shard++)
		for (unsigned class = 1; class < HEAP_CLASSES; class++) {
			lock_acquire(&state.slab_locks[shard][class]);
			list_trim(&state.header->slabs[shard][class]);
			lock_release(&state.slab_locks[shard][class]);
		}
}
