/*
 * A new process becomes the old one.
 *
 * The problem: everything it stands on is to be replaced: its stack, its libc, its thread. The
 * trick: what may be refused is looked at first, with libc; then it steps onto a stack of the zone,
 * and from there on calls nothing that is not ours or a system call. A file that is mapped where it
 * was in the old process stays as it is, its own pages are put over it: so there is no instant
 * without libc's code. Its data is, until its own pages are in: mem* can be called for a few bytes
 * throughout, and for more with os_copy(). The guarantee: until the last epoch's threads go on
 * nothing in the pool has changed; whatever fails, it can be tried again.
 */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "advice.h"
#include "children.h"
#include "files.h"
#include "follow.h"
#include "keeper.h"
#include "launched.h"
#include "mappings.h"
#include "os.h"
#include "ours.h"
#include "process-parts.h"
#include "resuming.h"
#include "settings.h"
#include "space.h"
#include "threads.h"

#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 8
#endif
#define STACK_BYTES (UINT64_C(256) << 10)

static struct {
	int (*start)(void);
	const struct mapping *last; /* a page of which was put in */
	const struct mapping *stack, *lowest_of_stack;
	char page[LAYOUT_BLOCK_BYTES] __attribute__((aligned(64)));
} self OURS;

/* No libc from here on, but mem* of a few bytes. */
static _Noreturn void fail(const char *what, const struct line *why, int error)
{
	char text[512];
	struct line line = line_in(text, sizeof(text));

	line_add(&line, "heapsake: ");
	line_add(&line, process_self.plan.pool);
	line_add(&line, ": cannot be resumed: ");
	line_add(&line, why && why->len ? why->text : what[0] ? what : "memory without a name");
	line_add(&line, ": error ");
	line_add_number(&line, (uint64_t)(error < 0 ? -error : error), 10);
	line_add(&line, "; nothing in the pool has changed\n");
	say_write(files_stderr(), line.text, line.len);
	os_exit_group(STATUS_FAILED);
}

static void require(int error, const char *what)
{
	if (error)
		fail(what, NULL, error);
}

static int protection_of(const struct mapping *mapping)
{
	return (mapping->protection & MAPPING_READ ? PROT_READ : 0) |
	       (mapping->protection & MAPPING_WRITE ? PROT_WRITE : 0) |
	       (mapping->protection & MAPPING_EXECUTE ? PROT_EXEC : 0);
}

/* Up to where [at, end) is covered, or is not, by the list. */
static uint64_t next_edge(const struct mappings *list, uint64_t at, uint64_t end,
			  bool *ret_is_covered)
{
	const struct mapping *found = mappings_find(list, at);

	*ret_is_covered = found && found->start <= at;
	if (!found)
		return end;
	const uint64_t edge = *ret_is_covered ? found->end : found->start;
	return edge < end ? edge : end;
}

static void take_away(void)
{
	bool is_covered;

	for (size_t i = 0; i < resuming.now.count; i++) {
		const struct mapping *mapping = &resuming.now.list[i];
		for (uint64_t at = mapping->start, end; at < mapping->end; at = end) {
			end = next_edge(&resuming.image, at, mapping->end, &is_covered);
			if (!is_covered)
				require(os_munmap((void *)(uintptr_t)at, end - at), "unmapping");
		}
	}
}

/* The same bytes of the same file all over, privately. */
static bool is_in_place(const struct mapping *mapping)
{
	if (mapping->kind != MAPPING_FILE || mapping->is_shared)
		return false;
	for (uint64_t at = mapping->start; at < mapping->end;) {
		const struct mapping *found = mappings_find(&resuming.now, at);
		if (!found || found->start > at || !mapping_is_same(mapping, found))
			return false;
		at = found->end;
	}
	return true;
}

/* ---- The stack ---- */

static const struct mapping *find_stack(const struct mappings *mappings)
{
	for (size_t i = mappings->count; i-- > 0;)
		if (mappings->list[i].kind == MAPPING_STACK)
			return &mappings->list[i];
	return NULL;
}

/* Where advice or another protection has made several of the stack, one has its name: the one that
 * it began in. What is right below that is of the stack, too. */
static const struct mapping *lowest_of_stack(const struct mapping *stack)
{
	const struct mapping *at = stack;

	while (at > resuming.image.list && at[-1].end == at->start &&
	       at[-1].kind == MAPPING_ANONYMOUS && !at[-1].is_shared)
		at--;
	return at;
}

/* It grows downwards when it is touched, and for ever after: nothing else does. Nothing is mapped
 * below it yet that it would have to keep a distance from. */
static void make_stack(void)
{
	const struct mapping *now = find_stack(&resuming.now);

	self.stack = find_stack(&resuming.image);
	if (!self.stack || !now || self.stack->start >= now->end || self.stack->end > now->end)
		fail("the stack ends elsewhere", NULL, EINVAL);
	self.lowest_of_stack = lowest_of_stack(self.stack);
	char *const start = (char *)(uintptr_t)self.lowest_of_stack->start;
	if ((uintptr_t)start < now->start)
		*(volatile char *)start = 0;
	os_madvise(start, now->end - (uintptr_t)start, MADV_DONTNEED);
}

