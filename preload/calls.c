/*
 * Calls that read, write, send or wait for the disk: the thread is parked in them.
 *
 * What the kernel writes into the caller's memory while a cut is taken belongs to the next epoch:
 * the tracker sees it as it sees any store. Calls that libc makes for itself (stdio's) come by
 * another way, and are handled as running. A file opened with O_DIRECT is read by a device, which
 * the tracker does not see: READING() has those pages dirtied afterwards.
 *
 * Under keep=process nobody is parked. The kernel restarts most of these calls, but not on sockets
 * with a timeout, nor System V's; and of what is written to a pipe or a stream, or waited for all
 * of it, it may have come to a part when our stop signal came: that is no reason for the caller to
 * see a part (undisturbed.h).
 */
#undef _FILE_OFFSET_BITS /* pread and pread64 are two names, and we stand in for both */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/file.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "checkpoint/committer.h"
#include "os.h"
#include "ours.h"
#include "park.h"
#include "process/process.h"
#include "undisturbed.h"

/* As glibc declares them: unions of pointers to all kinds of addresses. */
#define SA __SOCKADDR_ARG
#define CONST_SA __CONST_SOCKADDR_ARG

/* What O_DIRECT asks for at least, of files and disks. */
#define DIRECT_BYTES 512u
#define DIRECT_ALIGNMENT 4u

#define RECEIVING(fd, call) PARKED(UNDISTURBED_SOCKET(fd, SO_RCVTIMEO, call))
#define SENDING(fd, call) PARKED(UNDISTURBED_SOCKET(fd, SO_SNDTIMEO, call))

/* What was not sent because of our stop signal alone is sent by rest(); an error then is for the
 * caller's next call. Of the first `call`: the count, or -1. */
#define WHOLE(len, call, rest)                                                                     \
	({                                                                                         \
		const struct undisturbed whole_before = undisturbed_begin();                       \
		const size_t whole_len = len;                                                      \
		ssize_t whole_count = call;                                                        \
		if (unlikely(whole_count > 0 && (size_t)whole_count < whole_len &&                 \
			     undisturbed_but_for_us(whole_before))) {                              \
			const ssize_t rest_count = rest;                                           \
			whole_count += rest_count > 0 ? rest_count : 0;                            \
		}                                                                                  \
		whole_count;                                                                       \
	})

#define READING_TO(fd, buffer, len, call, note)                                                    \
	({                                                                                         \
		const bool is_direct = unlikely(process_is_kept) && is_direct_read(fd, buffer, len); \
		struct _pthread_cleanup_buffer section;                                            \
		if (is_direct) {                                                                   \
			ours_enter();                                                              \
			_pthread_cleanup_push(&section, leave_section, NULL);                      \
		}                                                                                  \
		const uint32_t scans = committer_scans();                                          \
		const ssize_t read_count = RECEIVING(fd, call);                                    \
		note;                                                                              \
		if (is_direct)                                                                     \
			_pthread_cleanup_pop(&section, 1);                                         \
		read_count;                                                                        \
	})
#define READING(fd, buffer, len, call)                                                             \
	READING_TO(fd, buffer, len, call,                                                          \
		   read_count > 0 ? committer_note_stored(scans, buffer, (size_t)read_count)       \
				  : (void)0)
#define READING_VECTOR(fd, vector, vector_count, call)                                             \
	READING_TO(fd, vector_count > 0 ? (vector)->iov_base : NULL,                               \
		   vector_count > 0 ? (vector)->iov_len : 0, call,                                 \
		   note_vector(scans, vector, vector_count, read_count))

/* Under keep=process a cut must not fall between what the device has stored and that being noted:
 * so the two are one section of ours. While it waits for a disk no signal would stop it, either. */
static void leave_section(void *unused)
{
	ours_leave();
}

static bool is_direct_read(int fd, const void *buffer, size_t len)
{
	struct stat st;

	if (len == 0 || len % DIRECT_BYTES != 0 || (uintptr_t)buffer % DIRECT_ALIGNMENT != 0)
		return false;
	const int flags = os_fcntl(fd, F_GETFL, NULL);
	return flags >= 0 && flags & O_DIRECT && os_fstat(fd, &st) == 0 &&
	       (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode));
}

static void note_vector(uint32_t scans, const struct iovec *vector, int count, ssize_t left)
{
	for (int i = 0; i < count && left > 0; i++) {
		const size_t len = vector[i].iov_len < (size_t)left ? vector[i].iov_len : (size_t)left;
		committer_note_stored(scans, vector[i].iov_base, len);
		left -= (ssize_t)len;
	}
}

