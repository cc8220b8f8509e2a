#!/bin/bash
# python3, unmodified: every object in the pool, with threads, subprocesses and forked workers
. "$(dirname "$0")/stage.sh"
need /usr/bin/python3

cat >work.py <<'PYTHON'
import collections, json, multiprocessing, subprocess, threading
words = [f"word{i * 7919 % 30011}" for i in range(300000)]
count = collections.Counter(words)
text = json.dumps(sorted(count.items()))
print(len(text), len(json.loads(text)))
results = {}
def work(n):
    results[n] = sum(len(w) for w in words[n::8])
threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
[t.start() for t in threads]
[t.join() for t in threads]
print(sorted(results.items()))
print(subprocess.run(["wc", "-c"], input=text, capture_output=True, text=True).stdout.strip())
def longest(n):
    return max(words[n::4])
with multiprocessing.get_context("fork").Pool(4) as workers:
    print(workers.map(longest, range(4)))
PYTHON

# Its own arenas come from mmap; this has python take every object from malloc.
export PYTHONMALLOC=malloc PYTHONHASHSEED=1
tell "A program with threads, a subprocess and four forked workers:"
/usr/bin/python3 work.py >plain.out
show sh -c 'heapsake run -q -k none -p python.pool -s 1G -- /usr/bin/python3 work.py >pooled.out'
show heapsake info python.pool
claim "the same output as without heapsake" cmp plain.out pooled.out
claim "its objects were in the file" test "$(stat -c %b python.pool)" -gt 20000

tell "heapsake doctor says beforehand what will work for a program, here python3:"
heapsake doctor /usr/bin/python3 >doctor.out 2>&1
status=$?
sed 's/^/    /' doctor.out
claim "doctor knows nothing against it" test $status -eq 0
