#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What README.md, SECURITY.md and docs/ say can be followed: links lead to files and headings that exist, names,
macros and environment variables are those of the headers, the quickstart is examples/quickstart.cpp, and the front
page is short. reference.md is made from the headers, so its words are looked at there."""
import pathlib
import re
import sys

import reference

ROOT = reference.ROOT
LONGEST_README = 150
LARGEST_PICTURE = 150 << 10
# Words that hide an actor or a condition (CONTRIBUTING.md).
RIDDLES = re.compile(r"\b(nobody|somebody|whoever|there is none|(to )?be had)\b", re.I)
# Members and namespaces in std style that are not declarations.
SPACES = {"http", "beast", "whence", "compiled", "v1", "v2"}

problems = []


def fail(path, what):
    problems.append(f"{path.relative_to(ROOT)}: {what}")


def headings(path):
    return {reference.anchor(m[1].replace("`", "")) for m in re.finditer(r"^#+ (.*)$", path.read_text(), re.M)}


def code_blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def check_links(path, text):
    count = 0
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)):
        if re.match(r"https?:", target):
            continue
        count += 1
        file, _, heading = target.partition("#")
        aim = (path.parent / file).resolve() if file else path
        if not aim.exists():
            fail(path, f"the link {target} leads nowhere")
        elif heading and heading not in headings(aim):
            fail(path, f"{target}: {aim.name} has no such heading")
    return count


def check_names(path, text, names, sources):
    for scope, name in re.findall(r"\bwhence::((?:http|beast)::)?(\w+)", text):
        if scope + name not in names and name not in SPACES:
            fail(path, f"whence::{scope}{name} is no public name")
    for name in re.findall(r"`((?:set|start|stop|write|new|lookup|current|with|tracked|tracking|scoped)_\w+)\b", text):
        if name not in names and not any(n.endswith("::" + name) for n in names):
            fail(path, f"{name} is no public name")
    for name in set(re.findall(r"\bWHENCE_\w+", text)):
        if not re.search(rf"\b{name}\b", sources):
            fail(path, f"{name} is read nowhere")
    for page in set(re.findall(r"<(whence/[\w/]+\.hpp)>", text)):
        if not (ROOT / "include" / page).exists():
            fail(path, f"<{page}> does not exist")


def check_readme(path, text):
    if len(text.splitlines()) > LONGEST_README:
        fail(path, f"{len(text.splitlines())} lines, of {LONGEST_README} at most")
    quickstart = (ROOT / "examples" / "quickstart.cpp").read_text()
    blocks = code_blocks(text, "cpp")
    if not blocks or blocks[0] != quickstart.partition("\n")[2]:
        fail(path, "the first C++ block is not examples/quickstart.cpp without its first line")
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)
    if not pictures:
        fail(path, "no picture of a flame graph")
    for picture in pictures:
        data = (ROOT / picture).read_bytes() if (ROOT / picture).exists() else b""
        if data[:4] != b"\x89PNG" or len(data) > LARGEST_PICTURE:
            fail(path, f"{picture} is no PNG of at most {LARGEST_PICTURE} bytes")


def main():
    names = reference.names_of(reference.collect())
    sources = "\n".join(p.read_text() for p in [*(ROOT / "include").rglob("*.[hi]pp"), *ROOT.rglob("CMakeLists.txt")]
                        if "build" not in p.relative_to(ROOT).parts)
    pages = [ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]
    links = 0
    for path in pages:
        text = path.read_text()
        links += check_links(path, text)
        if path.name != "reference.md":
            check_names(path, text, names, sources)
            for found in RIDDLES.finditer(text):
                fail(path, f'"{found[0]}" names no actor')
        if path.parent.name == "docs" and path.name != "README.md" and f"({path.name})" not in (
                ROOT / "docs" / "README.md").read_text():
            fail(path, "docs/README.md does not list it")
    check_readme(pages[0], pages[0].read_text())
    if links < 40:
        problems.append(f"only {links} links were found")
    if problems:
        sys.exit("documentation: " + "\n               ".join(problems))
    print(f"documentation: {len(pages)} pages, {links} links, {len(names)} public names known")


if __name__ == "__main__":
    main()
