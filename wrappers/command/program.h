/* What a program on disk is, as far as a preloaded library cares. */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "say.h"

#define PROGRAM_DEPTH_MAX 5 /* interpreters of interpreters: the kernel's own limit */

enum program_kind {
	PROGRAM_UNREADABLE, /* may be executed, may not be read */
	PROGRAM_ELF,
	PROGRAM_SCRIPT, /* begins with #! */
	PROGRAM_OTHER,  /* execve(2) says ENOEXEC, execvp(3) hands it to /bin/sh */
};

struct program {
	char path[PATH_MAX]; /* as execve(2) takes it */
	enum program_kind kind;

	/* PROGRAM_SCRIPT */
	char interpreter[PATH_MAX];
	char argument[256]; /* the rest of the line, empty: none */

	/* PROGRAM_ELF */
	uint16_t machine;
	bool is_foreign; /* built for another machine or word size than this command */
	bool is_static;  /* asks for no dynamic loader */
	bool is_loader;  /* it is one */
	bool is_setuid;  /* or setgid; to the very user that starts it: see privilege */
	bool is_pie;
	bool is_other_libc;  /* its loader is not glibc's */
	bool defines_malloc; /* its own, exported: the library refuses that */
	char allocator[64];  /* an allocator library it is linked with; empty: none known */
	bool is_linked;      /* with libheapsake: written for keep=heap */
	bool has_own_runtime; /* Go's: threads and system calls that libc never sees */

	/* Why the kernel will start it in secure mode, where the loader ignores LD_PRELOAD;
	 * empty: it will not. */
	char privilege[96];
};

/* program_find() - the path execvp() would use; 0, -ENOENT, -EACCES or -ENAMETOOLONG */
int program_find(const char *name, char ret_path[PATH_MAX]);

/* program_read() - what the file is; 0 or -errno */
int program_read(struct program *ret_program, const char *path);

/* A script whose first line is "#!/usr/bin/env ..." */
bool program_is_env_script(const struct program *program);

/* program_next() - the program that really runs when this one is started: a script's
 * interpreter, the program that `env` of "#!/usr/bin/env PROG" starts, or the shell for what
 * has no format. False: this one, or it cannot be found. */
bool program_next(const struct program *program, char ret_path[PATH_MAX]);

/* What a caller wants to know of a program that can be started. */
struct program_traits {
	const char *warning; /* a line to tell although it can; NULL: none */
	bool is_linked;      /* it, or the interpreter that runs it, is linked with libheapsake */
	const char *unkept;  /* why keep=process cannot be had with it; NULL: it can */
};

/* program_check() - can a preloaded library get into this program? Follows interpreters.
 * 0, or STATUS_INCOMPATIBLE with the reason, or STATUS_LAUNCH when it cannot be examined. */
int program_check(const char *path, struct program_traits *ret_traits, struct refusal *ret_why);

const char *program_machine_name(uint16_t machine, char buffer[32]);
