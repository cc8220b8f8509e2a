#!/usr/bin/env python3
"""Pools on the file systems we name, each in a small image of its own: an unmodified program has
its heap there, a forked child too, and a full disk is ENOMEM, never SIGBUS.

usage: filesystems.py LIBRARY COMMAND

Needs root, loop devices and the mkfs tools; mounts are made in a namespace of their own.
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

LIBRARY, COMMAND = (os.path.abspath(path) for path in sys.argv[1:3])
INSIDE = "TEST_HAS_NAMESPACE"  # this process has a mount namespace of its own
IMAGE_BYTES = 320 << 20  # xfs takes no less than 300 MiB
FILL = """
import os
blocks = []
pid = os.fork() if FORKS else 0
try:
    while True:
        blocks.append(bytearray(1 << 20))
        for at in range(0, 1 << 20, 4096):
            blocks[-1][at] = 1
        if FORKS and len(blocks) == 20:
            break
except MemoryError:
    pass
enough = len(blocks) >= 20
blocks.clear()
if pid:
    enough = enough and os.waitpid(pid, 0)[1] == 0
os._exit(not enough)
"""

# What is live lies next to what was given back, in one folio of the page cache: a store into it
# must not look for the blocks of its neighbours, which the disk no longer has.
GIVE_BACK = """
import ctypes, os, sys
def fill(sizes):
    blocks = []
    try:
        while True:
            for size in sizes:
                blocks.append(bytearray(size))
                blocks[-1][0:size:1024] = b"x" * ((size + 1023) // 1024)
    except MemoryError:
        return blocks
blocks = fill([1024 << n for n in range(8)])
enough = len(blocks) > 1000
kept = blocks[::500]
blocks.clear()
ctypes.CDLL(None).malloc_trim(0)
filler = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY, 0o600)
try:
    while os.write(filler, b"y" * 65536):
        pass
except OSError:
    os.fsync(filler)
for block in kept:
    block[:] = b"z" * len(block)
again = fill([30000])
enough = enough and all(set(block) == {ord("z")} for block in kept)
again.clear()
os.unlink(sys.argv[1])
os.close(filler)
os._exit(not (enough and len(fill([30000])) > 1000))
"""


class FileSystems(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="heapsake-filesystems-")
        self.place = os.path.join(self.directory, "mounted")
        os.mkdir(self.place)
        self.pool = os.path.join(self.place, "test.pool")

    def tearDown(self):
        subprocess.run(["umount", self.place], stderr=subprocess.DEVNULL, check=False)
        subprocess.run(["rm", "-rf", "--one-file-system", self.directory], check=True)

    def mount(self, kind):
        image = os.path.join(self.directory, "image")
        with open(image, "wb") as file:
            file.truncate(IMAGE_BYTES)
        for words in ([f"mkfs.{kind}", "-q", image], ["mount", "-o", "loop", image, self.place]):
            try:
                done = subprocess.run(words, capture_output=True, text=True, check=False)
            except FileNotFoundError:
                self.skipTest(f"no {words[0]} here")
            if done.returncode != 0:
                self.skipTest(f"{words[0]}: {done.stderr.strip()}")

    def run_in_pool(self, program, *arguments):
        env = {"LD_PRELOAD": LIBRARY, "HEAPSAKE_POOL": self.pool, "HEAPSAKE_KEEP": "none",
               "HEAPSAKE_QUIET": "1", "PYTHONMALLOC": "malloc", "LC_ALL": "C"}
        done = subprocess.run(["/usr/bin/python3", "-c", program, *arguments], env=env,
                              capture_output=True, text=True, timeout=200, check=False)
        return done.returncode, done.stderr

    def fill(self, forks):
        return self.run_in_pool(f"FORKS = {forks}\n{FILL}")

    def try_kind(self, kind):
        self.mount(kind)
        subprocess.run([COMMAND, "create", "-s", "1T", self.pool], check=True,
                       stdout=subprocess.DEVNULL)
        self.assertLess(os.stat(self.pool).st_blocks * 512, 1 << 20)
        for _ in range(2):  # the second finds a pool full of the first one's heap
            status, err = self.fill(forks=False)
            self.assertEqual(status, 0, err)
            self.assertRegex(err, rf"\Aheapsake: {re.escape(self.pool)}: cannot be grown: "
                                  r"No space left on device; [^\n]*\n\Z")
        status, err = self.run_in_pool(GIVE_BACK, os.path.join(self.place, "filler"))
        self.assertEqual(status, 0, err)
        self.assertEqual(self.fill(forks=True), (0, ""))
        out = subprocess.run([COMMAND, "check", "--json", self.pool], check=True,
                             capture_output=True, text=True).stdout
        self.assertTrue(json.loads(out)["ok"])

    def test_ext4(self):
        self.try_kind("ext4")

    def test_xfs(self):
        self.try_kind("xfs")

    def test_btrfs(self):
        self.try_kind("btrfs")


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("SKIP: only root can mount an image")
        sys.exit(77)
    if INSIDE not in os.environ:
        os.environ[INSIDE] = "1"
        os.execvp("unshare", ["unshare", "--mount", sys.executable, *sys.argv])
    unittest.main(argv=sys.argv[:1], verbosity=1)
