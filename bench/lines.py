#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Lines and inlined frames of 5000 addresses of a program, by us and by other tools:

    bench/lines.py PRINT_LINES PROGRAM [COUNT]       PRINT_LINES: build/gcc/tests/print_lines

For each: CPU seconds, peak resident memory, and how many frames were found. eu-addr2line -i searches
a whole unit for each address, so it gets a hundredth of them, and its seconds are multiplied.
"""
import os
import random
import re
import subprocess
import sys
import tempfile


def measured(command, text):
    with tempfile.TemporaryFile("w+") as asked, tempfile.TemporaryFile("w+") as answers:
        asked.write(text)
        asked.seek(0)
        process = subprocess.Popen(command, stdin=asked, stdout=answers, stderr=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        answers.seek(0)
        return used.ru_utime + used.ru_stime, used.ru_maxrss, answers.read()


def main():
    print_lines, program = sys.argv[1:3]
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 5000
    sections = subprocess.run(["readelf", "-SW", program], capture_output=True, text=True, check=True).stdout
    start, size = (int(x, 16) for x in re.search(r"\] \.text +\S+ +(\w+) \w+ (\w+)", sections).groups())
    debug = sum(int(x, 16) for x in re.findall(r"\.debug_\S+ +\S+ +\w+ \w+ (\w+)", sections))
    random.seed(1)
    asked = [hex(a) for a in sorted(random.sample(range(start, start + size), count))]
    print(f"{count} addresses of {program}: {debug / 1e6:.1f} MB of debug information\n")
    print(f"{'by':24} {'CPU s':>8} {'MB':>7} {'frames':>8}")
    tools = (
        ("whence", [print_lines, program], 1, r"^(?!0x|missing)."),
        ("llvm-symbolizer", ["llvm-symbolizer", "--output-style=GNU", "-a", "-e", program], 1, r"^\S*:\d+"),
        ("addr2line -i", ["addr2line", "-a", "-i", "-f", "-e", program], 1, r"^\S*:(\d+|\?)"),
        ("eu-addr2line", ["eu-addr2line", "-a", "-e", program], 1, r"^\S*:\d+:"),
        ("eu-addr2line -i", ["eu-addr2line", "-a", "-i", "-f", "-e", program], 100, r"^\S*:\d+:"),
    )
    for name, command, part, frame in tools:
        try:
            seconds, kilobytes, text = measured(command, "\n".join(asked[::part]) + "\n")
        except FileNotFoundError:
            print(f"{name:24} not installed")
            continue
        frames = part * len(re.findall(frame, text, re.MULTILINE))
        print(f"{name:24} {part * seconds:8.2f} {kilobytes / 1024:7.1f} {frames:8}")


if __name__ == "__main__":
    main()