static bool is_of_stack(const struct mapping *mapping)
{
	return mapping >= self.lowest_of_stack && mapping <= self.stack;
}

/* [anon:NAME], [anon_shmem:NAME]: given by prctl() */
static void name_mapping(const struct mapping *mapping)
{
	const char *colon = strchr(mapping->path, ':');
	char name[80];
	const size_t len = colon ? strlen(colon + 1) : 0;

	if (mapping->path[0] != '[' || len < 2 || len > sizeof(name))
		return;
	memcpy(name, colon + 1, len - 1);
	name[len - 1] = 0;
	os_name_memory((void *)(uintptr_t)mapping->start, mapping->end - mapping->start, name);
}

/* Shared memory that cannot be written now may have been, or may be yet: the program decides by
 * mprotect(). If it has not opened the file so, it must not be: nobody could run it. How libc has
 * opened those it maps for itself nobody tells. */
static int open_file(const struct mapping *mapping)
{
	const bool may_write = mapping->is_shared && (mapping->protection & MAPPING_WRITE ||
						      !advice_is_read_only(mapping));
	const int fd = may_write ? os_open(mapping->path, O_RDWR | O_CLOEXEC, 0) : -EACCES;

	return fd >= 0 || (mapping->is_shared && mapping->protection & MAPPING_WRITE)
		? fd : os_open(mapping->path, O_RDONLY | O_CLOEXEC, 0);
}

static void make_mapping(const struct mapping *mapping)
{
	const int sharing = MAP_FIXED | (mapping->is_shared ? MAP_SHARED :
					 mapping->kind == MAPPING_DROPPABLE ? MAP_DROPPABLE : MAP_PRIVATE);
	const int protection = protection_of(mapping) | (mapping->is_kept ? PROT_WRITE : 0);
	int fd = -1, flags = sharing | MAP_ANONYMOUS | MAP_NORESERVE |
			     (advice_grows_down(mapping) ? MAP_GROWSDOWN : 0);

	if (mapping->kind == MAPPING_FILE) {
		fd = open_file(mapping);
		require(fd < 0 ? fd : 0, mapping->path);
		flags = !advice_is_synced(mapping) ? sharing : MAP_SHARED_VALIDATE | MAP_SYNC | MAP_FIXED;
	}
	const void *made = os_mmap((void *)(uintptr_t)mapping->start, mapping->end - mapping->start,
				   protection, flags, fd, mapping->offset);
	require(os_is_error(made) ? (int)(intptr_t)made : 0, mapping->path);
	if (fd >= 0)
		os_close(fd);
	if (mapping->kind == MAPPING_ANONYMOUS)
		name_mapping(mapping);
}

static void open_mapping(const struct mapping *mapping)
{
	require(os_mprotect((void *)(uintptr_t)mapping->start, mapping->end - mapping->start,
			    protection_of(mapping) | PROT_WRITE), mapping->path);
}

static void make_all(void)
{
	make_stack();
	for (size_t i = 0; i < resuming.image.count; i++) {
		const struct mapping *mapping = &resuming.image.list[i];
		if (mapping->is_ours)
			continue;
		if (!is_of_stack(mapping) && !is_in_place(mapping))
			make_mapping(mapping);
		else if (mapping->is_kept)
			open_mapping(mapping);
	}
}

/* But for what is ours. Libc's own pages may come after these: where it is mapped above us. */
static void put_in(char *at, const char *page)
{
	const char *const end = at + LAYOUT_BLOCK_BYTES;

	if (!ours_touches(at, LAYOUT_BLOCK_BYTES)) {
		os_copy(at, page, LAYOUT_BLOCK_BYTES);
		return;
	}
	if (at < __start_ours)
		os_copy(at, page, (size_t)(__start_ours - at));
	if (end > __stop_ours)
		os_copy(__stop_ours, page + (__stop_ours - at), (size_t)(end - __stop_ours));
}

static const struct mapping *kept_mapping(uint64_t address)
{
	if (!self.last || address < self.last->start || address >= self.last->end)
		self.last = mappings_find(&resuming.image, address);
	const struct mapping *mapping = self.last;
	if (!mapping || mapping->start > address || !mapping->is_kept ||
	    (mapping->is_ours && !(mapping->protection & MAPPING_WRITE)))
		return NULL;
	return mapping;
}

/* Memory that was zeros when it was made: no file shows in it, and nothing of ours lies there. */
static bool is_made_anew(const struct mapping *mapping)
{
	return mapping->kind != MAPPING_FILE && !mapping->is_ours;
}

/* Where a file has been cut off its pages are gone, and so are those of the process's own. */
static bool is_cut_off(const struct mapping *mapping, uint64_t address)
{
	return mapping->kind == MAPPING_FILE && mapping->file &&
	       mapping->offset + (address - mapping->start) >= mapping->size;
}

