#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docs/reference.md is made from the public headers: every public name with its declaration and the comment
before it, which is the only place where units, errors and thread-safety are written down.

  reference.py            fails if docs/reference.md is not what the headers say
  reference.py --write    writes it

It also fails if names.hpp declares a name that the reference lacks, and if a page that has functions does
not say whether they are thread-safe."""
import pathlib
import re
import sys

import public_names

ROOT = pathlib.Path(__file__).resolve().parents[2]
INCLUDE = ROOT / "include" / "whence"
REFERENCE = ROOT / "docs" / "reference.md"
NAMESPACES = {"": "whence", "http": "whence::http", "beast": "whence::beast"}
# The pages that only include others, or that CMake writes.
UMBRELLAS = {"whence.hpp", "recording.hpp", "src.hpp", "fwd.hpp", "config_generated.hpp"}
# Pages with only constants, types and macros, which have no functions.
NO_CALLS = UMBRELLAS | {"version.hpp", "config.hpp", "errc.hpp", "registry.hpp", "names.hpp"}

INTRODUCTION = """\
# Reference

Every public name, by the page that has it. This file is made from the comments of the headers by
`tests/checks/reference.py --write`, and a test compares the two.

What holds if an entry does not say otherwise:

- **Signal handlers**: no function of this library may be called in one.
- **Errors**: wrong use throws a standard exception, which the entry names; what the system refuses is returned
  as a `std::error_code`. `whence::errc` has the codes of this library, all others are `std::errc`.
- **Units**: sizes are bytes, times are nanoseconds, rates of samplers (`hz`) are samples a second.
- **`WHENCE_DISABLE`**: every instrument becomes what it wraps, and nothing is recorded.

