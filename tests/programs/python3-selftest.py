#!/usr/bin/env python3
"""A slice of CPython's own test suite, run by Debian's python3 with its heap in a pool."""
import sys

from pooled import Place, expect, need, skip

SUITES = ["test_list", "test_dict", "test_set", "test_json", "test_re", "test_bytes",
          "test_array", "test_deque", "test_memoryview", "test_threading_local", "test_queue",
          "test_struct", "test_itertools", "test_sqlite3"]
CHILDREN = ["test_threading", "test_subprocess", "test_thread", "test_popen", "test_fork1"]

python3 = need("/usr/bin/python3")
names = CHILDREN if sys.argv[1:] == ["children"] else SUITES
with Place() as place:
    if place.run([python3, "-c", "import test.test_json"], False)[0] != 0:
        skip("python3's own tests (libpython3.11-testsuite) are not installed")
    # What fails without the pool (no network, no terminal, root) is no concern of this test.
    fine = [name for name in names if place.run(
        [python3, "-m", "test", "-q", name], False, limit_s=400)[0] == 0]
    print("pass without the pool:", *fine)
    expect(len(fine) >= len(names) - 3, "too little is left to compare")
    for name in fine:
        out = place.succeed([python3, "-m", "test", "-q", name], True, limit_s=400,
                            env={"PYTHONMALLOC": "malloc"})
        expect("SUCCESS" in out, name + " did not say SUCCESS: " + out)
    place.prove(at_least=500)
