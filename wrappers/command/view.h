/*
 * A view: the heap of an image in this process, at its own addresses, its pages read when they are
 * looked at. One at a time.
 */
#pragma once

#include "image.h"

struct view {
	struct image *image;
	char *base;
	size_t size_bytes;
	bool has_heap;    /* heap_check(), heap_list_root() and the like look at it */
	bool has_failed;  /* a page could not be read, and was taken as zeros: */
	struct refusal why;
	struct home_fault fault;
};

/* view_open() - attach the heap. Nothing that is changed reaches the pool. A pool without a heap
 * is none (has_heap false). 0; HEAP_E_DAMAGED with *ret_finding: it cannot be attached; -errno: no
 * room at its addresses. Only after 0 it is open. */
int view_open(struct view *view, struct image *image, struct heap_finding *ret_finding);
void view_close(struct view *view);

/* view_begin(), view_end() - the same for who wants all or nothing: 0 or a status */
int view_begin(struct view *view, struct image *image, struct refusal *ret_why);
int view_end(struct view *view, struct refusal *ret_why);
