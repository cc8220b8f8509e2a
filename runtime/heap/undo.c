/*
 * Undo: a thread can go back to where it began.
 *
 * Four kinds of notes are taken, in one log: bytes as they were when the program added a range,
 * blocks allocated, blocks freed, roots as they were. An abort goes through them backwards: bytes
 * are put back, a freed block is LIVE again, an allocated one is freed, and no root leads to it any
 * more. That order needs no thought: whenever a note is undone, the heap looks to it as it did just
 * after it was taken. A commit frees what was freed and forgets the rest.
 *
 * A root is put back by its name: another thread may have its place in the table by then.
 *
 * A block freed is CACHED until then, in no cache: to be freed again is an error at once, nobody
 * gets it, and none of its bytes changes. That would be half an operation in an image; but no
 * epoch holds half a transaction. For the same reason the log need not be in the heap: it is the
 * thread's own anonymous memory, and so a fork gives the child its own.
 *
 * Blocks that are not the heap's are noted likewise, but have no states: who frees one twice in a
 * block is found by their own allocator.
 */
#include "undo.h"

#include <errno.h>
#include <stdalign.h>
#include <sys/mman.h>

#include "large.h"
#include "memcheck.h"
#include "os.h"
#include "tcache.h"

#define CHUNK_BYTES ((size_t)65536)

enum note_kind {
	NOTE_BYTES,
	NOTE_ALLOC,
	NOTE_FREE,
	NOTE_KEPT,
	NOTE_ROOT, /* bytes[] is a struct root_note */
	NOTE_FOREIGN,
	NOTE_FOREIGN_FREE,
};

struct root_note {
	heap_undo_set_root *set;
	char name[];
};

struct note {
	void *p;
	size_t len;    /* of bytes[] */
	size_t before; /* where the note before this one is in its chunk; 0: it is the first */
	enum note_kind kind;
	alignas(void *) char bytes[];
};

#define NEAR ((void *)UINT64_C(0x7e0000000000))

struct undo_chunk {
	struct undo_chunk *older;
	size_t size;
	size_t used;
	size_t newest; /* where the newest note is; 0: there is none */
};

_Thread_local bool heap_undo_is_active __attribute__((tls_model("initial-exec")));
_Thread_local struct undo undo_self __attribute__((tls_model("initial-exec")));

static void (*release_foreign)(void *p);

