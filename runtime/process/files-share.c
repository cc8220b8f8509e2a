/*
 * The problem: two numbers may mean one description or two of the same file, and only comparing
 * them tells (kcmp), which for n numbers is n^2 questions. The trick: the kernel's answer is an
 * order. Sorted by file and that order, equal ones are neighbours; and to know that nothing has
 * changed it is enough that every two neighbours still give the same answer.
 *
 * Sockets and pipes each have an inode of their own, so hardly a question is asked for most.
 */
#include "files-share.h"

#include <string.h>
#include <sys/mman.h>

#include "descriptor.h"
#include "os.h"
#include "ours.h"

#define OTHER_FILE 2 /* the neighbour below is another file: nothing to ask */

static struct {
	int *sorted; /* numbers, by file and description */
	int *below;  /* compare() of each and its neighbour below; OTHER_FILE */
	int room;
	bool is_sorted;
	share_record *record_of;
} self OURS;

void share_forget(void)
{
	self.is_sorted = false;
}

static bool has_room(int count)
{
	const size_t bytes = sizeof(int) * 2 * (size_t)count * 2;

	if (count <= self.room)
		return true;
	int *memory = os_mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (os_is_error(memory))
		return false;
	if (self.sorted)
		os_munmap(self.sorted, sizeof(int) * 2 * (size_t)self.room);
	self.sorted = memory;
	self.room = 2 * count;
	self.below = memory + self.room;
	self.is_sorted = false;
	return true;
}

static bool is_one_file(int a, int b)
{
	const struct file_record *x = self.record_of(a), *y = self.record_of(b);

	return x->dev == y->dev && x->ino == y->ino;
}

/* Where the kernel does not tell, those that look alike are taken for one; not those without a
 * name, which all look alike. */
static int compare_descriptions(int a, int b)
{
	const struct file_record *x = self.record_of(a), *y = self.record_of(b);

	switch (os_compare_descriptions(a, b)) {
	case 0: return 0;
	case 1: return -1;
	case 2: return 1;
	default: return x->status == y->status && (x->mode & S_IFMT) ? 0 : a < b ? -1 : 1;
	}
}

static int compare(int a, int b)
{
	const struct file_record *x = self.record_of(a), *y = self.record_of(b);

	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	return compare_descriptions(a, b);
}

static void swap(int *heap, int a, int b)
{
	const int held = heap[a];

	heap[a] = heap[b];
	heap[b] = held;
}

static void sift(int *heap, int at, int count)
{
	for (int child; (child = 2 * at + 1) < count; at = child) {
		if (child + 1 < count && compare(heap[child], heap[child + 1]) < 0)
			child++;
		if (compare(heap[at], heap[child]) >= 0)
			return;
		swap(heap, at, child);
	}
}

static void sort(int *heap, int count)
{
	for (int i = count / 2; i-- > 0;)
		sift(heap, i, count);
	for (int left = count - 1; left > 0; left--) {
		swap(heap, 0, left);
		sift(heap, 0, left);
	}
}

static int look_below(int i)
{
	return i && is_one_file(self.sorted[i - 1], self.sorted[i]) ?
		       compare_descriptions(self.sorted[i - 1], self.sorted[i]) :
		       OTHER_FILE;
}

static bool is_as_it_was(int count)
{
	for (int i = 0; i < count; i++)
		if (look_below(i) != self.below[i])
			return false;
	return true;
}

/* A run of equals shares with its lowest number. */
static void tell_run(int start, int end)
{
	int lowest = self.sorted[start];

	for (int i = start; i < end; i++)
		if (self.sorted[i] < lowest)
			lowest = self.sorted[i];
	for (int i = start; i < end; i++)
		self.record_of(self.sorted[i])->shares = (uint32_t)lowest;
}

bool share_find(const int *fds, int count, share_record *record_of)
{
	self.record_of = record_of;
	if (!has_room(count))
		return false;
	if (self.is_sorted && is_as_it_was(count))
		return true;
	memcpy(self.sorted, fds, sizeof(int) * (size_t)count);
	sort(self.sorted, count);
	for (int i = 0, start = 0; i < count; i++) {
		self.below[i] = look_below(i);
		if (i + 1 < count && look_below(i + 1) == 0)
			continue;
		tell_run(start, i + 1);
		start = i + 1;
	}
	self.is_sorted = true;
	return true;
}
