#!/bin/sh
# usage: clang-tidy.sh TREE BUILD
# clang-tidy with the tree's .clang-tidy over the rooms; any warning is a failure.
set -u
tidy=$(command -v clang-tidy-14 || command -v clang-tidy) || {
	echo "clang-tidy is not installed"
	exit 77
}
cd "$1" || exit 1
# A planted fault first: a checker that cannot see is no checker.
place=$(mktemp -d) && trap 'rm -rf "$place"' EXIT
echo 'int f(int *p) { if (!p) return *p; return 0; }' >"$place/planted.c"
cp .clang-tidy "$place"
if "$tidy" --quiet "$place/planted.c" -- >/dev/null 2>&1; then
	echo "a planted fault is not noticed"
	exit 1
fi
git ls-files 'runtime/*.c' 'preload/*.c' 'wrappers/*.c' |
	xargs -P "$(nproc)" -n 4 "$tidy" --quiet -p "$2" 2>&1 |
	grep -v -e 'warnings\? generated' -e 'warnings\? treated' -e 'in non-user code' -e '^$' \
		-e 'Suppressed' -e 'Use -header-filter' >"$place/found"
cat "$place/found"
! [ -s "$place/found" ]
