#!/usr/bin/env python3
"""What a program has written to its files is on media when an epoch is: a power cut takes neither.

usage: synced.py COMMAND

Nothing is cut here: the kernel is asked how many pages of the files still wait to be written
(cachestat, Linux 6.5). tests/vm/process-cut cuts.
"""
import ctypes
import os
import subprocess
import sys
import tempfile
import time

CACHESTAT = 451
PATIENCE_S = 100
PIECE = 1 << 20
PROGRAM = f"""
import os, time
own = os.open("own", os.O_WRONLY | os.O_CREAT)
log = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o200)
os.set_inheritable(log, True)
os.write(1, b"a" * {PIECE})
os.write(own, b"b" * {PIECE})
os.write(log, b"c" * {PIECE})
os.lseek(own, 0, os.SEEK_SET)
if os.fork():
    os.wait()
    open("ready-0", "w").close()
else:
    os._exit(0)
while not os.path.exists("go-on"):
    time.sleep(0.01)
os.write(own, b"d" * {PIECE})
os.rename("own", "renamed")
open("ready-1", "w").close()
time.sleep({PATIENCE_S})
"""


def waiting(path):
    """How many pages of a file are not on media; None: the kernel does not tell."""
    counts, whole = (ctypes.c_uint64 * 5)(), (ctypes.c_uint64 * 2)(0, 0)
    with open(path, "rb") as file:
        if ctypes.CDLL(None).syscall(CACHESTAT, file.fileno(), whole, counts, 0) != 0:
            return None
    return counts[1] + counts[2]


def wait_for(path, life):
    end = time.monotonic() + PATIENCE_S
    while not os.path.exists(path):
        if life.poll() is not None or time.monotonic() > end:
            sys.exit(f"{path}: not there; {life.poll()}")
        time.sleep(0.01)


def look(command, names):
    """The names of those that are not on media after an epoch."""
    subprocess.run([command, "checkpoint", "--wait", "pool"], check=True, timeout=PATIENCE_S)
    found = {name: waiting(name) for name in names}
    print(found)
    return [name for name, count in found.items() if count]


def main():
    command, failed = os.path.abspath(sys.argv[1]), []
    with tempfile.TemporaryDirectory(dir=os.getcwd()) as place:
        os.chdir(place)
        with open("dirty", "wb") as file:
            file.write(b"e" * PIECE)
        if not waiting("dirty"):
            print("skipped: here it cannot be seen what waits for the disk")
            return 77
        with open("out", "ab") as out:
            life = subprocess.Popen([command, "run", "-i", "0", "-s", "1G", "-p", "pool", "--", sys.executable,
                                     "-c", PROGRAM], stdout=out)
        try:
            wait_for("ready-0", life)
            failed += look(command, ["out", "own", "log"])
            open("go-on", "w").close()
            wait_for("ready-1", life)
            failed += look(command, ["renamed"])
        finally:
            life.kill()
            life.wait()
            os.chdir("/")
    print("FAILED: not on media: " + ", ".join(failed) if failed else "ok")
    return bool(failed)


sys.exit(main())
