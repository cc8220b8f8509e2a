#!/bin/sh
# usage: preloaded.sh LIBRARY PROGRAM
#
# How a program runs in a pool under valgrind:
#
#   valgrind --soname-synonyms=somalloc=nouserintercepts --trace-children=yes \
#       env LD_PRELOAD=libheapsake.so HEAPSAKE_POOL=... HEAPSAKE_KEEP=none PROGRAM
#
# - The library must be built with -Dvalgrind=true, or memcheck sees one large mapping.
# - Without nouserintercepts valgrind puts its own malloc in place of any library's that has one:
#   the program is refused.
# - env sets the variables for the program alone: valgrind's own launcher would take the pool.
# - A pool at the default base fits; one below 128 GiB may meet valgrind's own mappings.
#
# This runs PROGRAM so with each of its faults, and memcheck must name it.
set -u
command -v valgrind >/dev/null || {
	echo "valgrind is not installed"
	exit 77
}
library=$(realpath "$1") program=$(realpath "$2")
scratch=$(mktemp -d) && trap 'rm -rf "$scratch"' EXIT

sees() { # FAULT ERRORS EXPECTED
	valgrind --soname-synonyms=somalloc=nouserintercepts --trace-children=yes --leak-check=full \
		--log-file="$scratch/log.%p" \
		env LD_PRELOAD="$library" HEAPSAKE_POOL="$scratch/pool" HEAPSAKE_SIZE=64M \
		HEAPSAKE_KEEP=none HEAPSAKE_QUIET=1 HEAPSAKE_STATS=1 "$program" "$1" 2>"$scratch/stats"
	cat "$scratch"/log.* >"$scratch/log"
	rm -f "$scratch"/log.*
	if ! grep -q "ERROR SUMMARY: $2 errors" "$scratch/log" || ! grep -q "$3" "$scratch/log" ||
		! grep -q "^heapsake: stats: " "$scratch/stats"; then
		echo "fault $1: wanted $2 errors, '$3', and statistics of the pool"
		cat "$scratch/log" "$scratch/stats"
		exit 1
	fi
}

sees none 0 'ERROR SUMMARY: 0 errors'
sees overrun 1 'Address .* is 0 bytes after a block of size 5,000 alloc'
sees freed 1 'Address .* is 8 bytes inside a block of size 5,000 free'
sees lost 1 '100 bytes in 1 blocks are definitely lost'
