/*
 * System calls on descriptors that only a process kept whole needs: 0, a count or a number on
 * success, -errno on failure. As os.h: no errno, no thread-local data, on any thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

int os_openat(int directory, const char *path, int flags);
int os_readlinkat(int directory, const char *path, char *buffer, size_t len);
int os_chmod(const char *path, unsigned mode);
int os_chown(const char *path, unsigned uid, unsigned gid);
/* os_birth_ns() - when a file came to be, as the file system says; 0: it does not */
uint64_t os_birth_ns(int fd);
int os_dup3(int from, int to, int flags);
/* os_compare_descriptions() - 0: both numbers mean one description; else 1 or 2: some order of
 * all descriptions, or -errno */
int os_compare_descriptions(int a, int b);
/* os_compare_entered() - 0: the nth of the entries that an epoll has under this number is of what
 * fd means; else likewise */
int os_compare_entered(int fd, int epoll, unsigned number, unsigned nth);
int os_flock(int fd, int operation);
int os_kill(int pid, int signal);
/* os_sync_piece() - what of a file's pages there waits for the disk is written, but nothing says
 * that it can be found again */
int os_sync_piece(int fd, uint64_t offset, uint64_t len);

int os_pipe(int ret_ends[2], int flags);
long os_tee(int from, int to, size_t len); /* without waiting */
int os_eventfd(unsigned count, int flags);
int os_timerfd_create(int clock, int flags);
int os_timerfd_settime(int fd, int flags, const struct itimerspec *value);
int os_signalfd(uint64_t mask, int flags);
int os_epoll_create(int flags);
int os_epoll_take(int epoll, struct epoll_event *ret_events, int max); /* without waiting */
int os_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event);

int os_socket(int family, int type, int protocol);
int os_socketpair(int family, int type, int protocol, int ret_ends[2]);
int os_bind(int fd, const void *address, size_t len);
int os_listen(int fd, int backlog);
int os_connect(int fd, const void *address, size_t len);
struct pollfd;
int os_poll_now(struct pollfd *fds, unsigned count); /* without waiting */
int os_shutdown(int fd, int how);
int os_getsockname(int fd, void *address, uint32_t *len);
int os_getpeername(int fd, void *address, uint32_t *len);
int os_getsockopt(int fd, int level, int name, void *value, uint32_t *len);
int os_setsockopt(int fd, int level, int name, const void *value, uint32_t len);
long os_recvmsg(int fd, struct msghdr *message, int flags);
long os_sendto(int fd, const void *bytes, size_t len, int flags, const void *address,
	       size_t address_len);
