/*
 * May the process in a pool come back, here and now?
 *
 * The problem: half-way through a resume there is nobody left who could be told why not. The trick:
 * all that may be refused is looked at in the constructor, with libc, while refusing is free. The
 * guarantee: nothing of the new process or of the pool has been changed when it is refused.
 */
#include "process.h"

#include <errno.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>

#include "files.h"
#include "launched.h"
#include "os.h"
#include "ours.h"
#include "process-parts.h"
#include "resuming.h"
#include "settings.h"
#include "threads.h"

#define LIST_BYTES (UINT64_C(8) << 20)

struct resuming resuming OURS;

/* ---- What there is ---- */

static int refuse_damage(const char *pool, int error, struct refusal *ret_why)
{
	return refuse(ret_why, STATUS_CORRUPT, pool, "the process in it cannot be read: %s; try "
		      "resume --epoch=-1", error > 0 ? "a checksum is wrong" : strerrordesc_np(-error));
}

int process_load(struct checkpoint *checkpoint, const char *pool, enum process_found *ret_found,
		 struct refusal *ret_why)
{
	char *ledger = os_reserve(CHECKPOINT_STATE_PAGES * LAYOUT_BLOCK_BYTES);
	size_t len;

	process_self.directory = os_reserve(CHECKPOINT_DIRECTORY_PAGES * LAYOUT_BLOCK_BYTES);
	if (os_is_error(ledger) || os_is_error(process_self.directory))
		return refuse_damage(pool, -ENOMEM, ret_why);
	int error = checkpoint_pages(checkpoint, CHECKPOINT_REGION_STATE, 0, CHECKPOINT_STATE_PAGES,
				     ledger);
	if (!error)
		error = checkpoint_pages(checkpoint, CHECKPOINT_REGION_DIRECTORY, 0,
					 CHECKPOINT_DIRECTORY_PAGES, process_self.directory);
	if (error)
		return refuse_damage(pool, error, ret_why);
	process_self.image = (struct ledger_reader){
		.bytes = ledger,
		.len = CHECKPOINT_STATE_PAGES * LAYOUT_BLOCK_BYTES,
	};
	struct ledger_reader reader = process_self.image;
	*ret_found = !launched_load(&process_self.image)	  ? PROCESS_NONE :
		     ledger_next(&reader, LEDGER_ENDED, &len) ? PROCESS_ENDED : PROCESS_RUNNING;
	return 0;
}

int process_show_heap(void)
{
	struct ledger_reader reader = process_self.image;
	const struct window_range *range;
	int error = 0;
	size_t len;

	while (!error && (range = ledger_next(&reader, LEDGER_WINDOW, &len)))
		error = len != sizeof(*range) || range->end < range->start ? -EINVAL :
			window_show_home(process_self.plan.window, range->start,
					 range->end - range->start);
	return error;
}

/* ---- May it come back? ---- */

static int load_mappings(void)
{
	struct ledger_reader reader = process_self.image;

	resuming.image.list = os_reserve(LIST_BYTES);
	if (os_is_error(resuming.image.list))
		return -ENOMEM;
	while (resuming.image.count < LIST_BYTES / sizeof(struct mapping) &&
	       mappings_load_next(&reader, &resuming.image.list[resuming.image.count]))
		resuming.image.count++;
	return resuming.image.count ? 0 : -EINVAL;
}

static int check_file(const struct mapping *mapping, struct refusal *ret_why)
{
	struct stat st;
	const int error = os_stat(mapping->path, &st);

	if (error)
		return refuse(ret_why, STATUS_INCOMPATIBLE, mapping->path,
			      "was mapped, and cannot be opened: %s; put it back, or start afresh with "
			      "--new", strerrordesc_np(-error));
	struct mapping now = {0};
	mapping_note_file(&now, &st);
	if (mapping->is_shared ? now.file == mapping->file
			       : now.size == mapping->size && now.mtime_ns == mapping->mtime_ns)
		return 0;
	return refuse(ret_why, STATUS_INCOMPATIBLE, mapping->path,
		      "is mapped, and has been replaced since, or changed; put the old one back, try an "
		      "older epoch with --epoch=-1, or start afresh with --new");
}

static int check_files(struct refusal *ret_why)
{
	const char *last = "";
	int status = 0;

	for (size_t i = 0; i < resuming.image.count && !status; i++) {
		const struct mapping *mapping = &resuming.image.list[i];
		if (mapping->kind != MAPPING_FILE || strcmp(mapping->path, last) == 0)
			continue;
		last = mapping->path;
		status = check_file(mapping, ret_why);
	}
	return status;
}

static int check_machine(struct refusal *ret_why)
{
	const struct launched_record *record = launched_load(&process_self.image);
	const char *pool = process_self.plan.pool;

	if (record->vdso != getauxval(AT_SYSINFO_EHDR))
		return refuse(ret_why, STATUS_INCOMPATIBLE, pool, "the kernel's vdso stood at %#llx, and "
			      "stands at %#llx; boot the kernel of then, or start afresh with --new",
			      (unsigned long long)record->vdso,
			      (unsigned long long)getauxval(AT_SYSINFO_EHDR));
	if (record->hwcap != getauxval(AT_HWCAP) || record->hwcap2 != getauxval(AT_HWCAP2))
		return refuse(ret_why, STATUS_INCOMPATIBLE, pool, "was kept on a processor with other "
			      "features; resume it there, or start afresh with --new");
	if (record->uid != os_getuid() || record->euid != os_geteuid())
		return refuse(ret_why, STATUS_INCOMPATIBLE, pool, "its program ran as user %u; resume it "
			      "as that user", record->uid);
	if (process_self.plan.note->has_exact_tids && record->pid != (uint32_t)os_getpid())
		return refuse(ret_why, STATUS_LAUNCH, pool, "its program had pid %u, and has %d; start it "
			      "with heapsake run", record->pid, os_getpid());
	return 0;
}

/* What we are made of must stand where it stood: code addresses are on every stack. */
static int check_places(struct refusal *ret_why)
{
	const struct mapping *own = mappings_find(&resuming.image, (uintptr_t)__start_ours);
	const struct mapping *now = mappings_find(&resuming.now, (uintptr_t)__start_ours);

	if (own && now && own->is_ours && own->start <= (uintptr_t)__start_ours &&
	    mapping_is_same(own, now))
		return 0;
	return refuse(ret_why, STATUS_INCOMPATIBLE, process_self.plan.pool,
		      "libheapsake.so stood elsewhere, or was another; address randomisation must be "
		      "off, and LD_PRELOAD the same: start it with heapsake run");
}

int process_check(struct refusal *ret_why)
{
	char why[192];
	int error = load_mappings();

	if (!error)
		error = mappings_read(&resuming.now, NULL, false);
	if (error)
		return refuse_damage(process_self.plan.pool, error, ret_why);
	int status = check_machine(ret_why);
	if (!status)
		status = check_files(ret_why);
	if (!status)
		status = check_places(ret_why);
	if (!status && threads_check(&process_self.image, process_self.plan.note->has_exact_tids, why))
		status = refuse(ret_why, STATUS_LAUNCH, process_self.plan.pool, "%s", why);
	if (!status)
		status = settings_check(&process_self.image, ret_why);
	return status ? status : files_check(&process_self.image, ret_why);
}
