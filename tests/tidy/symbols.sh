#!/bin/sh
# usage: symbols.sh LIBRARY
#
# What the preloaded library exports wins over every program's own symbol of that name, so it
# exports this list and nothing else; and it may need nothing but libc and the loader.
set -u
export LC_ALL=C
exported="_Fork __libc_start_main __longjmp_chk __sigsetjmp _longjmp _setjmp aligned_alloc calloc
cfree clone dlopen execl execle execlp execv execve execveat execvp execvpe exit fexecve
fork free hsk_abort hsk_add hsk_checkpoint hsk_epoch hsk_exclude hsk_info
hsk_keep_register hsk_resumed hsk_root hsk_set_root hsk_status hsk_tx_begin hsk_tx_end
longjmp mallinfo mallinfo2 malloc malloc_info malloc_stats malloc_trim malloc_usable_size
mallopt memalign mprotect pkey_mprotect posix_memalign pvalloc quick_exit realloc reallocarray setjmp siglongjmp
syscall valloc"
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