INTERPOSE ssize_t read(int fd, void *buffer, size_t len)
{
	return READING(fd, buffer, len, REAL(read)(fd, buffer, len));
}

INTERPOSE ssize_t readv(int fd, const struct iovec *vector, int count)
{
	return READING_VECTOR(fd, vector, count, REAL(readv)(fd, vector, count));
}

INTERPOSE ssize_t pread(int fd, void *buffer, size_t len, off_t offset)
{
	return READING(fd, buffer, len, REAL(pread)(fd, buffer, len, offset));
}

INTERPOSE ssize_t pread64(int fd, void *buffer, size_t len, off64_t offset)
{
	return READING(fd, buffer, len, REAL(pread64)(fd, buffer, len, offset));
}

INTERPOSE ssize_t preadv(int fd, const struct iovec *vector, int count, off_t offset)
{
	return READING_VECTOR(fd, vector, count, REAL(preadv)(fd, vector, count, offset));
}

INTERPOSE ssize_t preadv64(int fd, const struct iovec *vector, int count, off64_t offset)
{
	return READING_VECTOR(fd, vector, count, REAL(preadv64)(fd, vector, count, offset));
}

INTERPOSE ssize_t preadv2(int fd, const struct iovec *vector, int count, off_t offset, int flags)
{
	return READING_VECTOR(fd, vector, count, REAL(preadv2)(fd, vector, count, offset, flags));
}

INTERPOSE ssize_t preadv64v2(int fd, const struct iovec *vector, int count, off64_t offset,
			     int flags)
{
	return READING_VECTOR(fd, vector, count,
			      REAL(preadv64v2)(fd, vector, count, offset, flags));
}

INTERPOSE ssize_t write(int fd, const void *buffer, size_t len)
{
	return WHOLE(len, SENDING(fd, REAL(write)(fd, buffer, len)),
		     write(fd, (const char *)buffer + whole_count, len - (size_t)whole_count));
}

static size_t vector_len(const struct iovec *vector, size_t count)
{
	size_t len = 0;

	for (size_t i = 0; unlikely(process_is_kept) && i < count; i++)
		len += vector[i].iov_len;
	return len;
}

/* One behind the other, from the byte at `done`; flags -1: not by send(). */
static ssize_t write_rest(int fd, const struct iovec *vector, size_t count, size_t done, int flags)
{
	ssize_t sum = 0;

	for (size_t i = 0; i < count; i++) {
		const size_t skipped = done < vector[i].iov_len ? done : vector[i].iov_len;
		const char *at = (const char *)vector[i].iov_base + skipped;
		const size_t len = vector[i].iov_len - skipped;
		done -= skipped;
		if (len == 0)
			continue;
		const ssize_t written = flags == -1 ? write(fd, at, len) : send(fd, at, len, flags);
		sum += written > 0 ? written : 0;
		if (written < (ssize_t)len)
			break;
	}
	return sum;
}

INTERPOSE ssize_t writev(int fd, const struct iovec *vector, int count)
{
	return WHOLE(vector_len(vector, (size_t)count), SENDING(fd, REAL(writev)(fd, vector, count)),
		     write_rest(fd, vector, (size_t)count, (size_t)whole_count, -1));
}

INTERPOSE ssize_t pwrite(int fd, const void *buffer, size_t len, off_t offset)
{
	return PARKED(REAL(pwrite)(fd, buffer, len, offset));
}

INTERPOSE ssize_t pwrite64(int fd, const void *buffer, size_t len, off64_t offset)
{
	return PARKED(REAL(pwrite64)(fd, buffer, len, offset));
}

/* Only who waits for all gets no less; of a datagram there is no rest. */
static size_t whole_of(int fd, size_t len, int flags)
{
	int type = 0;
	socklen_t type_len = sizeof(type);

	if (likely(!process_is_kept) || !(flags & MSG_WAITALL) || flags & MSG_PEEK ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) != 0 || type != SOCK_STREAM)
		return 0;
	return len;
}

INTERPOSE ssize_t recv(int fd, void *buffer, size_t len, int flags)
{
	return WHOLE(whole_of(fd, len, flags), RECEIVING(fd, REAL(recv)(fd, buffer, len, flags)),
		     recv(fd, (char *)buffer + whole_count, len - (size_t)whole_count, flags));
}

