#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# Lets the system fail at the Nth call of one function, for each N until nothing fails, under a
# program that uses every page, and again with all calls from the Nth on:
#
#   faults.py SUBJECT LIBRARY [--most N] [--seconds N] [--jobs N] [PAGE...] [CALL...]
#
# SUBJECT is faults_subject, LIBRARY faults.so. --most: so many N of each function and page, spread
# over all there are; 0 (default): all. --seconds: no further page begins after that time.
#
# Fails for a crash, a hang, a descriptor that stays open, memory that grows by 32 MiB, a profile
# that lacks something without a word, and for one that lacks it still when the failure has passed.
# Prints for each function how many failures were tried, and what became of the profiles.
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

CALLS = {
    "mmap": "ENOMEM", "mremap": "ENOMEM", "open": "EMFILE", "read": "EIO", "write": "ENOSPC",
    "fstat": "EIO", "memfd_create": "EMFILE", "getdents64": "ENOMEM", "pthread_create": "EAGAIN",
    "sigaction": "EINVAL", "timer_create": "EAGAIN", "perf_event_open": "EMFILE",
    "process_vm_readv": "EPERM", "socket": "EMFILE", "bind": "EADDRINUSE", "listen": "EADDRINUSE",
    "accept4": "EMFILE", "recv": "ECONNRESET", "send": "ECONNRESET", "epoll_create1": "EMFILE",
    "epoll_ctl": "ENOMEM", "epoll_wait": "EINTR", "eventfd": "EMFILE", "new": "ENOMEM",
}
PAGES = ["heap", "locks", "custom", "threads", "labels", "cpu", "wall", "goroutine", "serve", "fork"]
ALWAYS = {"epoll_wait": "EINVAL"}  # what all later calls fail with, if it is another error
MOST_KIB_MORE = 32 * 1024


class Outcome:
    def __init__(self, status, text):
        self.status, self.text = status, text
        last = re.search(r"^calls (\d+) failed (\d+) descriptors (\d+) kib (\d+)$", text, re.M)
        numbers = [int(n) for n in last.groups()] if last else [0, 0, 0, 0]
        self.calls, self.failed, self.descriptors, self.kib = numbers
        self.uses = re.findall(r"^(\w+) (\w+) ([12]) (whole|said|SILENT) ?(.*)$", text, re.M)


def run(settings, page, call, n, all_later=False, usual="", more=None):
    error = ALWAYS.get(call, CALLS[call]) if all_later else CALLS[call]
    environment = dict(os.environ, LD_PRELOAD=settings.library, FAULTS_CALL=call, FAULTS_AT=str(n),
                       FAULTS_ERROR=str(getattr(errno, error)), **(more or {}))
    if all_later:
        environment["FAULTS_ALL"] = "1"
    if usual:
        environment["FAULTS_USUAL"] = usual
    try:
        done = subprocess.run([settings.subject, page], env=environment, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=120)
        return Outcome(done.returncode, done.stdout.decode(errors="replace"))
    except subprocess.TimeoutExpired as late:
        return Outcome("hangs", (late.stdout or b"").decode(errors="replace"))


def complaint(outcome, reference):
    if outcome.status == "hangs" or outcome.status == -14:
        return "hangs"
    if isinstance(outcome.status, int) and outcome.status < 0:
        return f"signal {-outcome.status}"
    if outcome.status not in (0, 1) or not outcome.uses:
        return f"status {outcome.status}"
    if outcome.status == 1:
        return "missing without a word, or after the failure has passed"
    if outcome.descriptors > reference.descriptors:
        return f"{outcome.descriptors - reference.descriptors} descriptors stay open"
    if outcome.kib > reference.kib + MOST_KIB_MORE:
        return f"{outcome.kib - reference.kib} KiB more"
    return ""


def spread(count, most):
    if most == 0 or count <= most:
        return list(range(1, count + 1))
    return sorted(random.Random(count).sample(range(1, count + 1), most))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("subject")
    parser.add_argument("library")
    parser.add_argument("only", nargs="*")
    parser.add_argument("--most", type=int, default=0)
    parser.add_argument("--seconds", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    settings = parser.parse_args()
    pages = [p for p in PAGES if p in settings.only] or PAGES
    calls = [c for c in CALLS if c in settings.only] or list(CALLS)
    settings.library = os.path.abspath(settings.library)
    begin = time.time()
    points = collections.Counter()
    tried = collections.Counter()
    became = collections.defaultdict(collections.Counter)
    words = collections.defaultdict(collections.Counter)
    wrong = []
    pool = concurrent.futures.ThreadPoolExecutor(settings.jobs)
    left_out = 0
    folder = tempfile.TemporaryDirectory()
    usual = {}
    for page in pages:  # the comments that a profile has without a failure
        usual[page] = f"{folder.name}/{page}"
        with open(usual[page], "w") as file:
            file.write(run(settings, page, "mmap", 0, more={"FAULTS_SHOW": "1"}).text)
    work = [(page, call) for call in calls for page in pages]
    random.Random(1).shuffle(work)
    for page, call in work:
        if settings.seconds and time.time() - begin > settings.seconds:
            left_out += 1
            continue
        reference = run(settings, page, call, 0, usual=usual[page])
        if complaint(reference, reference):
            wrong.append(f"{page}, no failure: {complaint(reference, reference)}\n{reference.text}")
            continue
        points[call] += reference.calls
        many = spread(reference.calls, settings.most)
        jobs = {pool.submit(run, settings, page, call, n, later, usual[page]): (n, later)
                for n in many for later in (False, True)}
        for job in concurrent.futures.as_completed(jobs):
            n, later = jobs[job]
            outcome = job.result()
            if outcome.failed == 0 and not complaint(outcome, reference):
                continue  # it made fewer calls this time
            tried[call] += 1
            said = complaint(outcome, reference)
            if said:
                kind = "all from the" if later else "the"
                lost = [" ".join(u) for u in outcome.uses if u[3] != "whole"]
                wrong.append(f"{page}: {kind} {n}. {call} fails: {said}\n    " +
                             "\n    ".join(lost or outcome.text.splitlines()[-3:]))
                print(wrong[-1], flush=True)
            firsts = [u for u in outcome.uses if u[2] == "1"]
            worst = "said" if any(u[3] == "said" for u in firsts) else "whole"
            became[call][said.split(",")[0] if said else worst] += 1
            for u in firsts:
                if u[3] == "said":
                    words[call][re.sub(r"\d+", "N", u[4])[:110]] += 1
    print(f"\n{'function':18}{'calls':>8}{'failures tried':>16}   profiles")
    for call in calls:
        kinds = ", ".join(f"{count} {kind}" for kind, count in became[call].most_common())
        print(f"{call:18}{points[call]:8}{tried[call]:16}   {kinds}")
        for text, count in words[call].most_common(4):
            print(f"{'':42}   {count:5} x {text}")
    print(f"{sum(tried.values())} failures tried at {sum(points.values())} calls in "
          f"{time.time() - begin:.0f} s, {len(wrong)} wrong" +
          (f", {left_out} pairs left out for lack of time" if left_out else ""))
    sys.exit(1 if wrong or not tried else 0)


main()
