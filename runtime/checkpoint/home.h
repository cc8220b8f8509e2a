/*
 * Home: where pages lie when the log no longer says what they are. Room-private.
 */
#pragma once

#include "anchor.h"
#include "index.h"
#include "log.h"
#include "roster.h"

#define HOME_E_DAMAGED 1 /* what is on media is not what was written; home->fault says where */

struct home_fault {
	uint64_t file_offset;
	uint64_t expected; /* checksums of the page; 0: zeros */
	uint64_t found;
};

struct home {
	struct anchor *anchor;
	struct log *log;
	struct medium *medium;
	const struct roster *roster;
	struct home_fault fault;
};

/* home_sum() - the checksum home's page must have; 0: it counts as zeros, whatever is there */
int home_sum(struct home *home, uint64_t key, uint64_t *ret_sum);

/* home_read() - home's page as it is, not verified */
int home_read(struct home *home, uint64_t key, void *ret_page);

/* home_look() - the same, where it is or in `buffer`; until the next call */
int home_look(struct home *home, uint64_t key, void *buffer, const void **ret_page);

/* home_image() - the page as `entry` (NULL: no entry) says, verified. 0, HOME_E_DAMAGED, -errno */
int home_image(struct home *home, uint64_t key, const struct index_entry *entry, void *ret_page);

/* home_draft() - the page alone, NULL: zeros; nothing says that it is there */
int home_draft(struct home *home, uint64_t key, const void *page);

/* home_write() - the page and its checksum; durable after the next sync */
int home_write(struct home *home, const struct index_entry *entry, const void *page);
