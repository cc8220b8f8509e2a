"""The command line of `epochs` and `process`: what to measure, by name, in a directory of its own."""
import argparse
import os
import signal
import subprocess
import sys
import tempfile

import kept


def parse_arguments(doc, what):
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument('what', nargs='*', metavar='WHAT', help=f'of {", ".join(what)}')
    parser.add_argument('--build', default=os.environ.get('MESON_BUILD_ROOT', 'build'),
                        help='the build tree (default: $MESON_BUILD_ROOT, build)')
    parser.add_argument('--disk', help='where pools lie (default: the build tree)')
    parser.add_argument('--all', action='store_true', help='longer, and with 8 GiB of heap')
    parser.add_argument('--quick', action='store_true', help='does it all work?')
    parser.add_argument('--rounds', type=int, default=0, help='how often all have their turns')
    arguments = parser.parse_args()
    unknown = set(arguments.what) - set(what)
    if unknown:
        parser.error(f'no {", ".join(sorted(unknown))}; there are {", ".join(what)}')
    return arguments


def main(doc, what):
    """what: {name: function(build, is_quick, is_all, rounds)}; the exit status."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is removed
    arguments = parse_arguments(doc, what)
    kept.stand_still()
    is_well = True
    with tempfile.TemporaryDirectory(prefix='bench-', dir=arguments.disk or arguments.build) as scratch:
        build = kept.Build(os.path.abspath(arguments.build), os.path.abspath(scratch))
        if not build.has('scattered'):
            sys.exit(f'no tests/bench/scattered in {build.dir}; build first, or name the build tree with '
                     '--build')
        print(kept.describe_machine(scratch), flush=True)
        for name in arguments.what or what:
            try:
                what[name](build, arguments.quick, arguments.all, arguments.rounds)
            except (kept.Failed, subprocess.TimeoutExpired) as failure:
                print(f'FAILED: {name}: {failure}', file=sys.stderr)
                is_well = False
    return 0 if is_well else 1
