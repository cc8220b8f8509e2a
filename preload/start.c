/*
 * From exec to main, and the way out: the only place where the rooms meet.
 *
 * The constructor runs before that of any other object, libc's included (initfirst): environ is
 * not set yet, so the configuration comes from the constructor's own arguments. In this order:
 * configuration, refusals, pool, window, heap, and only then does malloc_is_active send malloc
 * there. Whatever is refused ends the process here, before main, with one line and the status of
 * DESIGN 1.1; without HEAPSAKE_POOL, or under AT_SECURE, nothing is done at all.
 *
 * The destructor runs after every other. Threads may still allocate then: nothing is taken away
 * from them, the kernel gives the lock back when the process is gone.
 */
#include "preload.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include "ends.h"
#include "enter.h"
#include "checkpoint/committer.h"
#include "control.h"
#include "libc-main.h"
#include "os.h"
#include "ours.h"
#include "say.h"
#include "tx.h"

struct preload_state preload OURS;

/* Read-only from the end of the constructor on. */
static union {
	struct config config;
	char page[(sizeof(struct config) + OS_PAGE_BYTES - 1) & ~(OS_PAGE_BYTES - 1)];
} frozen __attribute__((aligned(OS_PAGE_BYTES))) OURS;

/* Not one instance but two would fight for one pool; of two mallocs only one is called. */
struct instances {
	int count;
	const char *paths[2];
};

