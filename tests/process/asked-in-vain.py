#!/usr/bin/env python3
"""An epoch is asked for while there can be none (a directory is open that was deleted): the program
is not held still over and over for it, however long that lasts, and who waits has the epoch when
there can be one again.

usage: asked-in-vain.py COMMAND
"""
import json
import os
import subprocess
import sys
import tempfile
import time

LIMIT_S = 60
COMMAND = os.path.abspath(sys.argv[1])
PROGRAM = """
import os, sys
os.mkdir("deleted")
fd = os.open("deleted", os.O_RDONLY)
os.rmdir("deleted")
sys.stdin.readline()
os.close(fd)
sys.stdin.readline()
"""
WATCHED_S = 2
STOPS_MAX_A_SECOND = 40  # asked again at most every 128 ms; it was as fast as could be: 500 and more


def wait_for_veto():
    for _ in range(LIMIT_S * 50):
        info = subprocess.run([COMMAND, "info", "--json", "pool"], capture_output=True, text=True)
        if info.returncode == 0 and json.loads(info.stdout)["state"] == "VETOED":
            return
        time.sleep(0.02)
    sys.exit("the veto does not come")


def stops(said):
    with open(said, encoding="utf-8") as file:
        return file.read().count(": paused for ")


def main():
    with tempfile.TemporaryDirectory(prefix="heapsake-asked-") as place:
        os.chdir(place)
        with open("said", "wb") as said:
            program = subprocess.Popen(
                ["timeout", str(LIMIT_S), COMMAND, "run", "-k", "process", "-i", "1s", "-s", "256M",
                 "-p", "pool", "--", sys.executable, "-c", PROGRAM],
                stdin=subprocess.PIPE, stderr=said, env=dict(os.environ, HEAPSAKE_LOG="debug"))
        wait_for_veto()
        waiting = subprocess.Popen([COMMAND, "checkpoint", "--wait", "pool"])
        time.sleep(0.5)
        before, began = stops("said"), time.monotonic()
        time.sleep(WATCHED_S)
        seen, took = stops("said") - before, time.monotonic() - began
        program.stdin.write(b"\n")  # no veto any more
        program.stdin.flush()
        status = waiting.wait(LIMIT_S)
        program.stdin.close()
        program.wait(LIMIT_S)
        print(f"stopped {seen} times in {took:.1f} s; then status {status}")
        if status != 0:
            sys.exit("who waited has no epoch")
        if seen > STOPS_MAX_A_SECOND * took:
            sys.exit("held still over and over")


main()
