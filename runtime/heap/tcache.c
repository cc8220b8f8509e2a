/*
 * Each thread caches, per size class, a stack of slots it has freed and a run of slots its slab
 * gave it. malloc pops the stack, or takes the next of the run; free pushes. An entry carries the
 * slot's address and the address of its state byte, so a pop marks the slot LIVE without looking
 * anything up, and no user byte is ever read or written.
 *
 * Bins start small and double with use: a thread that allocates three things hoards nothing, one
 * that allocates millions goes to the slabs once in hundreds of times.
 *
 * Caches lie in the heap and are part of its image. A thread that ends empties its cache and
 * leaves it for the next one to start. After fork, and in an image, there are caches without a
 * thread: *orphans*. Threads that start adopt them, full as they are (heap-layout.h says why that
 * is safe after fork). Before a class gets a new slab, what orphans hold of it goes back to the
 * slabs, one orphan after another until there is a slot, and each once; so nothing is lost for
 * ever, and nobody pays for it all at once.
 */
#include "tcache.h"

#include "check.h"
#include "meta.h"
#include "sizeclass.h"
#include "slab.h"

#define LIMIT_START 8u
#define RUN_MIN 4u /* shorter runs go on the stack, to refill with several */

static struct layout_tcache tcache_unset; /* no thread cache yet */
static struct layout_tcache tcache_gone;  /* given back: the thread is ending */
static struct layout_tcache tcache_away;  /* suspended: it has one, in tcache_suspended */

_Thread_local struct layout_tcache *tcache_self __attribute__((tls_model("initial-exec"))) =
	&tcache_unset;
static _Thread_local struct layout_tcache *tcache_suspended
	__attribute__((tls_model("initial-exec")));

static struct layout_tcache *tcache_own(void)
{
	return tcache_self == &tcache_away ? tcache_suspended : tcache_self;
}

static uint32_t bin_count(const struct layout_bin *bin)
{
	return (uint32_t)(bin->top - bin->entries);
}

static void bin_restart(struct layout_bin *bin)
{
	bin->limit = bin->entries + LIMIT_START;
	bin->batch = LIMIT_START;
}

static void entries_assign(struct layout_tcache *cache)
{
	struct layout_entry *entries = cache->entries;
	for (unsigned class = 1; class < HEAP_CLASSES; class++) {
		struct layout_bin *bin = &cache->bins[class];
		bin->entries = bin->top = entries;
		bin->slot_bytes = sizeclass_bytes(class);
		bin_restart(bin);
		entries += sizeclass_capacity(class);
	}
}

size_t tcache_bytes(void)
{
	size_t entries = 0;
	for (unsigned class = 1; class < HEAP_CLASSES; class++)
		entries += sizeclass_capacity(class);
	return sizeof(struct layout_tcache) + entries * sizeof(struct layout_entry);
}

/* A cache nobody owns, or a new one. The page lock is held. */
static struct layout_tcache *tcache_obtain(void)
{
	struct layout_heap *header = state.header;
	struct layout_tcache *cache;

	for (uint64_t at = header->tcaches; at != 0; at = cache->next) {
		cache = (struct layout_tcache *)heap_pointer(at);
		if (__atomic_load_n(&cache->generation, __ATOMIC_ACQUIRE) != header->generation)
			return cache;
	}
	const uint64_t offset = meta_new(tcache_bytes());
	if (offset == 0)
		return NULL;
	cache = (struct layout_tcache *)heap_pointer(offset);
	entries_assign(cache);
	cache->shard = header->next_shard++ % header->shard_count;
	cache->next = header->tcaches;
	header->tcaches = offset;
	return cache;
}

void tcache_orphans_wait(void)
{
	for (unsigned class = 1; class < HEAP_CLASSES; class++)
		__atomic_store_n(&state.orphans[class], state.header->tcaches, __ATOMIC_RELAXED);
}

static bool orphans_are_left(unsigned class)
{
	return __atomic_load_n(&state.orphans[class], __ATOMIC_RELAXED) != 0;
}

/* What a bin held. */
struct bin_contents {
	struct layout_bin bin; /* for its run */
	struct layout_entry entries[SIZECLASS_CACHE_MAX];
	uint32_t count;
};

