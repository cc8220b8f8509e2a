#!/usr/bin/env python3
"""bash: thousands of forks from a shell whose heap is in the pool, and programs started by it."""
from pooled import Place, need

SCRIPT = r"""
declare -A table
for i in {1..20000}; do table[key$((i % 1000))]+="$i "; done
sum=0
for i in {1..2500}; do
	x=$(echo $((i * 3)))
	((sum += x))
done
echo $sum ${#table[@]} "${table[key17]}"
for i in {1..300}; do (exit $((i % 7))); ((sum += $?)); done
echo $sum
for i in {1..200}; do echo $i & done | sort -n | md5sum
wait
for i in {1..50}; do /bin/echo $i | tr 0-9 a-j; done
seq 1000 | while read n; do printf '%s ' $((n * n)); done | md5sum
cat <(seq 10) <(seq 20) | wc -l
text=$(printf 'line %s\n' {1..5000})
echo ${#text} "${text:100:20}"
"""

bash = need("bash")
with Place() as place:
    place.same([bash, "-c", SCRIPT])
