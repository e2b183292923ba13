#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Short names equal pprof's, on real symbols: `short_names.test.sh BUILD`. The functions of
# libstdc++, libLLVM, libclang, Boost and of a program of ours, each by our rule on the text of
# __cxa_demangle and by pprof's demangler (Debian: golang-github-ianlancetaylor-demangle-dev), which
# parses names instead. At least 994 of 1000 must be equal, of 50 000 names or more. The others are
# counted by cause; names without a known cause must be rare.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
build="$(cd "$1" && pwd)"
work="$build/tests/short_names.work"
mkdir -p "$work"
export GOCACHE="$build/tests/gocache" HOME="${HOME:-$work}" LC_ALL=C

(cd "$here" && GO111MODULE=off GOPATH=/usr/share/gocode GOFLAGS='' go build -o "$work/theirs" short_names.go)

shopt -s nullglob
libraries=(/usr/lib/*/libstdc++.so.6 /usr/lib/*/libLLVM-*.so.* /usr/lib/*/libclang-cpp.so.*
  /usr/lib/*/libboost_*.so.*)
[ "${#libraries[@]}" -gt 0 ] || { echo "FAILED: there are no libraries"; exit 1; }
{
  for library in "${libraries[@]}"; do nm -D --defined-only "$library"; done
  nm --defined-only "$build/tests/write_profiles"
} 2>"$work/nm.err" |
  # Functions alone, without versions and the marks of clones.
  awk '$2 ~ /^[TtWi]$/ && $3 ~ /^_Z/ { sub(/[@.].*/, "", $3); print $3 }' | sort -u >"$work/names"
"$build/tests/short_names" <"$work/names" >"$work/ours.txt"
"$work/theirs" <"$work/names" >"$work/theirs.txt"
paste "$work/ours.txt" "$work/theirs.txt" | awk -F'\t' -v least=0.994 '
  function cause(name) {
    if (name ~ / thunk to /) return "thunks, which pprof shows with parameters"
    if (name ~ /transaction clone for /) return "transaction clones, which pprof shows with parameters"
    if (name ~ /lambda\(/) return "parameters of lambdas, of which pprof drops template arguments"
    if (name ~ /operator .*\(/) return "conversions to pointers to members"
    if (name ~ /\(.*\)::/) return "local functions, whose functions pprof shows with parameters"
    return "others"
  }
  $1 != $3 { print "FAILED: the lists are not of the same names"; failed = 1; exit 1 }
  { total++ }
  $2 == $4 { equal++; next }
  { n[c = cause($4)]++; if (c == "others" && n[c] <= 10) print "  " $1 "\n    ours   " $2 "\n    theirs " $4 }
  END {
    if (failed) exit 1
    for (c in n) printf "  %5d %s\n", n[c], c
    printf "short_names: %d of %d equal, %.2f %%\n", equal, total, total ? 100 * equal / total : 0
    if (total < 50000) { print "FAILED: too few names"; exit 1 }
    if (equal < least * total) { print "FAILED: fewer than 99.4 %"; exit 1 }
    if (n["others"] > total / 2000) { print "FAILED: too many of no known cause"; exit 1 }
  }'
