/*
 * The problem: which pages a process consists of is known to the kernel alone, which tells it as
 * text, some 100 bytes a mapping; and a cut has no time to read it. The trick: text that has not
 * changed means what it meant, and where no mapping has changed (mapped.c) it is read once a second
 * only, for a file may have lost its name; what is told anew is looked into (is there a file behind
 * it, are any pages of a file the process's own?) only where it differs from before.
 */
#include "mappings.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "checkpoint/track.h"
#include "advice.h"
#include "mapped.h"
#include "os.h"
#include "ours.h"

#define DROPPABLE_MAX (UINT64_C(1) << 20)
#define TEXT_STEP (UINT64_C(256) << 10)
#define PARTS_MAX 6 /* of a mapping: see end_of_part() */
#define NAMES_HOLD_NS UINT64_C(1000000000)
#define ZERO_DEVICE makedev(1, 5)

static struct {
	uint64_t start, end; /* empty: nothing to look into */
} opened OURS;

void mappings_look_into(uint64_t start, uint64_t end)
{
	opened.start = start;
	opened.end = end;
}

/* ---- Text ---- */

static int grow(void **memory, size_t *bytes, size_t wanted, size_t used)
{
	void *larger = os_mmap(NULL, wanted, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (os_is_error(larger))
		return -ENOMEM;
	if (*memory) {
		memcpy(larger, *memory, used);
		os_munmap(*memory, *bytes);
	}
	*memory = larger;
	*bytes = wanted;
	return 0;
}

/* Not /proc/self: a main thread that has ended has no memory, whatever others have. */
static int read_text(struct mappings *now)
{
	const int fd = os_open_aside("/proc/thread-self/maps", 0);
	int error = fd < 0 ? fd : 0;
	long count = 1;

	now->text_len = 0;
	while (!error && count > 0) {
		if (now->text_capacity - now->text_len < OS_PAGE_BYTES * 2)
			error = grow((void **)&now->text, &now->text_capacity,
				     now->text_capacity + TEXT_STEP, now->text_len);
		if (error)
			break;
		count = os_read(fd, now->text + now->text_len,
				now->text_capacity - now->text_len - 1);
		if (count > 0)
			now->text_len += (size_t)count;
		else
			error = (int)count;
	}
	if (fd >= 0)
		os_close(fd);
	return error;
}

/* ---- A line ---- */

static uint64_t parse_number(char **at, unsigned base)
{
	uint64_t value = 0;

	for (;; (*at)++) {
		const char c = **at;
		const unsigned digit = c >= '0' && c <= '9' ? (unsigned)(c - '0') :
				       c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10) : 99;
		if (digit >= base)
			return value;
		value = value * base + digit;
	}
}

static bool ends_with(const char *text, size_t len, const char *end)
{
	const size_t end_len = strlen(end);

	return len >= end_len && memcmp(text + len - end_len, end, end_len) == 0;
}

static enum mapping_kind kind_of(const struct mapping *mapping)
{
	const size_t len = mapping->path_len ? mapping->path_len - 1 : 0;

	if (mapping->inode == 0)
		return strcmp(mapping->path, "[stack]") == 0 ? MAPPING_STACK : MAPPING_ANONYMOUS;
	/* What MAP_SHARED | MAP_ANONYMOUS is to the kernel. */
	if (strcmp(mapping->path, "/dev/zero (deleted)") == 0 ||
	    strncmp(mapping->path, "[anon_shmem:", 12) == 0)
		return MAPPING_ANONYMOUS;
	if (mapping->path[0] != '/' || ends_with(mapping->path, len, " (deleted)"))
		return MAPPING_LOST;
	/* A semaphore with a name is for others, too, and most often loses that name at once. */
	if (mapping->is_shared && strncmp(mapping->path, "/dev/shm/sem.", 13) == 0)
		return MAPPING_LOST;
	return MAPPING_FILE;
}

