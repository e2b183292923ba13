#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints the undefined symbols that functions of an object file may reach: `reachable_symbols.py FILE NAME...`

The file is compiled with -ffunction-sections -fdata-sections. What a section's relocations name can
be reached from it; so a call through a pointer counts where the pointer is taken."""
import re
import subprocess
import sys


def readelf(*arguments):
    return subprocess.run(["readelf", "-W", *arguments], check=True, capture_output=True, text=True).stdout


def main(file, names):
    section_of = {}  # symbol name -> index of its section, or UND
    by_number = []
    for line in readelf("-s", file).splitlines():
        m = re.match(r"\s*\d+: \S+\s+\S+\s+(\S+)\s+\S+\s+\S+\s+(\S+)\s?(.*)", line)
        if m:
            by_number.append((m[3], m[2]))
            section_of.setdefault(m[3], m[2])
    sections = {m[2]: m[1] for m in re.finditer(r"\[\s*(\d+)\]\s+(\S+)", readelf("-S", file))}
    groups = {}  # index of a section -> names and sections its relocations say
    target = None
    for line in readelf("-r", file).splitlines():
        head = re.match(r"Relocation section '\.rela?(\S+)'", line)
        if head:
            target = head[1]
        m = re.match(r"[0-9a-f]+\s+([0-9a-f]+)\s+R_", line)
        if m:
            groups.setdefault(target, set()).add(int(m[1], 16) >> 32)
    names_of = {index: name for name, index in sections.items()}
    reached, waiting, undefined = set(), [], set()

    def visit(symbol, where):
        if where == "UND":
            if symbol:
                undefined.add(symbol)
        elif where.isdigit() and names_of.get(where) not in reached:
            reached.add(names_of.get(where))
            waiting.append(names_of.get(where))

    for name in names:
        if section_of.get(name, "UND") == "UND":
            sys.exit(f"{name} is not in {file}")
        visit(name, section_of[name])
    while waiting:
        for number in groups.get(waiting.pop(), ()):
            visit(*by_number[number])
    print("\n".join(sorted(undefined)))


main(sys.argv[1], sys.argv[2:])
