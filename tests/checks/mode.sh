#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Checks that objects were compiled in the given mode: `mode.sh whence::whence OBJECT ...` or
# `mode.sh whence::compiled OBJECT ...`. A suite that links the archive and still compiles every
# body itself would pass all its tests, and test nothing of the compiled mode.
#
# The checked function is never inlined, so each object that calls it shows its mode: a header-only
# object has its own (W), a compiled one leaves it to the archive (U).
set -euo pipefail
[ $# -ge 2 ] || { echo "usage: mode.sh whence::whence|whence::compiled OBJECT ..." >&2; exit 2; }
mode="$1"
shift
case "$mode" in
  whence::whence) wanted=W unwanted=U ;;
  whence::compiled) wanted=U unwanted=W ;;
  *) echo "mode: $mode is no mode" >&2; exit 2 ;;
esac

# Header-only it is a template, whose symbol has its arguments and its result. Its lambdas do not count.
count() {
  grep -cE "(^| )$1 (std::error_code )?whence::v1::profile::write_to(<void>)?\\([^{]*$" <<<"$symbols" || true
}

symbols="$(nm -C "$@")"
as_claimed="$(count $wanted)"
otherwise="$(count $unwanted)"
if [ "$as_claimed" -eq 0 ] || [ "$otherwise" -ne 0 ]; then
  echo "mode: said to be $mode, but of $# objects $as_claimed are so and $otherwise are not" >&2
  exit 1
fi
echo "mode: $as_claimed of $# objects call profile::write_to, all as $mode has it"
