"""usage: targets.py BUILD SUITE - what has to be built for a suite's tests, one ninja target a line:
all that stands in their command lines and lies in the build tree."""
import json
import os
import subprocess
import sys

build, suite = os.path.realpath(sys.argv[1]), sys.argv[2]


def ask(what):
    return json.loads(subprocess.run(["meson", "introspect", what, build], check=True,
                                     capture_output=True, text=True).stdout)


def in_build(path):
    return os.path.relpath(os.path.join(build, path), build)


built = {in_build(path) for target in ask("--targets") for path in target["filename"]}
words = {in_build(word) for test in ask("--tests") for word in test["cmd"]
         if suite in (name.split(":")[-1] for name in test["suite"])}
print("\n".join(sorted(built & words)))
