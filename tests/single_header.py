#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes one header of the library: `single_header.py [-o FILE] [HEADER ...]`, or checks that the
result works: `single_header.py --check FOLDER` (compiled in two translation units by every
compiler there is, linked, and run).

Each header is written once, after those it includes (a walk in post-order), with its include guard
kept. First comes config.hpp, which says what the library needs, then the standard includes that hold
in every case, each once. What stands inside an #if stays there: a standard include as it is, a header of ours written out in its place together with
what it needs. As the guards are kept, a header written out at two places counts once.
"""
import argparse
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = re.compile(r'\s*#\s*include\s*[<"]([^>"]+)[>"]')
DIRECTIVE = re.compile(r"\s*#\s*(if|ifdef|ifndef|endif)\b")
CONFIG = "whence/config.hpp"
# Written by CMake beside the headers, and read where it is there: never part of the result.
GENERATED = "whence/config_generated.hpp"


class Header:
    """One file: its lines, and each include with whether it holds unconditionally."""

    def __init__(self, name):
        self.lines = (ROOT / "include" / name).read_text().splitlines()
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
        self.body += ["", f"// ---- {name}", *self.text(header, hoisted=True)]

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
        head = ["// SPDX-License-Identifier: Apache-2.0", "//",
                "// whence in one file, made by tests/single_header.py: change the headers, not this.",
                "#ifndef WHENCE_SINGLE_HEADER", "#define WHENCE_SINGLE_HEADER", ""]
        system = [f"#include <{name}>" for name in sorted(self.standard)]
        text = "\n".join([*head, *config, "", *system, *self.body, "", "#endif  // WHENCE_SINGLE_HEADER", ""])
        return re.sub(r"\n{3,}", "\n\n", text)


def run(*command):
    print("+", " ".join(map(str, command)), flush=True)
    subprocess.run(command, check=True)


def check(folder):
    folder = folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    header = folder / "include" / "whence" / "whence.hpp"
    header.parent.mkdir(parents=True)
    header.write_text(Amalgamation().result(["whence/whence.hpp"]))
    left = [line for line in header.read_text().splitlines()
            if "whence/" in line and INCLUDE.match(line) and GENERATED not in line]
    if left:
        raise SystemExit("still included: " + ", ".join(left))

    compilers = [name for name in ("g++", "clang++") if shutil.which(name)]
    if not compilers:
        raise SystemExit("no compiler found")
    sources = ROOT / "tests" / "consumer" / "two_units"
    for compiler in compilers:
        objects = []
        for source in ("main", "other"):
            objects.append(folder / f"{compiler}-{source}.o")
            run(compiler, "-std=c++20", "-O1", "-Wall", "-Wextra", "-Werror", "-I",
                header.parent.parent, "-c", sources / f"{source}.cpp", "-o", objects[-1])
        program = folder / f"{compiler}-program"
        run(compiler, *objects, "-o", program, "-pthread")
        run(program)
    size = len(header.read_text().splitlines())
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
