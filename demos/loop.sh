#!/bin/bash
# ten lines of C: a loop that is killed again and again, and never begins again
. "$(dirname "$0")/stage.sh"

tell "The program, all but its arithmetic:"
sed -n '/^HSK_KEEP/p; /^int main/,$p' "$demos/loop.c" | sed 's/^/    | /'

tell "First without a pool, to know the right answer:"
show sh -c 'loop | tee plain.out'

tell "Now in a pool, and every so often: kill -9. The same command each time:"
printf '    $ %s\n' "heapsake run -q -p loop.pool -s 64M -- loop"
kills=0
while :; do
	heapsake run -q -p loop.pool -s 64M -- loop >>loop.out &
	pid=$!
	until_true lines loop.out $kills || exit 1
	((kills)) || until_true has_epoch loop.pool || exit 1
	sleep "0.$((RANDOM % 5 + 2))"
	kill_9 $pid || break
	((++kills))
	printf '    %s: killed\n' "$(tail -n 1 loop.out)"
done
tail -n 2 loop.out | sed 's/^/    /'
sed -n 's/^from iteration //p' loop.out >starts
claim "only the first run of $((kills + 1)) began at 0" test "$(grep -cx 0 starts)" = 1
claim "none began before where the one before it had begun" sort -n -c starts
claim "no iteration was skipped or done twice: the same result to the last digit" \
	test "$(tail -n 1 loop.out)" = "$(tail -n 1 plain.out)"
