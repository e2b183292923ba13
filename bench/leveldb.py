#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# What recording costs a real program: leveldb, Debian's source package, unchanged and with its
# locks, its arena and its containers recorded (bench/leveldb/tracked.patch, and one rule here), so
# that most of its files include recording pages: the three they need or, as a second variant, all
# of them through the umbrella <whence/recording.hpp>, if the folder has it.
#
#   leveldb.py [--include DIR ...] [--compiler CXX] [--rounds N] [--source DIR]
#              [--no-debug] [--run]
#
# Every file is compiled by one compiler at a time, unchanged and then with each include folder in
# turn, so that noise meets all alike; CPU seconds are user + system, the minimum of the rounds,
# summed over the files. The file that reads (profiles.cc) is apart. Bytes are text and data as
# `size` counts them: of all objects, and of the linked db_bench, which has only one copy of what
# many objects define.
#
# --run proves that it works: db_bench and leveldb's own tests (Debian: libgtest-dev, libgmock-dev,
# libbenchmark-dev) succeed, and the profiles have leveldb's functions in them.
#
# apt fetches the source package from the mirrors configured for binary packages, with lists of its
# own; --source takes an unpacked one.
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
PARTS = HERE / "leveldb"
FOLDERS = ("db", "util", "table", "helpers/memenv")
CONTAINERS = re.compile(r"\bstd::(vector|deque|set)<(?!std::string>)")
LEVELS = {"-O2": ["-O2"], "-O2 -g": ["-O2", "-g"]}
FLAGS = ["-std=c++20", "-fno-exceptions", "-pthread", "-DLEVELDB_PLATFORM_POSIX=1",
         "-DHAVE_FDATASYNC=1", "-DHAVE_O_CLOEXEC=1", "-I.", "-Iinclude"]
TESTS = ("util/arena_test.cc", "util/cache_test.cc", "db/db_test.cc", "db/skiplist_test.cc",
         "db/version_set_test.cc", "table/table_test.cc")
# Each profile must have one of these functions of leveldb.
FOUND = {"allocs": "leveldb::Arena::AllocateNewBlock", "mutex": "leveldb::", "block": "leveldb::"}


def quiet(command, **more):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **more)


def fetch(folder):
    parts = folder / "parts"
    lists = folder / "lists"
    for path in (parts, lists / "partial", folder / "cache"):
        path.mkdir(parents=True)
    found = subprocess.run(["apt-get", "indextargets", "--format", "$(SITE) $(RELEASE)",
                            "Identifier: Packages", "Origin: Debian", "Component: main"],
                           check=True, text=True, capture_output=True).stdout.splitlines()
    if not found:
        sys.exit("leveldb: apt has no lists of Debian's packages: run apt-get update")
    site, release = found[0].split()
    (parts / "source.list").write_text(f"deb-src {site} {release} main\n")
    options = ["-o", f"Dir::Etc::SourceParts={parts}", "-o", f"Dir::Etc::SourceList={folder}/none",
               "-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={folder}/cache",
               "-o", "APT::Sandbox::User=root"]
    (folder / "none").touch()
    quiet(["apt-get", *options, "update"])
    quiet(["apt-get", *options, "source", "leveldb"], cwd=folder)
    return next(path for path in folder.glob("leveldb-*") if path.is_dir())


# C++20 removed one file's way to write a memory order.
def make_cxx20(tree):
    path = tree / "util/env_posix.cc"
    path.write_text(path.read_text().replace("std::memory_order::memory_order", "std::memory_order"))


def track(tree):
    subprocess.run(["patch", "-s", "-p1", "-i", PARTS / "tracked.patch"], cwd=tree, check=True)
    for folder in FOLDERS:
        for path in [*(tree / folder).glob("*.h"), *(tree / folder).glob("*.cc")]:
            text = path.read_text()
            changed = CONTAINERS.sub(r"leveldb::tracked::\1<", text)
            if changed != text and path.name != "tracked.h":
                first = changed.index("#include")
                changed = changed[:first] + '#include "util/tracked.h"\n' + changed[first:]
                path.write_text(changed)


# The library's files and the benchmark, relative to the tree.
def sources(tree):
    found = [path for folder in FOLDERS for path in sorted((tree / folder).glob("*.cc"))]
    skipped = re.compile(r"_test\.cc$|windows|leveldbutil")
    return [str(p.relative_to(tree)) for p in found if not skipped.search(p.name)] + [
        "benchmarks/db_bench.cc"]


class Variant:
    def __init__(self, name, tree, include, objects, by_pages=False):
        self.name = name
        self.tree = tree
        self.include = include
        self.objects = objects
        self.by_pages = by_pages
        self.seconds = {}

    def flags(self):
        ours = [f"-I{self.include}"] if self.include else []
        return FLAGS + ours + (["-DLEVELDB_TRACKED_BY_PAGES"] if self.by_pages else [])

    def compile(self, compiler, level, source):
        path = pathlib.Path(source)
        folder = self.objects / level.replace(" ", "")
        folder.mkdir(parents=True, exist_ok=True)
        output = folder / (str(path.with_suffix(".o")).lstrip("/").replace("/", "_"))
        command = [compiler, *self.flags(), *LEVELS[level], "-w", "-c", "-o", str(output), source]
        child = subprocess.Popen(command, cwd=self.tree)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            sys.exit(f"leveldb: failed in {self.tree}: {' '.join(command)}")
        key = level, source
        seconds = used.ru_utime + used.ru_stime
        self.seconds[key] = min(self.seconds.get(key, seconds), seconds)
        return output

    def includes_ours(self, compiler, source):
        needed = subprocess.run([compiler, *self.flags(), "-M", source], cwd=self.tree, check=True,
                                text=True, capture_output=True).stdout
        return "/whence/" in needed


