#!/usr/bin/env python3
"""The rules of the tree that a compiler does not know.

A room is a folder whose meson.build opens with "# may use: ..." and "# may be used by: ...". Code
includes headers of its own room and of the rooms that line names, and of another room only its
face: heap/heap.h for runtime/heap. The floor (runtime/ itself) shows every header but those with
a dash in their names. Tests that may use everything may look inside.

usage: rules.py TREE       check a tree, one line a violation
       rules.py --self     every rule must find the violation planted for it
"""
import os
import re
import subprocess
import sys
import tempfile

CODE = (".c", ".h", ".cpp", ".hpp")
COLUMNS = 100  # a tab counts as one: clang-format counts them properly and is a proposal only
# Folders of many small programs, each named by what it shows rather than by a noun of its own.
COLLECTIONS = ("demos/", "tests/api/", "tests/bench/", "tests/conformance/", "tests/command/", "tests/demos/",
               "tests/process/", "tests/programs/", "tests/storm/")
REPEATED = ("meson.build", "README.md", "run")
# Spelled so that this file keeps its own rules.
FOREIGN_PATH = re.compile(r"(?<![\w.}/-])/(?:%s)/\w" % "|".join(("home", "work", "root", "tmp-build")))
UNFINISHED = re.compile(r"\b(?:%s)\b" % "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X")))
# Rooms whose noun is not their name, or that have a face for each of their neighbours.
FACES = {
    "runtime/flush": ("medium.h", "medium-file.h", "medium-dax.h"),
    "runtime/checkpoint": ("checkpoint.h", "committer.h", "cut.h", "exclude.h", "region-table.h",
                           "track.h"),
    "runtime/process": ("process.h", "keeper.h", "launched.h", "ledger.h"),
    "wrappers": ("heapsake.h", "heapsake.hpp"),
}
QUOTED = re.compile(r'^\s*#\s*include\s+"([^"]+)"')


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def listed(tree):
    """What git would hold: tracked, or new and not ignored."""
    out = subprocess.run(["git", "-C", tree, "ls-files", "-z", "--cached", "--others",
                          "--exclude-standard"], capture_output=True, check=True, text=True).stdout
    return sorted({p for p in out.split("\0") if p and os.path.isfile(os.path.join(tree, p))})


def find_rooms(tree, paths):
    """{folder: what it may use}, the words of its first line; the floor is 'runtime'."""
    rooms = {}
    for path in paths:
        if os.path.basename(path) == "meson.build":
            lines = read(os.path.join(tree, path)).split("\n", 2)
            found = re.match(r"# may use: ([^(]*)", lines[0])
            if found and len(lines) > 1 and lines[1].startswith("# may be used by:"):
                rooms[os.path.dirname(path)] = [w.strip() for w in found[1].split(",")]
    return rooms


def room_of(path, rooms):
    folder = os.path.dirname(path)
    while folder and folder not in rooms:
        folder = os.path.dirname(folder)
    return folder


def may_use(words, room, header):
    """Does a room whose line says words reach this header of another room?"""
    if any(word.startswith("nothing") for word in words):
        return False
    for word in words:
        if word == "everything" or word == room or header.startswith(word + "/"):
            return True
        if room == "runtime" and word == "floor" or word == os.path.basename(room):
            return True
    return False


def is_face(header, room):
    name = os.path.basename(header)
    if room == "runtime":
        return "-" not in name
    faces = FACES.get(room, (os.path.basename(room) + ".h",))
    return name in faces or not name.endswith(CODE)


def check_includes(tree, paths, rooms):
    present = set(paths)
    for path in (p for p in paths if p.endswith(CODE)):
        room = room_of(path, rooms)
        for number, line in enumerate(read(os.path.join(tree, path)).split("\n"), 1):
            found = QUOTED.match(line)
            if not found:
                continue
            where = f"{path}:{number}"
            places = [os.path.normpath(os.path.join(folder, found[1]))
                      for folder in (os.path.dirname(path), "runtime", "tests/support", "wrappers")]
            header = next((place for place in places if place in present), None)
            if not header:
                yield f"{where}: {found[1]} is nowhere"
                continue
            other, words = room_of(header, rooms), rooms.get(room, ["nothing"])
            if other == room:
                continue
            if not may_use(words, other, header):
                yield f"{where}: {room} may not use {other} ({header})"
            elif not is_face(header, other) and "everything" not in words \
                    and not room.startswith("tests"):
                yield f"{where}: {header} is not the face of {other}"


def check_rooms(tree, paths, rooms):
    for folder in ("runtime", "runtime/heap", "preload", "wrappers", "tests", "demos"):
        if folder not in rooms and any(p.startswith(folder + "/") for p in paths):
            yield f"{folder}/meson.build: does not open with may use, may be used by"