static struct undo_chunk *chunk_new(size_t size)
{
	/* A hint, for this is the program's memory, which keep=process keeps: see ours.h. */
	void *at = os_mmap(NEAR, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (os_is_error(at))
		return NULL;
	struct undo_chunk *chunk = at;
	*chunk = (struct undo_chunk){undo_self.newest, size, sizeof(*chunk), 0};
	undo_self.newest = chunk;
	return chunk;
}

static void chunk_drop(void)
{
	struct undo_chunk *chunk = undo_self.newest;
	undo_self.newest = chunk->older;
	os_munmap(chunk, chunk->size);
}

static struct note *note_new(enum note_kind kind, void *p, size_t len)
{
	if (len > PTRDIFF_MAX)
		return NULL;
	const size_t bytes = heap_round_up(sizeof(struct note) + len, alignof(struct note));
	struct undo_chunk *chunk = undo_self.newest;
	if (!chunk || chunk->size - chunk->used < bytes) {
		const size_t least = heap_round_up(sizeof(*chunk) + bytes, OS_PAGE_BYTES);
		chunk = chunk_new(least < CHUNK_BYTES ? CHUNK_BYTES : least);
		if (!chunk)
			return NULL;
	}
	struct note *note = (struct note *)((char *)chunk + chunk->used);
	*note = (struct note){.p = p, .len = len, .before = chunk->newest, .kind = kind};
	chunk->newest = chunk->used;
	chunk->used += bytes;
	return note;
}

/* All notes, newest first; they are gone afterwards. */
static void notes_consume(void (*each)(const struct note *note))
{
	for (struct undo_chunk *chunk; (chunk = undo_self.newest) != NULL;) {
		for (size_t at = chunk->newest; at != 0;) {
			const struct note *note = (const struct note *)((const char *)chunk + at);
			at = note->before;
			each(note);
		}
		if (!chunk->older && chunk->size == CHUNK_BYTES) {
			chunk->used = sizeof(*chunk);
			chunk->newest = 0;
			return;
		}
		chunk_drop();
	}
}

static uint8_t *state_of(const struct layout_span *span, const char *p)
{
	return span->states + (span->kind == SPAN_SLAB ?
				       (size_t)(p - span->start) / span->slot_bytes : 0);
}

/* A block that is CACHED, and in no cache. */
static void block_release(void *p)
{
	struct layout_span *span = heap_span_of(p);
	if (span->kind == SPAN_LARGE)
		large_free(span);
	else
		tcache_free_slow(span, p, state_of(span, p));
}

void *undo_note_alloc(void *p)
{
	if (!p || note_new(NOTE_ALLOC, p, 0))
		return p;
	slot_state_set(state_of(heap_span_of(p), p), SLOT_CACHED);
	block_release(p);
	return NULL;
}

void undo_note_free(void *p)
{
	if (!note_new(NOTE_FREE, p, 0))
		slot_state_set(state_of(heap_span_of(p), p), SLOT_LIVE);
}

/* The newest note for which `is_it` says so; NULL: there is none. */
static struct note *note_find(bool (*is_it)(struct note *note, void *context), void *context)
{
	for (struct undo_chunk *chunk = undo_self.newest; chunk; chunk = chunk->older)
		for (size_t at = chunk->newest; at != 0;) {
			struct note *note = (struct note *)((char *)chunk + at);
			at = note->before;
			if (is_it(note, context))
				return note;
		}
	return NULL;
}

static bool note_is_of_live_block(const struct note *note)
{
	return note->kind == NOTE_ALLOC &&
	       slot_is_live(state_of(heap_span_of(note->p), note->p));
}

/* No address is given twice: what is freed is so at the end only. */
static bool note_is_block_at(struct note *note, void *p)
{
	return note->p == p && (note->kind == NOTE_FOREIGN || note_is_of_live_block(note));
}

/* ---- Foreign blocks that were freed again ---- */

/* Their addresses, in a table with open addressing: a search through the notes for each block that
 * was allocated took seconds where there were some ten thousand. */
struct freed {
	size_t count;
	size_t mask; /* of slots, whose number is a power of two */
	void **slots; /* NULL: none, or no memory; they are lost then */
};

static bool freed_count(struct note *note, void *freed)
{
	((struct freed *)freed)->count += note->kind == NOTE_FOREIGN_FREE;
	return false;
}

static void freed_open(struct freed *freed)
{
	size_t slots = OS_PAGE_BYTES / sizeof(void *);

	if (!freed->count)
		return;
	while (slots < 2 * freed->count)
		slots *= 2;
	freed->mask = slots - 1;
	freed->slots = os_mmap(NEAR, slots * sizeof(void *), PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (os_is_error(freed->slots))
		freed->slots = NULL;
}

static void freed_close(struct freed *freed)
{
	if (freed->slots)
		os_munmap(freed->slots, (freed->mask + 1) * sizeof(void *));
}

/* Where p is, or would be. */
static void **freed_slot(const struct freed *freed, const void *p)
{
	size_t i = ((uintptr_t)p * UINT64_C(0x9e3779b97f4a7c15) >> 32) & freed->mask;

	while (freed->slots[i] && freed->slots[i] != p)
		i = (i + 1) & freed->mask;
	return &freed->slots[i];
}

static bool freed_has(const struct freed *freed, const void *p)
{
	return freed->slots && *freed_slot(freed, p);
}

/* Newest first, so that whatever was freed is known when its block is met. */
static bool note_keep(struct note *note, void *freed)
{
	if (note->kind == NOTE_FOREIGN_FREE && ((struct freed *)freed)->slots)
		*freed_slot(freed, note->p) = note->p;
	else if (note->kind == NOTE_FOREIGN ? !freed_has(freed, note->p) : note_is_of_live_block(note))
		note->kind = NOTE_KEPT;
	return false;
}

static void note_commit(const struct note *note)
{
	if (note->kind == NOTE_FREE)
		block_release(note->p);
	else if (note->kind == NOTE_FOREIGN_FREE)
		release_foreign(note->p);
}

static void note_abort(const struct note *note)
{
	if (note->kind == NOTE_BYTES) {
		memcpy(note->p, note->bytes, note->len);
		return;
	}
	if (note->kind == NOTE_ROOT) {
		const struct root_note *root = (const struct root_note *)note->bytes;
		root->set(root->name, note->p);
		return;
	}
	if (note->kind == NOTE_FOREIGN)
		release_foreign(note->p);
	if (note->kind != NOTE_ALLOC && note->kind != NOTE_FREE)
		return;
	struct layout_span *span = heap_span_of(note->p);
	uint8_t *slot_state = state_of(span, note->p);
	if (note->kind == NOTE_FREE) {
		slot_state_set(slot_state, SLOT_LIVE);
		memcheck_alloc(note->p, span->slot_bytes ? span->slot_bytes :
			       span->page_count * HEAP_PAGE_BYTES, 1);
	} else if (slot_is_live(slot_state)) { /* no other thread has freed it */
		memcheck_free(note->p);
		slot_state_set(slot_state, SLOT_CACHED);
		block_release(note->p);
	}
}

static void undo_end(void (*each)(const struct note *note))
{
	if (!heap_undo_is_active)
		return;
	inside_enter();
	heap_undo_is_active = false;
	tcache_resume();
	notes_consume(each);
	inside_leave();
}

int heap_undo_begin(void)
{
	if (heap_undo_is_active)
		return 0;
	if (!undo_self.newest && !chunk_new(CHUNK_BYTES))
		return -ENOMEM;
	inside_enter();
	if (heap_is_there())
		tcache_suspend();
	heap_undo_is_active = true;
	inside_leave();
	return 0;
}

int heap_undo_add(void *p, size_t len)
{
	if (!heap_undo_is_active)
		return -EINVAL;
	struct note *note = note_new(NOTE_BYTES, p, len);
	if (!note)
		return -ENOMEM;
	memcpy(note->bytes, p, len);
	return 0;
}

int heap_undo_root(const char *name, void *p, heap_undo_set_root *set)
{
	const size_t name_bytes = strlen(name) + 1;

	if (!heap_undo_is_active)
		return -EINVAL;
	struct note *note = note_new(NOTE_ROOT, p, sizeof(struct root_note) + name_bytes);
	if (!note)
		return -ENOMEM;
	struct root_note *root = (struct root_note *)note->bytes;
	root->set = set;
	memcpy(root->name, name, name_bytes);
	return 0;
}

void heap_undo_keep(void)
{
	struct freed freed = {0};

	note_find(freed_count, &freed);
	freed_open(&freed);
	note_find(note_keep, &freed);
	freed_close(&freed);
}

void heap_undo_keep_block(void *p)
{
	struct note *note = p && heap_undo_is_active ? note_find(note_is_block_at, p) : NULL;

	if (note)
		note->kind = NOTE_KEPT;
}

void heap_undo_foreign(void (*release)(void *p))
{
	release_foreign = release;
}

void *heap_undo_alloc_foreign(void *p)
{
	if (!p || !heap_undo_is_active || note_new(NOTE_FOREIGN, p, 0))
		return p;
	release_foreign(p);
	return NULL;
}

bool heap_undo_free_foreign(void *p)
{
	if (heap_undo_is_active)
		(void)note_new(NOTE_FOREIGN_FREE, p, 0); /* no memory for it: the block is lost */
	return heap_undo_is_active;
}

void heap_undo_commit(void)
{
	undo_end(note_commit);
}

void heap_undo_abort(void)
{
	undo_end(note_abort);
}

void undo_reset(void)
{
	heap_undo_is_active = false;
	while (undo_self.newest)
		chunk_drop();
}

void undo_thread_exit(void)
{
	heap_undo_abort();
	undo_reset();
}
