#!/bin/bash
# blocks of 64 kB in under 100 lines (what libpmemblk does): written whole or not at all
. "$(dirname "$0")/stage.sh"

tell "All of writing a block:"
sed -n '/^static void write_in_place/,/^}/p; /^static void blocks_write/,/^}/p' \
	"$demos/blocks.c" | sed 's/^/    | /'

# storm WORD: eleven lives, each killed
storm() {
	local life
	rm -f blocks.pool
	for ((life = 0; life <= 10; life++)); do
		heapsake run -q -i 2ms -p blocks.pool -s 64M -- blocks "$@" >>"$1.out" 2>/dev/null &
		until_true lines "$1.out" $life || return 1
		sleep "0.$((RANDOM % 3 + 1))"
		kill_9 $!
	done
	sed 's/^/    /' "$1.out"
}

tell "Blocks are written without a pause and the program is killed, ten times. First the control," \
	"without the transaction. What each life finds at its start:"
touch bare.out whole.out
storm bare
printf '  (%d of 10 lives found torn blocks)\n' "$(grep -vc ' 0 blocks torn' bare.out)"

tell "The same with it:"
storm whole
claim "no life has found a torn block" test "$(grep -c ' 0 blocks torn' whole.out)" = 11
claim "none has found less than the one before" sort -n -c whole.out
claim "and they came on" test "$(tail -n 1 whole.out | cut -d' ' -f1)" -gt 0
