"""A program with its heap in a pool, beside the same program without.

A test runs a program twice with the same input, once plainly and once under the preloaded
library, and compares what can be seen from outside: exit status, output, files, replies. What
differs between two plain runs as well (times, process ids) is compared by an invariant instead.

A comparison alone would pass if the library had never been loaded, so the pool is looked at too:
it must hold more written pages than the pool of /bin/true does (Place.prove).

From meson, in the environment:
    TEST_LIBRARY  the library to preload. Any other malloc may be named to tell its faults from
                  ours; then there is no pool to prove anything with.
    TEST_PLACE    where the pool lies: tmpfs (default) or file
    TEST_SIZE     the pool's size, default 2G (sparse)
    TEST_KEEP     none (default) or heap: epochs are taken while the program runs
Exit status 77 is meson's for a skipped test; the reason is the last line printed.
"""
import glob
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

LIBRARY = os.path.abspath(os.environ["TEST_LIBRARY"])
PLACE = os.environ.get("TEST_PLACE", "tmpfs")
SIZE = os.environ.get("TEST_SIZE", "2G")
KEEP = os.environ.get("TEST_KEEP", "none")
IS_OURS = os.path.basename(LIBRARY).startswith("libheapsake")
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def skip(why):
    print("skipped:", why)
    sys.exit(77)


def fail(why):
    sys.exit("FAILED: " + why)


def need(*programs):
    """Their full paths; without one of them there is nothing to test."""
    paths = []
    for program in programs:
        path = program if os.path.isabs(program) else shutil.which(program, path=SYSTEM_PATH)
        if not path or not os.path.exists(path):
            skip(f"{program} is not installed")
        paths.append(path)
    return paths if len(paths) > 1 else paths[0]


def expect(fact, otherwise):
    if not fact:
        fail(otherwise)


def expect_equal(plain, pooled, what):
    if plain == pooled:
        return
    for name, value in (("without", plain), ("with", pooled)):
        text = value if isinstance(value, str) else repr(value)
        print(f"--- {what}, {name} the pool:\n{text[:4000]}")
    fail(f"{what} differs")


def wait_until(predicate, what, limit_s=30):
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        value = predicate()
        if value:
            return value
        time.sleep(0.02)
    fail(f"{what}: not within {limit_s} s")


def written_pages(path):
    """Pages of a sparse file that hold anything but zeros."""
    zero, count = bytes(4096), 0
    with open(path, "rb", buffering=0) as file:
        end, position = os.fstat(file.fileno()).st_size, 0
        while position < end:
            try:
                position = os.lseek(file.fileno(), position, os.SEEK_DATA)
            except OSError:
                break
            hole = os.lseek(file.fileno(), position, os.SEEK_HOLE)
            while position < hole:
                data = os.pread(file.fileno(), min(hole - position, 1 << 20), position)
                count += sum(data[i:i + 4096] != zero[:len(data) - i]
                             for i in range(0, len(data), 4096))
                position += len(data)
    return count