/* 7ffff7fc1000-7ffff7fc5000 r--p 00000000 fd:01 1234   /path with blanks */
static char *parse_line(char *at, struct mapping *ret_mapping)
{
	struct mapping *mapping = ret_mapping;

	memset(mapping, 0, sizeof(*mapping));
	mapping->start = parse_number(&at, 16);
	at++;
	mapping->end = parse_number(&at, 16);
	mapping->protection = (uint8_t)((at[1] == 'r' ? MAPPING_READ : 0) |
					(at[2] == 'w' ? MAPPING_WRITE : 0) |
					(at[3] == 'x' ? MAPPING_EXECUTE : 0));
	mapping->is_shared = at[4] == 's';
	at += 6;
	mapping->offset = parse_number(&at, 16);
	at++;
	mapping->device = parse_number(&at, 16) << 32;
	at++;
	mapping->device |= parse_number(&at, 16);
	at++;
	mapping->inode = parse_number(&at, 10);
	while (*at == ' ')
		at++;
	mapping->path = at;
	while (*at != '\n' && *at)
		at++;
	mapping->path_len = (uint32_t)(at - mapping->path) + 1;
	if (*at)
		*at++ = 0;
	mapping->kind = kind_of(mapping);
	return at;
}

static bool is_kernels(const struct mapping *mapping)
{
	return strncmp(mapping->path, "[vdso", 5) == 0 || strncmp(mapping->path, "[vvar", 5) == 0 ||
	       strncmp(mapping->path, "[vsyscall", 9) == 0 || strncmp(mapping->path, "[uprobes", 8) == 0;
}

/* ---- What costs time ---- */

/* Has the process pages of its own in a mapping it cannot write? 0, 1, -errno: not known */
static int find_own_pages(const struct mapping *mapping)
{
	static int fd OURS;

	if (fd <= 0 || !ours_fd_stands(&fd)) {
		fd = os_open_aside("/proc/self/pagemap", 0);
		if (fd >= 0)
			ours_fd_add(&fd);
	}
	return fd < 0 ? fd : pagemap_has_own(fd, mapping->start, mapping->end);
}

static bool has_own_pages(const struct mapping *mapping)
{
	return find_own_pages(mapping) != 0; /* not known: as if */
}

/* Memory the kernel may empty at any time (MAP_DROPPABLE, Linux 6.11), where glibc draws random
 * numbers from its version 2.41 on: the next life is not to draw the same. Only smaps tells it,
 * which walks all pages; but nobody can have it dumped, while for what is dumped anyway to say so
 * changes nothing. What is not, by a system call we have not seen, would be dumped from then on,
 * and a mapping that is split by that is another one each time: so only small ones are asked about,
 * as glibc's are (some 200 bytes for each processor). */
static bool is_droppable(const struct mapping *mapping)
{
	return mapping->end - mapping->start <= DROPPABLE_MAX &&
	       mapping->kind == MAPPING_ANONYMOUS && !mapping->is_shared && mapping->protection &&
	       !advice_is_undumped(mapping) &&
	       os_madvise((void *)(uintptr_t)mapping->start, OS_PAGE_BYTES, MADV_DODUMP) == -EINVAL;
}

void mapping_note_file(struct mapping *mapping, const struct stat *st)
{
	if (S_ISCHR(st->st_mode))
		return;
	mapping->file = st->st_ino;
	mapping->size = (uint64_t)st->st_size;
	mapping->mtime_ns = (uint64_t)st->st_mtim.tv_sec * 1000000000u + (uint64_t)st->st_mtim.tv_nsec;
}

/* Who may not store there, stores all the same through /proc/self/mem, as debuggers do. */
static bool has_been_patched(const struct mapping *mapping)
{
	return !mapping->is_kept && find_own_pages(mapping) > 0;
}

/* As rarely as names are looked at. Another file of that name is none of ours: the mapping's own is
 * about to be called deleted. */
