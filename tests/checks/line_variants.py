#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Lines and inlined frames of one program, built in all the ways that change its debug information,
beside those of addr2line and llvm-symbolizer.

    line_variants.py PRINT_LINES [FOLDER]       PRINT_LINES: the program of that name, beside this

Every address of the program's code is asked for. A row of the table:

    symbols     addresses with the name of the linker's symbol there, in percent
    ours        addresses that we know a line of
    frames      frames at them; inlined ones are those beyond one an address
    places      addresses at which file and line of all frames are the other tool's, in percent
    names       the same of the functions' names
    with        the other tool: of the two the one that agrees with us more

A difference at more than 0.1 % of the addresses from both tools fails. So does a variant that has no lines, a
lambda whose name does not tell it from the other one. Of a stripped program only the functions that it exports have
names, and of one with minidebuginfo all have: neither has lines. Sections by zstd need elfutils 0.189.
"""
import concurrent.futures
import itertools
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
SUBJECT = HERE.parent / "support" / "lines_subject"
PRINT_LINES = str(pathlib.Path(sys.argv[1]).resolve())


def run(command, text=None, folder=None):
    done = subprocess.run(command, input=text, capture_output=True, text=True, cwd=folder, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr.strip()[:500]}")
    return done.stdout


def has(*programs):
    return all(shutil.which(p) for p in programs)


class Variant:
    def __init__(self, name, compiler, flags, link=(), after=None, needs=(), lines=True, exported=False, unread=""):
        self.name, self.compiler, self.flags, self.link = name, compiler, flags, list(link)
        self.after, self.needs, self.lines, self.exported = after, needs, lines, exported
        self.unread = unread  # part of the reason for a lack of lines, if an older libdw cannot read them

    def build(self, folder):
        """The program and, if there is one, its debug file."""
        objects = []
        for source in ("cart", "main"):
            objects.append(f"{source}.o")
            run([self.compiler, "-std=c++20", *self.flags, "-c", SUBJECT / f"{source}.cpp", "-o", objects[-1]],
                folder=folder)
        run([self.compiler, *self.flags, *objects, "-o", "program", *self.link], folder=folder)
        return self.after(folder) if self.after else ("program", None)


# ---- what is done to the program

def debuglink(beside):
    def change(folder):
        debug = f"{beside}program.debug"
        (pathlib.Path(folder) / debug).parent.mkdir(exist_ok=True)
        run(["objcopy", "--only-keep-debug", "program", debug], folder=folder)
        run(["objcopy", "--strip-all", f"--add-gnu-debuglink={debug}", "program", "stripped"], folder=folder)
        return "stripped", debug
    return change


def stripped(folder):
    run(["strip", "program", "-o", "stripped"], folder=folder)
    return "stripped", "program"


def minidebuginfo(folder):
    """As Fedora's packages: the symbols of functions, packed."""
    functions = [name for _, _, kind, name in symbols_of("program", folder) if kind in "tTwW"]
    (pathlib.Path(folder) / "functions").write_text("\n".join(functions))
    run(["objcopy", "-S", "--keep-symbols=functions", "program", "mini"], folder=folder)
    run(["xz", "-k", "mini"], folder=folder)
    run(["strip", "program", "-o", "stripped"], folder=folder)
    run(["objcopy", "--add-section", ".gnu_debugdata=mini.xz", "stripped", "packed"], folder=folder)
    return "packed", "program"


def packed(tool):
    def pack(folder):
        run([tool, "-e", "program", "-o", "program.dwp"], folder=folder)
        for dwo in pathlib.Path(folder).glob("*.dwo"):
            dwo.unlink()
        return "program", None
    return pack


def dwz_alone(folder):
    run(["dwz", "program", "-o", "smaller"], folder=folder)
    return "smaller", None


def dwz_supplement(folder):
    shutil.copy(pathlib.Path(folder) / "program", pathlib.Path(folder) / "other")
    run(["dwz", "-m", "common.debug", "-M", "common.debug", "program", "other"], folder=folder)
    return "program", None


def compress(kind):
    def change(folder):
        run(["objcopy", f"--compress-debug-sections={kind}", "program", "compressed"], folder=folder)
        return "compressed", None
    return change


