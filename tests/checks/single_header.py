#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes one header of the library: `single_header.py [-o FILE] [HEADER ...]`, or checks that the
result works: `single_header.py --check FOLDER` (compiled in two translation units by every
compiler there is, in both modes, linked, and run).

Each header is written once, after those it includes (a walk in post-order), with its include guard
kept. First comes config.hpp, which says what the library needs, then the standard includes that hold
in every case, each once. What stands inside an #if stays there: a standard include as it is, a header of ours written out in its place together with
what it needs. As the guards are kept, a header written out at two places counts once.

The bodies of pages, impl/*.ipp, are not written out where their pages include them but once, after
all that is declared, under one #ifndef WHENCE_COMPILED. A program that compiles them once makes a
second file of whence/src.hpp, and includes it in one of its sources.
"""
import argparse
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
INCLUDE = re.compile(r'\s*#\s*include\s*[<"]([^>"]+)[>"]')
DIRECTIVE = re.compile(r"\s*#\s*(if|ifdef|ifndef|endif)\b")
BODIES = re.compile(r"#ifndef WHENCE_COMPILED\n#include <(whence/impl/\w+\.ipp)>\n#endif\n")
CONFIG = "whence/config.hpp"
# CMake writes it beside the headers, which read it if it exists: it is never part of the result.
GENERATED = "whence/config_generated.hpp"


class Header:
    """One file: its lines, and each include with whether it holds unconditionally."""

    def __init__(self, name):
        text = (ROOT / "include" / name).read_text()
        self.bodies = BODIES.findall(text)
        self.lines = BODIES.sub("", text).splitlines()
        while self.lines and self.lines[0].startswith("// SPDX"):
            self.lines.pop(0)
        self.includes = {}  # line number -> (name, is unconditional)
        depth = 0
        for number, line in enumerate(self.lines):
            directive = DIRECTIVE.match(line)
            if directive:
                depth += -1 if directive[1] == "endif" else 1
            include = INCLUDE.match(line)
            if include:
                self.includes[number] = (include[1], depth == 1)  # 1: the include guard
        if depth != 0:
            raise SystemExit(f"{name}: #if without #endif")


class Amalgamation:
    def __init__(self):
        self.headers = {}
        self.standard = []
        self.written = []  # names of ours, in order
        self.body = []
        self.pending = []  # bodies of pages that are written

    def header(self, name):
        if name not in self.headers:
            self.headers[name] = Header(name)
        return self.headers[name]

    def add(self, name, path=()):
        """Writes a header, after all that it needs."""
        if name in path:
            raise SystemExit("includes in a circle: " + " -> ".join(path + (name,)))
        if name in self.written:
            return
        header = self.header(name)
        for included, unconditional in header.includes.values():
            if not unconditional or included == GENERATED:
                continue
            if included.startswith("whence/"):
                self.add(included, path + (name,))
            elif included not in self.standard:
                self.standard.append(included)
        self.written.append(name)
        self.pending += header.bodies
        self.body += ["", f"// ---- {name}", *self.text(header, hoisted=True)]

    def add_bodies(self):
        """What the written pages have left to their bodies, and what these need."""
        declared, known = self.body, list(self.standard)
        self.body = []
        while self.pending:
            self.add(self.pending.pop(0))
        if not self.body:
            self.body = declared
            return
        system = [f"#include <{name}>" for name in sorted(self.standard) if name not in known]
        self.standard = known
        self.body = [*declared, "", "#ifndef WHENCE_COMPILED", "", *system, *self.body, "",
                     "#endif  // WHENCE_COMPILED"]

    def text(self, header, hoisted, inside=()):
        """A header's lines; `hoisted`: what it includes unconditionally is written already."""
        for number, line in enumerate(header.lines):
            included, unconditional = header.includes.get(number, (None, False))
            if included is None or included == GENERATED:
                yield line
            elif unconditional and hoisted:
                continue
            elif not included.startswith("whence/"):
                yield line
            elif included not in self.written and included not in inside:
                yield f"// ---- {included}"
                yield from self.text(self.header(included), False, inside + (included,))

    def result(self, entries):
        self.add(CONFIG)
        config, self.body = self.body, []
        for entry in entries:
            self.add(entry)
        self.add_bodies()
        guard = "WHENCE_SINGLE_" + re.sub(r"\W", "_", "_".join(entries)).upper()
        head = ["// SPDX-License-Identifier: Apache-2.0", "//",
                "// whence in one file, made by tests/checks/single_header.py: change the headers, not this.",
                f"#ifndef {guard}", f"#define {guard}", ""]
        system = [f"#include <{name}>" for name in sorted(self.standard)]
        text = "\n".join([*head, *config, "", *system, *self.body, "", f"#endif  // {guard}", ""])
        return re.sub(r"\n{3,}", "\n\n", text)


def run(*command):
    print("+", " ".join(map(str, command)), flush=True)
    subprocess.run(command, check=True)


def check(folder):
    folder = folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    include = folder / "include"
    (include / "whence").mkdir(parents=True)
    for name in ("whence/whence.hpp", "whence/src.hpp"):
        (include / name).write_text(Amalgamation().result([name]))
        left = [line for line in (include / name).read_text().splitlines()
                if "whence/" in line and INCLUDE.match(line) and GENERATED not in line]
        if left:
            raise SystemExit(f"{name} still includes: " + ", ".join(left))
    (folder / "src.cpp").write_text("#include <whence/src.hpp>\n")

    compilers = [name for name in ("g++", "clang++") if shutil.which(name)]
    if not compilers:
        raise SystemExit("no compiler found")
    units = [ROOT / "tests" / "consumer" / "two_units" / name for name in ("main.cpp", "other.cpp")]
    # What could be missing is text, and the compilers do not differ in that: one has each mode.
    for compiler, mode in zip(compilers * 2, ("header", "compiled")):
        flags, sources = ([], units) if mode == "header" else (["-DWHENCE_COMPILED"], [*units, folder / "src.cpp"])
        objects = []
        for source in sources:
            objects.append(folder / f"{compiler}-{mode}-{source.stem}.o")
            run(compiler, "-std=c++20", "-O0", "-Wall", "-Wextra", "-Werror", *flags, "-I", include,
                "-c", source, "-o", objects[-1])
        program = folder / f"{compiler}-{mode}-program"
        run(compiler, *objects, "-o", program, "-pthread")
        run(program)
    size = len((include / "whence/whence.hpp").read_text().splitlines())
    print(f"single_header: {size} lines, compiled and run with {' and '.join(compilers)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("header", nargs="*", default=["whence/whence.hpp"], help="default: %(default)s")
    parser.add_argument("-o", "--output", type=pathlib.Path, help="default: standard output")
    parser.add_argument("--check", type=pathlib.Path, metavar="FOLDER", help="build and run it there")
    arguments = parser.parse_args()
    if arguments.check:
        check(arguments.check)
        return
    text = Amalgamation().result(arguments.header)
    if arguments.output:
        arguments.output.write_text(text)
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
