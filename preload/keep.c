/*
 * Kept globals.
 *
 * Each module's constructor tells us where its section is. Sections of the program and of the
 * libraries it was started with wait for the entry of main: constructors that run later must not
 * overwrite what is restored. Those of modules loaded later are restored at once.
 *
 * A section is a region of the engine, found again by its module's name (the program's by being the
 * program's), and believed to be the same by its module's build-id; after a rebuild by its length
 * and the names and sizes of its variables in order. Anything else would put values where they do
 * not belong, and is refused with the remedy.
 *
 * The order of steps keeps every epoch in between whole: a new region gets its place, then its
 * entry in the table, then its memory is followed, and only then does its entry count. A crash
 * before that finds a region without contents, which is begun anew.
 */
#include "keep.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

#include "checkpoint/committer.h"
#include "libc-main.h"
#include "lock.h"
#include "module.h"
#include "os.h"
#include "heapsake.h"
#include "preload.h"

struct section {
	char *start;
	size_t len;
	bool is_followed;
	const struct layout_region *entry; /* what it is followed as */
};

struct region_table keep_table __attribute__((aligned(OS_PAGE_BYTES)));

/* Registered sections; under the lock. Only ever added to. */
static struct {
	struct lock lock;
	unsigned count;
	struct section sections[LAYOUT_TABLE_REGIONS];
} keep;

/* ---- Before there is a writer ---- */

static int refuse_table(int error, struct checkpoint *checkpoint,
			const struct region_table_finding *finding, const char *pool_path,
			struct refusal *ret_why)
{
	const struct home_fault fault = checkpoint_fault(checkpoint);

	if (error == REGION_TABLE_E_DAMAGED)
		return refuse(ret_why, STATUS_CORRUPT, pool_path,
			      "its table of regions at %llu: %s: expected %llu, found %llu; try an older "
			      "epoch with --epoch=-1", (unsigned long long)finding->offset, finding->what,
			      (unsigned long long)finding->expected, (unsigned long long)finding->found);
	if (error == CHECKPOINT_E_DAMAGED)
		return refuse(ret_why, STATUS_CORRUPT, pool_path,
			      "its table of regions at offset %llu of the file is damaged: checksum "
			      "expected %016llx, found %016llx; try an older epoch with --epoch=-1",
			      (unsigned long long)fault.file_offset, (unsigned long long)fault.expected,
			      (unsigned long long)fault.found);
	return refuse(ret_why, STATUS_CORRUPT, pool_path,
		      "its table of regions cannot be read: %s; look at the disk",
		      strerrordesc_np(-error));
}

int keep_load(struct checkpoint *checkpoint, const char *pool_path, struct refusal *ret_why)
{
	struct region_table_finding finding = {0};
	uint32_t id = CHECKPOINT_REGION_TABLE;
	int error = region_table_read(checkpoint, &keep_table, &finding);

	if (error)
		return refuse_table(error, checkpoint, &finding, pool_path, ret_why);
	error = region_table_announce(checkpoint, &keep_table, &id);
	if (error)
		return refuse(ret_why, STATUS_CORRUPT, pool_path,
			      "region %u of its table has no place in it: %s; try an older epoch with "
			      "--epoch=-1", id, strerrordesc_np(-error));
	return 0;
}

bool keep_has_regions(void)
{
	for (unsigned i = 0; i < LAYOUT_TABLE_REGIONS; i++)
		if (keep_table.regions[i].flags & LAYOUT_REGION_COUNTS)
			return true;
	return false;
}

/* ---- Is it the same section? ---- */

