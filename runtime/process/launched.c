/*
 * What the constructor was given, and what the kernel says of it, kept aside before the program can
 * change it.
 */
#include "launched.h"

#include <errno.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include "os.h"
#include "ours.h"

static struct {
	char *bytes; /* struct launched_record and the strings */
	size_t len;
	size_t capacity;
} self OURS;

static int add(const char *text)
{
	const size_t len = strlen(text) + 1;

	if (len > self.capacity - self.len)
		return -E2BIG;
	memcpy(self.bytes + self.len, text, len);
	self.len += len;
	return 0;
}

static int add_link(const char *link)
{
	char path[4096];
	const ssize_t len = readlink(link, path, sizeof(path) - 1);

	if (len < 0)
		return -errno;
	path[len] = 0;
	return add(path);
}

static void note_exe(struct launched_record *record)
{
	struct stat st;

	if (os_stat("/proc/self/exe", &st) != 0)
		return;
	record->exe_ino = st.st_ino;
	record->exe_size = (uint64_t)st.st_size;
}

int launched_open(const struct keeper_note *note, int argc, char *const *argv, char *const *envp)
{
	struct launched_record record = {
		.argc = (uint32_t)argc,
		.pid = (uint32_t)os_getpid(),
		.vdso = getauxval(AT_SYSINFO_EHDR),
		.hwcap = getauxval(AT_HWCAP),
		.hwcap2 = getauxval(AT_HWCAP2),
		.uid = getuid(),
		.euid = geteuid(),
		.command_hash = note->command_hash,
	};
	struct rlimit stack;

	memcpy(record.command, note->command, sizeof(record.command));
	self.capacity = LAUNCHED_MAX_BYTES;
	self.bytes = os_reserve(self.capacity);
	if (os_is_error(self.bytes))
		return -ENOMEM;
	if (os_getrlimit(RLIMIT_STACK, &stack) == 0)
		record.stack_limit = stack.rlim_cur;
	note_exe(&record);
	while (envp[record.envc])
		record.envc++;
	self.len = sizeof(record);
	int error = add_link("/proc/self/exe");
	if (!error)
		error = add_link("/proc/self/cwd");
	for (uint32_t i = 0; i < record.argc && !error; i++)
		error = add(argv[i]);
	for (uint32_t i = 0; i < record.envc && !error; i++)
		error = add(envp[i]);
	memcpy(self.bytes, &record, sizeof(record));
	return error;
}

struct launched_record *launched_save(struct ledger_writer *writer)
{
	return memcpy(ledger_put(writer, LEDGER_LAUNCHED, self.len), self.bytes, self.len);
}

void launched_set_clock(struct launched_record *saved, uint64_t monotonic_ns, uint64_t boot_ns)
{
	struct launched_record *own = (void *)self.bytes;

	own->clock_ns = saved->clock_ns = monotonic_ns;
	own->boot_ns = saved->boot_ns = boot_ns;
}

const struct launched_record *launched_load(const struct ledger_reader *ledger)
{
	struct ledger_reader reader = *ledger;
	size_t len;
	const struct launched_record *record = ledger_next(&reader, LEDGER_LAUNCHED, &len);

	if (!record || len < sizeof(*record))
		return NULL;
	const char *bytes = (const char *)record;
	uint32_t strings = 0;
	for (size_t i = sizeof(*record); i < len; i++)
		strings += bytes[i] == 0;
	return bytes[len - 1] == 0 && strings == 2 + record->argc + record->envc ? record : NULL;
}

int launched_keep(const struct ledger_reader *ledger)
{
	struct ledger_reader reader = *ledger;
	size_t len;
	const void *record = ledger_next(&reader, LEDGER_LAUNCHED, &len);

	if (!record || len > self.capacity)
		return -EINVAL;
	memcpy(self.bytes, record, len);
	self.len = len;
	return 0;
}
