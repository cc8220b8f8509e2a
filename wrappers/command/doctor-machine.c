/* What `heapsake doctor` says of the kernel, the container and the limits we live in. */
#include "doctor.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#include "checkpoint/track.h"
#include "command.h"
#include "config.h"
#include "layout.h"

/* The very code keep=heap will use, on pages of its own; it takes the best that works. */
static void look_at_tracking(struct doctor *doctor)
{
	static struct track track;

	track_open(&track, TRACK_WP);
	enum track_kind kind = track.kind;
	track_close(&track);
	if (kind == TRACK_WP)
		doctor_tell(doctor, VERDICT_OK, "tracking", NULL,
			    "%s: userfaultfd WP_ASYNC and PAGEMAP_SCAN work", track_kind_name(kind));
	else
		doctor_tell(doctor, VERDICT_WARN, "tracking",
			    "run Linux 6.7 or newer, and let the container call userfaultfd",
			    kind == TRACK_SOFT_DIRTY ?
				    "%s: epochs stop the program for longer" :
				    "%s: epochs stop the program while all that is kept is copied, and "
				    "come at most every 50 times as long",
			    track_kind_name(kind));
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
			"address randomisation can be switched off: what is kept finds code where it was");
		return;
	}
	doctor_tell(doctor, VERDICT_WARN, "personality",
		    "let the container call personality(2)",
		    "address randomisation cannot be switched off: code addresses in a kept heap do not "
		    "stay valid, and processes cannot be kept");
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
