#!/bin/bash
# an append-only log in under 100 lines (what libpmemlog does): no record is ever half there
. "$(dirname "$0")/stage.sh"

tell "All of appending:"
sed -n '/^static int log_append/,/^}/p' "$demos/log.c" | sed 's/^/    | /'
run=(heapsake run -q -i 1ms -p log.pool -s 128M -- log)

# Records of up to 2 kB, each of one letter, so that a torn one could be seen.
records() {
	awk -v n="$1" 'BEGIN {
		for (i = 0; i < 26; i++) {
			row = substr("abcdefghijklmnopqrstuvwxyz", i + 1, 1)
			while (length(row) < 2000)
				row = row row
			rows[i] = row
		}
		for (; ; n++)
			print n, substr(rows[n % 26], 1, n * 7919 % 2001)
	}'
}

tell "It is fed with numbered records and killed; the next one is fed from where it had come." \
	"Epochs every millisecond, so that many fall while a record is being copied:"
there=0
# A fast machine comes near the log's end before that.
for ((kills = 1; kills <= 10 && there < 30000; kills++)); do
	mkfifo pipe
	records $there >pipe &
	feeder=$!
	"${run[@]}" append <pipe >told &
	pid=$!
	until_true test -s told || exit 1
	sleep "0.0$((RANDOM % 10))"
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
