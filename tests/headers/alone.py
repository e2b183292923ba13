#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compiles each header alone: `alone.py FOLDER HEADERS -- COMPILER FLAGS...`. HEADERS is a file with a name a line;
FOLDER takes precompiled headers. The compiler is clang++.

To compile a header alone costs what it includes, which is a hundred times the header. So a header begins with the
precompiled form of one that it includes in any case, at its top level, and that is itself checked here: of its own
includes none is there that it would not have alone. A header that needs one it does not include, directly or by
others, fails as if it were alone."""
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys

PRECOMPILED = 14
INCLUDE = re.compile(r'#\s*include\s*([<"])([^>"]+)[>"]')


def surely_included(path):
    """What the header includes outside of conditions but its guard, which is the first."""
    depth, found = 0, []
    for line in path.read_text().splitlines():
        line = line.strip()
        if re.match(r"#\s*if", line):
            depth += 1
        elif re.match(r"#\s*endif", line):
            depth -= 1
        elif depth <= 1 and (include := INCLUDE.match(line)):
            found.append(include.group(2))
    return found


def closures(files):
    """Of each header, all that it surely includes, by the names after `include/`."""
    direct = {name: surely_included(path) for name, path in files.items()}
    known = {}

    def closure(name):
        if name not in known:
            known[name] = set()  # for a circle, which the layers forbid
            known[name] = {name}.union(*(closure(i) if i in direct else {i} for i in direct[name]))
        return known[name]

    return {name: closure(name) for name in files}


def weight_of(closure):
    """About the time to compile it: a standard header is longer than one of ours."""
    return sum(1 if name.startswith("whence/") else 8 for name in closure)


def chosen(closure):
    """The headers that save most if they are precompiled, those they build upon first."""
    saved = {name: 0 for name in closure}  # by what is chosen already
    best = []
    for _ in range(min(PRECOMPILED, len(closure) // 8)):
        def gain(candidate):
            weight = weight_of(closure[candidate])
            users = (name for name in closure if name != candidate and candidate in closure[name])
            return sum(max(0, weight - saved[name]) for name in users)
        pick = max((c for c in closure if c not in best), key=gain)
        best.append(pick)
        for name in closure:
            if pick in closure[name] and name != pick:
                saved[name] = max(saved[name], weight_of(closure[pick]))
    return sorted(best, key=lambda name: len(closure[name]))


def main():
    folder, listed = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    command = sys.argv[sys.argv.index("--") + 1:]
    files = [pathlib.Path(line) for line in listed.read_text().splitlines() if line]
    folder.mkdir(parents=True, exist_ok=True)
    names = {"whence/" + str(f).rpartition("/whence/")[2]: f for f in files}
    closure = closures(names)
    precompiled = {}

    def base(name):
        """The flags that let it begin with most of what it includes."""
        usable = [p for p in precompiled if p in closure[name] and p != name]
        if not usable:
            return []
        return ["-include-pch", precompiled[max(usable, key=lambda p: weight_of(closure[p]))]]

    def compiled(name, *flags):
        source = folder / (name.replace("/", "_") + ".cpp")
        source.write_text(f"#include <{name}>\n")
        # clang++ 14 crashes at some chains of precompiled headers. What fails is tried without one: that decides.
        for begin in (base(name), []):
            done = subprocess.run([*command, *begin, *flags, "-x", "c++-header", source], capture_output=True, text=True,
                                  check=False)
            if done.returncode == 0:
                return ""
        return f"{name}: does not compile alone\n{done.stderr[:3000]}"

    failures = []
    hubs = chosen(closure)
    for name in hubs:
        target = str(folder / name.replace("/", "_")) + ".pch"
        if said := compiled(name, "-Xclang", "-emit-pch", "-o", target):
            failures.append(said)
        else:
            precompiled[name] = target
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        rest = [name for name in closure if name not in hubs]
        failures += filter(None, pool.map(lambda name: compiled(name, "-fsyntax-only"), rest))
    if failures:
        sys.exit("\n".join(failures) + f"\nheaders: {len(failures)} of {len(names)} do not compile alone")
    if len(names) < 100:
        sys.exit(f"headers: only {len(names)} were found")
    print(f"headers: {len(names)} compile alone")


if __name__ == "__main__":
    main()
