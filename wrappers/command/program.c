/*
 * What a program is, before it is started.
 *
 * The problem: the dynamic loader drops LD_PRELOAD without a word where it cannot or may not
 * honour it (static programs, privileged ones, another architecture, another libc), and a
 * program would run without its pool. So the file is looked at first: found as execvp() finds
 * it, its interpreters followed as the kernel follows them, its ELF headers read with libelf,
 * which knows both word sizes and byte orders and has met more broken files than a reader of
 * ours would.
 *
 * Between this look and the exec the file may change: then the library is missing, not misled.
 */
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#ifndef __x86_64__
#error "name this machine's ELF number"
#endif
#define OWN_MACHINE EM_X86_64

static int program_is_executable(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0)
		return -EACCES;
	return 0;
}

int program_find(const char *name, char ret_path[PATH_MAX])
{
	const char *path = getenv("PATH");
	const char *dir = path ? path : "/bin:/usr/bin";
	int error = -ENOENT;

	if (!*name)
		return -ENOENT;
	if (strlen(name) > NAME_MAX && !strchr(name, '/'))
		return -ENAMETOOLONG;
	if (strchr(name, '/')) {
		if (snprintf(ret_path, PATH_MAX, "%s", name) >= PATH_MAX)
			return -ENAMETOOLONG;
		return program_is_executable(name);
	}
	for (;;) {
		int len = (int)strcspn(dir, ":");
		if (snprintf(ret_path, PATH_MAX, "%.*s%s%s", len, dir, len ? "/" : "", name) <
		    PATH_MAX) {
			int result = program_is_executable(ret_path);
			if (result == 0)
				return 0;
			if (result == -EACCES)
				error = -EACCES;
		}
		if (!dir[len])
			return error;
		dir += len + 1;
	}
}

/* A file's mode bits and capabilities count only where the kernel honours them. */
static bool program_may_gain_privilege(int fd)
{
	struct statvfs fs;

	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		return false;
	return fstatvfs(fd, &fs) < 0 || !(fs.f_flag & ST_NOSUID);
}

static void program_read_privilege(struct program *program, int fd, const struct stat *st)
{
	const char *reason = NULL;

	if (getuid() != geteuid() || getgid() != getegid())
		reason = "heapsake itself runs with another user's rights";
	else if (!program_may_gain_privilege(fd))
		return;
	else if ((st->st_mode & S_ISUID) && st->st_uid != getuid())
		reason = "it is setuid";
	else if ((st->st_mode & S_ISGID) && (st->st_mode & S_IXGRP) && st->st_gid != getgid())
		reason = "it is setgid";
	else if (getuid() != 0 && fgetxattr(fd, "security.capability", NULL, 0) > 0)
		reason = "it has file capabilities";
	else
		program->is_setuid = (st->st_mode & S_ISUID) ||
				     ((st->st_mode & S_ISGID) && (st->st_mode & S_IXGRP));
	if (reason)
		snprintf(program->privilege, sizeof(program->privilege), "%s", reason);
}

/* Libraries that bring their own malloc, and ours. */
static void program_note_library(struct program *program, const char *name)
{
	static const char *const allocators[] = {"libjemalloc", "libtcmalloc", "libmimalloc",
						 "libvmmalloc", "libhoard",    "libsnmalloc"};

	for (unsigned i = 0; i < sizeof(allocators) / sizeof(allocators[0]); i++)
		if (!strncmp(name, allocators[i], strlen(allocators[i])))
			snprintf(program->allocator, sizeof(program->allocator), "%s", name);
	if (!strncmp(name, "libheapsake.so", strlen("libheapsake.so")))
		program->is_linked = true;
}

/* ld.so can be started as a program itself (`ld.so PROG`): it asks for no loader and honours
 * LD_PRELOAD all the same. */
static void program_read_dynamic(struct program *program, Elf *elf, Elf_Scn *section,
				 const GElf_Shdr *header)
{
	Elf_Data *data = elf_getdata(section, NULL);
	GElf_Dyn dyn;

	for (int i = 0; data && gelf_getdyn(data, i, &dyn) && dyn.d_tag != DT_NULL; i++) {
		if (dyn.d_tag != DT_NEEDED && dyn.d_tag != DT_SONAME)
			continue;
		const char *name = elf_strptr(elf, header->sh_link, dyn.d_un.d_val);
		if (name && dyn.d_tag == DT_NEEDED)
			program_note_library(program, name);
		else if (name && !strncmp(name, "ld-linux", 8))
			program->is_loader = true;
	}
}

