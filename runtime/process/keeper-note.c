/*
 * The problem: who may choose its threads' numbers needs a capability, and a program that was
 * started with one would behave differently from one that was not. The trick: it is lent as an
 * ambient one, which passes through exec, and given back before the program's first instruction.
 */
#include "keeper.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "os.h"
#include "ours.h"

#ifndef CAP_CHECKPOINT_RESTORE
#define CAP_CHECKPOINT_RESTORE 40
#endif

/* A lock of the process's own: no child has it, and the kernel takes it away before it hangs up the
 * terminal and tells who waits. */
static struct flock lock_of_note(void)
{
	return (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
}

int keeper_hold_note(int fd)
{
	struct flock lock = lock_of_note();

	return os_fcntl(fd, F_SETLK, &lock);
}

static bool is_held(int fd)
{
	struct flock lock = lock_of_note();

	return os_fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

static bool was_held OURS;

bool keeper_is_gone(int fd)
{
	struct keeper_note found;

	return was_held && !is_held(fd) && os_pread_all(fd, &found, sizeof(found), 0) == 0 &&
	       found.magic == KEEPER_MAGIC;
}

bool keeper_read_note(int fd, struct keeper_note *ret_note)
{
	struct keeper_note note;

	if (os_pread_all(fd, &note, sizeof(note), 0) != 0 || note.magic != KEEPER_MAGIC)
		return false;
	if (note.mode < KEEPER_FRESH || note.mode > KEEPER_EXEC)
		return false;
	note.command[KEEPER_COMMAND_BYTES - 1] = 0;
	note.pool[KEEPER_PATH_BYTES - 1] = 0;
	os_fcntl(fd, F_SETFD, (void *)FD_CLOEXEC); /* children shall not see it */
	was_held = is_held(fd);
	*ret_note = note;
	return true;
}

void keeper_note_given(struct keeper_note *note)
{
	struct stat st;

	for (int fd = 0; fd < 3; fd++) {
		note->given[fd] = (struct keeper_given){.is_open = os_fstat(fd, &st) == 0};
		if (!note->given[fd].is_open)
			continue;
		note->given[fd].dev = st.st_dev;
		note->given[fd].ino = st.st_ino;
		note->given[fd].rdev = st.st_rdev;
	}
}

static bool is_note(int fd)
{
	struct keeper_note found;

	return os_pread_all(fd, &found, sizeof(found), 0) == 0 && found.magic == KEEPER_MAGIC;
}

int keeper_hand_note(int *fd, const struct keeper_note *note)
{
	struct keeper_note next = *note;

	next.mode = KEEPER_EXEC;
	next.is_new = 0;
	next.epoch = 0;
	next.is_quiet = 1; /* one line is enough for a chain of programs */
	if (!is_note(*fd))
		*fd = os_fd_move(os_memfd("heapsake-keeper"));
	if (*fd < 0)
		return *fd;
	const int error = os_pwrite_all(*fd, &next, sizeof(next), 0);
	return error ? error : os_fcntl(*fd, F_SETFD, NULL);
}

void keeper_take_note(int fd, const struct keeper_note *note)
{
	os_fcntl(fd, F_SETFD, (void *)FD_CLOEXEC);
	os_pwrite_all(fd, note, sizeof(*note), 0);
}

int keeper_return_right(void)
{
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];
	const uint32_t bit = UINT32_C(1) << (CAP_CHECKPOINT_RESTORE % 32);
	int error = os_capget(sets);

	if (error)
		return error;
	sets[CAP_CHECKPOINT_RESTORE / 32].effective &= ~bit;
	sets[CAP_CHECKPOINT_RESTORE / 32].permitted &= ~bit;
	sets[CAP_CHECKPOINT_RESTORE / 32].inheritable &= ~bit; /* and with it the ambient one */
	return os_capset(sets);
}