class Place:
    """A directory for one test: its pools, its files. It goes with everything in it.

    user: the account programs run as, if this test may change to it (postgres refuses root).
    children: HEAPSAKE_CHILDREN. With "inherit" every process has its own pool (%p).
    """

    def __init__(self, children="volatile", user=None):
        shm = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.pools = tempfile.mkdtemp(prefix="heapsake-test-", dir=shm if PLACE == "tmpfs" else None)
        self.files = tempfile.mkdtemp(prefix="heapsake-test-")
        self.children = children
        self.user = user if user and os.geteuid() == 0 else None
        self.library = LIBRARY
        self.running = []
        if self.user:  # it may not be allowed to read the build tree
            self.library = shutil.copy(LIBRARY, self.files)
            for directory in (self.pools, self.files):
                os.chmod(directory, 0o755)
                shutil.chown(directory, self.user)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        for process in self.running:
            self.stop(process, signal.SIGKILL)
        shutil.rmtree(self.pools, ignore_errors=True)
        shutil.rmtree(self.files, ignore_errors=True)

    def path(self, *names):
        return os.path.join(self.files, *names)

    def write(self, name, content):
        mode = "wb" if isinstance(content, bytes) else "w"
        with open(self.path(name), mode) as file:
            file.write(content)
        return self.path(name)

    def environment(self, is_pooled, extra=None):
        """What both runs share, so that nothing but the pool makes a difference."""
        env = {"PATH": SYSTEM_PATH, "HOME": self.files, "LANG": "C.UTF-8", "TZ": "UTC",
               "TERM": "dumb", "TMPDIR": self.files}
        env.update(extra or {})
        if is_pooled:
            env["LD_PRELOAD"] = self.library
        if is_pooled and IS_OURS:
            name = "%p.pool" if self.children == "inherit" else "test.pool"
            env.update(HEAPSAKE_POOL=os.path.join(self.pools, name), HEAPSAKE_SIZE=SIZE,
                       HEAPSAKE_KEEP=KEEP, HEAPSAKE_QUIET="1", HEAPSAKE_CHILDREN=self.children,
                       HEAPSAKE_DURABILITY="cache" if PLACE == "tmpfs" else "media",
                       HEAPSAKE_LOG="error")  # not that these programs are stopped anywhere
        return env

    def start(self, argv, is_pooled, env=None, **options):
        """A process that is stopped with this place at the latest."""
        who = {"user": self.user, "group": self.user, "extra_groups": []} if self.user else {}
        options.setdefault("cwd", self.files)
        process = subprocess.Popen(argv, env=self.environment(is_pooled, env),
                                   start_new_session=True, **who, **options)
        self.running.append(process)
        return process

    def stop(self, process, how=signal.SIGTERM, limit_s=30):
        """Its exit status; its whole session goes with it, if it has to be killed."""
        if process.poll() is None:
            process.send_signal(how)
            try:
                process.wait(limit_s)
            except subprocess.TimeoutExpired:
                print(f"pid {process.pid} did not stop within {limit_s} s")
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
        if process in self.running:
            self.running.remove(process)
        return process.returncode

    def run(self, argv, is_pooled, text="", env=None, limit_s=120, **options):
        """(exit status, stdout, stderr); a program that hangs is a failure."""
        process = self.start(argv, is_pooled, env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, **options)
        given = text if isinstance(text, bytes) else text.encode()
        try:
            out, err = process.communicate(given, limit_s)
        except subprocess.TimeoutExpired:
            self.stop(process, signal.SIGKILL)
            fail(f"{argv[0]} hung for {limit_s} s {'with' if is_pooled else 'without'} the pool")
        self.stop(process)
        return process.returncode, out.decode("utf-8", "replace"), err.decode("utf-8", "replace")

    def same(self, argv, status=0, **options):
        """Run twice, compare everything, prove the pool; what the program printed."""
        plain = self.run(argv, False, **options)
        expect(plain[0] == status, f"{argv[0]} fails without the pool as well: {plain}")
        pooled = self.run(argv, True, **options)
        for what, one, other in zip(("exit status", "output", "error output"), plain, pooled):
            expect_equal(one, other, what)
        self.prove()
        return pooled[1]

    def succeed(self, argv, is_pooled, **options):
        """Run once, expect status 0; what the program printed."""
        status, out, err = self.run(argv, is_pooled, **options)
        where = "with" if is_pooled else "without"
        expect(status == 0, f"{argv} {where} the pool: status {status}\n{out[-2000:]}{err[-4000:]}")
        return out

    def prove(self, at_least=8):
        """The heap was in the pool: it holds at_least pages more than that of /bin/true."""
        if not IS_OURS:
            print(f"{LIBRARY} has no pool: nothing to prove")
            return
        pools = glob.glob(self.pools + "/*.pool")
        most = max((written_pages(pool) for pool in pools), default=0)
        with Place() as idle:
            idle.run(["/bin/true"], True)
            least = max((written_pages(p) for p in glob.glob(idle.pools + "/*.pool")), default=0)
        print(f"{len(pools)} pools, {most} pages written in the fullest, {least} by /bin/true")
        expect(most >= least + at_least, "the heap was not in the pool")
