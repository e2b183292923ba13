#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Fetches ten seconds of CPU time and pushes them to Pyroscope, without a collector:
#   push-to-pyroscope.sh [PROGRAM [PYROSCOPE [NAME]]]
set -euo pipefail
program="${1:-http://127.0.0.1:6060}"
pyroscope="${2:-http://127.0.0.1:4040}"
name="${3:-my-service}"
file="$(mktemp)"
trap 'rm -f "$file"' EXIT

from="$(date +%s)"
curl --silent --show-error --fail "$program/debug/pprof/profile?seconds=10" -o "$file"
curl --silent --show-error --fail -F "profile=@$file" \
  "$pyroscope/ingest?format=pprof&name=$name&from=$from&until=$(date +%s)"
