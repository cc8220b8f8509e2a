#!/bin/sh
# usage: installed.sh BUILD MANUAL
#
# What is installed is enough: the example of the manual page is compiled with what pkg-config says,
# and goes on where it was.
set -eu
build=$1 manual=$2
place=$(mktemp -d) && trap 'rm -rf "$place"' EXIT

DESTDIR=$place meson install -C "$build" --quiet --no-rebuild >"$place/said" 2>&1 || {
	cat "$place/said"
	exit 1
}
folder=$(dirname "$(find "$place" -name heapsake.pc)")
library=$(dirname "$folder")
command=$(find "$place" -path '*/bin/heapsake')

sed -n '/^\.EX$/,/^\.EE$/p' "$manual" | sed -e '/^\.E[XE]$/d' -e 's/\\\\/\\/g' -e '/^    /d' \
	>"$place/loop.c"
grep -q 'int main' "$place/loop.c"
flags=$(PKG_CONFIG_PATH=$folder PKG_CONFIG_SYSROOT_DIR=$place pkg-config --cflags --libs heapsake)
# shellcheck disable=SC2086
cc -O2 -Wall -Werror "$place/loop.c" -o "$place/loop" $flags -Wl,-rpath,"$library"
for run in first second; do
	"$command" run -q -s 64M -p "$place/loop.pool" "$place/loop" >"$place/$run"
	grep -qx '14\.3927' "$place/$run"
done
"$command" ls --json "$place/loop.pool" >"$place/listed"
grep -q '"loop"' "$place/listed" || {
	cat "$place/listed"
	exit 1
}
