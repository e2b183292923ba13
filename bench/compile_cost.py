#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# What the library costs the compiler: `compile_cost.py [--include DIR] [--compiler g++ ...]`.
#
# A row is one file and one way to compile it: an include of one public page, or a sample of
# bench/compile_cost. CPU seconds are user + system of the compiler and its children, the minimum of
# all rounds. The same file can cost twice as much on a loaded machine, so what is compared with a
# limit is a ratio to another file that is compiled directly before it: for an include the trio
# <memory> + <mutex> + <thread> or the standard headers that the page itself includes, for a sample
# its twin, which records nothing. Each round compiles every such pair once; the ratio is the median
# of the rounds. The status is 1 if a ratio is more than 15 % above its limit, or if a file adds more
# bytes than it may.
#
#   before      the same ratio at the commit that --before names (a table that --save has written)
#   text, data  bytes, as `size` counts them: text has read-only data and unwind tables in it
#   MB          peak memory of the compiler
#
# Pages and samples that need what the measured tree does not have are left out: so a tree without
# <whence/src.hpp> has no rows for the compiled mode.
import argparse
import dataclasses
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
SAMPLES = HERE / "compile_cost"
OPTIONAL_LIBRARIES = ["-DWHENCE_WITH_ZLIB=1", "-DWHENCE_WITH_LIBDW=1"]
NOISE = 1.15

LEVELS = {"-O0": ["-O0"], "-O2": ["-O2"], "-O2 -g": ["-O2", "-g"], "syntax": ["-fsyntax-only"]}

# Pages that include a library of others, whose cost is not ours.
FOREIGN = {"beast", "benchmark", "httplib", "jemalloc", "tcmalloc"}

# The most an include may cost: (row to compare with, ratio), header-only and compiled. `std` is the
# row of the standard headers that the page includes.
HEADER_ONLY = {
    "allocator": ("trio", 0.9),
    "mutex": ("trio", 0.9),
    "memory_resource": ("trio", 0.9),
    "tracked": ("trio", 0.6),
    "registry": ("trio", 0.6),
    "knobs": ("trio", 0.6),
    "labels": ("trio", 0.6),
    "thread": ("std", 1.1),
    "condition_variable": ("std", 1.1),
    "sync": ("std", 1.1),
    "coroutine": ("trio", 0.6),  # it includes almost no standard headers
    "recording": ("trio", 1.5),
    "whence": ("trio", 2.5),
}
COMPILED = HEADER_ONLY | {
    "profile": ("trio", 1.1),
    "whence": ("trio", 1.7),
    "server": ("trio", 1.2),
}

# The most a sample may cost at every level, as a ratio to its twin, or to the trio if it has none.
RECORDING = 1.3
READING = {False: {"write": 12.0}, True: {"write": 1.4, "server": 1.5}}

# Bytes of text and data that the sample adds to its twin. tests/checks/recording_size.sh has the others.
ADDED_BYTES = {"g++": 4096, "clang++": 4608}


@dataclasses.dataclass
class Row:
    name: str
    source: pathlib.Path
    level: str
    compiled: bool = False
    twin: str | None = None  # the row it is compared with, by name
    limit: float | None = None
    seconds: float = float("inf")
    ratios: list = dataclasses.field(default_factory=list)
    memory: float = 0.0
    lines: int = 0
    text: int | None = None
    data: int | None = None
    object_size: int | None = None


def family(compiler):
    return "clang++" if "clang" in pathlib.Path(compiler).name else "g++"