def variants():
    for compiler in ("g++", "clang++"):
        gcc = compiler == "g++"
        yield Variant("-O0", compiler, ["-O0", "-g"])
        yield Variant("-O2", compiler, ["-O2", "-g"])
        yield Variant("-O2 DWARF 4", compiler, ["-O2", "-gdwarf-4"])
        yield Variant("-O2 -g1", compiler, ["-O2", "-g1"])
        sections = ["-O2", "-g", "-ffunction-sections"]
        for linker, program in (("bfd", "ld.bfd"), ("gold", "ld.gold"), ("lld", "ld.lld")):
            yield Variant(f"sections, {linker}", compiler, sections,
                          [f"-fuse-ld={linker}", "-Wl,--gc-sections"], needs=[program])
        yield Variant("split DWARF 4", compiler, ["-O2", "-gdwarf-4", "-gsplit-dwarf"])
        yield Variant("split DWARF 5", compiler, ["-O2", "-gdwarf-5", "-gsplit-dwarf"])
        yield Variant(".dwp DWARF 4", compiler, ["-O2", "-gdwarf-4", "-gsplit-dwarf"],
                      after=packed("llvm-dwp" if not gcc else "dwp"), needs=["llvm-dwp", "dwp"])
        yield Variant(".dwp DWARF 5", compiler, ["-O2", "-gdwarf-5", "-gsplit-dwarf"],
                      after=packed("llvm-dwp"), needs=["llvm-dwp"])
        for name, change in (("zlib", compress("zlib")), ("debuglink", debuglink("")),
                             (".debug/", debuglink(".debug/"))):
            yield Variant(name, compiler, ["-O2", "-g"], after=change, needs=["objcopy"])
        yield Variant("stripped", compiler, ["-O2", "-g"], ["-rdynamic"], after=stripped, needs=["strip"],
                      lines=False, exported=True)
        yield Variant("minidebuginfo", compiler, ["-O2", "-g"], after=minidebuginfo, needs=["objcopy", "xz"],
                      lines=False)
        yield Variant("LTO", compiler, ["-O2", "-g", "-flto"], [] if gcc else ["-fuse-ld=lld"],
                      needs=[] if gcc else ["ld.lld"])
    yield Variant("ThinLTO", "clang++", ["-O2", "-g", "-flto=thin"], ["-fuse-ld=lld"], needs=["ld.lld"])
    yield Variant("zstd", "g++", ["-O2", "-g"], after=compress("zstd"), needs=["objcopy"], unread="zstd")
    yield Variant("zlib-gnu", "g++", ["-O2", "-g"], after=compress("zlib-gnu"), needs=["objcopy"])
    yield Variant("static", "g++", ["-O2", "-g"], ["-static"])
    yield Variant("dwz", "g++", ["-O2", "-g"], after=dwz_alone, needs=["dwz"])
    yield Variant("dwz -m", "g++", ["-O2", "-gdwarf-4"], after=dwz_supplement, needs=["dwz"])


# ---- what is asked, and the answers: {address: [(function, file, line)]}, innermost first

OWN_FUNCTIONS = re.compile(r"shop|^main$|unused_by_all")


def symbols_of(program, folder, dynamic=False):
    """(start, end, kind, name) of each."""
    found = []
    for line in run(["nm", "-S", "--defined-only", *(["-D"] if dynamic else []), program],
                    folder=folder).splitlines():
        field = line.split()
        if len(field) == 4:
            found.append((int(field[0], 16), int(field[0], 16) + int(field[1], 16), field[2], field[3]))
    return found


def addresses(symbols):
    """{address: {symbols}}"""
    found = {}
    for start, end, kind, name in symbols:
        if kind in "tTwW" and OWN_FUNCTIONS.search(name):
            for address in range(start, end):
                found.setdefault(address, set()).add(name)
    return dict(sorted(found.items()))


def place(file, line):
    return (os.path.normpath(file) if file not in ("", "??") else "", int(line) if line.isdigit() else 0)


def ours(folder, program, asked):
    answers, names, exported_only, reason = {}, {}, "", ""
    for line in run([PRINT_LINES, program], "\n".join(asked), folder).splitlines():
        if line.startswith("module\t"):
            _, exported_only, reason = line.split("\t", 2)
        elif line.startswith("0x"):
            address, names_it = line.split("\t")
            names[int(address, 16)] = names_it
            frames = answers[int(address, 16)] = []
        else:
            function, linker_name, file, number = line.split("\t")[:4]
            frames.append((function, linker_name == "1", *place(file, number)))
    return answers, names, exported_only == "1", reason


def theirs(folder, command, asked):
    answers = {}
    lines = run(command, "\n".join(asked) + "\n", folder).splitlines()
    while lines:
        line = lines.pop(0)
        if line.startswith("0x"):
            frames = answers[int(line, 16)] = []
        elif line:
            where = re.sub(r" \(discriminator.*\)$", "", lines.pop(0))
            file, _, number = where.rpartition(":")
            frames.append((line, *place(file, number)))
    return answers