/* orphan_take() - the contents of the next orphan's bin; it is empty then. false: none is left */
static bool orphan_take(unsigned class, struct bin_contents *ret_contents)
{
	const struct layout_heap *header = state.header;
	bool any = false;

	lock_acquire(&state.page_lock);
	uint64_t at = state.orphans[class];
	while (at != 0 && !any) {
		struct layout_tcache *cache = (struct layout_tcache *)heap_pointer(at);
		struct layout_bin *bin = &cache->bins[class];
		at = cache->next;
		if (__atomic_load_n(&cache->generation, __ATOMIC_ACQUIRE) == header->generation)
			continue;
		ret_contents->bin = *bin;
		ret_contents->count = bin_count(bin);
		CHECK(ret_contents->count <= SIZECLASS_CACHE_MAX);
		memcpy(ret_contents->entries, bin->entries,
		       ret_contents->count * sizeof(ret_contents->entries[0]));
		bin->top = bin->entries;
		bin->run = 0;
		any = ret_contents->count != 0 || !run_is_empty(ret_contents->bin.run);
	}
	__atomic_store_n(&state.orphans[class], at, __ATOMIC_RELAXED);
	lock_release(&state.page_lock);
	return any;
}

static bool tcache_start(void)
{
	lock_acquire(&state.page_lock);
	struct layout_tcache *cache = tcache_obtain();
	if (cache)
		__atomic_store_n(&cache->generation, state.header->generation, __ATOMIC_RELAXED);
	lock_release(&state.page_lock);
	if (!cache)
		return false;
	tcache_self = cache;
	if (state.memory.thread_enter)
		state.memory.thread_enter(state.memory.context);
	return true;
}

/* For threads on their way out: one slot, no cache. */
static void *alloc_uncached(unsigned class)
{
	struct slab_run run;
	lock_acquire(&state.slab_locks[0][class]);
	const bool ok = slab_take(0, class, 1, true, &run);
	lock_release(&state.slab_locks[0][class]);
	if (!ok)
		return NULL;
	return slot_hand_out(run.span->start + run.first * run.span->slot_bytes,
			     run.span->states + run.first);
}

static void run_push(struct layout_bin *bin, const struct slab_run *run)
{
	/* The last first: the stack hands out the lowest address first. */
	for (uint32_t i = run->end; i-- > run->first;) {
		*bin->top = (struct layout_entry){run->span->start + (size_t)i * bin->slot_bytes,
						  run->span->states + i};
		bin->top++;
	}
}

static void run_set(struct layout_bin *bin, const struct slab_run *run)
{
	bin->run = 0;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	bin->run_slots = run->span->start;
	bin->run_states = run->span->states;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	bin->run = run->first | (uint64_t)run->end << 32;
}

static uint32_t doubled(uint32_t value, uint32_t cap)
{
	return value * 2 < cap ? value * 2 : cap;
}

/* How many of the entries, from the first on, are slots of its slab. */
static uint32_t same_slab(const struct layout_span *span, const struct layout_entry *entries,
			  uint32_t n)
{
	const uint64_t bytes = span->page_count * HEAP_PAGE_BYTES;
	uint32_t i = 1;
	while (i < n && (uint64_t)(entries[i].slot - span->start) < bytes)
		i++;
	return i;
}

/* Give n entries to their slabs, changing locks only between shards. */
static void entries_give(const struct layout_entry *entries, uint32_t n, unsigned class)
{
	struct lock *held = NULL;
	for (uint32_t i = 0; i < n;) {
		struct layout_span *span = heap_span_of(entries[i].slot);
		struct lock *lock = &state.slab_locks[span->shard][class];
		const uint32_t count = same_slab(span, entries + i, n - i);
		if (lock != held) {
			if (held)
				lock_release(held);
			lock_acquire(lock);
			held = lock;
		}
		slab_give(span, entries + i, count);
		i += count;
	}
	if (held)
		lock_release(held);
}

/* The run of a bin that has it no more. */
static void run_give(const struct layout_bin *bin, uint64_t run, unsigned class)
{
	for (uint32_t i = run_next(run); i < run_stop(run); i++) {
		const struct layout_entry entry = {bin->run_slots + (size_t)i * bin->slot_bytes,
						   bin->run_states + i};
		entries_give(&entry, 1, class);
	}
}

/* orphan_empty() - one orphan's slots of a class go to their slabs; false: no orphan has any.
 * No lock is held. */
static bool orphan_empty(unsigned class)
{
	struct bin_contents contents;
	if (!orphan_take(class, &contents))
		return false;
	entries_give(contents.entries, contents.count, class);
	run_give(&contents.bin, contents.bin.run, class);
	return true;
}

bool tcache_empty_orphans(void)
{
	bool any = false;
	for (unsigned class = 1; class < HEAP_CLASSES; class++)
		while (orphans_are_left(class))
			any |= orphan_empty(class);
	return any;
}