static void program_read_symbols(struct program *program, Elf *elf, Elf_Scn *section,
				 const GElf_Shdr *header)
{
	Elf_Data *data = elf_getdata(section, NULL);
	GElf_Sym symbol;

	for (int i = 0; data && gelf_getsym(data, i, &symbol); i++) {
		if (symbol.st_shndx == SHN_UNDEF || GELF_ST_BIND(symbol.st_info) == STB_LOCAL)
			continue;
		const char *name = elf_strptr(elf, header->sh_link, symbol.st_name);
		if (name && !strcmp(name, "malloc"))
			program->defines_malloc = true;
	}
}

static void program_read_sections(struct program *program, Elf *elf)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;
	size_t names = 0;

	elf_getshdrstrndx(elf, &names);

	while ((section = elf_nextscn(elf, section))) {
		if (!gelf_getshdr(section, &header))
			continue;
		const char *name = elf_strptr(elf, names, header.sh_name);
		if (name && (!strcmp(name, ".go.buildinfo") || !strcmp(name, ".gopclntab")))
			program->has_own_runtime = true;
		if (header.sh_type == SHT_DYNAMIC)
			program_read_dynamic(program, elf, section, &header);
		else if (header.sh_type == SHT_DYNSYM)
			program_read_symbols(program, elf, section, &header);
	}
}

static void program_read_loader(struct program *program, Elf *elf)
{
	size_t count = 0;
	GElf_Phdr header;
	char path[PATH_MAX] = "";

	program->is_static = true;
	elf_getphdrnum(elf, &count);
	for (size_t i = 0; i < count; i++) {
		if (!gelf_getphdr(elf, (int)i, &header) || header.p_type != PT_INTERP)
			continue;
		size_t file_bytes;
		const char *file = elf_rawfile(elf, &file_bytes);
		if (!file || header.p_offset >= file_bytes ||
		    header.p_filesz > file_bytes - header.p_offset ||
		    header.p_filesz >= sizeof(path))
			continue;
		memcpy(path, file + header.p_offset, header.p_filesz);
		program->is_static = false;
		program->is_other_libc = strstr(path, "ld-musl") || strstr(path, "uClibc") ||
					 strstr(path, "/system/bin/linker");
	}
}

static int program_read_elf(struct program *program, int fd)
{
	GElf_Ehdr header;

	elf_version(EV_CURRENT);
	Elf *elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
	if (!elf || elf_kind(elf) != ELF_K_ELF || !gelf_getehdr(elf, &header)) {
		elf_end(elf);
		return -ENOEXEC;
	}
	program->kind = PROGRAM_ELF;
	program->machine = header.e_machine;
	program->is_foreign =
		header.e_machine != OWN_MACHINE || header.e_ident[EI_CLASS] != ELFCLASS64;
	program->is_pie = header.e_type == ET_DYN;
	program_read_loader(program, elf);
	program_read_sections(program, elf);
	elf_end(elf);
	return 0;
}

/* "#! /path argument": one argument, blanks around it dropped, as the kernel reads it. */
static void program_read_script(struct program *program, const char *line)
{
	size_t path_len;

	line += 2;
	line += strspn(line, " \t");
	path_len = strcspn(line, " \t");
	snprintf(program->interpreter, sizeof(program->interpreter), "%.*s", (int)path_len,
		 line);
	line += path_len;
	line += strspn(line, " \t");
	snprintf(program->argument, sizeof(program->argument), "%s", line);
	for (size_t len = strlen(program->argument);
	     len && strchr(" \t", program->argument[len - 1]);)
		program->argument[--len] = 0;
	program->kind = PROGRAM_SCRIPT;
}

int program_read(struct program *ret_program, const char *path)
{
	struct program *program = ret_program;
	char head[256] = "";
	struct stat st;

	memset(program, 0, sizeof(*program));
	snprintf(program->path, sizeof(program->path), "%s", path);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == EACCES && program_is_executable(path) == 0) {
		program->kind = PROGRAM_UNREADABLE;
		return 0;
	}
	if (fd < 0 || fstat(fd, &st) < 0) {
		int error = -errno;
		if (fd >= 0)
			close(fd);
		return error;
	}
	ssize_t len = pread(fd, head, sizeof(head) - 1, 0);
	head[len > 0 ? len : 0] = 0;
	program->kind = PROGRAM_OTHER;
	if (!strncmp(head, "#!", 2)) {
		head[strcspn(head, "\n")] = 0;
		program_read_script(program, head);
	} else if (len >= 4 && !memcmp(head, ELFMAG, SELFMAG)) {
		program_read_elf(program, fd);
		program_read_privilege(program, fd, &st);
	}
	close(fd);
	return 0;
}