INTERPOSE ssize_t recvfrom(int fd, void *buffer, size_t len, int flags, SA from,
			   socklen_t *from_len)
{
	return WHOLE(whole_of(fd, len, flags),
		     RECEIVING(fd, REAL(recvfrom)(fd, buffer, len, flags, from, from_len)),
		     recv(fd, (char *)buffer + whole_count, len - (size_t)whole_count, flags));
}

INTERPOSE ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	return RECEIVING(fd, REAL(recvmsg)(fd, message, flags));
}

INTERPOSE int recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags,
		       struct timespec *timeout)
{
	return RECEIVING(fd, REAL(recvmmsg)(fd, messages, count, flags, timeout));
}

INTERPOSE ssize_t send(int fd, const void *buffer, size_t len, int flags)
{
	return WHOLE(len, SENDING(fd, REAL(send)(fd, buffer, len, flags)),
		     send(fd, (const char *)buffer + whole_count, len - (size_t)whole_count, flags));
}

INTERPOSE ssize_t sendto(int fd, const void *buffer, size_t len, int flags, CONST_SA to,
			 socklen_t to_len)
{
	return WHOLE(len, SENDING(fd, REAL(sendto)(fd, buffer, len, flags, to, to_len)),
		     send(fd, (const char *)buffer + whole_count, len - (size_t)whole_count, flags));
}

INTERPOSE ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	return WHOLE(vector_len(message->msg_iov, message->msg_iovlen),
		     SENDING(fd, REAL(sendmsg)(fd, message, flags)),
		     write_rest(fd, message->msg_iov, message->msg_iovlen, (size_t)whole_count, flags));
}

INTERPOSE int sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
	return SENDING(fd, REAL(sendmmsg)(fd, messages, count, flags));
}

INTERPOSE int accept(int fd, SA address, socklen_t *len)
{
	return RECEIVING(fd, REAL(accept)(fd, address, len));
}

INTERPOSE int accept4(int fd, SA address, socklen_t *len, int flags)
{
	return RECEIVING(fd, REAL(accept4)(fd, address, len, flags));
}

INTERPOSE int connect(int fd, CONST_SA address, socklen_t len)
{
	return SENDING(fd, REAL(connect)(fd, address, len));
}

INTERPOSE ssize_t sendfile(int to, int from, off_t *offset, size_t len)
{
	return PARKED(REAL(sendfile)(to, from, offset, len));
}

INTERPOSE ssize_t sendfile64(int to, int from, off64_t *offset, size_t len)
{
	return PARKED(REAL(sendfile64)(to, from, offset, len));
}

INTERPOSE ssize_t splice(int from, off64_t *from_offset, int to, off64_t *to_offset, size_t len,
			 unsigned flags)
{
	return PARKED(REAL(splice)(from, from_offset, to, to_offset, len, flags));
}

/* An error of this file's may have been told to us alone. */
static int but_for_owed(int result, int fd)
{
	const int error = result == 0 && unlikely(process_owes_errors) ? process_take_error(fd) : 0;

	if (!error)
		return result;
	errno = -error;
	return -1;
}

INTERPOSE int fsync(int fd)
{
	return PARKED(but_for_owed(REAL(fsync)(fd), fd));
}

INTERPOSE int fdatasync(int fd)
{
	return PARKED(but_for_owed(REAL(fdatasync)(fd), fd));
}

INTERPOSE int flock(int fd, int operation)
{
	process_may_hold_locks = true;
	return PARKED(REAL(flock)(fd, operation));
}

INTERPOSE int lockf(int fd, int command, off_t len)
{
	process_may_hold_locks = true;
	return PARKED(REAL(lockf)(fd, command, len));
}

INTERPOSE int msgsnd(int queue, const void *message, size_t len, int flags)
{
	return PARKED(UNDISTURBED(REAL(msgsnd)(queue, message, len, flags)));
}

INTERPOSE ssize_t msgrcv(int queue, void *message, size_t len, long type, int flags)
{
	return PARKED(UNDISTURBED(REAL(msgrcv)(queue, message, len, type, flags)));
}

/* What the kernel undoes at our end is noted. */
#define UNDONE(set, operations, count, call)                                                       \
	({                                                                                         \
		const bool is_undone = process_sem_undo_begin(operations, count);                      \
		const int undone_result = call;                                                    \
		if (unlikely(is_undone))                                                           \
			process_sem_undo_end(set, operations, count, undone_result == 0);              \
		undone_result;                                                                     \
	})

INTERPOSE int semop(int set, struct sembuf *operations, size_t count)
{
	return UNDONE(set, operations, count,
		      PARKED(UNDISTURBED(REAL(semop)(set, operations, count))));
}

