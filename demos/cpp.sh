#!/bin/bash
# C++: std::map and std::string, unchanged, outlive the process
. "$(dirname "$0")/stage.sh"

tell "A program that counts the words of a book. All of its work:"
sed -n '/^struct Book/,/^}/p; /for (std::string/,/^	}/p' "$demos/words.cpp" | sed 's/^/    | /'

tell "Its book: two million words, of which forty thousand are different, some of them long."
awk 'BEGIN {
	for (n = 1; n <= 2000000; n++) {
		k = (n * 7919 + int(n / 40000)) % 40009
		printf "%s%d\n", k % 9 ? "word" : "too-long-to-be-in-the-string-itself-", k
	}
}' >book
awk '{ count[$1]++ } END { for (word in count) print count[word], word }' book | sort >expected

tell "It is killed now and then, until it comes to the book's end:"
printf '    $ %s\n' "heapsake run -q -p words.pool -s 256M -- words book"
kills=0
while :; do
	rm -f counted
	heapsake run -q -p words.pool -s 256M -- words book >counted &
	pid=$!
	until_true test -s counted || exit 1
	# The first at once: a fast machine is through before long.
	if ((kills)); then sleep "0.$((RANDOM % 4 + 1))"; else until_true has_epoch words.pool || exit 1; fi
	kill_9 $pid || break
	((++kills))
	printf '    %s: killed\n' "$(head -n 1 counted)"
	head -n 1 counted | cut -d' ' -f4 >>starts
done
printf '    %s\n' "$(head -n 1 counted)"
claim "it was killed ($kills times)" test $kills -gt 0
claim "none began before where the one before it had begun" sort -n -c starts
claim "all words are counted, as awk counts them" cmp expected <(sed 1d counted | sort)
