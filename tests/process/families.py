"""The table of programs with children: those are killed with them, so each is run until it has done
its work. What comes out is the same whoever was killed when."""
from zoo import Program, built, script

# Each line of work is done by several processes, and is believed if none of them was killed.
JOBS = """\
set -o pipefail
again() { local text; until text=$("$@"); do [[ $? -ge 128 ]] || { echo "wrong: $*: $?"; exit 1; }; done; echo "$text"; }
sorted() { seq 1 $1 | sort -rn | head -3 | tr '\\n' ' '; }
background() {
    local a b status=0
    (sleep 0.01; exit 7) & a=$!
    sh -c 'sleep 0.005; kill -TERM $$' & b=$!
    wait $b; [[ $? == 143 ]] || status=137
    wait $a; [[ $? == 7 ]] || status=137
    echo "background $1"; return $status
}
controlled() {
    set -m
    sleep 30 & local a=$!
    kill -STOP %1 2>/dev/null; kill -CONT %1 2>/dev/null; kill %1 2>/dev/null
    wait $a 2>/dev/null; local status=$?
    set +m
    [[ $status == 143 || $status == 137 ]] && echo "controlled $1"
}
for ((i = 1; i <= 40; i++)); do
    again sorted $((i * 5))
    again expr $i '*' $i + 1
    again background $i
    again controlled $i
    again awk "BEGIN { for (i = 0; i < $i * 1000; i++) s += i; print s }"
done
wait; echo "end $i"
"""

SUBPROCESS = """\
import os, signal, subprocess, threading
def again(*line, **how):
    while True:
        done = subprocess.run(line, capture_output=True, text=True, **how)
        if done.returncode == 0: return done.stdout
        assert done.returncode == -signal.SIGKILL or "Broken pipe" in done.stderr, done
def forked(number):
    while True:
        ours, theirs = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.write(theirs, b"%d" % (number * number)); os._exit(number % 50)
        os.close(theirs)
        said = os.read(ours, 100); os.close(ours)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if status != -signal.SIGKILL: break
    assert status == number % 50, status
    return int(said)
def piped(number):
    while True:
        with subprocess.Popen(["sort", "-n"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as sort:
            try: text, _ = sort.communicate("".join(f"{n * 7919 % 101}\\n" for n in range(number + 2)))
            except BrokenPipeError: text = ""
        if sort.returncode == 0: return text.split()[-1]
        assert sort.returncode == -signal.SIGKILL, sort.returncode
def work(box, number): box[number] = again("expr", str(number), "+", "5").strip()
for number in range(60):
    box = {}
    threads = [threading.Thread(target=work, args=(box, number * 3 + n)) for n in range(3)]
    for thread in threads: thread.start()
    print(number, forked(number), piped(number), flush=True)
    for thread in threads: thread.join()
    print(sorted(box.items()))
try: os.wait()
except ChildProcessError: print("end")
"""

# While there are semaphores that its processes share no epoch is taken; then it begins them again.
POOL = """\
import multiprocessing
def square(number): return number * number
def main():
    for step in range(24):
        with multiprocessing.Pool(2) as pool:
            total = sum(pool.map(square, range(step * 100, step * 100 + 500), 20))
        text = f"{step} {total}"
        print(text, flush=True)
        number = 1
        for n in range(100000): number = (number * 16807 + n) % 2147483647
        print(number, flush=True)
main()
"""

# What is open in /proc of a child is nowhere in the next life: no epoch falls between open and close.
WATCHER = """\
import subprocess
def work(number):
    for n in range(60000): number = (number * 16807 + n) % 2147483647
    return number
child, number = None, 1
for step in range(50):
    if not child or child.poll() is not None: child = subprocess.Popen(["sleep", "1000"])
    with open(f"/proc/{child.pid}/stat") as stat:
        number = work(number)
        stat.read()
    number = work(number)
    print(step, number, flush=True)
child.kill(); child.wait()
"""


def programs():
    return [
        built("spawns"),
        script("jobs", ["bash"], JOBS),
        script("subprocess", ["/usr/bin/python3"], SUBPROCESS),
        script("pool", ["/usr/bin/python3"], POOL),
        script("watcher", ["/usr/bin/python3"], WATCHER),
    ]
