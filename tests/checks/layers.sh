#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Data goes down only, and so do includes. Three rules, read off the include lines themselves:
#   1. a folder includes only the folders below it (the table `below`), and of the pages those that say
#      names and numbers; only http/ and serve/ stand on the pages that read, and environment/ on
#      the server, too;
#   2. a public page of a ring includes only pages of its own or a lower ring, and the folders that
#      ring may see; what a ring 1 (recording) page reaches, however indirectly, is sys/ and instruments/
#      alone: it never compiles an unwinder, a table or a writer;
#   3. a file of bodies, impl/PAGE.ipp, may include everything, and is included by two files alone:
#      by its own page, in the last lines and only #ifndef WHENCE_COMPILED, and by src.hpp.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

declare -A below=(
  [sys]=""
  [instruments]="sys"
  [unwind]="sys"
  [tables]="unwind instruments sys"
  [core]="tables unwind instruments sys"
  [state]="core tables unwind instruments sys"
  [snapshots]="state core tables unwind instruments sys"
  [record]="snapshots state core tables unwind instruments sys"
  [samplers]="record snapshots state core tables unwind instruments sys"
  [dumps]="samplers record snapshots state core tables unwind instruments sys"
  [symbols]="unwind sys"
  [ui]=""
  [format]="ui symbols snapshots state core tables instruments sys"
  [kinds]="format symbols dumps samplers record snapshots state core tables unwind instruments sys"
  [http]="format symbols dumps samplers record snapshots state core tables instruments sys"
  [serve]="http format samplers state sys"
  [environment]="serve http kinds format samplers snapshots state core tables unwind instruments sys"
  [impl]="serve http kinds format symbols dumps samplers record snapshots state core tables unwind instruments sys"
)
recording="sys instruments"
reading="$recording unwind tables core state snapshots record samplers dumps symbols ui format"

declare -A ring=()
for page in version config config_generated names fwd; do ring[$page]=0; done
for page in registry tracked allocator memory_resource mutex condition_variable sync thread labels \
            coroutine new_delete malloc tracking_new pthread knobs recording; do ring[$page]=1; done
for page in profile cpu wall errc whence; do ring[$page]=2; done
for page in flamegraph; do ring[$page]=2; done
for page in http server httplib beast environment src; do ring[$page]=3; done
declare -A sees=([0]="" [1]="$recording" [2]="$reading" [3]="$reading http serve environment")

failures=0
fail() {
  echo "layers: $*" >&2
  failures=$((failures + 1))
}

# Lists the headers of this library that a header includes, one a line, relative to include/whence/.
includes() {
  sed -nE 's|^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"]whence/([^>"]+)[>"].*|\1|p' \
    "include/whence/$1"
}

# Pages that are not in the first folder.
declare -A bodies_of=([sink]=format/sink.hpp)

ends_with_bodies() {  # header, its bodies
  [ "$(tail -n 5 "include/whence/$1" | head -n 3)" = "#ifndef WHENCE_COMPILED
#include <whence/$2>
#endif" ]
}

contains() { [[ " $1 " == *" $2 "* ]]; }

mapfile -t headers < <(cd include/whence && find . '(' -name '*.hpp' -o -name '*.ipp' ')' -printf '%P\n' | LC_ALL=C sort)
[ "${#headers[@]}" -gt 0 ] || fail "no headers found"

declare -A edges=()
for header in "${headers[@]}"; do
  edges[$header]="$(includes "$header" | tr '\n' ' ')"
done

for header in "${headers[@]}"; do
  folder="" page=""
  if [[ $header == */* ]]; then
    folder="${header%%/*}"
    [ -n "${below[$folder]+known}" ] || { fail "$folder/ is not in the table of folders"; continue; }
  else
    page="${header%.hpp}"
    [ -n "${ring[$page]+known}" ] || { fail "$header is in no ring"; continue; }
  fi
  for target in ${edges[$header]}; do
    if [ ! -e "include/whence/$target" ] && [ "$target" != config_generated.hpp ]; then
      fail "$header includes $target, which is not there"
    elif [[ $target == impl/* ]]; then
      of="${target#impl/}"
      [ "$header" = src.hpp ] || [ "$header" = "${bodies_of[${of%.ipp}]:-${of%.ipp}.hpp}" ] ||
        fail "$header includes $target, the bodies of another page"
      [ "$header" = src.hpp ] || ends_with_bodies "$header" "$target" ||
        fail "$header does not end with $target, #ifndef WHENCE_COMPILED"
    elif [[ $target == */* ]]; then
      into="${target%%/*}"
      if [ -n "$folder" ]; then
        [ "$into" = "$folder" ] || contains "${below[$folder]}" "$into" ||
          fail "$header includes $target: $folder/ may include only: ${below[$folder]:-itself}"
      else
        contains "${sees[${ring[$page]}]}" "$into" ||
          fail "$header (ring ${ring[$page]}) includes $target"
      fi
    else
      to="${ring[${target%.hpp}]:-9}"
      if [ -n "$folder" ]; then
        [ "$to" = 0 ] || { [[ $folder == http || $folder == serve ]] && [ "$to" -le 2 ]; } ||
          { [ "$folder" = environment ] && [ "$to" -le 3 ]; } || [ "$folder" = impl ] ||
          fail "$header includes the public page $target, which is above it"
      else
        [ "$to" -le "${ring[$page]}" ] ||
          fail "$header (ring ${ring[$page]}) includes $target (ring $to)"
      fi
    fi
  done
done

# Lists everything that a header reaches, through conditional includes too.
reach() {
  local -A seen=([$1]=1)
  local queue=("$1") next target
  while [ "${#queue[@]}" -gt 0 ]; do
    next="${queue[0]}"
    queue=("${queue[@]:1}")
    for target in ${edges[$next]:-}; do
      if [ -z "${seen[$target]+seen}" ]; then
        seen[$target]=1
        queue+=("$target")
        echo "$target"
      fi
    done
  done
}

for page in "${!ring[@]}"; do
  if [ "${ring[$page]}" = 1 ] && [ -e "include/whence/$page.hpp" ]; then
    while read -r target; do
      case "$target" in
        sys/* | instruments/*) ;;
        */*) fail "$page.hpp records, but reaches $target" ;;
      esac
    done < <(reach "$page.hpp")
  fi
done

# Bodies that src.hpp forgets are undefined in a compiled program, but only if it needs them.
for header in "${headers[@]}"; do
  [[ $header != impl/* ]] || contains "${edges[src.hpp]}" "$header" || fail "src.hpp lacks $header"
done

# An empty list of edges would pass every rule above.
edge_count="$(printf '%s\n' "${edges[@]}" | wc -w)"
[ "$edge_count" -gt 0 ] || fail "no include line was found at all"

if [ "$failures" -gt 0 ]; then
  echo "layers: $failures violations in ${#headers[@]} headers" >&2
  exit 1
fi
echo "layers: ${#headers[@]} headers, $edge_count includes, every one points down"
