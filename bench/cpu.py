#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# Compares CPU profilers on known loads (bench/cpu_profile.cpp) in one table: `cpu.py FOLDER
# [--quick] [--only TOOL,...]`. FOLDER holds the programs cpu_profile_by_* and peer_cpu_profile; a
# tool without a program is left out, and so is perf if it may not count.
#
# All tools take turns, rate by rate and round by round, in a changing order. The expected content
# of a profile comes from the threads' clocks and from getrusage of the same run.
#
#   reported      CPU time in the profile / getrusage; of whence without [unsampled] and [profiler]
#                 (with them it is 1 by construction). Median of the rounds
#   70/20/10      what was found for three functions, all rounds together, and two standard
#                 deviations of the first by chance, for as many samples
#   distinct      samples for each second of CPU time
#   shares        of 4 threads that take 10 to 40 % of a processor, the found / the true time that is
#                 worst, and how much of that two standard deviations do not explain
#   in libc       samples whose stack holds the caller of libc; perf walks frame pointers, which
#                 libc lacks
#   overhead      CPU time of the same work, against an unprofiled run: median of a round's pairs, and
#                 the quartiles; of perf without its own process
import argparse
import bisect
import collections
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

RATES = (100, 250, 1000)
THREADS = (1, 2, 8)
SPLIT = {"share_70": 0.7, "share_20": 0.2, "share_10": 0.1}
SHARES = ("thread_10", "thread_20", "thread_30", "thread_40")
PSEUDO = re.compile(r"^\[(unsampled|profiler)\]")

options = argparse.ArgumentParser()
options.add_argument("folder")
options.add_argument("--quick", action="store_true", help="one round, short")
options.add_argument("--only", default="whence,gperftools,go,perf")
options = options.parse_args()
quick = options.quick
scratch = tempfile.TemporaryDirectory()
environment = {"HOME": scratch.name, **os.environ}

# If the machine is busy, rounds beyond the minimum are left out after so many seconds.
ROUNDS, LEAST_ROUNDS, ROUNDS_UNTIL = (1, 1, 0) if quick else (3, 2, 160)
PAIRS, LEAST_PAIRS, PAIRS_UNTIL = (7, 7, 0) if quick else (25, 9, 320)
SECONDS = {100: 1.5, 250: 1.0, 1000: 0.6} if quick else {100: 3.0, 250: 2.0, 1000: 1.0}
SHARES_SECONDS = 1.0 if quick else 2.0
LIBC_SECONDS = 0.5 if quick else 1.0
BUSY_SECONDS = 0.1 if quick else 0.2


def output(command, **more):
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                         timeout=120, env={**environment, **more})
    if run.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: {run.returncode}\n{run.stderr[-500:]}")
    return run.stdout


# ---- what a profile says: a list of (samples, seconds, names of the functions on the stack)


def symbols(program, cache={}):
    """Addresses and names of a program's functions; `go tool pprof` knows only Go's."""
    if program not in cache:
        lines = [line.split(" ", 2) for line in output(["nm", "-Cn", "--defined-only", program]).splitlines()]
        functions = [(int(address, 16), name) for address, kind, name in lines if kind in "tTwW"]
        cache[program] = [f[0] for f in functions], [f[1] for f in functions]
    return cache[program]


def read_pprof(program, out):
    text = output(["go", "tool", "pprof", "-raw", out])
    samples, locations, mappings = re.search(
        r"\nSamples:\n.*?\n(.*?)Locations\n(.*?)Mappings\n(.*)", "\n" + text, re.S).groups()
    ranges = []
    for m in re.finditer(r"(\d+): 0x(\w+)/0x\w+/0x(\w+) (\S*)", mappings):
        ranges.append((m[1], int(m[2], 16), int(m[3], 16), m[4]))
    names = collections.defaultdict(list)
    for line in locations.splitlines():
        m = re.match(r"\s+(\d+): 0x(\w+) (?:M=(\d+))?(.*)", line)
        names[m[1] if m else last].append(m[4] if m else line)
        last = m[1] if m else last
        if m and not m[4].strip():
            for number, start, offset, path in ranges:
                if number == m[3] and os.path.basename(path) == os.path.basename(program):
                    addresses, functions = symbols(program)
                    at = bisect.bisect_right(addresses, int(m[2], 16) - start + offset) - 1
                    names[last].append(functions[at])
    rows = []
    for line in samples.splitlines():
        m = re.match(r"\s*(\d+)\s+(\d+): ([\d ]+)$", line)
        if m:
            rows.append((int(m[1]), int(m[2]) * 1e-9, [n for l in m[3].split() for n in names[l]]))
    return rows