class Bench:
    def __init__(self, compiler, include, scratch, only):
        self.compiler = compiler
        self.include = include
        self.scratch = scratch
        self.rows = {}
        self.flags = ["-std=c++20", f"-I{include}", *OPTIONAL_LIBRARIES]
        self.only = re.compile(only)
        self.has_src = (include / "whence" / "src.hpp").exists()

    def add(self, row):
        self.rows[row.name] = row

    def written(self, name, headers):
        path = self.scratch / f"{name}.cpp"
        path.write_text("".join(f"#include <{header}>\n" for header in headers))
        return path

    def run(self, arguments, **more):
        return subprocess.run([self.compiler, *self.flags, *arguments], check=True, text=True, **more)

    def search_path(self):
        said = self.run(["-E", "-v", "-x", "c++", "/dev/null", "-o", "/dev/null"], capture_output=True)
        listed = said.stderr.partition("#include <...> search starts here:\n")[2]
        listed = listed.partition("End of search list.")[0]
        return [os.path.realpath(line.strip()) for line in listed.splitlines()]

    # The standard headers that our files include.
    def standard_headers(self, page):
        said = self.run(["-E", "-H", str(page), "-o", "/dev/null"], capture_output=True)
        ours = os.path.realpath(self.include)
        folders = [f for f in self.search_path() if f != ours]
        stack, found = [], []
        for line in said.stderr.splitlines():
            entry = re.match(r"(\.+) (.+)", line)
            if not entry:
                continue
            depth, path = len(entry[1]), os.path.realpath(entry[2])
            is_ours = path.startswith(ours + "/")
            del stack[depth - 1 :]
            if stack and stack[-1] and not is_ours:
                folder = max((f for f in folders if path.startswith(f + "/")), key=len)
                found.append(os.path.relpath(path, folder))
            stack.append(is_ours)
        return list(dict.fromkeys(found))

    def preprocesses(self, row):
        done = subprocess.run(
            [self.compiler, *self.flags, *self.mode(row), "-E", "-P", str(row.source)],
            capture_output=True)
        row.lines = done.stdout.count(b"\n")
        return done.returncode == 0

    @staticmethod
    def mode(row):
        return ["-DWHENCE_COMPILED"] if row.compiled else []

    def collect(self):
        self.add(Row("trio", SAMPLES / "trio.cpp", "-O2"))
        for compiled in (False, True) if self.has_src else (False,):
            self.collect_pages(compiled)
            self.collect_samples(compiled)
        if self.has_src:
            self.add(Row("src, compiled", SAMPLES / "src.cpp", "-O2", True, "trio"))
        wanted = {n for n, r in self.rows.items() if self.only.search(n)}
        for name in list(wanted):
            twin = self.rows[name].twin
            if twin:
                wanted.add(twin)
        self.rows = {n: r for n, r in self.rows.items() if n in wanted and self.preprocesses(r)}

    def collect_pages(self, compiled):
        limits = COMPILED if compiled else HEADER_ONLY
        suffix = ", compiled" if compiled else ""
        for path in sorted((self.include / "whence").glob("*.hpp")):
            page = path.stem
            if page in FOREIGN or page == "src":
                continue
            twin, limit = limits.get(page, ("trio", None))
            source = self.written(f"{page}", [f"whence/{page}.hpp"])
            if twin == "std":
                twin = f"standard headers of {page}{suffix}"
                standard = self.written(f"{page}_std{suffix}", self.standard_headers(source))
                self.add(Row(twin, standard, "-O2", compiled, "trio"))
            self.add(Row(f"<{page}.hpp>{suffix}", source, "-O2", compiled, twin, limit))

    def collect_samples(self, compiled):
        suffix = ", compiled" if compiled else ""
        twins = {p.stem.removesuffix("_std") for p in SAMPLES.glob("*_std.cpp")}
        for name in ("vector_mutex", "vector_mutex_by_recording", "vector_mutex_by_whence",
                     *sorted(twins - {"vector_mutex"}), "write", "server"):
            all_levels = name in ("vector_mutex", "vector_mutex_by_recording")
            levels = list(LEVELS) if all_levels else ["-O2"]
            base = "vector_mutex" if name.startswith("vector_mutex") else name
            for level in levels:
                if base in twins:
                    twin = f"{base}_std {level}"
                    self.add(Row(twin, SAMPLES / f"{base}_std.cpp", level))
                else:
                    twin = "trio"
                limit = READING[compiled].get(name) if level == "-O2" else None
                if name == "vector_mutex" and level != "syntax":
                    limit = RECORDING
                self.add(Row(f"{name} {level}{suffix}", SAMPLES / f"{name}.cpp", level, compiled,
                             twin, limit))

    def command(self, row, output):
        produce = [] if row.level == "syntax" else ["-c", "-o", str(output)]
        return [self.compiler, *self.flags, *self.mode(row), *LEVELS[row.level], *produce,
                str(row.source)]

    def measure(self, row):
        output = self.scratch / "object.o"
        child = subprocess.Popen(self.command(row, output))
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            sys.exit(f"compile_cost: failed: {' '.join(child.args)}")
        seconds = used.ru_utime + used.ru_stime
        row.seconds = min(row.seconds, seconds)
        row.memory = max(row.memory, used.ru_maxrss / 1024)
        if row.level != "syntax" and row.text is None:
            counted = subprocess.run(["size", str(output)], check=True, text=True,
                                     capture_output=True).stdout.splitlines()[1].split()
            row.text, row.data = int(counted[0]), int(counted[1])
            row.object_size = output.stat().st_size
        return seconds

    def round(self, progress):
        for row in self.rows.values():
            progress(f"{family(self.compiler)} {row.name}")
            if row.twin in self.rows:
                twin_seconds = self.measure(self.rows[row.twin])
                row.ratios.append(self.measure(row) / twin_seconds)

    @staticmethod
    def ratio(row):
        return statistics.median(row.ratios) if row.ratios else None

    def added_bytes(self, row):
        twin = self.rows.get(row.twin)
        if twin is None or row.text is None or twin.text is None:
            return None
        return row.text + row.data - twin.text - twin.data

    # Prints the table; returns the rows that passed their limits.
    def report(self, before):
        print(f"\n{version(self.compiler)}, include {self.include}")
        print(f"{'':48} {'CPU s':>6} {'ratio':>6} {'limit':>6} {'before':>6} {'MB':>5} {'lines':>7}"
              f" {'text':>8} {'data':>6} {'object':>9}")
        passed = []
        for row in self.rows.values():
            ratio, verdict = self.ratio(row), ""
            if row.limit is not None and ratio is not None and ratio > row.limit * NOISE:
                verdict = "  too much"
                passed.append(f"{row.name}: {ratio:.2f} times {row.twin}, limit {row.limit}")
            print(f"{row.name:48} {row.seconds:6.2f} {shown(ratio, '6.2f')} {shown(row.limit, '6.2f')}"
                  f" {shown(before.get(row.name), '6.2f')} {row.memory:5.0f} {row.lines:7}"
                  f" {shown(row.text, '8')} {shown(row.data, '6')} {shown(row.object_size, '9')}"
                  f"{verdict}")
        for suffix in ("", ", compiled"):
            row = self.rows.get(f"vector_mutex -O2{suffix}")
            if row is None:
                continue
            added, limit = self.added_bytes(row), ADDED_BYTES[family(self.compiler)]
            print(f"text and data added by vector_mutex -O2{suffix}: {added}, limit {limit}")
            if added > limit:
                passed.append(f"{row.name}: adds {added} bytes, limit {limit}")
        return passed