def check_names(paths):
    seen = {}
    for path in paths:
        name = os.path.basename(path)
        if name in REPEATED or path.startswith(COLLECTIONS):
            continue
        if name in seen:
            yield f"{path}: the name is taken by {seen[name]}"
        seen.setdefault(name, path)


def check_lines(tree, paths):
    for path in paths:
        for number, line in enumerate(read(os.path.join(tree, path)).split("\n"), 1):
            where = f"{path}:{number}"
            if FOREIGN_PATH.search(line):
                yield f"{where}: a path of one machine"
            if UNFINISHED.search(line):
                yield f"{where}: an idea for later goes to the tracker"
            if path.endswith(CODE) and not path.startswith("tests/") and len(line) > COLUMNS:
                yield f"{where}: {len(line)} columns, {COLUMNS} are enough"


def check_scripts(tree, paths):
    for path in paths:
        full = os.path.join(tree, path)
        with open(full, "rb") as file:
            first = file.readline()
        if not re.match(rb"#!/bin/(ba)?sh\b", first):
            continue
        tools = [["bash", "-n", full]]
        if any(os.access(d + "/shellcheck", os.X_OK) for d in os.environ["PATH"].split(":")):
            tools.append(["shellcheck", "-x", "-P", "SCRIPTDIR", "-S", "warning", full])
        for tool in tools:
            run = subprocess.run(tool, capture_output=True, text=True, check=False)
            if run.returncode != 0:
                yield f"{path}: {tool[0]}: {(run.stdout + run.stderr).strip()}"
                break


def check(tree):
    paths = listed(tree)
    rooms = find_rooms(tree, paths)
    return [*check_rooms(tree, paths, rooms), *check_includes(tree, paths, rooms),
            *check_names(paths), *check_lines(tree, paths), *check_scripts(tree, paths)]


# A tree that keeps the rules; and for each rule one file that breaks it and what must be said.
ROOM = "# may use: %s\n# may be used by: somebody\n"
GOOD = {
    "runtime/meson.build": ROOM % "nothing of ours", "runtime/os.h": "", "runtime/os-cpu.h": "",
    "runtime/heap/meson.build": ROOM % "floor", "runtime/heap/heap.h": '#include "os.h"\n',
    "runtime/heap/span.h": "", "runtime/heap/heap.c": '#include "span.h"\n#include "heap.h"\n',
    "runtime/checkpoint/meson.build": ROOM % "flush, floor", "runtime/checkpoint/checkpoint.h": "",
    "preload/meson.build": ROOM % "runtime", "preload/start.c": '#include "heap/heap.h"\n',
    "wrappers/meson.build": ROOM % "runtime", "demos/meson.build": ROOM % "wrappers",
    "tests/meson.build": ROOM % "everything", "tests/unit.c": '#include "heap/span.h"\n',
}
BAD = {
    "runtime/heap/a.c": ('#include "checkpoint/checkpoint.h"\n', "may not use runtime/checkpoint"),
    "runtime/checkpoint/b.c": ('#include "heap/heap.h"\n', "may not use runtime/heap"),
    "runtime/c.c": ('#include "heap/heap.h"\n', "runtime may not use"),
    "preload/d.c": ('#include "heap/span.h"\n', "not the face of runtime/heap"),
    "wrappers/e.c": ('#include "os-cpu.h"\n', "not the face of runtime"),
    "runtime/heap/f.c": ('#include "../../preload/g.h"\n', "is nowhere"),
    "wrappers/os.h": ("", "the name is taken"),
    "preload/h.c": ("/* /" + "home/somebody/file */\n", "a path of one machine"),
    "preload/i.c": ("/* TO" + "DO */\n", "goes to the tracker"),
    "preload/j.c": ("x" * 101 + "\n", "101 columns"),
    "tests/k": ("#!/bin/bash\nif\n", "bash: "),
    "demos/meson.build": ("subdir('x')\n", "does not open with"),
}


def self_test():
    with tempfile.TemporaryDirectory() as tree:
        def plant(path, content):
            os.makedirs(os.path.dirname(os.path.join(tree, path)), exist_ok=True)
            with open(os.path.join(tree, path), "w", encoding="utf-8") as file:
                file.write(content)
        subprocess.run(["git", "init", "-q", tree], check=True)
        for path, content in GOOD.items():
            plant(path, content)
        wrong = [f"a tree that keeps the rules: {line}" for line in check(tree)]
        for path, (content, expected) in BAD.items():
            plant(path, content)
            found = check(tree)
            if len(found) != 1 or expected not in found[0]:
                wrong.append(f"{path}: wanted one line with '{expected}', got {found}")
            if path in GOOD:
                plant(path, GOOD[path])
            else:
                os.remove(os.path.join(tree, path))
        return wrong


if __name__ == "__main__":
    violations = self_test() if sys.argv[1] == "--self" else check(sys.argv[1])
    print("\n".join(violations) if violations else "all rules kept")
    sys.exit(bool(violations))
