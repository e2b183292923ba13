#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A unit test lies where its header lies: tests/unit/FOLDER/ only if include/whence/FOLDER/ exists. A file
# has the name of a header there, or its first comment says which behaviour it is about.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

failures=0
fail() {
  echo "mirrors: $*" >&2
  failures=$((failures + 1))
}

mirrors=0 behaviours=0
while read -r test; do
  folder="$(dirname "$test")"
  header="include/whence/${test%.test.cpp}.hpp"
  if [ ! -d "include/whence/$folder" ]; then
    fail "tests/unit/$test is about a folder that is not in include/whence/"
  elif [ -e "$header" ]; then
    mirrors=$((mirrors + 1))
  elif sed -n 3p "tests/unit/$test" | grep -q '^// [A-Z]'; then
    behaviours=$((behaviours + 1))
  else
    fail "tests/unit/$test mirrors no header, and its first comment names no behaviour"
  fi
done < <(cd tests/unit && find . -name '*.test.cpp' -printf '%P\n' | LC_ALL=C sort)

[ "$mirrors" -gt 0 ] || fail "no test mirrors a header"
# Tests and fixtures have no other places.
while read -r stray; do fail "$stray lies in no folder of tests/"; done < <(
  find tests -maxdepth 1 -type f ! -name CMakeLists.txt ! -name run.sh ! -name long.sh)

[ "$failures" -eq 0 ] || exit 1
echo "mirrors: $mirrors tests have the name of a header, $behaviours name a behaviour"
