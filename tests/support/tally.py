"""Adds up meson's testlog.json files: names what failed or was skipped, says why, and closes with
the one line that counts: N passed, N failed[, N skipped]. Status 1 if any failed or none ran."""
import json
import sys

passed, failed, skipped = 0, [], {}
for path in sys.argv[1:]:
    with open(path) as file:
        for line in file:
            test = json.loads(line)
            if test["result"] in ("OK", "EXPECTEDFAIL"):
                passed += 1
            elif test["result"] == "SKIP":
                why = (test.get("stdout") or "").strip().splitlines()
                reason = why[-1].removeprefix("skipped: ").removeprefix("SKIP: ") if why else "no reason given"
                skipped.setdefault(reason, []).append(test["name"].split(" / ")[-1])
            else:
                failed.append(f"{test['name']}: {test['result']}")

for reason, names in skipped.items():
    print(f"skipped: {reason}: {', '.join(names)}")
for name in failed:
    print("FAILED:", name)
count = sum(map(len, skipped.values()))
print(f"{passed} passed, {len(failed)} failed" + (f", {count} skipped" if count else ""))
sys.exit(bool(failed) or passed == 0)
