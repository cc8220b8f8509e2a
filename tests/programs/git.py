#!/usr/bin/env python3
"""git: commits, merge, clone, gc, fsck; git starts many gits, so each has a pool of its own.

Every process running in a pool makes object ids a function of the content alone, so a single
wrong byte in any of them changes the last commit's id.
"""
import shlex

from pooled import Place, expect, expect_equal, need

SCRIPT = """
set -e
git init -q -b main work; cd work
git config gc.auto 0
i=0
while [ $i -lt 12 ]; do
	mkdir -p dir$((i % 4))
	seq $i $((i * 300 + 2000)) > dir$((i % 4))/file$i
	seq $((i * 7)) 1000 >> shared
	git add -A; git commit -q -m "commit $i"
	i=$((i + 1))
done
git checkout -q -b side HEAD~3
seq 5000 > side-file; git add -A; git commit -q -m side
git checkout -q main; git merge -q --no-edit side
git gc -q --aggressive --prune=now
git fsck --full --strict
cd ..
git clone -q --no-local work copy
cd copy
git fsck --full --strict
git log --format='%H %T %s'
git diff --stat HEAD~5
git blame -s shared | tail -3
git archive HEAD | sha256sum
git grep -c 99 | sort
"""
DATE = "2001-02-03T04:05:06Z"

need("git")
with Place(children="inherit") as place:
    env = {"GIT_AUTHOR_DATE": DATE, "GIT_COMMITTER_DATE": DATE, "GIT_CONFIG_NOSYSTEM": "1"}
    for who in ("AUTHOR", "COMMITTER"):
        env[f"GIT_{who}_NAME"], env[f"GIT_{who}_EMAIL"] = "Some One", "one@example.org"
    logs = []
    for name, is_pooled in (("plain", False), ("pooled", True)):
        script = f"mkdir {shlex.quote(name)}; cd {shlex.quote(name)}; {SCRIPT}"
        logs.append(place.succeed(["/bin/sh", "-c", script], is_pooled, env=env, limit_s=200))
    expect(logs[0].count("\n") > 20, "the log is too short: " + logs[0])
    expect_equal(logs[0], logs[1], "what git said")
    place.prove(at_least=20)
