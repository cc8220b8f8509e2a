/* What `heapsake doctor` says of the kernel, the container and the limits we live in. */
#include "doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "command.h"
#include "config.h"
#include "layout.h"

/* Newer than the headers of Debian 12; numbers from the kernel's include/uapi/linux. */
#define FEATURE_WP_UNPOPULATED (UINT64_C(1) << 13)
#define FEATURE_WP_ASYNC (UINT64_C(1) << 15)
struct scan_argument { /* struct pm_scan_arg */
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define SCAN_IOCTL _IOWR('f', 16, struct scan_argument)
#define SCAN_WRITTEN (UINT64_C(1) << 1)

#define SOFT_DIRTY_BIT (UINT64_C(1) << 55)
#define PROBE_PAGES 4

/* Write-protects a page, writes to it, and asks whether the kernel noticed: 0 or -errno. */
static int try_write_tracking(char *page, size_t page_bytes, int uffd, int pagemap)
{
	struct uffdio_api api = {.api = UFFD_API,
				 .features = FEATURE_WP_UNPOPULATED | FEATURE_WP_ASYNC};
	struct uffdio_register range = {
		.range = {(uintptr_t)page, page_bytes},
		.mode = UFFDIO_REGISTER_MODE_WP,
	};
	struct uffdio_writeprotect protect = {
		.range = {(uintptr_t)page, page_bytes},
		.mode = UFFDIO_WRITEPROTECT_MODE_WP,
	};
	uint64_t vec[3];
	struct scan_argument scan = {
		.size = sizeof(scan),
		.start = (uintptr_t)page,
		.end = (uintptr_t)page + page_bytes,
		.vec = (uintptr_t)vec,
		.vec_len = 1,
		.category_mask = SCAN_WRITTEN,
		.return_mask = SCAN_WRITTEN,
	};

	*(volatile char *)page = 1;
	if (ioctl(uffd, UFFDIO_API, &api) < 0 || ioctl(uffd, UFFDIO_REGISTER, &range) < 0 ||
	    ioctl(uffd, UFFDIO_WRITEPROTECT, &protect) < 0)
		return -errno;
	if (ioctl(pagemap, SCAN_IOCTL, &scan) != 0)
		return errno ? -errno : -EINVAL;
	*(volatile char *)page = 2;
	return ioctl(pagemap, SCAN_IOCTL, &scan) == 1 ? 0 : -EINVAL;
}

static int probe_write_tracking(void)
{
	size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	char *page = mmap(NULL, page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);
	int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	int error = uffd < 0 || pagemap < 0 || page == MAP_FAILED ? -errno : 0;

	if (!error)
		error = try_write_tracking(page, page_bytes, uffd, pagemap);
	if (uffd >= 0)
		close(uffd);
	if (pagemap >= 0)
		close(pagemap);
	if (page != MAP_FAILED)
		munmap(page, page_bytes);
	return error;
}

/* Clears this process's soft-dirty bits, writes one page and looks for its bit. */
static bool probe_soft_dirty(void)
{
	static volatile char page[PROBE_PAGES * LAYOUT_BLOCK_BYTES];
	uintptr_t address = (uintptr_t)page + LAYOUT_BLOCK_BYTES;
	int clear = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t before = 0, after = 0;
	off_t entry = (off_t)(address / LAYOUT_BLOCK_BYTES * sizeof(uint64_t));
	bool is_read = false;

	page[LAYOUT_BLOCK_BYTES] = 1;
	if (clear >= 0 && pagemap >= 0 && write(clear, "4", 1) == 1) {
		is_read = pread(pagemap, &before, sizeof(before), entry) == sizeof(before);
		page[LAYOUT_BLOCK_BYTES] = 2;
		is_read &= pread(pagemap, &after, sizeof(after), entry) == sizeof(after);
	}
	if (clear >= 0)
		close(clear);
	if (pagemap >= 0)
		close(pagemap);
	return is_read && !(before & SOFT_DIRTY_BIT) && (after & SOFT_DIRTY_BIT);
}

static void look_at_tracking(struct doctor *doctor)
{
	int error = probe_write_tracking();

	if (!error)
		doctor_tell(
			doctor, VERDICT_OK, "tracking", NULL,
			"userfaultfd WP_ASYNC and PAGEMAP_SCAN work (keep none needs neither)");
	else
		doctor_tell(doctor, VERDICT_WARN, "tracking",
			    "run Linux 6.7 or newer, and let the "
			    "container call userfaultfd",
			    "userfaultfd WP_ASYNC with PAGEMAP_SCAN: %s "
			    "(keep none does not need it)",
			    strerror(-error));
	if (probe_soft_dirty())
		doctor_tell(doctor, VERDICT_OK, "soft-dirty", NULL,
			    "works (keep none does not need it)");
	else
		doctor_tell(doctor, VERDICT_WARN, "soft-dirty", NULL,
			    "not to be had (keep none does not need it)");
}

/* The word in brackets of "always [madvise] never", or the first word. */
static bool read_setting(const char *path, char ret_text[64])
{
	char text[128];
	FILE *file = fopen(path, "re");
	bool is_read = file && fgets(text, sizeof(text), file);

	if (file)
		fclose(file);
	if (!is_read)
		return false;
	const char *start = strchr(text, '[') ? strchr(text, '[') + 1 : text;
	snprintf(ret_text, 64, "%.*s", (int)strcspn(start, "] \n"), start);
	return true;
}

static void look_at_memory(struct doctor *doctor)
{
	char text[64];

	if (!read_setting("/sys/kernel/mm/transparent_hugepage/enabled", text))
		doctor_tell(doctor, VERDICT_WARN, "huge pages", NULL, "this kernel has none");
	else if (!strcmp(text, "never"))
		doctor_tell(doctor, VERDICT_WARN, "huge pages",
			    "echo madvise > "
			    "/sys/kernel/mm/transparent_hugepage/enabled",
			    "transparent ones: never");
	else
		doctor_tell(doctor, VERDICT_OK, "huge pages", NULL, "transparent ones: %s",
			    text);
	if (!read_setting("/proc/sys/vm/overcommit_memory", text))
		doctor_tell(doctor, VERDICT_WARN, "overcommit", "mount /proc",
			    "cannot be read");
	else if (!strcmp(text, "2"))
		doctor_tell(doctor, VERDICT_WARN, "overcommit", NULL,
			    "2: memory a program's children "
			    "may come to need is counted; fork of a big program may fail");
	else
		doctor_tell(doctor, VERDICT_OK, "overcommit", NULL, "%s", text);
}

static void look_at_personality(struct doctor *doctor)
{
	int persona = personality(0xffffffff);

	if (persona >= 0 && personality((unsigned long)persona | ADDR_NO_RANDOMIZE) >= 0 &&
	    (personality(0xffffffff) & ADDR_NO_RANDOMIZE)) {
		personality((unsigned long)persona);
		doctor_tell(
			doctor, VERDICT_OK, "personality", NULL,
			"address randomisation can be switched off (keep none leaves it on)");
		return;
	}
	doctor_tell(doctor, VERDICT_WARN, "personality",
		    "let the container call personality(2)",
		    "address randomisation cannot be switched off (keep none does not)");
}

static void look_at_base(struct doctor *doctor)
{
	void *wanted = (void *)LAYOUT_BASE_DEFAULT;
	void *got =
		mmap(wanted, CONFIG_SIZE_DEFAULT, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
	char size[TEXT_SIZE_BYTES];

	text_size(CONFIG_SIZE_DEFAULT, size);
	if (got == wanted)
		doctor_tell(doctor, VERDICT_OK, "addresses", NULL, "%s from 0x%llx are free",
			    size, (unsigned long long)LAYOUT_BASE_DEFAULT);
	else
		doctor_tell(doctor, VERDICT_WARN, "addresses",
			    "make pools with a smaller -s, or with "
			    "heapsake create --base",
			    "%s from 0x%llx cannot be had: %s", size,
			    (unsigned long long)LAYOUT_BASE_DEFAULT,
			    got == MAP_FAILED ? strerror(errno) : "the kernel is too old");
	if (got != MAP_FAILED)
		munmap(got, CONFIG_SIZE_DEFAULT);
}

void doctor_look_at_machine(struct doctor *doctor)
{
	struct utsname name;

	if (uname(&name) == 0)
		doctor_tell(doctor, VERDICT_OK, "kernel", NULL, "%s %s, %s", name.sysname,
			    name.release, name.machine);
	look_at_base(doctor);
	look_at_memory(doctor);
	look_at_personality(doctor);
	look_at_tracking(doctor);
}

static void look_at_limit(struct doctor *doctor, int resource, const char *what,
			  const char *option, uint64_t wanted_bytes, const char *effect)
{
	struct rlimit limit;
	char size[TEXT_SIZE_BYTES], remedy[64];

	if (getrlimit(resource, &limit) < 0)
		return;
	if (limit.rlim_cur == RLIM_INFINITY) {
		doctor_tell(doctor, VERDICT_OK, what, NULL, "unlimited");
		return;
	}
	snprintf(remedy, sizeof(remedy), "ulimit %s unlimited", option);
	bool is_enough = limit.rlim_cur >= wanted_bytes;
	doctor_tell(doctor, is_enough ? VERDICT_OK : VERDICT_WARN, what,
		    is_enough ? NULL : remedy, "%s%s%s", text_size(limit.rlim_cur, size),
		    is_enough ? "" : ": ", is_enough ? "" : effect);
}

void doctor_look_at_limits(struct doctor *doctor)
{
	uint64_t pool_bytes = CONFIG_SIZE_DEFAULT + LAYOUT_HEAD_BYTES;

	look_at_limit(doctor, RLIMIT_AS, "RLIMIT_AS", "-v", pool_bytes,
		      "a pool's heap can be no larger than this leaves");
	look_at_limit(doctor, RLIMIT_FSIZE, "RLIMIT_FSIZE", "-f", pool_bytes,
		      "no larger pool can be made");
	look_at_limit(doctor, RLIMIT_MEMLOCK, "RLIMIT_MEMLOCK", "-l", 0, "");
}
