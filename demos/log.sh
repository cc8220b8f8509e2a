#!/bin/bash
# an append-only log in under 100 lines (what libpmemlog does): no record is ever half there
. "$(dirname "$0")/stage.sh"

tell "All of appending:"
sed -n '/^static int log_append/,/^}/p' "$demos/log.c" | sed 's/^/    | /'
run=(heapsake run -q -i 1ms -p log.pool -s 128M -- log)

# records FIRST [COUNT]: of up to 2 kB, each of one letter, so that a torn one could be seen; then,
# if there is an end, it waits, and its reader with it. In the place of a shell of its own
records() {
	exec awk -v n="$1" -v left="${2:--1}" 'BEGIN {
		for (i = 0; i < 26; i++) {
			row = substr("abcdefghijklmnopqrstuvwxyz", i + 1, 1)
			while (length(row) < 2000)
				row = row row
			rows[i] = row
		}
		for (; left--; n++)
			print n, substr(rows[n % 26], 1, n * 7919 % 2001)
		fflush()
		getline <"for-ever"
	}'
}
mkfifo for-ever

# told COUNT: so many records are durable
told() { [[ $(tail -n 1 told) -ge $1 ]]; }

tell "It is fed with numbered records and killed; the next one is fed from where it had come." \
	"Epochs every millisecond, so that many fall while a record is being copied:"
there=0
# However fast the machine, ten times that much is not more than there is room for.
for ((kills = 1; kills <= 10; kills++)); do
	mkfifo pipe
	records $there 6000 >pipe &
	feeder=$!
	started+=("$feeder")
	count=$((RANDOM % 5000))
	"${run[@]}" append <pipe >told &
	pid=$!
	until_true test -s told || exit 1
	until told $count; do
		kill -0 $pid || exit 1
	done
	kill_9 $pid || claim "the program lives until it is killed" false
	kill_9 $feeder
	told=$((there + $(tail -n 1 told)))
	rm pipe told
	"${run[@]}" walk >walked
	there=$(wc -l <walked)
	printf '    killed: %6d records were durable, %6d are there\n' "$told" "$there"
	((there >= told)) || claim "what was durable is there" false
	cmp -s walked <(records 0 | head -n "$there") ||
		claim "every record is whole, and in its place" false
done
claim "what was durable was always there" true
claim "every record was whole, and in its place" true
show "${run[@]}" rewind
claim "and the log begins again" test "$("${run[@]}" walk | wc -c)" = 0