static const char *object_soname(const struct dl_phdr_info *info)
{
	const ElfW(Dyn) *dynamic = NULL;
	const char *strings = NULL;
	ElfW(Xword) offset = 0;

	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
			dynamic = (const ElfW(Dyn) *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
	for (; dynamic && dynamic->d_tag != DT_NULL; dynamic++) {
		if (dynamic->d_tag == DT_STRTAB && dynamic->d_un.d_ptr >= info->dlpi_addr)
			strings = (const char *)dynamic->d_un.d_ptr; /* ld.so has relocated it */
		if (dynamic->d_tag == DT_SONAME)
			offset = dynamic->d_un.d_val;
	}
	return strings && offset ? strings + offset : "";
}

static int instance_count(struct dl_phdr_info *info, size_t size, void *context)
{
	struct instances *instances = context;
	if (strncmp(object_soname(info), "libheapsake", strlen("libheapsake")) == 0) {
		if (instances->count < 2)
			instances->paths[instances->count] = info->dlpi_name;
		instances->count++;
	}
	return 0;
}

static int check_single_instance(struct refusal *ret_why)
{
	struct instances instances = {0};
	dl_iterate_phdr(instance_count, &instances);
	if (instances.count <= 1)
		return 0;
	return refuse(ret_why, STATUS_USAGE, "libheapsake.so",
		      "loaded twice, from %s and %s; preload the one the program is linked with",
		      instances.paths[0], instances.paths[1]);
}

/*
 * A program that brings its own malloc would run with its heap elsewhere, and nobody would know. A
 * position-dependent program that takes malloc's address (Debian's python3) only *imports* the
 * symbol: dlsym() finds the address of its PLT entry, and that leads on to us.
 */
static int check_malloc_is_ours(struct refusal *ret_why)
{
	Dl_info found, ours;
	ElfW(Sym) *symbol = NULL;
	if (!dladdr1(dlsym(RTLD_DEFAULT, "malloc"), &found, (void **)&symbol, RTLD_DL_SYMENT) ||
	    !dladdr(&preload, &ours) || found.dli_fbase == ours.dli_fbase ||
	    (symbol && symbol->st_shndx == SHN_UNDEF))
		return 0;
	return refuse(ret_why, STATUS_USAGE, "malloc", "comes from %s; its heap cannot be in a pool",
		      found.dli_fname);
}

/* Valgrind calls its own malloc in place of any, where no symbol tells of it. */
static int check_malloc_is_reached(struct refusal *ret_why)
{
	malloc_is_reached = false;
	free(calloc(1, 1));
	if (malloc_is_reached)
		return 0;
	return refuse(ret_why, STATUS_USAGE, "malloc", "is not called, but another in its place; to "
		      "valgrind give --soname-synonyms=somalloc=nouserintercepts");
}

/* A process comes back only into what a keeper prepares for it. */
static int check_keep(const struct config *config, struct refusal *ret_why)
{
	if (config->keep == KEEP_PROCESS && config->children_inherit)
		return refuse(ret_why, STATUS_USAGE, "HEAPSAKE_CHILDREN", "\"inherit\" has no meaning when "
			      "the process is kept, and its children are not; unset it");
	if (config->keep != KEEP_PROCESS || config->has_keeper)
		return 0;
	return refuse(ret_why, STATUS_USAGE, "HEAPSAKE_KEEP",
		      "\"process\" needs a keeper; start the program with 'heapsake run'");
}

static int check_process(const struct config *config, struct refusal *ret_why)
{
	int status = check_keep(config, ret_why);
	if (!status)
		status = check_single_instance(ret_why);
	/* Wherever the heap of a whole process is, it is kept. */
	if (!status && config->keep != KEEP_PROCESS)
		status = check_malloc_is_ours(ret_why);
	if (!status && config->keep != KEEP_PROCESS)
		status = check_malloc_is_reached(ret_why);
	return status;
}

static int hooks_attach(struct refusal *ret_why)
{
	int error = thread_init();
	if (!error)
		error = fork_init();
	if (error)
		return refuse(ret_why, STATUS_FAILED, "libc", "no room for our handlers: %s; "
			      "free some memory", strerrordesc_np(-error));
	backtrace_init();
	return 0;
}

static void say_resumed(void)
{
	char text[64];
	struct line ending = line_in(text, sizeof(text));

	ending_tell(&preload.pool.ending, committer_epoch(), &ending);
	say_line("heapsake: resumed %s at epoch %llu%s", preload.pool.path,
		 (unsigned long long)committer_epoch(), text);
}

static void start_line(const struct config *config)
{
	if (config->is_quiet || config->log < SAY_WARN)
		return;
	const uint64_t size_bytes = pool_size_bytes(&preload.pool);
	if (config->has_size && config->size_bytes + LAYOUT_CHUNK_BYTES <= size_bytes)
		say_line("heapsake: %s: has %llu MiB, more than the size asked for; "
			 "a pool is never made smaller", preload.pool.path,
			 (unsigned long long)size_bytes >> 20);
	if (preload.keep == KEEP_NONE)
		say_line("heapsake: %s: keep none, up to %llu MiB; nothing of this run will come back",
			 preload.pool.path, (unsigned long long)preload.window.size_bytes >> 20);
	else if (preload.keep == KEEP_PROCESS)
		say_line("heapsake: %s: keep process; killed, it goes on from its last epoch when it is "
			 "started again", preload.pool.path);
	else if (preload.is_resumed)
		say_resumed();
	else
		say_line("heapsake: %s: keep heap, up to %llu MiB; it starts empty", preload.pool.path,
			 (unsigned long long)preload.window.size_bytes >> 20);
}

static int start(struct config *config, char **envp, struct refusal *ret_why)
{
	int status = config_from_environment(config, envp, ret_why);
	if (status || !config->is_active)
		return status;
	say_set_level(config->log);
	if (config->keep == KEEP_PROCESS)
		ours_open_zone();
	status = check_process(config, ret_why);
	if (!status && config->keep == KEEP_PROCESS)
		status = enter_read_note(config, ret_why);
	if (!status)
		status = hooks_attach(ret_why);
	if (!status)
		status = enter_pool(config, ret_why);
	if (status)
		return status;
	if (config->stats != STATS_OFF)
		stats_init();
	if (config->children_inherit && config->keep == KEEP_PROCESS)
		say(SAY_WARN, "HEAPSAKE_CHILDREN", "\"inherit\" is not for keep=process: a keeper keeps one "
		    "process; its children run without");
	if (!config->children_inherit || config->keep == KEEP_PROCESS) {
		if (exec_save(envp) != 0)
			say(SAY_WARN, "environment", "too large to remember; a program started in "
			    "place of this one by exec will run without the pool");
		main_set_environment(envp, config_strip_environment(envp));
	}
	start_line(config);
	malloc_is_active = true;
	return 0;
}

/* Defined by the `heapsake` command: in a shell whose environment is a pool's, `heapsake info`
 * must look at the pool, not take it. */
extern const char heapsake_is_command __attribute__((weak, visibility("default")));

static __attribute__((constructor)) void preload_start(int argc, char **argv, char **envp)
{
	struct refusal why;
	struct config *config = &frozen.config;

	say_note_stderr();
	exec_init();
	main_init();
	longjmp_init();
	foreign_init();
	enter_arguments = (struct enter_arguments){argc, argv, envp};
	const bool is_inert = getauxval(AT_SECURE) || &heapsake_is_command;
	if (!is_inert && start(config, envp, &why) != 0) {
		say_refusal(&why);
		if (preload.pool.control)
			pool_close(&preload.pool);
		os_exit_group((int)why.status);
	}
	dlopen_init(malloc_is_active);
	syscall_init();
	random_init();
	os_mprotect(&frozen, sizeof(frozen), PROT_READ);
}

/* Not in a child: the pool and the statistics are the owner's. */
static __attribute__((destructor)) void preload_end(void)
{
	if (!malloc_is_active || os_getpid() != preload.owner)
		return;
	if (frozen.config.stats != STATS_OFF)
		stats_print_at_exit(frozen.config.stats);
	ends_last();
	if (preload.pool.control)
		control_leave_owner(preload.pool.control);
}