static int refuse_other(const struct module *module, const struct layout_region *entry, size_t len,
			uint64_t symbols, struct refusal *ret_why)
{
	if (entry->bytes != len)
		return refuse(ret_why, STATUS_INCOMPATIBLE, module->name.text,
			      "has %zu bytes of kept globals, and the pool has %llu of it; run the build "
			      "that made them, or give the pool up with --new", len,
			      (unsigned long long)entry->bytes);
	if (!entry->symbols || !symbols)
		return refuse(ret_why, STATUS_INCOMPATIBLE, module->name.text,
			      "is another build than the pool's, and without symbols its kept globals "
			      "cannot be compared; run the build that made them, do not strip, or give "
			      "the pool up with --new");
	return refuse(ret_why, STATUS_INCOMPATIBLE, module->name.text,
		      "is another build than the pool's, and its kept globals have other names, sizes or "
		      "order; run the build that made them, or give the pool up with --new");
}

static bool is_same_build(const struct module *module, const struct layout_region *entry)
{
	return module->build_id_len && module->build_id_len == entry->build_id_len &&
	       memcmp(module->build_id, entry->build_id, module->build_id_len) == 0;
}

static int check_same(const struct section *section, const struct module *module,
		      const struct layout_region *entry, struct refusal *ret_why)
{
	if (entry->bytes == section->len && is_same_build(module, entry))
		return 0;
	const uint64_t symbols = module_symbols_sum(module, section->start,
						    section->start + section->len);
	if (entry->bytes != section->len || !symbols || symbols != entry->symbols)
		return refuse_other(module, entry, section->len, symbols, ret_why);
	if (module->build_id_len || entry->build_id_len) /* without any, nobody knows */
		say(SAY_WARN, module->name.text, "was built anew; its kept globals have the same names, "
		    "sizes and order, and are taken over");
	return 0;
}

/* Else the next run could not tell that it is the same: all that this one keeps would be lost. */
static int check_recognisable(const struct section *section, const struct module *module,
			      struct refusal *ret_why)
{
	if (module->build_id_len ||
	    module_symbols_sum(module, section->start, section->start + section->len))
		return 0;
	return refuse(ret_why, STATUS_INCOMPATIBLE, module->name.text,
		      "has kept globals, but no build-id, and no symbols by which to know it again; link "
		      "it with -Wl,--build-id, or do not strip it");
}

static int check_not_copied(const struct section *section, const struct module *module,
			    struct refusal *ret_why)
{
	struct region_name symbol;

	if (module->is_program ||
	    !module_copied_symbol(module, section->start, section->start + section->len, &symbol))
		return 0;
	return refuse(ret_why, STATUS_INCOMPATIBLE, module->name.text,
		      "its kept variable %s is used in place of it by a copy in the program (COPY "
		      "relocation); compile the program with -fPIE -mno-direct-extern-access or -fPIC, or "
		      "let it use a function of the library", symbol.text);
}

/* Of two plugins with one name it could not be told which a region is of. */
static int check_alone(const struct module *module, const struct layout_region *entry,
		       struct refusal *ret_why)
{
	for (unsigned i = 0; i < keep.count; i++)
		if (entry && keep.sections[i].entry == entry)
			return refuse(ret_why, STATUS_INCOMPATIBLE, module->path,
				      "has kept globals, and so has another module of its name, %s; give "
				      "one of them another soname, or file name if it has none",
				      module->name.text);
	return 0;
}

/* ---- Restore and follow ---- */

static int refuse_region(const struct module *module, int error, const char *what,
			 const struct home_fault *fault, struct refusal *ret_why)
{
	if (error == CHECKPOINT_E_DAMAGED)
		return refuse(ret_why, STATUS_CORRUPT, preload.pool.path,
			      "kept globals of %s at offset %llu of the file are damaged: checksum "
			      "expected %016llx, found %016llx; try an older epoch with --epoch=-1",
			      module->name.text, (unsigned long long)fault->file_offset,
			      (unsigned long long)fault->expected, (unsigned long long)fault->found);
	const bool is_full = error == -ENOSPC || error == -EFBIG;
	return refuse(ret_why, is_full ? STATUS_NO_SPACE : STATUS_FAILED, preload.pool.path,
		      "kept globals of %s %s: %s; make room, or look at the disk", module->name.text,
		      what, strerrordesc_np(-error));
}

