#!/usr/bin/env python3
"""Makes the picture of pm_invaders in the README from what the game itself prints.

A recorded game is played in a pool, killed with SIGKILL, looked at (--state), played on, killed
and looked at again.

usage: picture.py COMMAND PROGRAM RECORDING > demos/pm_invaders.svg
"""
import html
import subprocess
import sys
import tempfile
import time

CELL_X, CELL_Y, COLUMNS, ROWS = 7.2, 15, 60, 22
COLORS = {"/o\\{@}<#>(%)": "#5bd75b", "|^": "#5fd7ff", "!": "#ff5f5f", ".+": "#5f6f9f"}


def look(line, recording, lifetime_s):
    """One life, killed; the frame it left."""
    with subprocess.Popen([*line, "--replay", recording, "--pace", "5000"],
                          stdout=subprocess.DEVNULL) as life:
        time.sleep(lifetime_s)
        life.kill()
    state = subprocess.run([*line, "--state"], check=True, capture_output=True, text=True).stdout
    first, *rows = state.splitlines()
    return first.split()[1], rows


def color_of(char, y):
    return "#ffffff" if y == 0 else next((c for chars, c in COLORS.items() if char in chars), "#ffffff")


def runs(row, y):
    """(column, color, text) of neighbours of one colour"""
    found = []
    for x, char in enumerate(row):
        if char == " ":
            continue
        color = color_of(char, y)
        if found and found[-1][1] == color and found[-1][0] + len(found[-1][2]) == x:
            found[-1][2] += char
        else:
            found.append([x, color, char])
    return found


def panel(left, caption, rows):
    yield (f'<rect x="{left}" y="30" width="{COLUMNS * CELL_X + 16:.0f}" '
           f'height="{ROWS * CELL_Y + 14}" rx="6" fill="#10131a"/>')
    yield f'<text x="{left + 4}" y="20" fill="#808080">{html.escape(caption)}</text>'
    for y, row in enumerate(rows):
        for x, color, text in runs(row, y):
            yield (f'<text x="{left + 8 + x * CELL_X:.1f}" y="{48 + y * CELL_Y}" fill="{color}" '
                   f'textLength="{len(text) * CELL_X:.1f}">{html.escape(text)}</text>')


def main():
    command, program, recording = sys.argv[1:]
    with tempfile.TemporaryDirectory() as directory:
        line = [command, "run", "-q", "-i", "10ms", "-p", directory + "/game.pool", "-s", "64M", "--",
                program]
        tick, before = look(line, recording, 1.6)
        later, after = look(line, recording, 0.5)
    width = COLUMNS * CELL_X + 16
    print(f'<svg xmlns="http://www.w3.org/2000/svg" width="{2 * width + 20:.0f}" height="380" '
          'font-family="DejaVu Sans Mono, monospace" font-size="12" xml:space="preserve">')
    for shape in panel(0, f"$ heapsake run pm_invaders      kill -9 at tick {tick}", before):
        print(shape)
    for shape in panel(width + 20, f"$ heapsake run pm_invaders      on from {tick}, now {later}",
                       after):
        print(shape)
    print("</svg>")


main()
