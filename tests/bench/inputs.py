"""Inputs of the whole-program benchmarks, generated: seeded, so every machine makes the same."""
import json
import os
import random
import subprocess

WORDS = ('the of memory page heap pool epoch record window branch merge cache thread lock table '
         'node value string number index block cell line word first last next old new open close '
         'grow free keep read write store fetch count size limit batch queue stack list').split()


def seeded(name):
    return random.Random('heapsake ' + name)


def share(count, scale):
    return max(1, count * scale // 100)


def sentence(numbers, count):
    return ' '.join(numbers.choice(WORDS) for _ in range(count))


def text_document(path, scale):
    numbers = seeded('text')
    with open(path, 'w') as out:
        for n in range(share(250000, scale)):
            out.write(f'{n} {sentence(numbers, numbers.randrange(4, 20))} '
                      f'{numbers.getrandbits(32)}\n')


def json_document(path, scale):
    numbers = seeded('json')
    rows = [{'n': n, 'name': f'{numbers.choice(WORDS)}-{numbers.randrange(500)}',
             'text': sentence(numbers, 12), 'values': [numbers.random() for _ in range(4)]}
            for n in range(share(40000, scale))]
    with open(path, 'w') as out:
        json.dump(rows, out)


def sql_script(path, scale):
    numbers = seeded('sql')
    count = share(60000, scale)
    with open(path, 'w') as out:
        out.write('pragma cache_size=-200000;\n'
                  'create table item(id integer primary key, name text, amount real, note text);\n'
                  'create index item_name on item(name);\n'
                  'create table event(item integer, kind text, at integer);\nbegin;\n')
        for n in range(count):
            out.write(f"insert into item values({n}, '{numbers.choice(WORDS)}{n % 997}', "
                      f"{numbers.random():.6f}, '{sentence(numbers, 6)}');\n")
            out.write(f"insert into event values({numbers.randrange(count)}, "
                      f"'{numbers.choice(WORDS)}', {n});\n")
        out.write('commit;\n'
                  'create index event_item on event(item);\n'
                  'select kind, count(*), sum(amount) from event join item on item = id '
                  'group by kind order by kind;\n'
                  'select name, max(length(note)), group_concat(substr(note, 1, 3)) from item '
                  'group by name order by name limit 200;\n'
                  'update item set note = upper(note) || name where id % 3 = 0;\n'
                  'delete from item where id % 5 = 0;\n'
                  'select count(*), sum(length(note)) from item;\n')
        for n in range(share(20000, scale)):
            out.write(f"select count(*) from item where name = '{numbers.choice(WORDS)}"
                      f"{n % 997}' and note like '%{numbers.choice(WORDS)}%';\n")


def c_source(path, scale):
    """Functions full of branches, loops and calls among each other: work for every pass of -O2."""
    numbers = seeded('c')
    path_c = path + '.i'
    with open(path_c, 'w') as out:
        out.write('struct node { struct node *next; int key; double weight; char tag[16]; };\n')
        for n in range(share(260, scale) + 2):
            out.write(f'static int work{n}(struct node *node, int a, int b)\n{{\n\tint sum = a;\n')
            for step in range(numbers.randrange(6, 14)):
                kind = numbers.randrange(4)
                constant = numbers.randrange(1, 999)
                if kind == 0:
                    out.write(f'\tfor (int i = 0; i < b + {step}; i++)\n'
                              f'\t\tsum += (i ^ {constant}) * node->tag[i & 15];\n')
                elif kind == 1:
                    out.write(f'\tif (node && node->key > {constant})\n'
                              f'\t\tsum -= (int)(node->weight * {constant});\n'
                              f'\telse\n\t\tsum ^= a + {constant};\n')
                elif kind == 2:
                    out.write(f'\tswitch ((sum + {constant}) & 7) {{\n')
                    for case in range(8):
                        out.write(f'\tcase {case}: sum += b * {constant + case}; break;\n')
                    out.write('\t}\n')
                elif n:
                    out.write(f'\tsum += work{numbers.randrange(max(0, n - 5), n)}'
                              f'(node ? node->next : node, sum, b - {constant % 7});\n')
            out.write('\treturn sum;\n}\n')
        last = share(260, scale) + 1
        out.write(f'int entry(struct node *node, int a) {{ return work{last}(node, a, 9); }}\n')
    return path_c


def cpp_source(path, scale):
    """A source that instantiates much of the standard library, preprocessed beforehand."""
    path_cpp, path_ii = path + '.cpp', path + '.ii'
    headers = ['functional', 'map', 'memory', 'sstream', 'string', 'unordered_map', 'vector']
    result = 'out.str()'
    if scale >= 50: # these two take seconds by themselves
        headers += ['algorithm', 'regex']
        result = 'std::regex_replace(out.str(), std::regex("[0-9]+"), "n")'
    with open(path_cpp, 'w') as out:
        out.writelines(f'#include <{header}>\n' for header in headers)
        for n in range(share(3, scale)):
            out.write(f'struct key{n} {{ int a; std::string b; bool operator<(const key{n} &o) '
                      f'const {{ return a < o.a || (a == o.a && b < o.b); }} }};\n'
                      f'std::string use{n}(const std::vector<int> &in)\n{{\n'
                      f'\tstd::map<key{n}, std::vector<std::string>> map;\n'
                      f'\tstd::unordered_map<std::string, std::shared_ptr<key{n}>> index;\n'
                      f'\tfor (int i : in) {{\n'
                      f'\t\tmap[key{n}{{i, std::to_string(i)}}].push_back("x");\n'
                      f'\t\tindex.emplace(std::to_string(i), std::make_shared<key{n}>());\n\t}}\n'
                      f'\tstd::function<int(int)> twice = [&](int x) {{ return x * {n + 2}; }};\n'
                      f'\tstd::ostringstream out;\n'
                      f'\tfor (auto &[k, v] : map)\n\t\tout << twice(k.a) << v.size();\n'
                      f'\treturn {result};\n}}\n')
    subprocess.run(['g++', '-std=c++17', '-E', path_cpp, '-o', path_ii], check=True)
    return path_ii


def git_repository(path, scale):
    """A history of a few hundred files, written by fast-import."""
    numbers = seeded('git')
    files = {f'src/{numbers.choice(WORDS)}{n}.txt':
             [sentence(numbers, 8) for _ in range(60)] for n in range(120)}
    names = sorted(files)
    stream = []
    for n in range(share(1500, scale)):
        stream.append(f'commit refs/heads/main\ncommitter A <a@example.org> {1500000000 + n} '
                      f'+0000\ndata 8\nchange {n % 10}')
        for name in numbers.sample(names, 5):
            lines = files[name]
            for _ in range(4):
                lines[numbers.randrange(len(lines))] = sentence(numbers, 8)
            text = '\n'.join(lines) + '\n'
            stream.append(f'M 100644 inline {name}\ndata {len(text)}\n{text}')
    env = {**os.environ, 'GIT_CONFIG_NOSYSTEM': '1', 'GIT_CONFIG_GLOBAL': '/dev/null'}
    subprocess.run(['git', 'init', '-q', '-b', 'main', path], check=True, env=env)
    subprocess.run(['git', '-C', path, 'fast-import', '--quiet'], check=True, env=env,
                   input='\n'.join(stream) + '\n', text=True)
    return path
