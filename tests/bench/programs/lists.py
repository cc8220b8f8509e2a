"""A dictionary of lists, strings and dictionaries; a piece of it is built anew for each line read.

usage: lists.py ENTRIES PIECE
"""
import sys


def build(table, first, count, size):
    for number in range(first, first + count):
        table[number % size] = [number, str(number), {'twice': 2 * number, 'name': f'entry {number}'},
                                list(range(number % 8))]


def main():
    size, piece = int(sys.argv[1]), int(sys.argv[2])
    table, made = {}, size
    build(table, 0, size, size)
    print('ready', flush=True)
    for _ in sys.stdin:
        build(table, made, piece, size)
        made += piece
        print(made, flush=True)


main()