/* refill() - one long run, or a stack of short ones: at least one slot, or false */
static bool refill(struct layout_tcache *cache, unsigned class)
{
	struct layout_bin *bin = &cache->bins[class];
	struct lock *lock = &state.slab_locks[cache->shard][class];
	const uint32_t want = bin->batch;
	struct slab_run run;
	bool any = false;

	bin->batch = doubled(bin->batch, sizeclass_capacity(class));
	lock_acquire(lock);
	while (!slab_has_free(cache->shard, class) && orphans_are_left(class)) {
		lock_release(lock);
		(void)orphan_empty(class);
		lock_acquire(lock);
	}
	while (bin_count(bin) < want / 2 + 1 && slab_take(cache->shard, class, want, !any, &run)) {
		any = true;
		if (run.end - run.first >= RUN_MIN || bin->top + (run.end - run.first) > bin->limit) {
			run_set(bin, &run);
			break;
		}
		run_push(bin, &run);
	}
	lock_release(lock);
	return any;
}

void *tcache_alloc_slow(unsigned class)
{
	struct layout_tcache *cache = tcache_own();
	if (tcache_self == &tcache_unset && tcache_start())
		cache = tcache_self;
	if (cache == &tcache_gone || cache == &tcache_unset)
		return alloc_uncached(class);

	struct layout_bin *bin = &cache->bins[class];
	/* An adopted cache has slots already. */
	if (bin->top == bin->entries && run_is_empty(bin->run) && !refill(cache, class))
		return NULL;
	return bin->top != bin->entries ? stack_pop(bin) : run_pop(bin);
}

/* The entries leave the stack before their slots are free, oldest first: see struct layout_bin. */
static void bin_flush(struct layout_bin *bin, unsigned class, uint32_t keep)
{
	struct layout_entry out[SIZECLASS_CACHE_MAX];
	const uint32_t n = bin_count(bin) - keep;
	memcpy(out, bin->entries, n * sizeof(out[0]));
	bin->top = bin->entries;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	memmove(bin->entries, bin->entries + n, keep * sizeof(out[0]));
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	bin->top = bin->entries + keep;
	entries_give(out, n, class);
}

void tcache_free_cold(struct layout_span *span, char *slot, uint8_t *slot_state)
{
	const struct layout_entry entry = {slot, slot_state};

	entries_give(&entry, 1, span->class);
}

void tcache_free_slow(struct layout_span *span, char *slot, uint8_t *slot_state)
{
	const unsigned class = span->class;
	struct layout_tcache *cache = tcache_self;
	if (unlikely(cache == &tcache_unset) && tcache_start())
		cache = tcache_self;

	struct layout_bin *bin = &cache->bins[class];
	if (bin->limit == bin->entries) {
		tcache_free_cold(span, slot, slot_state);
		return;
	}
	if (bin->top == bin->limit) {
		const uint32_t limit = bin_count(bin), capacity = sizeclass_capacity(class);
		if (limit < capacity)
			bin->limit = bin->entries + doubled(limit, capacity);
		else
			bin_flush(bin, class, limit / 2);
	}
	*bin->top = (struct layout_entry){slot, slot_state};
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	bin->top++;
}

void tcache_flush(void)
{
	struct layout_tcache *cache = tcache_own();
	for (unsigned class = 1; class < HEAP_CLASSES; class++) {
		struct layout_bin *bin = &cache->bins[class];
		if (bin->top != bin->entries)
			bin_flush(bin, class, 0);
		const uint64_t run = bin->run;
		bin->run = 0;
		run_give(bin, run, class);
	}
}

void tcache_thread_exit(void)
{
	struct layout_tcache *cache = tcache_self;
	if (cache == &tcache_gone)
		return;
	if (cache != &tcache_unset) {
		tcache_flush();
		for (unsigned class = 1; class < HEAP_CLASSES; class++)
			bin_restart(&cache->bins[class]);
		__atomic_store_n(&cache->generation, 0, __ATOMIC_RELEASE);
	}
	tcache_self = &tcache_gone;
}

void tcache_suspend(void)
{
	if (tcache_self == &tcache_unset)
		(void)tcache_start();
	tcache_suspended = tcache_self;
	tcache_self = &tcache_away;
}

void tcache_resume(void)
{
	tcache_self = tcache_own();
}

void tcache_postfork_child(void)
{
	struct layout_tcache *cache = tcache_own();
	state.header->generation++;
	state.is_forked = true;
	if (cache != &tcache_unset && cache != &tcache_gone)
		cache->generation = state.header->generation;
	tcache_orphans_wait();
}

void tcache_reset(void)
{
	tcache_self = &tcache_unset;
}