/* `most` pages are kept from here on; those that go in alike do. Returns how many. */
static unsigned put_pages(uint64_t number, unsigned most, uint64_t address)
{
	struct checkpoint *const checkpoint = process_self.plan.checkpoint;
	const struct mapping *mapping = kept_mapping(address);
	unsigned count = 1;
	int error;

	if (!mapping || is_cut_off(mapping, address))
		return count;
	if (is_made_anew(mapping)) { /* what was never touched stays a hole */
		const uint64_t left = (mapping->end - address) / LAYOUT_BLOCK_BYTES;
		count = left < most ? (unsigned)left : most;
		error = checkpoint_pages(checkpoint, CHECKPOINT_REGION_MEMORY, number, count,
					 (char *)(uintptr_t)address);
	} else {
		error = checkpoint_page(checkpoint, CHECKPOINT_REGION_MEMORY, number, self.page);
		if (!error)
			put_in((char *)(uintptr_t)address, self.page);
	}
	require(error, "a page cannot be read");
	return count;
}

static bool is_kept(const struct space_slot *slot, unsigned page)
{
	return page < SPACE_CHUNK_PAGES && slot->kept[page / 64] >> (page % 64) & 1;
}

static void put_slot(void *context, uint64_t slot, const struct space_slot *found)
{
	for (unsigned i = 0, count; i < SPACE_CHUNK_PAGES; i += count) {
		for (count = 0; is_kept(found, i + count); count++)
			;
		count = count ? put_pages(slot * SPACE_CHUNK_PAGES + i, count,
					  (found->chunk * SPACE_CHUNK_PAGES + i) * LAYOUT_BLOCK_BYTES)
			      : 1;
	}
}

/* What was made writable for its pages; and files that are where they were, but protected as they
 * were before the program told otherwise. */
static void protect_all(void)
{
	for (size_t i = 0; i < resuming.image.count; i++) {
		const struct mapping *mapping = &resuming.image.list[i];
		if (!mapping->is_ours && !(mapping->is_kept && mapping->protection & MAPPING_WRITE))
			require(os_mprotect((void *)(uintptr_t)mapping->start,
					    mapping->end - mapping->start, protection_of(mapping)),
				mapping->path);
	}
}

/* What has been put in is the last epoch's: only what is stored from here on is news to the next. A
 * file may show pages of its own besides. */
static void follow_all(void)
{
	if (follow_meet() != 0)
		return; /* the first epoch tries again */
	for (size_t i = 0; i < resuming.image.count; i++) {
		const struct mapping *mapping = &resuming.image.list[i];
		if (mapping->is_kept && is_made_anew(mapping))
			follow_know(mapping->start, mapping->end);
	}
}

static void make_kernels_part(void)
{
	char text[256];
	struct line why = line_in(text, sizeof(text));
	const struct ledger_reader *image = &process_self.image;
	int error = signals_make(image, &why);

	if (!error)
		error = files_make(image, &why);
	if (!error)
		error = children_make(image, process_self.plan.note->has_exact_tids, &why);
	if (!error)
		error = threads_make(image, &why);
	if (!error)
		files_give_owners(image);
	if (!error)
		error = timers_make(image, &why); /* their signals may be for a thread */
	if (error)
		fail("it", &why, error);
}

static void become(void)
{
	char text[256];
	struct line why = line_in(text, sizeof(text));

	take_away();
	const int error = settings_make(&process_self.image, &why);
	if (error)
		fail("its settings cannot be made", &why, error);
	make_all();
	require(advice_make(&resuming.image, process_self.plan.window), "madvise");
	space_visit(put_slot, NULL);
	protect_all();
	follow_all();
	advice_lock(&resuming.image, process_self.plan.window);
	make_kernels_part();
	require(self.start(), "no thread for its epochs");
	advice_close(&resuming.image, process_self.plan.window);
	settings_limit(&process_self.image);
	threads_go();
}

_Noreturn void process_resume(int (*start)(void))
{
	char *stack = os_reserve(STACK_BYTES);

	self.start = start;
	if (os_is_error(stack) || launched_keep(&process_self.image) != 0 ||
	    !space_load(process_self.directory) || !advice_load(&process_self.image))
		fail("no memory, or a directory that makes no sense", NULL, EINVAL);
	threads_strip();
	os_on_stack(stack + STACK_BYTES, become);
}

void process_say_resumed(uint64_t epoch, const struct ending *ending)
{
	char text[512];
	struct line line = line_in(text, sizeof(text));

	line_add(&line, "heapsake: resumed ");
	line_add(&line, process_self.plan.pool);
	line_add(&line, " at epoch ");
	line_add_number(&line, epoch, 10);
	ending_tell(ending, epoch, &line);
	line_add(&line, "\n");
	if (!process_self.plan.note->is_quiet)
		say_write(files_stderr(), line.text, line.len);
	files_let_stderr_go();
}
