#!/usr/bin/env python3
"""No generator gives a number in two lives that go on from the same epoch.

usage: random-again.py COMMAND PROGRAM
"""
import os
import subprocess
import sys
import tempfile

LIVES = 3
PATIENCE_S = 60


def start(command, pool, program):
    return subprocess.Popen([command, "run", "-q", "-k", "process", "-i", "0", "-s", "256M", "-p", pool,
                             "--", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)


def draw(life):
    """What it says: one number a generator."""
    life.stdin.write(b"draw\n")
    lines = iter(life.stdout.readline, b"")
    said = []
    for line in lines:
        words = line.decode().split()
        if words[0] == "pid":
            if words[1] != "right":
                sys.exit("the program itself is told a wrong pid")
            break
        said.append(tuple(words))
    return said


def main():
    command, program = sys.argv[1:]
    seen, wrong, lives = {}, 0, []
    with tempfile.TemporaryDirectory() as place:
        pool = os.path.join(place, "test.pool")
        for number in range(LIVES):
            life = start(command, pool, program)
            lives.append(life)
            if number == 0:
                if life.stdout.readline() != b"ready\n":
                    sys.exit("it does not start")
                subprocess.run([command, "checkpoint", "--wait", pool], check=True, timeout=PATIENCE_S)
            said = draw(life)
            print(f"life {number + 1}: {len(said)} generators")
            for generator, value in said:
                if value in seen:
                    print(f"{generator}: {value} in life {number + 1} as in {seen[value]}")
                    wrong += 1
                seen[value] = number + 1
            life.kill()
            life.wait(PATIENCE_S)
    if not seen:
        sys.exit(77)
    return wrong != 0


sys.exit(main())
