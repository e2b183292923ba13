#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Counts turns of phrase that make a comment or a message hard to read: a condition that begins with
# "where", an actor without a role, an inverted negation, a comment that opens with a preposition.
# Only prose counts: comments and string literals of all C++ files, test sentences among them; comments of
# scripts; and the whole of every document.
#
#   tests/checks/words.sh           prints counts and limits; fails above a limit
#   tests/checks/words.sh --list    prints every place, too
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# One line for each comment, trailing comment and string: PLACE<tab>KIND<tab>TEXT. The lines of a
# comment are joined, because a phrase may be broken across two of them.
prose() {
  find include tests bench examples '(' -name '*.[hi]pp' -o -name '*.cpp' ')' -print0 | LC_ALL=C sort -z |
    xargs -0 awk '
    function flush() {
      if (block != "") print place "\tcomment\t" block
      block = ""
    }
    FNR == 1 { flush() }
    /^[ \t]*\/\// {
      text = $0
      sub(/^[ \t]*\/\/+[ \t]*/, "", text)
      if (text ~ /^SPDX/) next
      if (block == "") place = FILENAME ":" FNR
      block = block == "" ? text : block " " text
      next
    }
    {
      flush()
      rest = $0
      while (match(rest, /"([^"\\]|\\.)*"/)) {
        print FILENAME ":" FNR "\tstring\t" substr(rest, RSTART + 1, RLENGTH - 2)
        rest = substr(rest, 1, RSTART - 1) "_" substr(rest, RSTART + RLENGTH)
      }
      if (match(rest, /[ \t]\/\/[ \t]/)) {
        print FILENAME ":" FNR "\tcomment\t" substr(rest, RSTART + RLENGTH)
      }
    }
    END { flush() }'
  find . -name '*.md' -not -path './build/*' -print0 | LC_ALL=C sort -z |
    xargs -0 awk '{ print FILENAME ":" FNR "\tdocument\t" $0 }'
  find tests bench examples packaging '(' -name '*.sh' -o -name '*.py' -o -name '*.mjs' -o -name CMakeLists.txt ')' \
    -not -name words.sh -print0 | LC_ALL=C sort -z |
    xargs -0 awk '/^[ \t]*(#|\/\/) / { sub(/^[ \t]*(#|\/\/) /, ""); print FILENAME ":" FNR "\tscript\t" $0 }'
}

failures=0
text="$(prose)"

limit() {  # most, what it is, options of grep and a pattern
  local most="$1" what="$2" found
  shift 2
  found="$(grep -o "$@" <<<"$text" | wc -l || true)"
  printf 'words: %4d, at most %d: %s\n' "$found" "$most" "$what"
  if [ "$found" -gt "$most" ]; then failures=$((failures + 1)); fi
  if [ "$list" = --list ]; then grep "$@" <<<"$text" | cut -c 1-200 | sed 's/^/  /' || true; fi
}

list="${1:-}"
[ "$(wc -l <<<"$text")" -gt 1000 ] || { echo "words: found hardly any prose" >&2; exit 1; }
limit 0 '"nullptr where", "false where" and the like' -iE \
  '\b(nullptr|false|0|empty)( only)?,? where\b'
limit 5 'nobody, somebody, whoever' -iwE 'nobody|somebody|whoever'
limit 0 '"there is none", "is none"' -iw 'is none'
limit 0 '"to be had"' -iw 'be had'
limit 0 'comments that open with Of, As, By, In or From' -E $'\tcomment\t(Of|As|By|In|From)\\b'

if [ "$failures" -gt 0 ]; then
  echo "words: $failures limits exceeded; tests/checks/words.sh --list shows the places" >&2
  exit 1
fi
