/*
 * Messages: one line each, made on the stack, one write(2) to stderr.
 *
 * Library code does not print. A module that must refuse fills a struct refusal; start.c and the
 * command print it. Threads: all of this may be called from any thread, and before libc is ready.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum say_level { SAY_ERROR, SAY_WARN, SAY_INFO, SAY_DEBUG };

/* Exit statuses of the command, and of a program refused before main (DESIGN 1.1). */
enum status {
	STATUS_OK = 0,
	STATUS_FAILED = 1,
	STATUS_USAGE = 2,
	STATUS_BUSY = 3,
	STATUS_CORRUPT = 4,
	STATUS_INCOMPATIBLE = 5,
	STATUS_NO_SPACE = 6,
	STATUS_LAUNCH = 125,
};

/* Why something was refused: `<object>: <fact>; <remedy>`, and the status that says it. */
struct refusal {
	enum status status;
	char line[1024];
};

/* Messages above this level are dropped. Starts at SAY_WARN. */
void say_set_level(enum say_level level);
bool say_has_level(enum say_level level);

/* say() - print `heapsake: <object>: <fact; remedy>` */
void say(enum say_level level, const char *object, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* say_line() - print the formatted line as it is, whatever the level (reports, statistics) */
void say_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* say_note_stderr() - what has number 2 now is stderr. Afterwards, whatever else a program has
 * opened under that number gets our lines only if it looks like a place for words */
void say_note_stderr(void);

/* say_to_stderr() - the line, where there is one to write to */
void say_to_stderr(const char *text, size_t len);

/* say_write() - to a descriptor, in one write; a reader that is gone is nobody's death */
void say_write(int fd, const char *text, size_t len);

/* refuse() - fill *ret_why; returns its status, so that `return refuse(...)` reads well */
int refuse(struct refusal *ret_why, enum status status, const char *object, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* say_refusal() - print `heapsake: refused: <line>`, whatever the level */
void say_refusal(const struct refusal *why);

/* A function called by say_die() before abort(), to print where the program stands. */
void say_set_backtrace(void (*print_backtrace)(void));

/* say_die() - print the line and a backtrace if one can be had, then abort() */
_Noreturn void say_die(const char *object, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
