#!/bin/sh
# usage: sees.sh PROGRAM FAULT EXPECTED
# memcheck runs PROGRAM with FAULT, in a small block and in a large one, and must report EXPECTED
# and nothing else, with the call that allocated the block; with FAULT "none" it must report nothing
# at all. A pointer that may not be freed ends the program as well.
set -u
command -v valgrind >/dev/null || {
	echo "valgrind is not installed"
	exit 77
}
case $2 in
inside | twice) wanted=134 ;;
*) wanted=9 ;;
esac
case $2 in
grown | uninitialised | underrun) has_block=no ;; # a use, or an address, of no block
*) has_block=yes ;;
esac
log=$(mktemp) && trap 'rm -f "$log"' EXIT
for size in 40 700 300000; do
	valgrind --error-exitcode=9 --leak-check=full --log-file="$log" "$(realpath "$1")" "$2" $size
	status=$?
	reported=$(sed -n 's/^==[0-9]*== ERROR SUMMARY: \([0-9]*\) errors.*/\1/p' "$log")
	if [ "$2" = none ]; then
		[ $status -eq 0 ] && [ "$reported" = 0 ] && continue
	elif [ $status -eq $wanted ] && [ "$reported" = 1 ] && grep -q "$3" "$log" &&
		{ [ $has_block = no ] || grep -q ' \(heap_alloc\|realloc_moved\)' "$log"; }; then
		continue
	fi
	echo "fault $2, a block of $size: status $status, wanted: $3"
	cat "$log"
	exit 1
done
