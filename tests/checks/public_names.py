#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every class, class template, enumeration and alias that a public page has in `namespace whence` or
`whence::http` is declared in names.hpp, so that a header can name it without including its page."""
import pathlib
import re
import sys

INCLUDE = pathlib.Path(__file__).resolve().parents[2] / "include" / "whence"
# Written by CMake beside the pages.
NO_PAGES = {"names.hpp", "fwd.hpp", "config_generated.hpp"}

OPENED = re.compile(r"namespace ([\w: ]+) \{$")
CLOSED = re.compile(r"\}  // namespace")
OURS = re.compile(r"whence::inline v1(?:::(http))?$")
# A name before < is a specialization.
TYPE = re.compile(r"(?:template <.*> ?)?(?:class|struct|enum class) (?:\[\[.*?\]\] )?(\w+)\b(?!<|::)")
ALIAS = re.compile(r"using (\w+) =")


def names(path):
    """The names of a header's outermost namespace, `http::` before those of `whence::http`."""
    found = set()
    opened = []
    for line in path.read_text().splitlines():
        if namespace := OPENED.match(line):
            opened.append(namespace[1])
        elif CLOSED.match(line):
            opened.pop()
        elif opened and (ours := OURS.match(opened[0])):
            inner = [part for part in (ours[1], *opened[1:]) if part]
            if inner in ([], ["http"]) and (match := TYPE.match(line) or ALIAS.match(line)):
                found.add("::".join([*inner, match[1]]))
    return found


def main():
    declared = names(INCLUDE / "names.hpp")
    checked = 0
    missing = []
    for page in sorted(INCLUDE.glob("*.hpp")):
        if page.name in NO_PAGES:
            continue
        for name in sorted(names(page)):
            checked += 1
            if name not in declared:
                missing.append(f"{page.name} has {name}, which names.hpp does not declare")
    if checked < 20:
        missing.append(f"only {checked} names were found in the pages")
    if missing:
        sys.exit("public_names: " + "\n              ".join(missing))
    print(f"public_names: names.hpp declares {len(declared)} names, {checked} of them of the pages")


if __name__ == "__main__":
    main()
