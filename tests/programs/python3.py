#!/usr/bin/env python3
"""Debian's python3 with every object in the pool (PYTHONMALLOC=malloc): data, threads,
subprocesses, and pools of forked workers."""
from pooled import Place, need

DATA = '''
import collections, json, re, zlib
words = [f"w{i * 7919 % 10007}" for i in range(120000)]
count = collections.Counter(words)
text = json.dumps([{"word": w, "n": n, "list": list(range(n))} for w, n in sorted(count.items())])
back = json.loads(text)
print(len(text), len(back), zlib.crc32(text.encode()), len(zlib.compress(text.encode(), 9)))
print(len(re.findall(r"w(\\d)\\1", text)), max(count.values()))
print(sum(len(str(n ** 999)) for n in range(300)))
'''
THREADS = '''
import queue, threading
jobs, results = queue.Queue(), queue.Queue()
def work():
    while (n := jobs.get()) is not None:
        results.put((n, sum(len(str(i) * 3) for i in range(n * 10))))
threads = [threading.Thread(target=work) for _ in range(8)]
[t.start() for t in threads]
[jobs.put(n) for n in range(400)]
[jobs.put(None) for t in threads]
[t.join() for t in threads]
print(sorted(results.get() for _ in range(400)))
'''
CHILDREN = '''
import multiprocessing, os, subprocess, sys
def square(n):
    return n, len("x" * n * 10), [n] * 3
if __name__ == "__main__":
    keep = {i: str(i) * 10 for i in range(50000)}
    for i in range(20):
        r = subprocess.run(["/bin/sh", "-c", f"echo {i}; exit {i}"], capture_output=True)
        print(r.stdout, r.returncode)
    context = multiprocessing.get_context("fork")
    for round in range(3):
        with context.Pool(4) as pool:
            print(pool.map(square, range(500), chunksize=7)[-1])
    for i in range(30):
        pid = os.fork()
        if pid == 0:
            junk = [keep.pop(k) + "!" for k in range(1000)]
            os._exit(len(junk) // 100)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    print(os.system("exit 3"), os.popen("echo hello").read(), len(keep), keep[49999])
'''

python3 = need("/usr/bin/python3")
with Place() as place:
    env = {"PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "1"}
    for name, program in (("data", DATA), ("threads", THREADS), ("children", CHILDREN)):
        place.same([python3, place.write(name + ".py", program)], env=env)
