#!/usr/bin/env python3
"""Who has mapped a file as shared memory is not resumed with another file of that name, though it is
open by no descriptor; and is, with its own.

usage: replaced-file.py COMMAND PROGRAM
"""
import os
import subprocess
import sys
import tempfile

PATIENCE_S = 100
INCOMPATIBLE = 5


def main():
    command, program = sys.argv[1:]
    with tempfile.TemporaryDirectory() as place:
        pool, path, aside = (os.path.join(place, name) for name in ("test.pool", "mapped", "aside"))
        run = [command, "run", "-q", "-k", "process", "-i", "5ms", "-s", "256M", "-p", pool, "--", program,
               path]
        with open(path, "wb") as file:
            file.truncate(4096)
        life = subprocess.Popen(run, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert life.stdout.readline() == b"kill\n"
        subprocess.run([command, "checkpoint", "--wait", pool], check=True, timeout=PATIENCE_S)
        life.kill()
        life.wait(PATIENCE_S)
        os.rename(path, aside)
        with open(path, "wb") as file:
            file.truncate(4096)
        refused = subprocess.run(run, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE_S)
        assert refused.returncode == INCOMPATIBLE and path.encode() in refused.stderr, refused
        os.rename(aside, path)
        subprocess.run(run, input=b"go on\n", check=True, timeout=PATIENCE_S)


main()