void mappings_look_at_files(struct mappings *mappings,
			    void (*hear_opened)(uint64_t start, uint64_t end))
{
	static uint64_t looked_ns OURS;
	const uint64_t now_ns = os_clock_ns(CLOCK_MONOTONIC);
	struct stat st;

	if (now_ns - looked_ns < NAMES_HOLD_NS)
		return;
	looked_ns = now_ns;
	for (size_t i = 0; i < mappings->count; i++) {
		struct mapping *mapping = &mappings->list[i];
		if (mapping->kind != MAPPING_FILE || mapping->is_shared || mapping->is_ours)
			continue;
		if (os_stat(mapping->path, &st) == 0 && st.st_ino == mapping->file)
			mapping_note_file(mapping, &st);
		if (has_been_patched(mapping))
			hear_opened(mapping->start, mapping->end);
	}
}

static void look_into(struct mapping *mapping)
{
	struct stat st;

	if (mapping->kind == MAPPING_FILE && os_stat(mapping->path, &st) == 0) {
		mapping_note_file(mapping, &st);
		if (S_ISCHR(st.st_mode) && st.st_rdev != ZERO_DEVICE)
			mapping->kind = MAPPING_LOST;
	}
	if (is_droppable(mapping))
		mapping->kind = MAPPING_DROPPABLE;
	else if (mapping->kind != MAPPING_FILE && mapping->kind != MAPPING_LOST)
		mapping->is_kept = true;
	else if (!mapping->is_shared)
		mapping->is_kept = (mapping->protection & MAPPING_WRITE) || has_own_pages(mapping);
}

void mappings_look_again(struct mapping *mapping)
{
	if (mapping->kind != MAPPING_DROPPABLE && mapping->kind != MAPPING_ANONYMOUS)
		return;
	mapping->kind = MAPPING_ANONYMOUS;
	mapping->is_kept = false;
	look_into(mapping);
}

bool mapping_is_same(const struct mapping *one, const struct mapping *other)
{
	const bool is_file = one->kind == MAPPING_FILE || one->kind == MAPPING_LOST;

	if (one->kind != other->kind || one->is_shared != other->is_shared)
		return false;
	return !is_file || (one->device == other->device && one->inode == other->inode &&
			    one->start - one->offset == other->start - other->offset);
}

static bool was_opened(const struct mapping *mapping)
{
	return mapping->kind == MAPPING_FILE && !mapping->is_shared && !mapping->is_kept &&
	       mapping->start < opened.end && opened.start < mapping->end;
}

static bool was_any_opened(const struct mappings *mappings)
{
	const struct mapping *mapping = mappings_find(mappings, opened.start);
	const struct mapping *const end = mappings->list + mappings->count;

	for (; mapping && mapping < end && mapping->start < opened.end; mapping++)
		if (was_opened(mapping))
			return true;
	return false;
}

static void take_over(struct mapping *mapping, const struct mappings *before)
{
	const struct mapping *old = before ? mappings_find(before, mapping->start) : NULL;

	if (!old || old->start != mapping->start || old->end != mapping->end ||
	    old->protection != mapping->protection || !mapping_is_same(old, mapping) || was_opened(old)) {
		look_into(mapping);
		return;
	}
	mapping->file = old->file;
	mapping->size = old->size;
	mapping->mtime_ns = old->mtime_ns;
	mapping->is_kept = old->is_kept;
}

/* Where our library's .bss ends, as the linker knows. */
static uint64_t own_end(void)
{
	extern char _end[] __attribute__((visibility("hidden")));

	return ((uintptr_t)_end + OS_PAGE_BYTES - 1) & ~(uint64_t)(OS_PAGE_BYTES - 1);
}

