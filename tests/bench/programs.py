"""The benchmark set: what is run, with which arguments, on which input.

A command's words may hold {scale} (percent of the full work), {build} (where the micro benchmarks
are) and {input} (the file or directory its `prepare` made).
"""
import os
import shutil
import subprocess

import inputs

SOURCE_DIR = os.path.dirname(os.path.abspath(__file__))


class Program:
    """name, words of the command, kind (micro, whole), and optionally: prepare, a function of
    (path, scale) making the input; packages, what to install when the command is missing; env."""

    def __init__(self, name, words, kind='micro', prepare=None, package=None, env=None,
                 server=None):
        self.name = name
        self.words = words
        self.kind = kind
        self.prepare = prepare
        self.package = package
        self.env = env or {}
        self.server = server
        self.input = None

    def command(self, build_dir, scale):
        return [word.format(scale=scale, build=build_dir, input=self.input)
                for word in self.words]

    def missing(self, build_dir):
        executable = self.words[0].format(build=build_dir, scale=0, input='')
        if os.access(executable, os.X_OK):
            return None
        remedy = f'Debian: apt-get install {self.package}' if self.package else 'not built'
        return f'no {executable} ({remedy})'


def micro(name, program, *arguments):
    return Program(name, ['{build}/tests/bench/' + program, '{scale}', *arguments])


def micro_programs():
    return [
        micro('churn-pair', 'churn-fixed', '64', '1'),
        micro('churn-64', 'churn-fixed', '64', '4096'),
        micro('churn-256-cold', 'churn-fixed', '256', '100000'),
        micro('churn-mixed', 'churn-mixed', '1'),
        micro('churn-mixed-2', 'churn-mixed', '2'),
        micro('churn-mixed-16', 'churn-mixed', '16', '2000'),
        micro('tree', 'tree', '1'),
        micro('tree-2', 'tree', '2'),
        micro('hashmap', 'hashmap'),
        micro('list', 'list'),
        micro('tokens', 'tokens'),
        micro('bignum', 'bignum'),
        micro('containers', 'containers'),
        micro('phases', 'phases'),
        micro('lru', 'lru'),
        micro('vector-small', 'vector', 'small'),
        micro('vector-large', 'vector', 'large'),
        micro('large', 'large', '1'),
        micro('large-2', 'large', '2'),
        micro('zeroed', 'zeroed'),
        micro('aligned', 'aligned'),
        micro('fragment', 'fragment', '1'),
        micro('fragment-8', 'fragment', '8'),
        micro('server-2', 'server', '2'),
        micro('server-8', 'server', '8'),
        micro('handover-1', 'handover', '1'),
        micro('handover-4', 'handover', '4'),
        micro('relay-2', 'relay', '2'),
        micro('relay-8', 'relay', '8'),
        micro('sharing-active', 'sharing', '2', 'active'),
        micro('sharing-passive', 'sharing', '2', 'passive'),
        micro('threads', 'threads'),
    ]


def find(command):
    """Debian's own program first: what else is in PATH may be linked in another way."""
    debian = '/usr/bin/' + command
    return debian if os.path.exists(debian) else shutil.which(command) or debian


def compiler_proper(driver, name):
    """The compiler itself, not its driver: a preload would count the driver's fork and exec."""
    if not shutil.which(driver):
        return f'/usr/lib/gcc/{name}'
    asked = subprocess.run([driver, f'-print-prog-name={name}'], capture_output=True, text=True)
    return asked.stdout.strip()


def script(name):
    return os.path.join(SOURCE_DIR, 'programs', name)


def whole(name, package, words, prepare=None, env=None, server=None):
    return Program(name, words, 'whole', prepare, package, env, server)


def whole_programs():
    git_env = {'GIT_CONFIG_NOSYSTEM': '1', 'GIT_PAGER': 'cat'}
    return [
        whole('python', 'python3', [find('python3'), '-S', script('objects.py'), '{scale}'],
              env={'PYTHONMALLOC': 'malloc', 'PYTHONHASHSEED': '0'}),
        whole('lua', 'lua5.4', [find('lua5.4'), script('tables.lua'), '{scale}']),
        whole('perl', 'perl', [find('perl'), script('words.pl'), '{scale}'],
              env={'PERL_HASH_SEED': '0'}),
        whole('sqlite', 'sqlite3', [find('sqlite3'), ':memory:', '.read {input}'],
              inputs.sql_script),
        whole('cc1', 'gcc', [compiler_proper('gcc', 'cc1'), '-fpreprocessed', '-quiet', '-O2',
                             '{input}', '-o', '/dev/null'], inputs.c_source),
        whole('cc1plus', 'g++', [compiler_proper('g++', 'cc1plus'), '-fpreprocessed', '-quiet',
                                 '-std=c++17', '-O1', '{input}', '-o', '/dev/null'],
              inputs.cpp_source),
        whole('git-log', 'git', [find('git'), '-C', '{input}', 'log', '-p', '--stat', '--all'],
              inputs.git_repository, git_env),
        whole('git-pack', 'git', [find('git'), '-C', '{input}', 'pack-objects', '--all', '-q',
                                  '--stdout', '--no-reuse-delta', '--threads=1'],
              inputs.git_repository, git_env),
        whole('jq', 'jq', [find('jq'), '-c', '-f', script('words.jq'), '{input}'],
              inputs.json_document),
        whole('xz', 'xz-utils', [find('xz'), '-T2', '-2', '-c', '{input}'], inputs.text_document),
        whole('zstd', 'zstd', [find('zstd'), '-T2', '-9', '-q', '-c', '{input}'],
              inputs.text_document),
        whole('redis', 'redis-server', [find('redis-server')], server='redis'),
    ]


def all_programs():
    return micro_programs() + whole_programs()
