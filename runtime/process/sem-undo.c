/*
 * Undoing: what a process has taken of System V semaphores with SEM_UNDO the kernel gives back when
 * it ends, by kill -9, too; a next life would think that it has it, and so would somebody else. The
 * kernel tells nobody what it would give back. So it is added up here, by the calls, and while
 * there is anything there is no epoch. While a call is under way nobody knows, and that counts.
 *
 * Of the image, as are the calls: none has anything of it.
 */
#include "sem-undo.h"

#include <string.h>
#include <sys/sem.h>

#include "lock.h"
#include "process.h"

#define TAKEN_MAX 256

static struct {
	struct lock lock;
	uint32_t under_way;
	uint32_t count;
	bool is_full;
	struct taken {
		int set;
		unsigned short number;
		int sum; /* never 0 */
	} list[TAKEN_MAX];
} self;

bool process_sem_undo_begin(const struct sembuf *operations, size_t count)
{
	bool is_undone = false;

	for (size_t i = 0; process_is_kept && i < count; i++)
		is_undone |= (operations[i].sem_flg & SEM_UNDO) != 0;
	if (is_undone)
		__atomic_add_fetch(&self.under_way, 1, __ATOMIC_SEQ_CST);
	return is_undone;
}

static void note(int set, const struct sembuf *operation)
{
	uint32_t i = 0;

	while (i < self.count && (self.list[i].set != set || self.list[i].number != operation->sem_num))
		i++;
	if (i == TAKEN_MAX) {
		self.is_full = true;
		return;
	}
	if (i == self.count)
		self.list[self.count++] = (struct taken){set, operation->sem_num, 0};
	self.list[i].sum += operation->sem_op;
	if (self.list[i].sum == 0)
		self.list[i] = self.list[--self.count];
}

void process_sem_undo_end(int set, const struct sembuf *operations, size_t count, bool is_done)
{
	lock_acquire(&self.lock);
	for (size_t i = 0; is_done && i < count; i++)
		if (operations[i].sem_flg & SEM_UNDO && operations[i].sem_op)
			note(set, &operations[i]);
	lock_release(&self.lock);
	__atomic_sub_fetch(&self.under_way, 1, __ATOMIC_SEQ_CST);
}

void process_sem_undo_forget(int set, int number)
{
	lock_acquire(&self.lock);
	for (uint32_t i = self.count; i-- > 0;)
		if (self.list[i].set == set && (number < 0 || self.list[i].number == number))
			self.list[i] = self.list[--self.count];
	lock_release(&self.lock);
}

void sem_undo_save(struct ledger_writer *writer)
{
	if (__atomic_load_n(&self.under_way, __ATOMIC_SEQ_CST) || self.count || self.is_full)
		ledger_veto(writer, "a System V semaphore that was taken with SEM_UNDO", NULL);
}