def shown(value, form):
    width = int(re.match(r"\d+", form)[0])
    return " " * (width - 1) + "-" if value is None else format(value, form)


def version(compiler):
    return subprocess.run([compiler, "--version"], check=True, text=True,
                          capture_output=True).stdout.splitlines()[0]


def main():
    parser = argparse.ArgumentParser(description="What including whence costs the compiler.")
    parser.add_argument("--include", type=pathlib.Path, default=HERE.parent / "include",
                        help="the include folder to measure (default: this tree's)")
    parser.add_argument("--compiler", action="append", help="default: g++ and clang++")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", metavar="REGEX", help="rows to measure, with their twins")
    parser.add_argument("--before", type=pathlib.Path, default=SAMPLES / "3b141c6.json",
                        help="a table written by --save, whose ratios stand beside these")
    parser.add_argument("--save", type=pathlib.Path, help="writes all ratios and sizes to a file")
    options = parser.parse_args()

    compilers = options.compiler or [c for c in ("g++", "clang++") if shutil.which(c)]
    before = json.loads(options.before.read_text()) if options.before.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        benches = []
        for number, compiler in enumerate(compilers):
            scratch = pathlib.Path(folder) / str(number)
            scratch.mkdir()
            bench = Bench(compiler, options.include.resolve(), scratch, options.only)
            bench.collect()
            benches.append(bench)

        def progress(text):
            if sys.stderr.isatty():
                print(f"\r\033[K{text}", end="", file=sys.stderr)

        for _ in range(options.rounds):
            for bench in benches:
                bench.round(progress)
        progress("")

    if before:
        print(f"before: {before['what']}")
    passed = []
    for bench in benches:
        earlier = before.get("ratios", {}).get(family(bench.compiler), {})
        passed += [f"{family(bench.compiler)} {line}" for line in bench.report(earlier)]

    if options.save:
        table = {
            "what": f"{time.strftime('%Y-%m-%d')}, {', '.join(version(c) for c in compilers)}",
            "ratios": {family(b.compiler): {n: round(b.ratio(r), 2) for n, r in b.rows.items()
                                            if b.ratio(r) is not None} for b in benches},
            "seconds": {family(b.compiler): {n: round(r.seconds, 2) for n, r in b.rows.items()}
                        for b in benches},
            "text": {family(b.compiler): {n: r.text for n, r in b.rows.items()
                                          if r.text is not None} for b in benches},
        }
        options.save.write_text(json.dumps(table, indent=1) + "\n")
    for line in passed:
        print(f"compile_cost: {line}", file=sys.stderr)
    return 1 if passed else 0


if __name__ == "__main__":
    sys.exit(main())