/* `env` started by a script's first line: "[-S] [-OPTION]... [NAME=VALUE]... PROG ARG..." */
static bool program_find_after_env(const char *argument, char ret_path[PATH_MAX])
{
	char words[sizeof(((struct program *)0)->argument)];
	char *rest = NULL;

	snprintf(words, sizeof(words), "%s", argument);
	for (char *word = strtok_r(words, " \t", &rest); word;
	     word = strtok_r(NULL, " \t", &rest)) {
		if (!strncmp(word, "-S", 2) && word[2])
			word += 2; /* -SPROG */
		if (word[0] != '-' && !strchr(word, '='))
			return program_find(word, ret_path) == 0;
	}
	return false;
}

bool program_is_env_script(const struct program *program)
{
	const char *slash = strrchr(program->interpreter, '/');

	return program->kind == PROGRAM_SCRIPT && slash && !strcmp(slash, "/env") &&
	       program->argument[0];
}

bool program_next(const struct program *program, char ret_path[PATH_MAX])
{
	if (program->kind == PROGRAM_OTHER)
		return snprintf(ret_path, PATH_MAX, "/bin/sh") > 0;
	if (program->kind != PROGRAM_SCRIPT)
		return false;
	if (program_is_env_script(program) &&
	    program_find_after_env(program->argument, ret_path))
		return true;
	return snprintf(ret_path, PATH_MAX, "%s", program->interpreter) > 0;
}

static int program_check_one(const struct program *program, struct program_traits *traits,
			     struct refusal *ret_why)
{
	char machine[32], own[32];

	if (program->kind == PROGRAM_UNREADABLE)
		traits->warning =
			"may not be read, so it is not known whether it can use a pool; see "
			"'heapsake info' on the pool while it runs";
	if (program->kind != PROGRAM_ELF)
		return 0;
	traits->is_linked = program->is_linked;
	if (program->has_own_runtime)
		traits->unkept = "is a Go program, whose threads and system calls pass libc by";
	else if (program->is_loader)
		traits->unkept = "is a loader, which does not tell what it was started with";
	else if (program->is_setuid)
		traits->unkept = "is setuid or setgid, and lies at other addresses each time";
	if (program->is_foreign)
		return refuse(
			ret_why, STATUS_INCOMPATIBLE, program->path,
			"is built for %s, heapsake for %s; use a program or a heapsake of the "
			"same kind",
			program_machine_name(program->machine, machine),
			program_machine_name(OWN_MACHINE, own));
	if (program->is_static && !program->is_loader)
		return refuse(ret_why, STATUS_INCOMPATIBLE, program->path,
			      "is statically linked, nothing can be preloaded into it; link it "
			      "dynamically");
	if (program->is_other_libc)
		return refuse(
			ret_why, STATUS_INCOMPATIBLE, program->path,
			"is built for another C library than glibc; use a build for glibc");
	if (program->privilege[0])
		return refuse(ret_why, STATUS_INCOMPATIBLE, program->path,
			      "%s, so the loader ignores preloaded libraries; start it as the "
			      "user it "
			      "becomes, or use a copy without the privilege",
			      program->privilege);
	return 0;
}

int program_check(const char *path, struct program_traits *ret_traits, struct refusal *ret_why)
{
	struct program *program = malloc(sizeof(*program));
	char next[PATH_MAX];
	int status = 0;

	if (!program)
		return refuse(ret_why, STATUS_LAUNCH, path,
			      "cannot be examined: out of memory; try again");
	*ret_traits = (struct program_traits){0};
	snprintf(next, sizeof(next), "%s", path);
	for (int depth = 0; depth < PROGRAM_DEPTH_MAX; depth++) {
		/* What cannot be opened cannot be executed either: exec says so, as env(1)
		 * would. */
		if (program_read(program, next) < 0)
			break;
		status = program_check_one(program, ret_traits, ret_why);
		if (status || !program_next(program, next))
			break;
	}
	free(program);
	return status;
}

const char *program_machine_name(uint16_t machine, char buffer[32])
{
	static const struct {
		uint16_t machine;
		const char *name;
	} names[] = {
		{EM_X86_64, "x86_64"}, {EM_386, "i386"},   {EM_AARCH64, "aarch64"},
		{EM_ARM, "arm"},       {EM_RISCV, "riscv"}, {EM_PPC64, "ppc64"},
		{EM_S390, "s390"},
	};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].machine == machine)
			return names[i].name;
	snprintf(buffer, 32, "ELF machine %u", machine);
	return buffer;
}
