#!/bin/bash
# space invaders that survive kill -9: the game goes on at that frame
. "$(dirname "$0")/stage.sh"
need pm_invaders invaders

tell "The game keeps its aliens in lists, as games do. All it does for being kept:"
sed -n '/^HSK_KEEP/p; /HSK_TX {/{s/^\t*//;p}' "$demos/pm_invaders.c" | sed 's/^/    | /'

tell "A recorded game is played without a terminal: a key a tick, chance from the same seed." \
	"Without a pool, undisturbed, it ends like this:"
{
	printf 'seed 0000000007\nf'
	awk 'BEGIN { srand(7); for (n = 1; n < 4000; n++) {
		if (n % 12 == 1) way = substr("llrr..", int(rand() * 6) + 1, 1)
		printf "%s", rand() < 0.3 ? "f" : way } }'
} >recording
pm_invaders --replay recording >plain.out
show tail -n 1 plain.out

tell "Now in a pool. It is killed now and then and run again; a tick takes a millisecond:"
play=(heapsake run -q -i 20ms -p game.pool -s 64M -- pm_invaders)
printf '    $ %s\n' "${play[*]} --replay recording --pace 1000"
touch replayed.out
kills=0
while :; do
	"${play[@]}" --replay recording --pace 1000 >>replayed.out &
	pid=$!
	until_true lines replayed.out $kills || exit 1
	((kills)) || until_true has_epoch game.pool || exit 1
	sleep "0.$((RANDOM % 6 + 4))"
	kill_9 $pid || break
	((++kills))
	printf '    from %s: killed\n' "$(tail -n 1 replayed.out)"
	((kills != 4)) || "${play[@]}" --state >frame
done
show tail -n 1 replayed.out
claim "killed $kills times, it ended in exactly the same state" \
	test "$(tail -n 1 plain.out)" = "$(tail -n 1 replayed.out)"

tell "What the fourth kill left, as the next life found it:"
sed 's/^/    | /' frame
tell "The same game once more, compiled without a word of heapsake, under keep=process:"
play=(heapsake run -q -p plain.pool -- invaders --replay recording --pace 1000)
printf '    $ %s\n' "${play[*]}"
kills=0
: >unmodified.out
while ((kills < 4)); do
	"${play[@]}" >>unmodified.out &
	pid=$!
	until_true has_epoch plain.pool || exit 1
	sleep "0.$((RANDOM % 4 + 3))"
	kill_program $pid || break
	((++kills))
done
((kills < 4)) || "${play[@]}" >>unmodified.out
claim "killed $kills times, it ended in exactly the same state, too" \
	test "$(tail -n 1 plain.out)" = "$(tail -n 1 unmodified.out)"

tell "To play it, kill it (kill -9) and play on:" \
	"heapsake run -q -i 20ms -p game.pool -- pm_invaders"
