#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# Prints one table of bench/run.sh's figures: `table.py OURS.csv PEERS.txt`. A figure of ours stands
# beside the Go figure with the same depth, live, threads or stacks.
import csv
import re
import sys

UNITS = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}
ours = []
with open(sys.argv[1]) as f:
    for row in csv.reader(f):
        if len(row) > 4 and row[4] in UNITS:
            ours.append((row[0], float(row[2]) * UNITS[row[4]]))
peers = {}
for line in open(sys.argv[2]):
    name, value, unit = line.split()
    if unit in UNITS:
        parts = dict(re.findall(r"(\w+):(\d+)", name))
        peers[name.split("/")[1], tuple(sorted(parts.items()))] = float(value) * UNITS[unit]

print(f"{'benchmark':58} {'ours ns':>14} {'Go ns':>14} {'ratio':>7}")
for name, ns in ours:
    parts = dict(re.findall(r"(depth|live|threads|stacks):(\d+)", name))
    which = "write" if name.startswith("writer:") else "add_remove"
    if name.startswith("labels:"):
        which = name.partition(":")[2]
    if which == "add_remove" and "depth" in parts:
        parts.setdefault("threads", "1")
    peer = peers.get((which, tuple(sorted(parts.items()))))
    beside = f"{peer:14.1f} {peer / ns:6.1f}x" if peer else ""
    print(f"{name:58} {ns:14.1f} {beside}")
