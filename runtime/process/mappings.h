/*
 * Mappings: what is mapped where, as /proc/self/maps has it: those of the program's side. Ours (the
 * zone, the heap's window) and the kernel's (vdso) are left out.
 *
 * Used by one thread: the committer, or the one that resumes. No errno, no TLS, no malloc.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ledger.h"

enum mapping_kind {
	MAPPING_ANONYMOUS,
	MAPPING_STACK,  /* the main thread's: the kernel makes it */
	MAPPING_FILE,
	MAPPING_LOST,   /* of a file that is gone, or of something that is no file */
	MAPPING_DROPPABLE, /* the kernel may empty it at any time, and a resume does */
};

#define MAPPING_READ 1u
#define MAPPING_WRITE 2u
#define MAPPING_EXECUTE 4u

struct mapping {
	uint64_t start;
	uint64_t end;
	uint64_t offset;   /* in the file */
	uint64_t device;   /* as maps has it */
	uint64_t inode;
	uint64_t file;     /* its inode, as stat() has it, which may be another; 0: not known */
	uint64_t size;     /* of the file, and when it was changed, when it was last looked at */
	uint64_t mtime_ns;
	uint32_t kind;
	uint8_t protection;
	bool is_shared;
	bool is_kept;      /* its pages are: the rest is in the file */
	bool is_ours;      /* of our own library */
	uint32_t path_len; /* with the final 0; 0: no path */
	const char *path;
};

struct mappings {
	struct mapping *list; /* ascending */
	size_t count;
	size_t capacity;
	char *text; /* what it was made from */
	size_t text_len;
	size_t text_capacity;
	char *parsed; /* the same, in pieces; paths lie in it */
	size_t parsed_capacity;
};

/* mappings_read() - what is there now, after what was there before (NULL: nothing), from which
 * facts that cost time are taken over; is_still: nobody maps anything meanwhile. 0; MAPPINGS_SAME:
 * nothing has changed, ret_now is no list; -errno */
#define MAPPINGS_SAME 1
int mappings_read(struct mappings *ret_now, const struct mappings *before, bool is_still);

/* mappings_look_into() - something there could be written for a while: the next mappings_read()
 * asks anew which read-only mappings of files have pages of their own now */
void mappings_look_into(uint64_t start, uint64_t end);

/* mappings_find() - the one that holds the address, or the next one behind it; NULL: none */
const struct mapping *mappings_find(const struct mappings *mappings, uint64_t address);

/* mappings_look_again() - at one that may have been replaced by what looks alike */
void mappings_look_again(struct mapping *mapping);

/* mapping_note_file() - what stat() says of its file; of a device nothing
 * mappings_look_at_files() - which ones have changed: what is private shows it as well; heard of:
 * those that are not kept and have pages of their own by now */
struct stat;
void mapping_note_file(struct mapping *mapping, const struct stat *st);
void mappings_look_at_files(struct mappings *mappings,
			    void (*hear_opened)(uint64_t start, uint64_t end));

/* mapping_is_same() - of the same bytes, where both are */
bool mapping_is_same(const struct mapping *one, const struct mapping *other);

/* Into the ledger, and back: the next one, whose path lies in the ledger; false: there is none. */
void mappings_save(const struct mappings *mappings, struct ledger_writer *writer);
bool mappings_load_next(struct ledger_reader *reader, struct mapping *ret_mapping);
