/*
 * The problem: a static program asks for no loader, and a setuid one's does not listen to us: who
 * becomes such a program by exec goes on without us, and nobody would ever hear of it. Valgrind is
 * one: its launcher becomes a static tool, which would even hand us on to what it simulates. The
 * trick: the file is looked at before. The guarantee: what is said to be unkept is; what cannot be
 * read is taken for an ordinary program, and of what the exec finds the kernel has the last word.
 */
#include "successor.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "descriptor.h"
#include "line.h"
#include "os.h"
#include "preload.h"
#include "process/process.h"

#define SCRIPTS_MAX 5 /* of scripts, as the kernel has it */
#define HEADERS_MAX 64

int successor_open(int directory, const char *name)
{
	return os_openat(directory, name, O_RDONLY | O_CLOEXEC);
}

static bool is_program(int fd)
{
	struct stat st;

	return os_fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 0111);
}

static int open_in(const char *directory, size_t len, const char *name)
{
	char path[4096];

	if (len + 1 + strlen(name) >= sizeof(path))
		return -ENAMETOOLONG;
	memcpy(path, directory, len);
	path[len] = '/';
	strcpy(path + len + (len != 0), name); /* an empty one is where we are */
	return successor_open(AT_FDCWD, path);
}

int successor_find(const char *name)
{
	const char *path = getenv("PATH");

	if (strchr(name, '/'))
		return successor_open(AT_FDCWD, name);
	for (path = path ? path : "/bin:/usr/bin";; path++) {
		const size_t len = strcspn(path, ":");
		const int fd = open_in(path, len, name);
		if (fd >= 0 && is_program(fd))
			return fd;
		if (fd >= 0)
			os_close(fd);
		path += len;
		if (!*path)
			return -ENOENT;
	}
}

static void read_path(int fd, struct successor *successor)
{
	char link[32];
	struct line line = line_in(link, sizeof(link));

	line_add(&line, "/proc/self/fd/");
	line_add_number(&line, (unsigned)fd, 10);
	const int len = os_readlinkat(AT_FDCWD, link, successor->path, sizeof(successor->path) - 1);
	successor->path[len > 0 ? len : 0] = 0;
}

/* ld.so itself asks for no loader, and preloads all the same. */
static bool is_loader(const struct successor *successor)
{
	const char *slash = strrchr(successor->path, '/');

	return slash && (strncmp(slash, "/ld-", 4) == 0 || strncmp(slash, "/ld.", 4) == 0);
}

static const char *look_at_headers(int fd, const Elf64_Ehdr *elf, const struct successor *successor)
{
	Elf64_Phdr header;

	for (unsigned i = 0; i < elf->e_phnum && i < HEADERS_MAX; i++) {
		const uint64_t at = elf->e_phoff + i * sizeof(header);
		if (os_pread_all(fd, &header, sizeof(header), at) != 0)
			return NULL;
		if (header.p_type == PT_INTERP)
			return NULL;
	}
	if (!is_loader(successor))
		return "is statically linked: nothing can be preloaded into it";
	return process_is_kept ? "is a loader, which does not tell what it was started with" : NULL;
}

static const char *look_at_rights(int fd)
{
	struct stat st;

	if (os_fstat(fd, &st) != 0)
		return NULL;
	if (((st.st_mode & S_ISUID) && st.st_uid != getuid()) ||
	    ((st.st_mode & S_ISGID) && (st.st_mode & S_IXGRP) && st.st_gid != getgid()))
		return "becomes another user: nothing is preloaded into it";
	if (process_is_kept && ((st.st_mode & S_ISUID) ||
				((st.st_mode & S_ISGID) && (st.st_mode & S_IXGRP))))
		return "is setuid or setgid, and lies at other addresses each time";
	return NULL;
}

static const char *look_at_elf(int fd, const struct successor *successor)
{
	Elf64_Ehdr elf;

	if (os_pread_all(fd, &elf, sizeof(elf), 0) != 0 || memcmp(elf.e_ident, ELFMAG, SELFMAG) != 0)
		return NULL;
	if (elf.e_ident[EI_CLASS] != ELFCLASS64 || elf.e_machine != EM_X86_64)
		return "is built for another machine: nothing of ours can be preloaded into it";
	const char *unkept = look_at_rights(fd);
	return unkept ? unkept : look_at_headers(fd, &elf, successor);
}

/* The interpreter of a script, or a negative number. */
static int open_interpreter(int fd)
{
	char head[256];
	const long len = os_read(fd, head, sizeof(head) - 1);

	if (len < 2 || head[0] != '#' || head[1] != '!')
		return -ENOEXEC;
	head[len] = 0;
	char *path = head + 2 + strspn(head + 2, " \t");
	path[strcspn(path, " \t\n")] = 0;
	return successor_open(AT_FDCWD, path);
}

void successor_look(int fd, struct successor *ret_successor)
{
	ret_successor->unkept = NULL;
	for (unsigned i = 0; fd >= 0 && i < SCRIPTS_MAX; i++) {
		const int next = open_interpreter(fd);
		if (next < 0 && is_program(fd)) {
			read_path(fd, ret_successor);
			ret_successor->unkept = look_at_elf(fd, ret_successor);
		}
		os_close(fd);
		fd = next;
	}
	if (fd >= 0)
		os_close(fd);
}
