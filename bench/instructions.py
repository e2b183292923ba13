#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# Counts instructions of the hot paths, by callgrind: `instructions.py [--include DIR ...]`,
# compiled with -O2 by each compiler. With two folders their figures stand side by side, and the
# status is 1 if the last has more than the first: any more for an allocation or a lock, 5 % more
# for an entry or a label, which are calls.
#
# A figure is the difference of two runs that differ in the number of repetitions, divided by it,
# less the same for an empty function: the same on any machine with this compiler and libc. Each run
# is the least of three, because the start of the other thread sometimes takes longer. No event is
# sampled meanwhile. `allocate` and `deallocate` are over an allocator without cost. `new and
# delete` and std::mutex include glibc's instructions.
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
SOURCES = HERE / "instructions"
# Fewer than 1000: after so many, a lock whose holds are not timed asks again whether they should
# be.
FEW, MANY = 100, 600
ENVIRONMENT = os.environ | {"WHENCE_HEAP_RATE": str(1 << 40), "WHENCE_MUTEX_HOLD_RATE": "0"}
CALLS = {"tracked entry": 1.05, "label from text": 1.05, "set of labels": 1.05}


def build(compiler, include, folder):
    program = folder / "instructions"
    objects = []
    for name in ("operations", "main"):
        objects.append(folder / f"{name}.o")
        subprocess.run([compiler, "-std=c++20", "-O2", f"-I{include}", "-c", "-o", objects[-1],
                        SOURCES / f"{name}.cpp"], check=True)
    # Symbols are bound at once: otherwise the other thread would look up its `pause` while we
    # count.
    subprocess.run([compiler, "-pthread", "-Wl,-z,now", "-o", program, *objects, "-ldl"], check=True)
    return program


def executed(program, name, times):
    return min(executed_once(program, name, times) for _ in range(3))


def executed_once(program, name, times):
    done = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, name, str(times)],
        env=ENVIRONMENT, text=True, capture_output=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or not found:
        sys.exit(f"instructions: {program} {name} failed\n{done.stderr}")
    return int(found[1])


def measure(compiler, include, folder):
    program = build(compiler, include, folder)
    names = subprocess.run([program, "--list"], check=True, text=True,
                           capture_output=True).stdout.splitlines()
    figures = {}
    for name in names:
        figures[name] = (executed(program, name, MANY) - executed(program, name, FEW)) / (MANY - FEW)
    call = figures.pop("nothing")
    return {name: figure - call for name, figure in figures.items()}


def main():
    parser = argparse.ArgumentParser(description="Instructions of the hot paths.")
    parser.add_argument("--include", type=pathlib.Path, action="append",
                        help="include folders to measure (default: this tree's)")
    parser.add_argument("--compiler", action="append", help="default: g++ and clang++")
    options = parser.parse_args()
    includes = [i.resolve() for i in options.include or [HERE.parent / "include"]]
    more = 0
    for compiler in options.compiler or [c for c in ("g++", "clang++") if shutil.which(c)]:
        tables = []
        for include in includes:
            with tempfile.TemporaryDirectory() as folder:
                tables.append(measure(compiler, include, pathlib.Path(folder)))
        print(f"{compiler} -O2, {', '.join(str(i) for i in includes)}, then the standard library")
        for name, first in tables[0].items():
            if name.endswith("/std"):
                continue
            standard = tables[0].get(f"{name}/std")
            last = tables[-1][name]
            too_many = round(last) > round(first) * CALLS.get(name, 1.0)
            more += too_many
            print(f"  {name:20}" + "".join(f" {table[name]:8.0f}" for table in tables) +
                  (f" {standard:8.0f}" if standard is not None else f" {'-':>8}") +
                  ("  more" if too_many else ""))
    return 1 if more else 0


if __name__ == "__main__":
    sys.exit(main())