/* Of what is noted of a module, that which may change from run to run. */
static void note_module(struct layout_region *entry, const struct section *section,
			const struct module *module)
{
	if (!is_same_build(module, entry)) {
		entry->symbols = module_symbols_sum(module, section->start,
						    section->start + section->len);
		memcpy(entry->build_id, module->build_id, sizeof(entry->build_id));
		entry->build_id_len = module->build_id_len;
	}
	if (!main_has_begun())
		entry->flags |= LAYOUT_REGION_AT_START;
}

/* A new region's place and entry; NULL: refused. */
static struct layout_region *enter_section(const struct section *section,
					   const struct module *module, struct refusal *ret_why)
{
	const struct home_fault none = {0};
	struct region region = {
		.kind = LAYOUT_REGION_GLOBALS,
		.page_count = (section->len + LAYOUT_BLOCK_BYTES - 1) / LAYOUT_BLOCK_BYTES,
		.bytes = section->len,
		.home = LAYOUT_USE_REGIONS,
		.home_offset = UINT64_MAX,
	};
	struct layout_region *entry = region_table_free(&keep_table, &region.id);
	const int error = entry ? committer_add_region(&region) : -ENOSPC;

	if (error) {
		refuse_region(module, error, "find no place", &none, ret_why);
		return NULL;
	}
	entry->kind = region.kind;
	entry->page_count = region.page_count;
	entry->bytes = region.bytes;
	entry->home_offset = region.home_offset;
	entry->name_sum = module->name.sum;
	memcpy(entry->name, module->name.text, sizeof(entry->name));
	if (module->is_program)
		entry->flags |= LAYOUT_REGION_PROGRAM;
	__atomic_store_n(&entry->id, region.id, __ATOMIC_RELEASE);
	return entry;
}

static int follow_section(struct section *section, const struct module *module,
			  struct layout_region *entry, struct refusal *ret_why)
{
	struct region region = region_table_region(entry);
	struct home_fault fault = {0};
	int error = 0;

	region.address = section->start;
	if (entry->flags & LAYOUT_REGION_COUNTS)
		error = committer_restore(&region, &fault);
	if (error)
		return refuse_region(module, error, "cannot be read", &fault, ret_why);
	error = committer_add_region(&region);
	if (error)
		return refuse_region(module, error, "cannot be followed", &fault, ret_why);
	note_module(entry, section, module);
	__atomic_store_n(&entry->flags, entry->flags | LAYOUT_REGION_COUNTS, __ATOMIC_RELEASE);
	section->is_followed = true;
	section->entry = entry;
	return 0;
}

/* An entry that never counted and has another length: its place stays taken, its name does not. */
static void abandon_entry(struct layout_region *entry)
{
	struct region_name name;
	char text[] = "abandoned 000";

	for (unsigned i = 0, id = entry->id; i < 3; i++, id /= 10)
		text[sizeof(text) - 2 - i] = (char)('0' + id % 10);
	name = region_name_of(text);
	entry->name_sum = name.sum;
	memcpy(entry->name, name.text, sizeof(entry->name));
	entry->flags = 0;
}

static int attach_section(struct section *section, struct refusal *ret_why)
{
	struct module module;

	if (!module_find(section->start, &module))
		return refuse(ret_why, STATUS_INCOMPATIBLE, "hsk_keep_register", "%p belongs to no module; "
			      "leave it to HSK_KEEP", (void *)section->start);
	struct layout_region *entry = region_table_find(&keep_table, module.is_program, &module.name);
	int status = check_not_copied(section, &module, ret_why);
	if (!status)
		status = check_alone(&module, entry, ret_why);
	if (!status)
		status = entry && (entry->flags & LAYOUT_REGION_COUNTS) ?
				 check_same(section, &module, entry, ret_why) :
				 check_recognisable(section, &module, ret_why);
	if (status)
		return status;
	if (entry && entry->bytes != section->len) {
		abandon_entry(entry);
		entry = NULL;
	}
	if (!entry)
		entry = enter_section(section, &module, ret_why);
	return entry ? follow_section(section, &module, entry, ret_why) : (int)ret_why->status;
}