def same_name(our, their, tool):
    function, linker_name = our
    # addr2line gives an inlined function without a linker's name that of the surrounding symbol.
    if function == their or (tool == "addr2line" and not linker_name):
        return True
    # Their name is the last part of a name if the function has no linker's name.
    return not linker_name and (function.endswith("::" + their) or their == "operator()")


def compare(mine, other, tool):
    places = names = 0
    differences = []
    for address, frames in mine.items():
        them = [f for f in other.get(address, []) if f[1]]
        equal = [f[2:] for f in frames if f[2]] == [f[1:] for f in them]
        # The outermost name is the symbol table's for both of them, which knows the kinds of constructors
        # and the parts of functions; addr2line gives it to the innermost frame as well.
        inner = list(zip(frames, them))[1 if tool == "addr2line" else 0:-1]
        named = equal and all(same_name(f[:2], t[0], tool) for f, t in inner)
        places += equal
        names += named
        if not named:
            differences.append((address, frames, them))
    return places, names, differences


def check(variant):
    if not has(variant.compiler, *variant.needs):
        return f"{variant.compiler:8} {variant.name:16} (not installed: {' '.join(variant.needs)})", []
    with tempfile.TemporaryDirectory(prefix="whence-lines-") as folder:
        program, debug = variant.build(folder)
        functions = addresses(symbols_of(program if variant.exported else "program", folder, variant.exported))
        asked = [hex(a) for a in functions]
        mine, symbols, exported_only, reason = ours(folder, program, asked)
        has_lines = variant.lines and not (variant.unread and variant.unread in reason)
        results = []
        # The debug file is passed by its own name: otherwise the tools would look for it by the
        # link.
        for tool, command in (
                ("llvm-symbolizer", ["llvm-symbolizer", "--output-style=GNU", "--functions=linkage",
                                     "--no-demangle", "-a", "-e", debug or program]),
                ("addr2line", ["addr2line", "-a", "-i", "-f", "-e", debug or program])):
            if has(tool) and has_lines:
                results.append((*compare(mine, theirs(folder, command, asked), tool), tool))
        places, names, differences, tool = max(results, key=lambda r: (r[0], r[1]), default=(0, 0, [], "nm"))
    known = sum(1 for frames in mine.values() if any(f[2] for f in frames))
    frames = sum(len(f) for f in mine.values())
    total = len(functions)
    named = sum(1 for address, names_of_it in functions.items() if symbols[address] in names_of_it)
    row = f"{variant.compiler:8} {variant.name:16} {total:6} {100 * named / total:9.2f} {known:6} {frames:7} "
    row += f"{100 * places / total:8.2f} {100 * names / total:7.2f}" if has_lines else f"{'-':>8} {'-':>7}"
    row += f"  {tool}"
    label = f"{variant.compiler} {variant.name}"
    faults = []
    if total < 100:
        faults.append(f"{label}: only {total} addresses")
    if named < 0.999 * total:
        wrong = next(a for a in functions if symbols[a] not in functions[a])
        faults.append(f"{label}: {total - named} symbols differ, as at {wrong:#x}: {symbols[wrong]!r}, "
                      f"of {functions[wrong]}")
    if exported_only != variant.exported:
        faults.append(f"{label}: only exported functions have names: {exported_only}")
    if not has_lines:
        if frames != 0:
            faults.append(f"{label}: {frames} frames")
        return row, faults
    if reason:
        faults.append(f"{label}: missing: {reason}")
    if known < 0.9 * total:
        faults.append(f"{label}: lines of {known} of {total} addresses")
    if min(places, names) < 0.999 * total:
        faults.append(f"{label}: {total - places} places and {total - names} names differ from {tool}, as at")
        faults += [f"    {address:#x}\n      ours   {us}\n      theirs {them}"
                   for address, us, them in differences[:1]]
    lambdas = {f[0] for f in itertools.chain.from_iterable(mine.values())
               if re.search(r"lambda|\$_\d|Ul", f[0]) and "run" not in f[0] and "push" not in f[0]}
    of = {part for part in ("price", "ship") if any(part in name for name in lambdas)}
    if of != {"price", "ship"} and "-g1" not in variant.name:
        faults.append(f"{label}: the two lambdas are called {sorted(lambdas)}")
    return row, faults


def main():
    print(f"{'compiler':8} {'variant':16} {'asked':>6} {'symbols %':>9} {'ours':>6} {'frames':>7} {'places %':>8} {'names %':>7}  with")
    faults = []
    count = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for row, wrong in pool.map(check, variants()):
            print(row, flush=True)
            faults += wrong
            count += 1
    print("\n".join(faults))
    if faults:
        sys.exit(1)
    print(f"line_variants: {count} variants, every one as the other tools read it")


if __name__ == "__main__":
    main()