def counted(paths):
    rows = subprocess.run(["size", *map(str, paths)], check=True, text=True,
                          capture_output=True).stdout.splitlines()[1:]
    return sum(int(row.split()[0]) + int(row.split()[1]) for row in rows)


def link(compiler, objects, output):
    # Leaves out libraries that no object refers to.
    command = [compiler, "-pthread", "-Wl,--as-needed", "-o", str(output), *map(str, objects), "-ldl"]
    subprocess.run(command, check=True)
    return output


def measure(options, variants, files):
    reader = str(PARTS / "profiles.cc")
    levels = list(LEVELS)[:1] if options.no_debug else list(LEVELS)
    for _ in range(options.rounds):
        for level in levels:
            for source in files:
                for variant in variants:
                    variant.compile(options.compiler, level, source)
            for variant in variants[1:]:
                variant.compile(options.compiler, level, reader)

    for level in levels:
        print(f"\n{options.compiler} {level}, {len(files)} files")
        print(f"{'':34} {'with ours':>9} {'CPU s':>7} {'ratio':>6} {'objects':>9} {'db_bench':>9}"
              f" {'+ reader':>9} {'on disk':>10} {'reader s':>8}")
        stock = sum(variants[0].seconds[level, f] for f in files)
        for variant in variants:
            folder = variant.objects / level.replace(" ", "")
            paths = [folder / (f.removesuffix(".cc").replace("/", "_") + ".o") for f in files]
            total = sum(variant.seconds[level, f] for f in files)
            ours = sum(variant.includes_ours(options.compiler, f) for f in files)
            program = link(options.compiler, paths, folder / "db_bench")
            reading, extra = "-", "-"
            if variant.include:
                reading_object = folder / (reader.removesuffix(".cc").lstrip("/").replace("/", "_")
                                           + ".o")
                with_reader = link(options.compiler, [*paths, reading_object],
                                   folder / "db_bench_profiled")
                reading, extra = f"{variant.seconds[level, reader]:.2f}", counted([with_reader])
            print(f"{variant.name:34} {ours:9} {total:7.1f} {total / stock:6.2f} {counted(paths):9}"
                  f" {counted([program]):9} {extra:>9} {program.stat().st_size:10} {reading:>8}")


def run(options, variant, files):
    level = "-O2"
    folder = variant.objects / level.replace(" ", "")
    paths = [folder / (f.removesuffix(".cc").replace("/", "_") + ".o") for f in files]
    profiles = variant.objects / "profiles"
    profiles.mkdir(exist_ok=True)
    quiet([str(folder / "db_bench_profiled"), f"--db={variant.objects}/db", "--threads=4",
           "--num=50000", "--write_buffer_size=262144",
           "--benchmarks=fillrandom,readrandom,overwrite"],
          env=os.environ | {"LEVELDB_PROFILES": str(profiles), "WHENCE_BLOCK_RATE": "1",
                            "WHENCE_MUTEX_FRACTION": "1"})
    failed = 0
    for name, function in FOUND.items():
        text = (profiles / f"{name}.txt").read_text()
        lines = [line for line in text.splitlines() if function in line]
        print(f"{variant.name}: {name} has {len(lines)} lines of {function}"
              + (f", as {lines[0].strip()}" if lines else ""))
        failed += not lines

    # leveldb's tests are one program each.
    library = [p for p, f in zip(paths, files) if not f.startswith("benchmarks/")]
    for test in TESTS:
        built = variant.compile(options.compiler, level, test)
        program = folder / "test"
        subprocess.run([options.compiler, "-pthread", "-o", program, built, *library, "-lgtest",
                        "-lgmock", "-lbenchmark", "-ldl"], check=True)
        done = subprocess.run([program], capture_output=True, text=True,
                              env=os.environ | {"TEST_TMPDIR": str(variant.objects)})
        result = [line for line in done.stdout.splitlines() if "PASSED" in line]
        print(f"{variant.name}: {test}: {result[0].strip() if result else 'FAILED'}")
        failed += done.returncode != 0 or not result
    return failed


def main():
    parser = argparse.ArgumentParser(description="What recording costs leveldb.")
    parser.add_argument("--include", type=pathlib.Path, action="append",
                        help="include folders to measure (default: this tree's)")
    parser.add_argument("--compiler", default=os.environ.get("CXX", "g++"))
    parser.add_argument("--no-debug", action="store_true", help="compile without -g only")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--source", type=pathlib.Path, help="an unpacked source package")
    parser.add_argument("--run", action="store_true", help="run db_bench and the tests as well")
    options = parser.parse_args()
    includes = [i.resolve() for i in options.include or [HERE.parent / "include"]]
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        stock, tracked = folder / "stock", folder / "tracked"
        shutil.copytree(options.source or fetch(folder), stock)
        make_cxx20(stock)
        shutil.copytree(stock, tracked)
        track(tracked)
        variants = [Variant("stock", stock, None, folder / "stock_objects")]
        for number, include in enumerate(includes):
            objects = folder / f"objects{number}"
            if (include / "whence/recording.hpp").exists():
                variants.append(Variant(f"{include}, umbrella", tracked, include,
                                        folder / f"objects{number}_umbrella"))
            variants.append(Variant(str(include), tracked, include, objects, by_pages=True))
        files = sources(stock)
        measure(options, variants, files)
        if options.run:
            for variant in variants[1:]:
                failed += run(options, variant, files)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
