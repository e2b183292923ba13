#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes include/whence/ui/page.hpp of the files in packaging/ui/: `make_page.py` writes it, and
`make_page.py --check` fails if the file is not what it would write.

The page has nothing that serves only readers of the sources: no indents, empty lines, or lines that
are a comment.
"""
import argparse
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
HEADER = HERE.parent / "include" / "whence" / "ui" / "page.hpp"
# The scripts share one element, in this order.
CONSTANTS = {
    "style": ["style.css"],
    "body": ["body.html"],
    "script": ["graph.js", "moving.js", "table.js", "controls.js"],
}
COMMENTS = {".js": ("//", ""), ".css": ("/*", "*/"), ".html": ("<!--", "-->")}


def sent(path):
    """The lines of a file that a browser needs."""
    begin, end = COMMENTS[path.suffix]
    lines = (line.lstrip(" ") for line in path.read_text().splitlines())
    return "".join(f"{line}\n" for line in lines
                   if line and not (line.startswith(begin) and line.endswith(end)))


def header():
    used = {name for names in CONSTANTS.values() for name in names}
    found = {path.name for path in (HERE / "ui").iterdir()}
    if used != found:
        raise SystemExit("make_page: packaging/ui/ and the list of its files differ: "
                         + ", ".join(sorted(used ^ found)))
    lines = [
        "// SPDX-License-Identifier: Apache-2.0",
        "//",
        "// What the page that shows a flame graph is made of. Made by packaging/make_page.py of the files in",
        "// packaging/ui/: change those, not this.",
        "#ifndef WHENCE_UI_PAGE_HPP",
        "#define WHENCE_UI_PAGE_HPP",
        "",
        "namespace whence::inline v1::ui {",
        "",
    ]
    for constant, names in CONSTANTS.items():
        text = "".join(sent(HERE / "ui" / name) for name in names)
        if ')page"' in text:
            raise SystemExit(f"make_page: {constant} has the text that ends a C++ literal")
        lines += [f'inline constexpr char {constant}[] = R"page({text})page";', ""]
    lines += ["}  // namespace whence::inline v1::ui", "", "#endif  // WHENCE_UI_PAGE_HPP", ""]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    text = header()
    if not parser.parse_args().check:
        HEADER.parent.mkdir(exist_ok=True)
        HEADER.write_text(text)
    elif not HEADER.exists() or HEADER.read_text() != text:
        sys.exit(f"make_page: {HEADER} is not made of packaging/ui/: run packaging/make_page.py")
    else:
        print(f"make_page: {HEADER.name} is made of packaging/ui/, {len(text)} characters")


if __name__ == "__main__":
    main()
