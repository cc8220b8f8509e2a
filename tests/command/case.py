"""The command as a user calls it: a scratch directory, and statuses and lines exactly."""
import hashlib
import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import unittest

COMMAND = os.environ["HEAPSAKE_TEST_COMMAND"]
PROGRAMS = os.environ["HEAPSAKE_TEST_PROGRAMS"]
NOBODY = pwd.getpwnam("nobody")
TIMEOUT_S = 60


class Result:
    def __init__(self, done):
        self.status = done.returncode
        self.out = done.stdout.decode(errors="surrogateescape")
        self.err = done.stderr.decode(errors="surrogateescape")

    def __repr__(self):
        return f"status {self.status}, stdout {self.out!r}, stderr {self.err!r}"


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = os.path.realpath(tempfile.mkdtemp(prefix="heapsake-command-"))
        self.environ = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
        self.started = []

    def tearDown(self):
        for process in self.started:
            process.kill()
            process.wait()
            process.stderr.close()
        shutil.rmtree(self.dir)

    def path(self, name):
        return os.path.join(self.dir, name)

    def do(self, *words, before=(), **kwargs):
        kwargs.setdefault("stdout", subprocess.PIPE)
        kwargs.setdefault("stderr", subprocess.PIPE)
        kwargs["env"] = {**self.environ, **kwargs.pop("env", {})}
        return Result(FakeDone(subprocess.run([*before, COMMAND, *words], cwd=self.dir,
                                              timeout=TIMEOUT_S, **kwargs)))

    def expect(self, status, *words, out=None, err=None, **kwargs):
        """Do it; the status is exact, and so are out and err where given."""
        result = self.do(*words, **kwargs)
        self.assertEqual(result.status, status, f"{words}: {result}")
        if out is not None:
            self.assertEqual(result.out, out, words)
        if err is not None:
            self.assertEqual(result.err, err, words)
        if status in (2, 3, 4, 5, 6) and err is None:
            self.assert_one_line(result.err)
        return result

    def assert_one_line(self, text):
        self.assertRegex(text, r"\Aheapsake: [^\n]+\n\Z")

    def json(self, *words, status=0, **kwargs):
        result = self.do(*words, **kwargs)
        self.assertEqual(result.status, status, f"{words}: {result}")
        self.assertEqual(result.out.count("\n"), 1)
        value = json.loads(result.out)
        self.assertEqual(value["schema"], 1)
        return value

    def create(self, name="pool", size="16M"):
        self.expect(0, "create", "-s", size, name, out="", err="")
        return self.path(name)

    def hold(self, name="pool", *more):
        """A living owner of the pool: sleep(1), seen attached."""
        process = subprocess.Popen([COMMAND, "run", "-k", "none", "-p", name, *more, "sleep", "600"],
                                   cwd=self.dir, env=self.environ, stderr=subprocess.PIPE)
        self.started.append(process)
        line = process.stderr.readline().decode(errors="surrogateescape")
        self.assertIn("keep none", line)
        return process

    def assert_unchanged_by(self, name, statuses, *commands):
        """Each command is refused with its status and leaves name's bytes and times alone."""
        before = fingerprint(self.path(name))
        for command, status in zip(commands, statuses):
            self.expect(status, *command)
            self.assertEqual(fingerprint(self.path(name)), before, command)

    def as_nobody(self):
        """Words to put before the command; skips where it cannot be done."""
        if os.geteuid() != 0:
            self.skipTest("not root: cannot become another user")
        before = ["setpriv", f"--reuid={NOBODY.pw_uid}", f"--regid={NOBODY.pw_gid}",
                  "--clear-groups", "--inh-caps=-all"]
        if shutil.which("setpriv") is None:
            self.skipTest("no setpriv(1)")
        # Not the command itself: setpriv gives its rights up with the exec, not before.
        if subprocess.run([*before, "test", "-x", COMMAND]).returncode:
            self.skipTest("the build tree is closed to nobody")
        os.chown(self.dir, NOBODY.pw_uid, NOBODY.pw_gid)
        return before


class FakeDone:
    """A finished process whose streams may have gone elsewhere."""

    def __init__(self, done):
        self.returncode = done.returncode
        self.stdout = done.stdout or b""
        self.stderr = done.stderr or b""


def fingerprint(path):
    st = os.lstat(path)
    digest = None
    if os.path.isfile(path) and not os.path.islink(path):
        with open(path, "rb") as file:
            digest = hashlib.sha256(file.read()).hexdigest()
    return (digest, st.st_mtime_ns, st.st_size, st.st_ino, st.st_mode, st.st_uid)


def patch(path, offset, data):
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)


def main():
    unittest.main(verbosity=2)