static _Noreturn void end_refused(const struct refusal *why)
{
	say_refusal(why);
	os_exit_group((int)why->status);
}

/* ---- Registration ---- */

static struct section *add_section(char *start, size_t len)
{
	for (unsigned i = 0; i < keep.count; i++)
		if (keep.sections[i].start == start)
			return NULL;
	if (keep.count == LAYOUT_TABLE_REGIONS) {
		struct refusal why;
		refuse(&why, STATUS_INCOMPATIBLE, "HSK_KEEP", "more than %u modules have kept globals; "
		       "keep those of fewer", LAYOUT_TABLE_REGIONS);
		end_refused(&why);
	}
	struct section *section = &keep.sections[keep.count++];
	*section = (struct section){.start = start, .len = len};
	return section;
}

/* A followed section must not be unmapped: dlclose() leaves its module where it is. Without our
 * lock: who loads a module holds the loader's, and comes here for ours. */
static void pin_module(const void *start)
{
	struct module module;

	if (module_find(start, &module) && !module.is_program)
		dlopen(module.path, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}

HSK_API void hsk_keep_register(void *start, void *stop)
{
	const size_t len = (size_t)((char *)stop - (char *)start);
	const int errno_before = errno;
	struct refusal why;

	if (!len || preload.keep != KEEP_HEAP || !committer_is_open())
		return;
	pin_module(start);
	lock_acquire(&keep.lock);
	struct section *section = add_section(start, len);
	if (section && main_has_begun()) {
		if (attach_section(section, &why) != 0)
			end_refused(&why);
		moved_record(&keep_table);
	}
	lock_release(&keep.lock);
	errno = errno_before;
}

/* What was kept of a module the program was started with must not be lost by starting another. */
static int check_all_there(struct refusal *ret_why)
{
	const struct region_table *table = &keep_table;

	for (unsigned i = 0; i < LAYOUT_TABLE_REGIONS; i++) {
		const struct layout_region *entry = &table->regions[i];
		const uint32_t wanted = LAYOUT_REGION_COUNTS | LAYOUT_REGION_AT_START;
		if (!entry->id || (entry->flags & wanted) != wanted)
			continue;
		bool is_there = false;
		for (unsigned n = 0; n < keep.count && !is_there; n++) {
			struct module module;
			is_there = module_find(keep.sections[n].start, &module) &&
				   region_table_find(&keep_table, module.is_program, &module.name) == entry;
		}
		if (!is_there)
			return refuse(ret_why, STATUS_INCOMPATIBLE, preload.pool.path,
				      "has kept globals of %s, which this program does not have; run the "
				      "program that made them, or give the pool up with --new", entry->name);
	}
	return 0;
}

void keep_enter_main(void)
{
	struct refusal why;

	if (preload.keep != KEEP_HEAP || !committer_is_open())
		return;
	lock_acquire(&keep.lock);
	int status = check_all_there(&why);
	for (unsigned i = 0; !status && i < keep.count; i++)
		status = attach_section(&keep.sections[i], &why);
	if (status)
		end_refused(&why);
	if (preload.is_resumed) /* else nothing is kept that could point to code */
		preload.code_moved = moved_compare(&keep_table);
	moved_record(&keep_table);
	lock_release(&keep.lock);
}

bool keep_has(const void *start, size_t len)
{
	const char *from = start;
	bool is_there = false;

	lock_acquire(&keep.lock);
	for (unsigned i = 0; i < keep.count && !is_there; i++) {
		const struct section *section = &keep.sections[i];
		is_there = section->is_followed && from >= section->start &&
			   len <= section->len - (size_t)(from - section->start) &&
			   (size_t)(from - section->start) <= section->len;
	}
	lock_release(&keep.lock);
	return is_there;
}
