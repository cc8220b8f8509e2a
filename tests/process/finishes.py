#!/usr/bin/env python3
"""Ends of a process that is kept (DESIGN 2.9): after an exit by any status the next run starts
afresh; after death by a signal it goes on. Of children neither is an end, nor is exec.

usage: finishes.py COMMAND PROGRAM
"""
import os
import signal
import subprocess
import sys
import tempfile
import time

LIMIT_S = 100
COMMAND, PROGRAM = map(os.path.abspath, sys.argv[1:3])
# Way -> status of the first run, what it told; the same of the second if it is to go on.
ENDED = {way: 7 for way in ("exit", "quick_exit", "_exit", "_Exit", "exit_group", "thread")}
ENDED["last-thread"] = 0
GOES_ON = {
    "abort": (-signal.SIGABRT, [], -signal.SIGABRT, []),
    "terminated": (-signal.SIGTERM, [], 7, ["done"]),
    "killed": (-signal.SIGKILL, [], 7, ["done"]),
    "exec": (-signal.SIGKILL, ["begun"], 7, ["done"]),
    "exec-late": (-signal.SIGKILL, [], 7, ["no such program", "begun", "done"]),
    "children": (-signal.SIGKILL, [], 7, ["done"]),
    "stream": (-signal.SIGKILL, ["done"], 7, []),
    "handler": (-signal.SIGKILL, ["done", "handler"], 7, ["handled"]),
}


class Runs:
    def __init__(self, way, directory):
        self.way, self.directory = way, directory

    def run(self, status, told, is_resumed):
        life = subprocess.Popen([COMMAND, "run", "-k", "process", "-i", "0", "-p", "pool", PROGRAM,
                                 self.way], cwd=self.directory, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)
        self.give_epochs(life)
        out, errors = life.communicate()
        found = (life.returncode, out.split("\n")[:-1], "heapsake: resumed" in errors)
        if found != (status, told, is_resumed):
            sys.exit(f"{self.way}: found {found}, expected {(status, told, is_resumed)}\n{errors}")

    def give_epochs(self, life):
        """Whenever it rests, and never else: one between its look whether it has died and its death
        would have it die again."""
        deadline_s = time.monotonic() + LIMIT_S
        asked = os.path.join(self.directory, "rest")
        while life.poll() is None:
            if os.path.exists(asked):
                subprocess.run([COMMAND, "checkpoint", "--wait", "pool"], cwd=self.directory,
                               check=True, timeout=LIMIT_S)
                os.unlink(asked)
            if time.monotonic() > deadline_s:
                life.kill()
            time.sleep(0.002)


def main():
    for way, status in ENDED.items():
        with tempfile.TemporaryDirectory() as directory:
            for _ in range(2):
                Runs(way, directory).run(status, ["begun"], False)
    for way, (status, told, next_status, next_told) in GOES_ON.items():
        with tempfile.TemporaryDirectory() as directory:
            runs = Runs(way, directory)
            runs.run(status, ["begun"] + told, False)
            runs.run(next_status, next_told, True)
            if next_status >= 0:
                runs.run(next_status, ["begun"] + told + next_told, False)
    print(f"{len(ENDED)} ends, {len(GOES_ON)} deaths")


main()
