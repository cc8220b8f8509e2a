#!/bin/bash
# strcpy of "Hello, World!" interrupted at every point: two outcomes, where a mapped file has more
. "$(dirname "$0")/stage.sh"

tell "Fourteen bytes take more than one store. Power fails at every point, on a simulated disk," \
	"first with the string in a mapped file (eight or seven of its bytes before a sector's end)," \
	"then in heapsake's memory:"
show hello-medium
status=$?
((status != 77)) || skip "ptrace is not allowed here"
claim "heapsake has two outcomes: nothing of it, or all" test $status -eq 0

tell "The same with a real kill -9 after 0, 1, ... 14 bytes, each time once an epoch has been tried" \
	"right there. First without a transaction:"
# outcomes [bare]
outcomes() {
	local bytes
	for ((bytes = 0; bytes <= 14; bytes++)); do
		rm -f hello.pool
		heapsake run -q -i 10ms -p hello.pool -s 64M -- hello $bytes "$@" >/dev/null 2>&1 &
		wait $! 2>/dev/null
		(($? == 137)) || return 1
		heapsake run -q -p hello.pool -- hello
	done | sort | uniq -c
}
outcomes bare | tee bare.out | sed 's/^/    /'

tell "And in HSK_TX { ... }:"
outcomes | tee whole.out | sed 's/^/    /'
claim "two outcomes" test "$(wc -l <whole.out)" = 2
claim "as it was before, for every kill in the middle" grep -qx " *14 ''" whole.out
claim "and whole, once it was left" grep -qx " *1 'Hello, World!'" whole.out