def read_perf(program, out):
    text = output(["perf", "script", "-i", out, "-F", "period,ip,sym"])
    rows = []
    for block in re.split(r"\n\s*\n", text):
        lines = block.strip("\n").split("\n")
        if lines[0].strip():
            rows.append((1, int(lines[0].split()[0]) * 1e-9, lines[1:]))
    return rows


# ---- the tools: how to run a load, and how to read what it left


class Tool:
    def __init__(self, name, program, read, modes=("split", "shares", "busy", "libc")):
        self.name, self.read, self.modes = name, read, modes
        self.program = os.path.join(os.path.abspath(options.folder), program)

    def is_there(self):
        return os.access(self.program, os.X_OK)

    def command(self, hz, load, out):
        return [self.program, *load, out]

    def run(self, mode, hz, threads, seconds):
        """The true times of the run, in seconds, and its profile at that rate."""
        out = os.path.join(scratch.name, self.name)
        load = [mode, str(hz), str(threads), str(seconds)]
        text = output(self.command(hz, load, out), CPUPROFILE_FREQUENCY=str(hz or 100))
        truth = {name: float(value) for name, value in map(str.split, text.splitlines())}
        return truth, self.read(self.program, out) if hz and mode != "busy" else None

    def all_of(self, truth):
        return truth["window"]


class Perf(Tool):
    def is_there(self):
        try:
            output(["perf", "record", "-q", "-e", "cpu-clock:u", "-o", scratch.name + "/try", "true"])
        except (RuntimeError, FileNotFoundError):
            return False
        return super().is_there()

    def command(self, hz, load, out):
        under = ["perf", "record", "-q", "-g", "-e", "cpu-clock:u", "-F", str(hz), "-o", out, "--"]
        return (under if hz else []) + [self.program, *load, os.devnull]

    def all_of(self, truth):  # it sees the process from its beginning
        return truth["process"]


tools = [
    Tool("whence", "cpu_profile_by_whence", read_pprof),
    Tool("gperftools", "cpu_profile_by_gperftools", read_pprof),
    Tool("go", "peer_cpu_profile", read_pprof, ("split", "shares", "busy")),
    Perf("perf", "cpu_profile_by_none", read_perf),
]
wanted = options.only.split(",")
left_out = [t.name for t in tools if t.name in wanted and not t.is_there()]
tools = [t for t in tools if t.name in wanted and t.name not in left_out]
if shutil.which("go") is None:
    sys.exit("go tool pprof reads the profiles: go is not found")


def holds(names, function):
    return any(re.search(rf"\b{function}\b", name) for name in names)


def time_in(rows, function):
    return sum(seconds for _, seconds, names in rows if holds(names, function))


def taken(rows):
    return [row for row in rows if not any(PSEUDO.match(n.strip()) for n in row[2])]


begun = time.monotonic()


def rounds(most, least, until):
    """Numbers of rounds, until the time is used up."""
    for number in range(most):
        if number < least or time.monotonic() - begun < until:
            yield number


failures = []
shuffled = random.Random(1)


def in_turn(jobs):
    """Runs them in a random order; failed runs are listed below the table."""
    shuffled.shuffle(jobs)
    for job in jobs:
        print(".", end="", file=sys.stderr, flush=True)
        try:
            job()
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            failures.append(str(error).strip())


# ---- the measurements

Split = collections.namedtuple("Split", "reported samples cpu found truth")
Shares = collections.namedtuple("Shares", "samples found truth")
splits = collections.defaultdict(list)
shares = collections.defaultdict(list)
whole = {}
overhead = collections.defaultdict(list)


def measure_split(tool, hz, threads):
    truth, rows = tool.run("split", hz, threads, SECONDS[hz])
    rows, cpu = taken(rows), tool.all_of(truth)
    splits[tool.name, hz, threads].append(Split(
        sum(r[1] for r in rows) / cpu, sum(r[0] for r in rows), cpu,
        {f: time_in(rows, f) for f in SPLIT}, {f: truth[f] for f in SPLIT}))


def measure_shares(tool, hz):
    truth, rows = tool.run("shares", hz, 4, SHARES_SECONDS)
    shares[tool.name, hz].append(Shares(
        {f: sum(n for n, _, names in rows if holds(names, f)) for f in SHARES},
        {f: time_in(rows, f) for f in SHARES}, {f: truth[f] for f in SHARES}))


def measure_libc(tool, hz):
    rows = taken(tool.run("libc", hz, 1, LIBC_SECONDS)[1])
    whole[tool.name, hz] = sum(n for n, _, names in rows if holds(names, "libc_load")) / sum(
        n for n, _, _ in rows)


