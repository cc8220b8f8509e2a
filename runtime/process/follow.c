/*
 * The problem: what a process is made of changes while it is followed, and a page that belongs to a
 * mapping that is gone must not come back in the next one at its place. The trick: two lists of
 * mappings, before and now, are gone through side by side; where both have the same bytes nothing
 * is done, what only the old one has is forgotten, what only the new one has is followed, as
 * written throughout. Changes that the lists cannot show (a mapping replaced by its like, pages
 * given back) are noted by the calls that make them.
 */
#include "follow.h"

#include <errno.h>
#include <string.h>

#include "checkpoint/committer.h"
#include "checkpoint/track.h"
#include "line.h"
#include "lock.h"
#include "mapped.h"
#include "mappings.h"
#include "os.h"
#include "ours.h"
#include "shared.h"
#include "space.h"

#define NOTES 1024 /* more of them: one grows to what is next to it, over whatever is between */
#define CHUNK_BYTES ((uint64_t)SPACE_CHUNK_PAGES * OS_PAGE_BYTES)
#define ADDRESS_END ((UINT64_C(1) << 47) - OS_PAGE_BYTES) /* of what a process can map */

struct span {
	uint64_t start;
	uint64_t end;
};

static struct {
	struct track *track;
	struct mappings lists[2];
	unsigned newest;
	struct lock lock; /* of the notes */
	unsigned note_count;
	struct span notes[NOTES];
	struct span opened; /* from the first to the last of them; none: empty */
	bool is_full;     /* there was no slot for a page */
	struct span lost; /* the first that cannot be followed; nothing: empty */
	bool has_room;    /* something that was followed has gone since */
	bool is_still;    /* nobody maps anything meanwhile */
	bool is_all_again; /* what cannot be followed now was tried with room for it */
	bool is_blind;    /* what nobody tells of could not be looked at */
	_Atomic bool has_forked;
} self OURS;

int follow_open(struct track *track)
{
	self.track = track;
	return space_open();
}

static const struct mappings *now(void)
{
	return &self.lists[self.newest];
}

/* ---- Notes ---- */

/* By how much it would be longer with [start, end) in it. */
static uint64_t growth(const struct span *note, uint64_t start, uint64_t end)
{
	return (start < note->start ? note->start - start : 0) + (end > note->end ? end - note->end : 0);
}

static struct span *nearest_note(uint64_t start, uint64_t end)
{
	struct span *nearest = &self.notes[0];

	for (unsigned i = 1; i < self.note_count; i++)
		if (growth(&self.notes[i], start, end) < growth(nearest, start, end))
			nearest = &self.notes[i];
	return nearest;
}

void follow_note(uint64_t start, uint64_t end)
{
	lock_acquire(&self.lock);
	struct span *note = self.note_count ? nearest_note(start, end) : NULL;
	if (note && (self.note_count == NOTES || growth(note, start, end) == 0)) {
		note->start = start < note->start ? start : note->start;
		note->end = end > note->end ? end : note->end;
	} else {
		self.notes[self.note_count++] = (struct span){start, end};
	}
	lock_release(&self.lock);
}

void follow_note_opened(uint64_t start, uint64_t end)
{
	lock_acquire(&self.lock);
	if (self.opened.end == 0 || start < self.opened.start)
		self.opened.start = start;
	if (end > self.opened.end)
		self.opened.end = end;
	lock_release(&self.lock);
}

void follow_note_fork(void)
{
	self.has_forked = true;
}

/* ---- Coming and going ---- */

static void forget(uint64_t start, uint64_t end)
{
	track_cut(self.track, (void *)(uintptr_t)start, end - start);
	space_forget(start, end, committer_look_again);
	self.has_room = true;
}

/* What the kernel does not tell of (memory of a device, say), or there is no room for, is a veto
 * until all that is there can be followed. While threads run it may just have gone (a thread's
 * stack): whether it is there is looked at when they stand. */
static void follow(uint64_t start, uint64_t end)
{
	const int error = track_add(self.track, (void *)(uintptr_t)start, end - start);

	if (error && error != -ENOSPC && !self.is_still && !self.is_all_again)
		follow_note(start, end);
	else if (error && !self.lost.end)
		self.lost = (struct span){start, end};
}

