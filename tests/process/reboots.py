#!/usr/bin/env python3
"""A program that waits in many ways goes on where the machine's clocks are others, as after a reboot.

usage: reboots.py COMMAND CLOCK

Lives of CLOCK, which says its monotonic clock each time all its threads have waited, begin in turn in
a time namespace 200000 s ahead and in none: there the clock is that much behind. What it says only
grows, and it goes on saying it. What the time of day does, tests/vm/process-cut shows.
"""
import os
import random
import subprocess
import sys
import tempfile
import threading

AHEAD = ["unshare", "--time", "--monotonic", "200000", "--boottime", "300000"]
LIVES = 4
LINES = 8
LIMIT_S = 100


def live(line, dice):
    """What one says until it is killed, soon after some lines."""
    life = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
    limit = threading.Timer(LIMIT_S, life.kill)
    limit.start()
    said = []
    with life.stdout:
        for text in life.stdout:
            said.append(text)
            if len(said) >= LINES + dice.randrange(LINES):
                break
        life.kill()
    life.wait()
    limit.cancel()
    return said


def main():
    command, clock = (os.path.abspath(path) for path in sys.argv[1:])
    seed = random.SystemRandom().randrange(1 << 32)
    dice, last = random.Random(seed), 0
    print("seed", seed)
    if subprocess.run([*AHEAD, "true"], check=False, capture_output=True).returncode:
        print("skipped: no time namespace to be had")
        return 77
    with tempfile.TemporaryDirectory() as place:
        pool = os.path.join(place, "pool")
        for i in range(LIVES):
            said = live([*(AHEAD if i % 2 == 0 else []), command, "run", "-i", "20ms", "-s", "1G", "-p", pool,
                         "--", clock], dice)
            times = [int(text.split()[1]) for text in said if text.startswith("clock ") and text[6] in "0123456789"]
            print(f"life {i}: {len(said)} lines, from {times[:1]} to {times[-1:]}")
            if len(times) < LINES or len(times) < len(said) or times != sorted(times):
                print("FAILED: it stands still, or goes back:", said)
                return 1
            # What it said last may be later than the epoch.
            if times[0] < last:
                print(f"FAILED: the clock began at {times[0]}, after {last} in the life before")
                return 1
            last = times[0]
    return 0


sys.exit(main())
