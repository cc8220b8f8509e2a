#!/bin/sh
# usage: symbols.sh LIBRARY
#
# What the preloaded library exports wins over every program's own symbol of that name, so it
# exports this list and nothing else; and it may need nothing but libc and the loader.
set -u
export LC_ALL=C
exported="_Exit _Fork __libc_start_main __longjmp_chk __poll_chk __ppoll_chk __pread64_chk __pread_chk
__read_chk __recv_chk __recvfrom_chk __sigsetjmp __sysv_signal _exit _longjmp _setjmp accept
accept4 aligned_alloc arch_prctl brk bsd_signal calloc cfree chroot clock_nanosleep clone cnd_broadcast
cnd_signal cnd_timedwait cnd_wait connect daemon dlopen epoll_pwait epoll_pwait2 epoll_wait err error error_at_line errx
execl execle execlp execv execve execveat execvp execvpe exit fcntl fcntl64 fdatasync fexecve
flock fork free fsync getpid hsk_abort hsk_add hsk_checkpoint hsk_epoch hsk_exclude hsk_info
hsk_keep_register hsk_on_resume hsk_resumed hsk_root hsk_set_root hsk_status hsk_tx_begin
hsk_tx_end hsk_unwind initgroups ioperm iopl lockf lockf64 longjmp madvise mallinfo mallinfo2 malloc
malloc_info malloc_stats malloc_trim malloc_usable_size mallopt memalign mlock mlock2 mlockall mmap mmap64 mprotect
modify_ldt mremap mseal msgrcv msgsnd mtx_lock mtx_timedlock mtx_trylock mtx_unlock munlock munlockall munmap nanosleep nice pause personality
pkey_mprotect poll posix_memalign ppoll prctl pread pread64 preadv preadv2 preadv64 preadv64v2 pselect
pthread_barrier_wait pthread_cancel pthread_clockjoin_np pthread_cond_broadcast
pthread_cond_clockwait pthread_cond_signal pthread_cond_timedwait pthread_cond_wait
pthread_exit pthread_join pthread_kill pthread_mutex_clocklock pthread_mutex_lock pthread_mutex_timedlock
pthread_mutex_trylock pthread_mutex_unlock pthread_rwlock_clockrdlock
pthread_rwlock_clockwrlock pthread_rwlock_rdlock pthread_rwlock_timedrdlock
pthread_rwlock_timedwrlock pthread_rwlock_tryrdlock pthread_rwlock_trywrlock
pthread_rwlock_unlock pthread_rwlock_wrlock pthread_setaffinity_np pthread_setname_np
pthread_setschedparam pthread_setschedprio pthread_sigqueue pthread_spin_lock
pthread_spin_trylock pthread_spin_unlock pthread_testcancel pthread_timedjoin_np pvalloc pwrite pwrite64
quick_exit read readv realloc reallocarray recv recvfrom recvmmsg recvmsg sbrk
sched_setaffinity sched_setparam sched_setscheduler select
sem_clockwait sem_open sem_timedwait sem_wait semctl semop semtimedop send sendfile sendfile64 sendmmsg sendmsg
sendto setegid seteuid setgid setgroups setjmp setns setpriority setregid setresgid setresuid setreuid setsockopt setuid
sigaction siglongjmp signal sigset sigsuspend sigtimedwait sigwait sigwaitinfo sleep splice
ssignal strdup strndup syscall system sysv_signal tgkill thrd_exit thrd_join thrd_sleep unshare usleep valloc verr verrx vfork wait wait3 wait4
waitid waitpid write writev"
status=0

# compare WHAT EXPECTED FOUND: words, in any order
compare() {
	expected=$(echo "$2" | tr ' ' '\n' | sort)
	if [ "$expected" != "$3" ]; then
		printf '%s differ, < expected, > found:\n' "$1"
		printf '%s\n' "$expected" >"$place/expected"
		printf '%s\n' "$3" | diff "$place/expected" -
		status=1
	fi
}

place=$(mktemp -d) && trap 'rm -rf "$place"' EXIT
compare "exported symbols" "$exported" \
	"$(nm -D --defined-only "$1" | awk '$2 != "A" { sub("@.*", "", $3); print $3 }' | sort)"
compare "libraries needed" "libc.so.6" \
	"$(readelf -dW "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | grep -v '^ld-linux' | sort)"

# Anything without a version of glibc's comes from elsewhere, or is weak and may be absent.
foreign=$(nm -D --undefined-only "$1" | awk '$1 != "w" && $2 !~ /@GLIBC_/ { print $2 }')
if [ -n "$foreign" ]; then
	echo "needed from outside libc: $foreign"
	status=1
fi

if [ "$#" -eq 1 ]; then # seen to fail: a library that exports one name too many
	echo 'int surplus = 1;' | cc -shared -fPIC -x c -o "$place/surplus.so" -
	if "$0" "$place/surplus.so" again >"$place/out" || ! grep -q '> surplus' "$place/out"; then
		echo "an unexpected symbol is not noticed"
		status=1
	fi
fi
exit $status