/* What of [at, end) in `of` has the same bytes in `other`, from `at` on: *ret_is_same tells, and
 * the place up to which it holds is returned. */
static uint64_t compare(const struct mapping *of, uint64_t at, const struct mappings *other,
			bool *ret_is_same)
{
	const struct mapping *found = mappings_find(other, at);

	if (!found || found->start >= of->end) {
		*ret_is_same = false;
		return of->end;
	}
	if (found->start > at) {
		*ret_is_same = false;
		return found->start;
	}
	*ret_is_same = found->is_kept && mapping_is_same(of, found);
	return found->end < of->end ? found->end : of->end;
}

static void forget_gone(const struct mappings *before, const struct mappings *after)
{
	bool is_same;

	for (size_t i = 0; i < before->count; i++) {
		const struct mapping *mapping = &before->list[i];
		for (uint64_t at = mapping->start, end; mapping->is_kept && at < mapping->end; at = end) {
			end = compare(mapping, at, after, &is_same);
			if (!is_same)
				forget(at, end);
		}
	}
}

static void follow_new(const struct mappings *before, const struct mappings *after)
{
	bool is_same;

	for (size_t i = 0; i < after->count; i++) {
		const struct mapping *mapping = &after->list[i];
		for (uint64_t at = mapping->start, end; mapping->is_kept && at < mapping->end; at = end) {
			end = compare(mapping, at, before, &is_same);
			if (!is_same)
				follow(at, end);
		}
	}
}

/* Forgotten and followed anew, as far as it is there. Most often nothing is: it came and went since
 * the last list, or has been forgotten as gone. */
static void renew(const struct span *span)
{
	struct mappings *list = &self.lists[self.newest];
	const struct mapping *const found = mappings_find(list, span->start);

	if (!found || found->start >= span->end)
		return;
	forget(span->start, span->end);
	for (size_t i = (size_t)(found - list->list);
	     i < list->count && list->list[i].start < span->end; i++) {
		struct mapping *mapping = &list->list[i];
		const uint64_t start = mapping->start > span->start ? mapping->start : span->start;
		const uint64_t end = mapping->end < span->end ? mapping->end : span->end;
		mappings_look_again(mapping);
		if (mapping->is_kept)
			follow(start, end);
	}
}

/* Which others could not be followed nobody knows: so all are, once more. It takes long: while
 * threads run. */
static void follow_all_again(void)
{
	const struct mapping *const list = now()->list;

	self.lost = (struct span){0};
	for (size_t i = 0; i < now()->count; i++)
		if (list[i].is_kept)
			forget(list[i].start, list[i].end);
	self.has_room = false;
	track_join(self.track); /* what is left of them needs no room any more */
	self.is_all_again = true;
	for (size_t i = 0; i < now()->count; i++)
		if (list[i].is_kept)
			follow(list[i].start, list[i].end);
	self.is_all_again = false;
}

static unsigned take_notes(struct span notes[NOTES], struct span *ret_opened)
{
	lock_acquire(&self.lock);
	const unsigned count = self.note_count;
	memcpy(notes, self.notes, count * sizeof(*notes));
	self.note_count = 0;
	*ret_opened = self.opened;
	self.opened = (struct span){0};
	lock_release(&self.lock);
	return count;
}

/* There is no list (no descriptor for it, say): they are for the next time. */
static int note_again(const struct span *notes, unsigned count, const struct span *opened,
		      int error)
{
	for (unsigned i = 0; i < count; i++)
		follow_note(notes[i].start, notes[i].end);
	if (opened->end)
		follow_note_opened(opened->start, opened->end);
	return error;
}

/* ---- Given back ---- */

/* Nothing of it is there. What is shared may lie where no page table of ours shows it. */
void follow_gone(uint64_t start, uint64_t end)
{
	if (!space_has(start, end))
		return;
	const struct mapping *mapping = mappings_find(now(), start);
	const struct mapping *const last = now()->list + now()->count;
	for (; mapping && mapping < last && mapping->start < end; mapping++)
		if (!mapping->is_shared)
			space_forget(mapping->start > start ? mapping->start : start,
				     mapping->end < end ? mapping->end : end, committer_look_again);
}

