#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# Lets the system fail at the Nth call of one function, for N from 1 until nothing fails, under a
# program that uses every page, and again with all calls from the Nth on:
#
#   faults.py SUBJECT LIBRARY [--most N] [--seed N] [--seconds N] [--jobs N] [PAGE...] [FUNCTION...]
#
# SUBJECT is faults_subject, LIBRARY faults.so. --most: so many failures of each function, one in each
# of as many equal parts of its calls on all pages, at a place that the seed chooses; 0 (default): at
# every call. --seconds: after that time no further one is tried.
#
# Fails for a crash, a hang, a descriptor that stays open, memory that grows by 32 MiB, a profile
# that lacks something without a word, and for one that lacks it still when the failure has passed.
# Prints for each function how often it was called, how many failures were tried, and what became of
# the profiles.
import argparse
import collections
import concurrent.futures
import errno
import os
import random
import re
import subprocess
import sys
import tempfile
import time

ERRORS = {
    "mmap": "ENOMEM", "mremap": "ENOMEM", "open": "EMFILE", "read": "EIO", "write": "ENOSPC",
    "fstat": "EIO", "memfd_create": "EMFILE", "getdents64": "ENOMEM", "pthread_create": "EAGAIN",
    "sigaction": "EINVAL", "timer_create": "EAGAIN", "perf_event_open": "EMFILE",
    "process_vm_readv": "EPERM", "socket": "EMFILE", "bind": "EADDRINUSE", "listen": "EADDRINUSE",
    "accept4": "EMFILE", "recv": "ECONNRESET", "send": "ECONNRESET", "epoll_create1": "EMFILE",
    "epoll_ctl": "ENOMEM", "epoll_wait": "EINTR", "eventfd": "EMFILE", "new": "ENOMEM",
    "malloc": "ENOMEM",
}
ONLY_IF_NAMED = ["malloc"]  # libdw 0.188 itself crashes if it gets none
PAGES = ["heap", "locks", "custom", "threads", "labels", "cpu", "wall", "goroutine", "serve", "fork"]
ALWAYS = {"epoll_wait": "EINVAL"}  # what all later calls fail with, if it is another error
MOST_KIB_MORE = 32 * 1024

Failure = collections.namedtuple("Failure", "function page n all_later")


class Outcome:
    def __init__(self, status, text):
        self.status, self.text = status, text
        last = re.search(r"^failed (\d+) descriptors (\d+) kib (\d+)$", text, re.M)
        self.failed, self.descriptors, self.kib = map(int, last.groups()) if last else [0, 0, 0]
        self.calls = {name: int(n) for name, n in re.findall(r"^calls (\w+) (\d+)$", text, re.M)}
        self.uses = re.findall(r"^(\w+) (\w+) ([12]) (whole|said|SILENT) ?(.*)$", text, re.M)


def run(settings, page, failure=None, more=None):
    environment = dict(os.environ, LD_PRELOAD=settings.library, **(more or {}))
    if failure is not None:
        name = failure.function
        error = ALWAYS.get(name, ERRORS[name]) if failure.all_later else ERRORS[name]
        environment.update(FAULTS_CALL=name, FAULTS_AT=str(failure.n),
                           FAULTS_ERROR=str(getattr(errno, error)))
        if failure.all_later:
            environment["FAULTS_ALL"] = "1"
    try:
        done = subprocess.run([settings.subject, page], env=environment, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=120)
        return Outcome(done.returncode, done.stdout.decode(errors="replace"))
    except subprocess.TimeoutExpired as late:
        return Outcome("hangs", (late.stdout or b"").decode(errors="replace"))


def complaint(outcome, reference, function=""):
    if outcome.status == "hangs" or outcome.status == -14:
        return "hangs"
    if isinstance(outcome.status, int) and outcome.status < 0:
        return f"signal {-outcome.status}"
    if outcome.status not in (0, 1) or not outcome.uses:
        return f"status {outcome.status}"
    if outcome.status == 1:
        return "missing without a word, or after the failure has passed"
    # By fstat the library knows that a descriptor is still its own; one of which nothing is told, the
    # program may have closed and opened again.
    if outcome.descriptors > reference.descriptors and function != "fstat":
        return f"{outcome.descriptors - reference.descriptors} descriptors stay open"
    if outcome.kib > reference.kib + MOST_KIB_MORE:
        return f"{outcome.kib - reference.kib} KiB more"
    return ""


