"""Adds up meson's testlog.json files: names what failed or was skipped, says why, and closes with
the one line that counts: N passed, N failed[, N skipped]. Status 1 if any failed or none ran."""
import json
import sys

passed, failed, skipped = 0, [], []
for path in sys.argv[1:]:
    with open(path) as file:
        for line in file:
            test = json.loads(line)
            if test["result"] in ("OK", "EXPECTEDFAIL"):
                passed += 1
            elif test["result"] == "SKIP":
                why = (test.get("stdout") or "").strip().splitlines()
                skipped.append(f"{test['name']}: {why[-1] if why else 'no reason given'}")
            else:
                failed.append(f"{test['name']}: {test['result']}")

for title, names in (("skipped", skipped), ("FAILED", failed)):
    for name in names:
        print(title + ":", name)
print(f"{passed} passed, {len(failed)} failed" + (f", {len(skipped)} skipped" if skipped else ""))
sys.exit(bool(failed) or passed == 0)