In a declaration, `R` is a registry: it says into which profiles an instrument records ([registry.hpp](#registryhpp)).
"""


class declaration:
    def __init__(self, name, comment, text, kind):
        self.name, self.comment, self.text, self.kind = name, comment, text, kind


def balanced(text, at):
    """The place after the bracket that closes the one at `at`. Strings and comments are skipped."""
    depth = 0
    while at < len(text):
        if text.startswith("//", at):
            at = text.index("\n", at)
            continue
        if text[at] in "\"'" and not (text[at] == "'" and text[at - 1].isdigit()):
            quote = text[at]
            at += 1
            while text[at] != quote:
                at += 2 if text[at] == "\\" else 1
        elif text[at] in "({[":
            depth += 1
        elif text[at] in ")}]":
            depth -= 1
            if depth == 0:
                return at + 1
        at += 1
    raise ValueError("a bracket that nothing closes")


def head_and_end(text, at):
    """A declaration without its body, that body (or None) and the place after both."""
    begin = at
    is_type = re.match(r"(template <[^{;]*> ?)?(requires\([^{;]*\) )?(class|struct|enum|union|concept)\b", text[at:])
    while True:
        c = text[at]
        if text.startswith("//", at):
            at = text.index("\n", at)
        elif c in "([":
            at = balanced(text, at)
        elif c == ";":
            return text[begin:at], None, at + 1
        elif c == "{":
            before = text[begin:at]
            end = balanced(text, at)
            if re.search(r"(requires|=|&&|\|\|)\s*requires\s*(\([^{}]*\))?\s*$", before) or re.search(r"\brequires\s*$", before):
                at = end  # a requires-expression
            elif before.rstrip().endswith("="):
                at = end  # an initializer: x = {}
            elif re.search(r"[\w>]$", before) and not re.search(r"\b(const|noexcept|override)$", before):
                at = end  # an initializer: x{1}
            else:
                rest = re.match(r"\s*;", text[end:]) if is_type else None
                return before, text[at:end], end + (rest.end() if rest else 0)
        else:
            at += 1


def without_initializers(head):
    """A constructor without the list of what it initializes."""
    depth = 0
    for i, c in enumerate(head):
        depth += (c in "([{") - (c in ")]}")
        if depth == 0 and c == ":" and head[i - 1] in " \n" and head[i + 1 : i + 2] == " " and ")" in head[:i]:
            return head[:i].rstrip()
    return head.rstrip()


def name_of(head):
    flat = re.sub(r"\[\[.*?\]\]", "", head)
    if m := re.match(r"using ([\w:]+) =", re.sub(r"^template <.*?>\s*(?=using)", "", flat, flags=re.S)):
        return m[1], "alias"
    if m := re.match(r"using [\w:]+::(\w+)$", flat):
        return m[1], "alias"
    if m := re.search(r"\b(class|struct|enum class|enum|union|concept)\s+(\w+)(\s*[:=]|\s+final|\s*<|\s*$)", flat.split("(")[0] if "requires(" not in flat else flat):
        return m[2], "specialization" if m[3].strip() == "<" else "type"
    flat = re.sub(r"\bdecltype\s*\(auto\)", "auto", flat)
    if m := re.search(r"(operator\s*(?:\(\)|[^\s(]+)|~?[\w:]+)\s*\(", re.sub(r"\brequires\s*\(|\bnoexcept\s*\(|\bexplicit\s*\(", "requires ", flat)):
        return m[1], "function"
    if m := re.search(r"(\w+)(<[^=]*>)?\s*(=|\{|$)", flat):
        return m[1], "specialization" if m[2] else "variable"
    raise ValueError(f"no name in {head!r}")


def members(body):
    """What a class shows: its public part as a synopsis, the comments in their places."""
    lines, is_public = [], True
    at, comment = 1, []
    while at < len(body) - 1:
        rest = body[at:]
        if m := re.match(r"\s*\n\s*\n", rest):
            if is_public and lines and lines[-1]:
                lines += [*comment, ""]
            comment = []
            at += m.end() - 1 - len(m[0].rpartition("\n")[2])
            at = max(at, len(body) - len(rest) + 1)
        elif m := re.match(r"\s+", rest):
            at += m.end()
        elif m := re.match(r"//[^\n]*", rest):
            comment.append("  " + m[0])
            at += m.end()
        elif m := re.match(r"(public|private|protected):", rest):
            is_public = m[1] == "public"
            comment = []
            at += m.end()
        elif rest.startswith("}"):
            break
        elif m := re.match(r"friend class [^;]*;|static_assert", rest):
            at = head_and_end(body, at)[2]
            comment = []
        else:
            head, inner, at = head_and_end(body, at)
            trailing = re.match(r"[ ]*//[^\n]*(\n[ ]{20,}//[^\n]*)*", body[at:])
            if is_public:
                if re.match(r"(struct|enum|class)", head) and inner:
                    text = head + inner
                else:
                    text = without_initializers(head)
                lines += [*comment, "  " + text + ";" + (trailing[0] if trailing else "")]
            if trailing:
                at += trailing.end()
            comment = []
    while lines and not lines[-1]:
        lines.pop()
    return lines


def without_lazy(text):
    """The text without a macro that concerns the compiler alone, and without the indentation that it caused."""
    macro = "WHENCE_LAZY "
    return re.sub(rf"^( *){macro}([^;]*;)", lambda m: m[1] + m[2].replace("\n" + " " * len(macro), "\n"), text, flags=re.M)


def declarations(path, more=()):
    """The comment that opens a header, and what it declares, as {namespace: [declaration]}: of the public namespaces,
    and of `more`."""
    text = without_lazy(path.read_text())
    opening = re.match(r"// SPDX[^\n]*\n//\n((?://[^\n]*\n)*)", text)
    found = {}
    at = opening.end() if opening else 0
    spaces, comment, marker = [], [], ""
    while at < len(text):
        rest = text[at:]
        if m := re.match(r"[ \t]*\n", rest):
            at += m.end()
            if text[at - m.end() - 1] == "\n":
                comment = []
        elif m := re.match(r"#(?:[^\n]*\\\n)*[^\n]*\n", rest):
            if d := re.match(r"#define (WHENCE_VERSION_\w+) \d", m[0]):
                found.setdefault("", []).append(declaration(d[1], [], m[0].strip(), "macro"))
            at += m.end()
        elif m := re.match(r"//( ?[^\n]*)\n", rest):
            if section := re.match(r" ---- .*?\((\w+\.hpp)", m[1]):
                marker = section[1]
            elif re.match(r" ----", m[1]) or re.match(r" -+$", m[1]):
                marker = "profile.hpp" if "profiles" in m[1] else marker
            else:
                comment.append(m[1])
            at += m.end()
        elif m := re.match(r"(?:inline )?namespace ([\w: ]*)\{", rest):
            spaces.append(m[1].strip())
            at += m.end()
        elif rest.startswith("}"):
            spaces.pop()
            at += 1
            at += re.match(r"[^\n]*", text[at:]).end()
        elif re.match(r'asm\(|static_assert|extern "C"', rest) or not spaces:
            at = head_and_end(text, at)[2] if not rest.startswith("extern") else len(text)
        elif m := re.match(r"[ \t;]+", rest):
            at += m.end()
        else:
            head, body, at = head_and_end(text, at)
            trailing = re.match(r"[ ]*//[^\n]*", text[at:])
            at += trailing.end() if trailing else 0
            space = re.sub(r"whence::inline v1(::)?", "", "::".join(spaces))
            if (space in NAMESPACES or space in more) and not (space == "http" and path.name == "httplib.hpp"):
                name, kind = name_of(head)
                shown = without_initializers(head)
                if kind == "type" and body and not re.search(r"\bconcept\b", head):
                    if re.search(r"\benum\b", head):
                        shown += body
                    else:
                        is_class = re.search(rf"\bclass\s+(?:\[\[.*?\]\] )?{name}\b", head)
                        access = " public:\n" if is_class else ""
                        shown += " {\n" + access + "\n".join(members(body)) + "\n}"
                elif re.search(r"\bconcept\b", head) and body:
                    shown += body
                d = declaration(name, comment, shown + ";", kind)
                d.is_forward = kind == "type" and body is None and "concept" not in head
                d.marker = marker
                if kind != "specialization" and not re.search(r"requires\(!\w+::enabled", head):
                    found.setdefault(space, []).append(d)
            comment = []
    return (opening[1].splitlines() if opening else []), found


def prose(lines):
    """A comment of a header as Markdown."""
    out, code = [], []

    def end_code():
        if code:
            while code and not code[-1].strip():
                code.pop()
            indent = min(len(l) - len(l.lstrip()) for l in code if l.strip())
            is_code = any(re.search(r";( +//.*)?$", l) for l in code) and not any(re.match(r" *\$ ", l) for l in code)
            language = "cpp" if is_code else "text"
            out.extend(["", f"```{language}", *[l[indent:] for l in code], "```", ""])
            code.clear()

    for line in lines:
        line = line[2:] if line.startswith("//") else line
        line = line[1:] if line.startswith(" ") else line
        indent = len(line) - len(line.lstrip())
        if not line.strip():
            (code if code else out).append("")
        elif indent >= 8 and out and out[-1].strip() and not code:
            out.append("  " + escaped(line.strip()))
        elif indent >= 2:
            code.append(line)
        else:
            end_code()
            if m := re.match(r"([\w/.?=_]+)\s{2,}(\S.*)", line):
                out.append(f"- `{m[1]}`: {escaped(m[2])}")
            else:
                out.append(escaped(line))
    end_code()
    return re.sub(r"\n{3,}", "\n\n", "\n".join(out)).strip()


def escaped(line):
    parts = line.split("`")
    for i in range(0, len(parts), 2):
        parts[i] = re.sub(r"([<*])", r"\\\1", parts[i])
    return "`".join(parts)


def tidy(text):
    text = re.sub(r"\[\[gnu::[^\]]*\]\]\s*", "", text)
    return re.sub(r"[ \t]+\n", "\n", text).strip()


def collect():
    """{page: (opening comment, [(namespace, declaration)])}, with what names.hpp knows of each."""
    pages = {}
    for path in sorted(INCLUDE.glob("*.hpp")):
        if path.name != "config_generated.hpp":
            opening, found = declarations(path)
            pages[path.name] = [opening, [(s, d) for s, ds in found.items() for d in ds]]
    known = {(s, d.name): page for page, (_, ds) in pages.items() if page not in ("names.hpp", "fwd.hpp")
             for s, d in ds if not getattr(d, "is_forward", False)}
    # What a page has from a folder: the class that names.hpp promises.
    inner = {}
    homeless = []
    for space, d in pages["names.hpp"][1]:
        if d.kind == "alias" or not d.is_forward:
            if (space, d.name) not in known:
                words = re.findall(r"\b\w+\b", d.text.partition("=")[2]) if d.kind == "alias" else []
                page = next((known[(space, w)] for w in words if (space, w) in known), d.marker or "names.hpp")
                homeless.append((page, space, d))
        elif (space, d.name) not in known:
            defines = re.compile(rf"^(class|struct|enum class) (\[\[.*?\]\] )?{d.name}\b[^;{{]*\{{", re.M)
            for path in sorted(INCLUDE.glob("*/**/*.hpp")):
                if not defines.search(path.read_text()):
                    continue
                if path not in inner:
                    inner[path] = declarations(path)
                opening, found = inner[path]
                for definition in found.get(space, []):
                    if definition.name == d.name and not getattr(definition, "is_forward", False):
                        definition.comment = [*opening, "", *definition.comment]
                        opening.clear()  # said once
                        homeless.append((d.marker, space, definition))
    # What a folder has and gives to the namespace of programs: using instruments::this_line;
    for path in sorted(INCLUDE.glob("*/**/*.hpp")):
        for within, name in re.findall(r"^using (\w+)::(\w+);$", path.read_text(), re.M):
            opening, found = declarations(path, [within])
            users = [p for p in pages if f"whence/{path.relative_to(INCLUDE)}>" in (INCLUDE / p).read_text()]
            users.sort(key=lambda p: not any(name in line for line in pages[p][0]))
            given = any(d.name == name for d in found.get("", []))
            for d in found.get(within, []) if users and given else []:
                if d.name == name:
                    d.comment = [*opening, "", *d.comment]
                    homeless.append((users[0], "", d))
    for page, space, d in homeless:
        pages[page][1].append((space, d))
    for page in ("names.hpp", "fwd.hpp"):
        pages[page][1] = [(s, d) for s, d in pages[page][1] if any(h[2] is d and h[0] == page for h in homeless)]
    for page, (_, ds) in pages.items():
        ds[:] = [(s, d) for s, d in ds if not getattr(d, "is_forward", False) and not re.search(r"::\w+$", d.name)]
    return pages


def names_of(pages):
    return {f"{s}::{d.name}" if s else d.name for _, ds in pages.values() for s, d in ds}


def anchor(heading):
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def rendered(pages):
    out = [INTRODUCTION, "## Contents", "", "| page | names |", "|---|---|"]
    for page, (_, ds) in pages.items():
        links = []
        for s, d in ds:
            full = f"{s}::{d.name}" if s else d.name
            link = f"[{full}](#{anchor(full)})"
            if not d.name.startswith("operator") and link not in links:
                links.append(link)
        out.append(f"| [{page}](#{anchor(page)}) | {', '.join(links)} |")
    for page, (opening, ds) in pages.items():
        out += ["", f"## {page}", "", f"`#include <whence/{page}>`", "", prose(opening)]
        seen = {}
        for s, d in ds:
            full = f"{s}::{d.name}" if s else d.name
            if full not in seen:
                out += ["", f"### {full}"]
            seen[full] = True
            text = prose(d.comment)
            out += ["", *([text, ""] if text else []), "```cpp", tidy(d.text), "```"]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(out)) + "\n"


def complaints(pages, text):
    have = names_of(pages)
    for name in sorted(public_names.names(INCLUDE / "names.hpp")):
        if name not in have:
            yield f"names.hpp declares {name}, which the reference lacks"
    for page, (opening, ds) in pages.items():
        words = "\n".join([*opening, *(line for _, d in ds for line in [*d.comment, d.text])]).lower()
        if page not in NO_CALLS and not re.search(r"thread[- ]?safe|one\s+(//\s+)?thread at a time", words):
            yield f"{page} does not say whether its functions are thread-safe"
    if len(have) < 60:
        yield f"only {len(have)} names were found"


def main():
    pages = collect()
    text = rendered(pages)
    if sys.argv[1:] == ["--write"]:
        REFERENCE.parent.mkdir(exist_ok=True)
        REFERENCE.write_text(text)
    problems = list(complaints(pages, text))
    if not REFERENCE.exists() or REFERENCE.read_text() != text:
        problems.append("docs/reference.md is not what the headers say: run tests/checks/reference.py --write")
    if problems:
        sys.exit("reference: " + "\n           ".join(problems))
    print(f"reference: docs/reference.md has the {len(names_of(pages))} public names of {len(pages)} pages")


if __name__ == "__main__":
    main()
