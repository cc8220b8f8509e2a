#!/usr/bin/env python3
"""stress-ng's allocator and memory stressors, bounded by their work, verifying what they write."""
from pooled import Place, expect, need

STRESSORS = [
    ["--malloc", "2", "--malloc-ops", "2000", "--malloc-bytes", "64M", "--malloc-pthreads", "2"],
    ["--malloc", "1", "--malloc-ops", "100", "--malloc-bytes", "8M", "--malloc-touch"],
    ["--vm", "1", "--vm-bytes", "32M", "--vm-ops", "60", "--vm-method", "all"],
    ["--hsearch", "1", "--hsearch-ops", "10"],
    ["--qsort", "1", "--qsort-ops", "2"],
    ["--tree", "1", "--tree-ops", "1"],
    ["--heapsort", "1", "--heapsort-ops", "2"],
]

stress = need("stress-ng")
with Place(children="inherit") as place:
    for stressor in STRESSORS:
        for is_pooled in (False, True):
            # The time limit only bounds a machine too slow for the work.
            out = place.succeed([stress, *stressor, "--verify", "--timeout", "6", "--metrics",
                                 "--no-rand-seed", "--temp-path", place.files], is_pooled)
        expect("fail:" not in out, f"{stressor}: {out}")
    place.prove(at_least=1)
