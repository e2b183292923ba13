#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What including a header costs, in preprocessed lines: exact and the same on a loaded machine.
# The limits are ratios to standard headers of the same compiler, so they hold for any version.
# The optional libraries are switched on, since their headers would count as well.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
compiler="${CXX:-g++}"

lines() {  # headers... -> preprocessed lines of a file that includes them all
  local text="" header
  for header in "$@"; do text+="#include <$header>"$'\n'; done
  "$compiler" -std=c++20 -E -P -x c++ -Iinclude -DWHENCE_WITH_ZLIB=1 -DWHENCE_WITH_LIBBACKTRACE=1 \
    - <<<"$text" | wc -l
}

memory="$(lines memory)"
all="$(lines mutex memory thread)"
failures=0

printf '%s\n' "$("$compiler" --version | head -n 1)"
printf '%-44s %8s %8s %8s\n' header lines ratio limit
printf '%-44s %8d\n' "<memory>" "$memory" "<mutex> + <memory> + <thread>" "$all"

row() {  # header, baseline, limit in hundredths of the baseline
  local count ratio verdict=""
  count="$(lines "$1")"
  ratio=$((count * 100 / $2))
  if [ $((count * 100)) -gt $(($2 * $3)) ]; then
    verdict="  too much"
    failures=$((failures + 1))
  fi
  printf '%-44s %8d %7d%% %7d%%%s\n' "<$1>" "$count" "$ratio" "$3" "$verdict"
}
row whence/allocator.hpp "$memory" 120
row whence/tracked.hpp "$memory" 120
row whence/whence.hpp "$all" 151

if [ "$failures" -gt 0 ]; then
  echo "include_cost: $failures headers cost more than they may" >&2
  exit 1
fi
echo "include_cost: every header is within its limit"
