/*
 * The problem: the heap's own code can say what is in a heap and whether it is whole, but follows
 * pointers, so the heap must stand at its addresses; and a pool of 64 GiB must not take as much
 * memory to be looked at. The trick: its addresses are reserved without access, and the fault that
 * a first look causes reads the pages around it. The validator looks at tables, so tables are what
 * is read. The guarantee: what is seen are verified pages of one epoch, or has_failed says not.
 */
#include "view.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "os.h"

#define STEP_BYTES (16 * LAYOUT_BLOCK_BYTES)

/* The one the fault handler fills. */
static struct view *shown;

static void view_fill(struct view *view, char *at)
{
	const uint64_t first = (uint64_t)(at - view->base) / LAYOUT_BLOCK_BYTES;

	for (uint64_t i = 0; i < STEP_BYTES / LAYOUT_BLOCK_BYTES; i++) {
		struct refusal why;
		char *page = at + i * LAYOUT_BLOCK_BYTES;
		if (image_pages(view->image, CHECKPOINT_REGION_HEAP, first + i, 1, page, &why) == 0)
			continue;
		memset(page, 0, LAYOUT_BLOCK_BYTES);
		if (view->has_failed)
			continue;
		view->has_failed = true;
		view->why = why;
		view->fault = checkpoint_fault(view->image->checkpoint);
	}
}

/* Caused by a load of this very thread, so everything may be called that the engine calls. */
static void view_handle_fault(int number, siginfo_t *info, void *context)
{
	uintptr_t offset = (uintptr_t)info->si_addr - (uintptr_t)shown->base;
	char *at = shown->base + offset / STEP_BYTES * STEP_BYTES;
	int saved_errno = errno;

	(void)context;
	if (info->si_code != SEGV_ACCERR || offset >= shown->size_bytes ||
	    os_mprotect(at, STEP_BYTES, PROT_READ | PROT_WRITE) != 0)
		signal(number, SIG_DFL); /* and again, for good */
	else
		view_fill(shown, at);
	errno = saved_errno;
}

static void view_set_handler(void (*handle)(int, siginfo_t *, void *))
{
	struct sigaction action = {.sa_flags = handle ? SA_SIGINFO : 0};

	if (handle)
		action.sa_sigaction = handle;
	else
		action.sa_handler = SIG_DFL;
	sigemptyset(&action.sa_mask);
	sigaction(SIGSEGV, &action, NULL);
}

/* Nothing is ever allocated in a heap that is looked at. */
static int view_refuse_range(void *context, size_t offset, size_t len)
{
	(void)context, (void)offset, (void)len;
	return -ENOMEM;
}

static void view_ignore_range(void *context, size_t offset, size_t len)
{
	(void)context, (void)offset, (void)len;
}

static const struct heap_memory view_memory = {
	.grow = view_refuse_range,
	.purge = view_refuse_range,
	.populate = view_ignore_range,
};

static bool view_is_zero(const char *bytes, size_t len)
{
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0;
}

int view_open(struct view *view, struct image *image, struct heap_finding *ret_finding)
{
	const struct layout_superblock *sb = &image->pool->sb;
	*view = (struct view){.image = image, .size_bytes = sb->size_bytes};
	void *base = os_mmap((void *)sb->base, sb->size_bytes, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

	if (base != (void *)sb->base)
		return os_is_error(base) ? (int)(intptr_t)base : -EEXIST;
	view->base = base;
	shown = view;
	view_set_handler(view_handle_fault);
	view->has_heap = !view_is_zero(view->base, LAYOUT_BLOCK_BYTES);
	if (!view->has_heap)
		return 0;
	int error = heap_attach(&view_memory, base, sb->size_bytes, sb->size_bytes, ret_finding);
	if (error)
		view_close(view);
	return error;
}

void view_close(struct view *view)
{
	heap_destroy();
	view_set_handler(NULL);
	os_munmap(view->base, view->size_bytes);
}

static int view_refuse(const struct view *view, int error, const struct heap_finding *finding,
		struct refusal *ret_why)
{
	const struct pool *pool = view->image->pool;

	if (view->has_failed) {
		*ret_why = view->why;
		return (int)view->why.status;
	}
	if (error == HEAP_E_DAMAGED)
		return image_refuse_heap(view->image, finding, ret_why);
	return refuse(ret_why, STATUS_FAILED, pool->path,
		      "its addresses from 0x%llx cannot be had here: %s; try again",
		      (unsigned long long)pool->sb.base, strerror(-error));
}

int view_begin(struct view *view, struct image *image, struct refusal *ret_why)
{
	struct heap_finding finding;
	int error = view_open(view, image, &finding);

	return error ? view_refuse(view, error, &finding, ret_why) : 0;
}

int view_end(struct view *view, struct refusal *ret_why)
{
	if (view->has_failed)
		*ret_why = view->why;
	view_close(view);
	return view->has_failed ? (int)view->why.status : 0;
}