for _ in rounds(ROUNDS, LEAST_ROUNDS, ROUNDS_UNTIL):
    for hz in RATES:
        in_turn([lambda t=t, n=n: measure_split(t, hz, n) for t in tools for n in THREADS])
        in_turn([lambda t=t: measure_shares(t, hz) for t in tools])
for hz in RATES:
    in_turn([lambda t=t: measure_libc(t, hz) for t in tools if "libc" in t.modes])


def measure_overhead(tool):
    """All rates of a tool one after the other, so that the machine's other load is much the same."""
    took = {}

    def measure(hz):
        took[hz] = tool.run("busy", hz, 1, BUSY_SECONDS)[0]["window"]

    in_turn([lambda hz=hz: measure(hz) for hz in (0, *RATES)])
    for hz in RATES:
        if hz in took and 0 in took:
            overhead[tool.name, hz].append(took[hz] / took[0] - 1)


for _ in rounds(PAIRS, LEAST_PAIRS, PAIRS_UNTIL):
    in_turn([lambda t=t: measure_overhead(t) for t in tools])
print(file=sys.stderr)

# ---- the table


def pooled(runs, field):
    all_of_them = collections.Counter()
    for r in runs:
        all_of_them.update(getattr(r, field))
    return all_of_them


def chance(samples, share=0.0):
    """Two standard deviations, relative to the share."""
    return 2 * ((1 - share) / samples) ** 0.5 if samples else float("inf")


def split_cell(runs):
    found, truth = pooled(runs, "found"), pooled(runs, "truth")
    samples = sum(r.samples for r in runs)
    total, real = sum(found.values()) or 1, sum(truth.values())
    cells = "/".join(f"{100 * found[f] / total:.1f}" for f in SPLIT)
    off = max(abs(truth[f] / real - SPLIT[f]) for f in SPLIT)
    if off > 0.003:
        failures.append("the load itself was off its split by more than 0.3 points")
    return f"{cells} ±{100 * 0.7 * chance(samples / 0.7, 0.7):.1f}"


def shares_cell(runs):
    """Each thread's time, as the tool reports it, so a tool that loses samples is far off."""
    if not runs:
        return ""
    found, truth, samples = (pooled(runs, f) for f in ("found", "truth", "samples"))
    off = {f: found[f] / truth[f] - 1 for f in SHARES}
    worst = max(off, key=lambda f: abs(off[f]))
    beyond = max(max(0.0, abs(off[f]) - chance(samples[f])) for f in SHARES)
    return f"{1 + off[worst]:.2f} ({100 * beyond:.0f} %)"


def overhead_cell(pairs):
    if len(pairs) < 3:
        return ""
    low, middle, high = (100 * q for q in statistics.quantiles(pairs, n=4))
    return f"{middle:+.1f} % ({low:+.1f}..{high:+.1f})"


head = ["tool", "Hz"]
head += [f"reported, {n} thread{'s' * (n > 1)}" for n in THREADS]
head += [f"70/20/10, {n}" for n in THREADS]
head += ["distinct/s, " + "/".join(map(str, THREADS)), "worst share (beyond chance)", "in libc", "overhead"]
print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
for hz in RATES:
    for tool in tools:
        cells = [tool.name, str(hz)]
        runs = [splits[tool.name, hz, n] for n in THREADS]
        cells += [f"{statistics.median(x.reported for x in r):.3f}" if r else "" for r in runs]
        cells += [split_cell(r) if r else "" for r in runs]
        cells.append("/".join(
            f"{sum(x.samples for x in r) / sum(x.cpu for x in r):.0f}" if r else "-" for r in runs))
        cells.append(shares_cell(shares[tool.name, hz]))
        cells.append(f"{100 * whole[tool.name, hz]:.1f} %" if (tool.name, hz) in whole else "")
        cells.append(overhead_cell(overhead[tool.name, hz]))
        print("| " + " | ".join(cells) + " |")
print(f"\n{max(map(len, splits.values()), default=0)} rounds of {'/'.join(f'{SECONDS[hz]:g}' for hz in RATES)} CPU "
      f"seconds for a split, of {SHARES_SECONDS:g} s for shares; {max(map(len, overhead.values()), default=0)} pairs "
      f"of {BUSY_SECONDS:g} s on one thread for overhead.")
for name in left_out:
    print(f"Left out, as it is not here: {name}.")
for text, times in collections.Counter(failures).items():
    print(f"{times} times: {text}")
