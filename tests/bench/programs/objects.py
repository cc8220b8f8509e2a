"""Object-heavy Python: small objects of many kinds, dictionaries, strings, sorting, a cyclic heap."""
import sys


class Node:
    def __init__(self, key, parent):
        self.key, self.parent, self.children = key, parent, []


def grow_tree(depth, parent=None, key=1):
    node = Node(key, parent)
    if depth:
        node.children = [grow_tree(depth - 1, node, key * 3 + n) for n in range(3)]
    return node


def sum_keys(node):
    return node.key + sum(sum_keys(child) for child in node.children)


def count_words(rounds):
    words = {}
    state = 1
    for _ in range(rounds):
        state = (state * 1103515245 + 12345) % 2147483648
        word = 'w%d' % (state // 65536 % 5000)
        words.setdefault(word, []).append(state)
    return sorted((len(places), word) for word, places in words.items())[-3:]


def queens(size, row=0, columns=frozenset(), down=frozenset(), up=frozenset()):
    if row == size:
        return 1
    return sum(queens(size, row + 1, columns | {c}, down | {row - c}, up | {row + c})
               for c in range(size)
               if c not in columns and row - c not in down and row + c not in up)


def main():
    scale = int(sys.argv[1])
    for _ in range(max(1, 4 * scale // 100)):
        print(sum_keys(grow_tree(8)), queens(7))
        print(count_words(150000 * scale // 100))
        print(len(','.join(str(n * n) for n in range(100000 * scale // 100)).split(',')))


main()