/* Not all that gives pages back says so: libc does not (stacks of threads), nor does a system call
 * instruction of the program's own, another process, or the kernel (MADV_FREE). All threads stand,
 * so what is kept and not there is zeros again, or what its file has: not kept any more. The other
 * ways of following tell it themselves. */
static int forget_given_back(void)
{
	int error = 0;

	for (uint64_t at = 0, end; at < ADDRESS_END && !error; at = end) {
		end = mapped_end_of_ours(at);
		if (end)
			continue;
		end = mapped_end_of_side(at, ADDRESS_END);
		error = track_absent(self.track, at, end, follow_gone);
	}
	return error;
}

/* What is in memory, or is no more, and nobody notes or tells. */
static void meet_unnoted(void)
{
	int error = self.has_forked ? shared_look(now()) : 0;

	if (!error && track_can_run(self.track))
		error = forget_given_back();
	self.is_blind = error != 0;
}

static int take_in(bool is_still)
{
	struct mappings *next = &self.lists[1 - self.newest];
	struct span notes[NOTES], opened;

	self.is_still = is_still;
	/* First: what a note tells of is then in the list, and a note that comes later is kept for
	 * the next time. */
	const unsigned count = take_notes(notes, &opened);

	mappings_look_into(opened.start, opened.end);
	const int status = mappings_read(next, now(), is_still);

	if (status < 0)
		return note_again(notes, count, &opened, status);
	if (status != MAPPINGS_SAME) {
		forget_gone(now(), next);
		follow_new(now(), next);
		self.newest = 1 - self.newest;
	}
	for (unsigned i = 0; i < count; i++)
		renew(&notes[i]);
	if (!is_still && self.lost.end && self.has_room)
		follow_all_again();
	track_join(self.track);
	if (is_still)
		meet_unnoted();
	return 0;
}

int follow_meet(void)
{
	return take_in(true);
}

void follow_look(void)
{
	take_in(false);
	mappings_look_at_files(&self.lists[self.newest], follow_note_opened);
}

/* Else the first epoch finds out by itself, page by page. */
void follow_know(uint64_t start, uint64_t end)
{
	track_settle(self.track, (void *)(uintptr_t)start, end - start);
}

/* ---- Pages ---- */

static size_t up_to(uint64_t end, char *start, size_t len)
{
	const uint64_t left = end - (uintptr_t)start;

	return left < len ? (size_t)left : len;
}

size_t follow_place(char *start, size_t len, uint64_t *ret_page, bool *ret_is_readable)
{
	const struct mapping *mapping = mappings_find(now(), (uintptr_t)start);

	*ret_page = COMMITTER_NOT_KEPT;
	if (!mapping)
		return len;
	if (mapping->start > (uintptr_t)start)
		return up_to(mapping->start, start, len);
	if (!mapping->is_kept)
		return up_to(mapping->end, start, len);
	len = up_to(mapping->end, start, len);
	len = up_to(((uintptr_t)start / CHUNK_BYTES + 1) * CHUNK_BYTES, start, len);
	*ret_is_readable = mapping->protection & MAPPING_READ;
	*ret_page = space_keep((uintptr_t)start, len);
	if (mapping->is_shared && *ret_page != SPACE_FULL)
		shared_told(*ret_page, len / OS_PAGE_BYTES);
	self.is_full |= *ret_page == SPACE_FULL;
	return len;
}

char *follow_address(uint64_t page)
{
	return (char *)(uintptr_t)space_address(page); /* NOLINT(performance-no-int-to-ptr) */
}

static void veto_lost(struct ledger_writer *writer)
{
	const struct mapping *mapping = mappings_find(now(), self.lost.start);
	char place[20];
	struct line line = line_in(place, sizeof(place));

	line_add_number(&line, self.lost.start, 16);
	ledger_veto(writer, "memory that cannot be followed",
		    mapping && mapping->path[0] ? mapping->path : place);
}

void follow_save(struct ledger_writer *writer)
{
	mappings_save(now(), writer);
	if (self.lost.end)
		veto_lost(writer);
	if (self.is_blind)
		ledger_veto(writer, "memory that cannot be looked at; raise ulimit -v and ulimit -n", NULL);
	if (self.is_full)
		ledger_veto(writer, "more than 16 GiB of memory outside the heap", NULL);
}
