/*
 * The problem: with keep=none parent and child of a fork would store into the same file. The
 * trick: the opened ranges turn into MAP_PRIVATE views of the file, which is not written again as
 * long as somebody shows it. The guarantee: all or nothing; threads may store meanwhile, and no
 * store is lost; no store after it, here or in any descendant, reaches the file.
 *
 * With keep=heap a fork changes nothing here, but the child's clean pages are home's. A lock on a
 * description that nothing but a mapping of the child's refers to tells for how long, without a
 * table of pids that would have to know of grandchildren and of numbers used again.
 */
#include "window.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "control.h"
#include "os.h"
#include "pool-parts.h"

/* Every mapping of frozen pages hangs on a description that holds the view lock, here and in all
 * children: as long as one of them lives, no owner will change the file under it. */
static int open_view(struct window *window)
{
	int fd = pool_reopen(window->pool);

	if (fd < 0)
		return fd;
	int error = pool_lock_range(fd, F_RDLCK, LAYOUT_LOCK_VIEW_OFFSET, LAYOUT_LOCK_VIEW_LEN);
	if (error) {
		os_close(fd);
		return error;
	}
	return fd;
}

/* Calls visit for each piece of the opened ranges that is contiguous in the file. */
static int for_each_piece(struct window *window, void *context,
			  int (*visit)(struct window *, void *context, size_t offset, size_t len,
				       uint64_t file_offset))
{
	for (unsigned i = 0; i < window->range_count; i++) {
		size_t offset = window->ranges[i].start;
		while (offset < window->ranges[i].end) {
			uint64_t run, left = window->ranges[i].end - offset;
			uint64_t at = pool_file_offset(window->pool, offset, &run);
			run = run < left ? run : left;
			int error = visit(window, context, offset, run, at);
			if (error)
				return error;
			offset += run;
		}
	}
	return 0;
}

/* Private mappings of the same file bytes, made aside and then moved over the shared ones. */
struct view {
	char *next;
	int fd;
	unsigned moved;
};

static int view_map_piece(struct window *window, void *context, size_t offset, size_t len,
			  uint64_t file_offset)
{
	struct view *view = context;
	void *got = os_mmap(view->next, len, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_NORESERVE | MAP_FIXED, view->fd, file_offset);

	if (os_is_error(got))
		return (int)(intptr_t)got;
	view->next += len;
	return 0;
}

static int view_move_piece(struct window *window, void *context, size_t offset, size_t len,
			   uint64_t file_offset)
{
	struct view *view = context;
	void *got = os_mremap(view->next, len, window->base + offset);

	if (os_is_error(got))
		return (int)(intptr_t)got;
	view->next += len;
	view->moved++;
	return 0;
}

/* What can fail (the charge of overcommit=2, the limits on address space and on the number of
 * mappings) fails while the private mappings are made aside. Moving one is atomic to threads that
 * store meanwhile, and frees a mapping, so only the first move can fail. */
int window_freeze(struct window *window)
{
	if (window->kind != WINDOW_SHARED || window->is_frozen)
		return 0;
	struct view view = {.fd = open_view(window)};
	size_t len = window->open_bytes;
	if (view.fd < 0)
		return view.fd;
	char *aside = NULL;
	if (len)
		aside = os_mmap(NULL, len, PROT_NONE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	view.next = aside;
	int error = os_is_error(aside) ? (int)(intptr_t)aside :
					 for_each_piece(window, &view, view_map_piece);
	os_close(view.fd);
	if (!error) {
		view.next = aside;
		error = for_each_piece(window, &view, view_move_piece);
		if (error && view.moved)
			say_die(window->pool->path, "half of the heap is private: error %d (%s)",
				-error, strerrordesc_np(-error));
	}
	if (error) {
		if (!os_is_error(aside))
			os_munmap(aside, len);
		return error;
	}
	window->is_frozen = true;
	if (window->pool->control)
		control_set_flag(window->pool->control, CONTROL_PRIVATE);
	return 0;
}

int window_lend(struct window *window, void **ret_lease)
{
	*ret_lease = NULL;
	if (window->kind != WINDOW_PRIVATE || window->home_end == 0)
		return 0;
	int fd = open_view(window);
	if (fd < 0)
		return fd;
	void *page = os_mmap(NULL, OS_PAGE_BYTES, PROT_READ, MAP_SHARED, fd, LAYOUT_CONTROL_OFFSET);
	os_close(fd);
	if (os_is_error(page))
		return (int)(intptr_t)page;
	pool_note_lend(window->pool);
	*ret_lease = page;
	return 0;
}

void window_lend_end(void *lease)
{
	if (lease)
		os_munmap(lease, OS_PAGE_BYTES);
}