# The calls of a function on all pages, in one row, of which one in each of `most` equal parts fails.
def chosen(calls, most, pick):
    count = sum(calls.values())
    places = range(count)
    if 0 < most < count:
        bounds = [count * i // most for i in range(most + 1)]
        places = [pick.randrange(low, high) for low, high in zip(bounds, bounds[1:])]
    row = [(page, n) for page, calls_there in calls.items() for n in range(1, calls_there + 1)]
    return [row[place] for place in places]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("subject")
    parser.add_argument("library")
    parser.add_argument("only", nargs="*")
    parser.add_argument("--most", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2 * os.cpu_count())  # half the time is sleep
    settings = parser.parse_intermixed_args()
    pages = [p for p in PAGES if p in settings.only] or PAGES
    functions = [f for f in ERRORS if f in settings.only] or [
        f for f in ERRORS if f not in ONLY_IF_NAMED]
    settings.library = os.path.abspath(settings.library)
    print(f"seed {settings.seed}", flush=True)
    begin = time.time()
    tried = collections.Counter()
    became = collections.defaultdict(collections.Counter)
    words = collections.defaultdict(collections.Counter)
    wrong = []
    folder = tempfile.TemporaryDirectory()
    pool = concurrent.futures.ThreadPoolExecutor(settings.jobs)

    # What a page says, and how often it calls each function, without a failure.
    def usual_of(page):
        usual = f"{folder.name}/{page}"
        with open(usual, "w") as file:
            file.write(run(settings, page, more={"FAULTS_SHOW": "1"}).text)
        return page, usual, run(settings, page, more={"FAULTS_USUAL": usual})
    usual, references = {}, {}
    for page, path, reference in pool.map(usual_of, pages):
        if said := complaint(reference, reference):
            wrong.append(f"{page}, no failure: {said}\n{reference.text}")
            print(wrong[-1], flush=True)
        else:
            usual[page], references[page] = path, reference
    calls = {f: {p: r.calls.get(f, 0) for p, r in references.items()} for f in functions}

    pick = random.Random(settings.seed)
    failures = []
    for function in functions:
        for i, (page, n) in enumerate(chosen(calls[function], settings.most, pick)):
            # A sample has each kind for every other call; where all are tried, both for each.
            kinds = (False, True) if settings.most == 0 else (i % 2 == 1,)
            failures += [Failure(function, page, n, later) for later in kinds]
    pick.shuffle(failures)  # so that a run that ends early has a part of everything

    def attempt(f):
        if settings.seconds and time.time() - begin > settings.seconds:
            return f, None
        return f, run(settings, f.page, f, {"FAULTS_USUAL": usual[f.page]})
    left_out = 0
    parts = (failures[i:i + 256] for i in range(0, len(failures), 256))  # not all in memory
    for f, outcome in (done for part in parts for done in pool.map(attempt, part)):
        if outcome is None:
            left_out += 1
            continue
        said = complaint(outcome, references[f.page], f.function)
        if outcome.failed == 0 and not said:
            continue  # it made fewer calls this time
        tried[f.function] += 1
        if said:
            lost = [" ".join(u) for u in outcome.uses if u[3] != "whole"]
            wrong.append(f"{f.page}: {'all from the' if f.all_later else 'the'} {f.n}. {f.function} "
                         f"fails: {said}\n    " +
                         "\n    ".join(lost + ([] if outcome.status == 1 else
                                               outcome.text.splitlines()[-3:])))
            print(wrong[-1], flush=True)
        firsts = [u for u in outcome.uses if u[2] == "1"]
        worst = "said" if any(u[3] == "said" for u in firsts) else "whole"
        became[f.function][said.split(",")[0] if said else worst] += 1
        for u in firsts:
            if u[3] == "said":
                words[f.function][re.sub(r"\d+", "N", u[4])[:110]] += 1
    print(f"\n{'function':18}{'calls':>8}{'failures tried':>16}   profiles")
    for function in functions:
        kinds = ", ".join(f"{count} {kind}" for kind, count in became[function].most_common())
        print(f"{function:18}{sum(calls[function].values()):8}{tried[function]:16}   {kinds}")
        for text, count in words[function].most_common(4):
            print(f"{'':42}   {count:5} x {text}")
    print(f"{sum(tried.values())} failures tried at {sum(sum(c.values()) for c in calls.values())} "
          f"calls in {time.time() - begin:.0f} s, {len(wrong)} wrong" +
          (f", {left_out} left out for lack of time" if left_out else ""))
    sys.exit(1 if wrong or not tried else 0)


main()