INTERPOSE int semtimedop(int set, struct sembuf *operations, size_t count,
			 const struct timespec *timeout)
{
	struct timeout left = timeout_of_time(timeout);

	return UNDONE(set, operations, count, PARKED(UNDISTURBED_TIMED(&left,
		REAL(semtimedop)(set, operations, count, TIME_LEFT(&left, timeout)))));
}

INTERPOSE int semctl(int set, int number, int command, ...)
{
	va_list rest;
	va_start(rest, command);
	void *argument = va_arg(rest, void *);
	va_end(rest);

	const int result = REAL(semctl)(set, number, command, argument);
	if (unlikely(process_is_kept) && result == 0 &&
	    (command == IPC_RMID || command == SETALL || command == SETVAL))
		process_sem_undo_forget(set, command == SETVAL ? number : -1);
	return result;
}

INTERPOSE int lockf64(int fd, int command, off64_t len)
{
	process_may_hold_locks = true;
	return PARKED(REAL(lockf64)(fd, command, len));
}

/* What the committer is to look for from then on. */
static void note_command(int command)
{
	switch (command) {
	case F_SETLK:
	case F_SETLKW:
	case F_OFD_SETLK:
	case F_OFD_SETLKW:
	case F_SETLEASE:
		process_may_hold_locks = true;
		return;
	case F_SETOWN:
	case F_SETOWN_EX:
	case F_SETSIG:
		process_may_own_files = true;
		return;
	default:
		return;
	}
}

/* The only commands of fcntl that wait. */
static bool is_waiting(int command)
{
	note_command(command);
	return command == F_SETLKW || command == F_OFD_SETLKW;
}

/* What a directory is watched for, the kernel does not tell. */
static int watch(int fd, void *what)
{
	ours_enter();
	const int result = REAL(fcntl)(fd, F_NOTIFY, what);
	if (result == 0 && what)
		process_note_unkept("a watch of a directory (F_NOTIFY)");
	ours_leave();
	return result;
}

INTERPOSE int fcntl(int fd, int command, ...)
{
	va_list rest;
	va_start(rest, command);
	void *argument = va_arg(rest, void *);
	va_end(rest);

	if (unlikely(command == F_NOTIFY))
		return watch(fd, argument);
	if (!is_waiting(command))
		return REAL(fcntl)(fd, command, argument);
	return PARKED(REAL(fcntl)(fd, command, argument));
}

INTERPOSE int fcntl64(int fd, int command, ...)
{
	va_list rest;
	va_start(rest, command);
	void *argument = va_arg(rest, void *);
	va_end(rest);

	if (unlikely(command == F_NOTIFY))
		return watch(fd, argument);
	if (!is_waiting(command))
		return REAL(fcntl64)(fd, command, argument);
	return PARKED(REAL(fcntl64)(fd, command, argument));
}

/* What _FORTIFY_SOURCE makes of some of them. */
ssize_t __read_chk(int fd, void *buffer, size_t len, size_t size);
ssize_t __pread_chk(int fd, void *buffer, size_t len, off_t offset, size_t size);
ssize_t __pread64_chk(int fd, void *buffer, size_t len, off64_t offset, size_t size);
ssize_t __recv_chk(int fd, void *buffer, size_t len, size_t size, int flags);
ssize_t __recvfrom_chk(int fd, void *buffer, size_t len, size_t size, int flags, SA from,
		       socklen_t *from_len);

INTERPOSE ssize_t __read_chk(int fd, void *buffer, size_t len, size_t size)
{
	return READING(fd, buffer, len, REAL(__read_chk)(fd, buffer, len, size));
}

INTERPOSE ssize_t __pread_chk(int fd, void *buffer, size_t len, off_t offset, size_t size)
{
	return READING(fd, buffer, len, REAL(__pread_chk)(fd, buffer, len, offset, size));
}

INTERPOSE ssize_t __pread64_chk(int fd, void *buffer, size_t len, off64_t offset, size_t size)
{
	return READING(fd, buffer, len, REAL(__pread64_chk)(fd, buffer, len, offset, size));
}

INTERPOSE ssize_t __recv_chk(int fd, void *buffer, size_t len, size_t size, int flags)
{
	return RECEIVING(fd, REAL(__recv_chk)(fd, buffer, len, size, flags));
}

INTERPOSE ssize_t __recvfrom_chk(int fd, void *buffer, size_t len, size_t size, int flags,
				 SA from, socklen_t *from_len)
{
	return RECEIVING(fd, REAL(__recvfrom_chk)(fd, buffer, len, size, flags, from, from_len));
}