/* Neighbours of our library's mappings are its own: by file. */
static void mark_ours(struct mappings *now)
{
	const struct mapping *own = mappings_find(now, (uintptr_t)__start_ours);
	const uint64_t device = own ? own->device : 0, inode = own ? own->inode : 0;

	for (size_t i = 0; i < now->count; i++)
		now->list[i].is_ours = inode && now->list[i].inode == inode &&
				       now->list[i].device == device;
	/* Its .bss has no file; ours may lie there, too. */
	for (size_t i = 1; i < now->count; i++)
		if (now->list[i - 1].is_ours && now->list[i].kind == MAPPING_ANONYMOUS &&
		    now->list[i].start == now->list[i - 1].end && now->list[i].start < own_end())
			now->list[i].is_ours = true;
}

/* To the kernel, what the program maps right behind our .bss, or beside its heap's window or our
 * zone, is one mapping with that; but no next process begins with it. To where it is one to us. */
static uint64_t end_of_part(const struct mapping *mapping)
{
	const uint64_t end = mapped_end_of_side(mapping->start, mapping->end), own = own_end();
	const bool is_behind_ours = mapping->kind == MAPPING_ANONYMOUS && mapping->start < own &&
				    own < end;

	return is_behind_ours ? own : end;
}

/* Its parts but for those that are ours; the list has room. */
static void take_parts(struct mappings *now, struct mapping rest, const struct mappings *before)
{
	for (uint64_t end; rest.start < rest.end; rest.start = end) {
		end = end_of_part(&rest);
		if (mapped_end_of_ours(rest.start))
			continue;
		struct mapping *part = &now->list[now->count++];
		*part = rest;
		part->end = end;
		take_over(part, before);
	}
}

/* Nothing is mapped otherwise, and names were looked at not long ago. */
static bool is_all_as_it_was(void)
{
	static uint64_t names_ns OURS;
	const uint64_t now_ns = os_clock_ns(CLOCK_MONOTONIC);

	if (now_ns - names_ns < NAMES_HOLD_NS && mapped_is_as_noted())
		return true;
	names_ns = now_ns;
	return false;
}

static bool is_same_text(const struct mappings *one, const struct mappings *other)
{
	return one->text_len == other->text_len && memcmp(one->text, other->text, one->text_len) == 0;
}

int mappings_read(struct mappings *ret_now, const struct mappings *before, bool is_still)
{
	struct mappings *now = ret_now;
	const bool may_be_same = before && before->text && !was_any_opened(before);

	if (may_be_same && is_all_as_it_was())
		return mappings_look_into(0, 0), MAPPINGS_SAME;
	mapped_forget();
	int error = read_text(now);
	if (error)
		return error;
	if (is_still) /* or else it is not what the text says */
		mapped_note();
	if (may_be_same && is_same_text(before, now))
		return mappings_look_into(0, 0), MAPPINGS_SAME;
	if (now->parsed_capacity < now->text_capacity)
		error = grow((void **)&now->parsed, &now->parsed_capacity, now->text_capacity, 0);
	if (error)
		return error;
	memcpy(now->parsed, now->text, now->text_len);
	now->parsed[now->text_len] = 0;
	now->count = 0;
	for (char *at = now->parsed, *end = at + now->text_len; at < end;) {
		struct mapping mapping;
		if (now->count + PARTS_MAX >= now->capacity / sizeof(struct mapping))
			error = grow((void **)&now->list, &now->capacity,
				     now->capacity + TEXT_STEP, now->capacity);
		if (error)
			return error;
		at = parse_line(at, &mapping);
		if (!is_kernels(&mapping))
			take_parts(now, mapping, before);
	}
	mark_ours(now);
	mappings_look_into(0, 0);
	return 0;
}

const struct mapping *mappings_find(const struct mappings *mappings, uint64_t address)
{
	size_t low = 0, high = mappings->count;

	while (low < high) {
		const size_t middle = (low + high) / 2;
		if (mappings->list[middle].end <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low < mappings->count ? &mappings->list[low] : NULL;
}
