#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Two decoders agree on a profile: `protoc.sh FILE...` compares what protoc reads from each file
# (counts, and the sum of each sample type) with what pprof-format reads (NODE_PATH). PPROF_PROTO:
# the folder of profile.proto (default: Debian's).
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
proto="${PPROF_PROTO:-/usr/share/gocode/src/github.com/google/pprof/proto}"
[ $# -gt 0 ] || { echo "usage: protoc.sh FILE..." >&2; exit 2; }

for file in "$@"; do
  # gzip -cdf passes uncompressed files on.
  protoc_says="$(gzip -cdf -- "$file" |
    protoc --decode=perftools.profiles.Profile -I "$proto" profile.proto |
    python3 -c '
import re, sys

strings, types, counts, sums, inside, value = [], [], {}, {}, [], 0
def unquote(text):
    return re.sub(rb"\\([0-7]{3}|.)", lambda m: bytes([int(m[1], 8)]) if len(m[1]) == 3
                  else {b"n": b"\n", b"t": b"\t", b"r": b"\r"}.get(m[1], m[1]), text.encode()).decode()
for line in sys.stdin:
    line = line.strip()
    if line.endswith("{"):
        inside.append(line[:-2])
        path = "/".join(inside)
        counts[path] = counts.get(path, 0) + 1
        value = 0
    elif line == "}":
        inside.pop()
    else:
        field, _, text = line.partition(": ")
        path = "/".join(inside)
        if not inside and field == "string_table":
            strings.append(unquote(text[1:-1]))
        elif path == "sample_type" and field == "type":
            types.append(int(text))
        elif path == "sample" and field == "value":
            sums[value] = sums.get(value, 0) + int(text)
            value += 1
says = [f"{k} {counts.get(p, 0)}" for k, p in (("samples", "sample"), ("locations", "location"),
        ("functions", "function"), ("mappings", "mapping"), ("lines", "location/line"))]
says += [f"sum {strings[t]} {sums.get(i, 0)}" for i, t in enumerate(types)]
print("\n".join(says))
')"
  node_says="$(node --input-type=module -e '
import { readFileSync } from "node:fs";
const { pprofFormat, summary } = await import(process.argv[2]);
const s = summary(readFileSync(process.argv[1]), pprofFormat().decode);
for (const k of ["samples", "locations", "functions", "mappings", "lines"]) console.log(k, s[k]);
for (const [type, sum] of Object.entries(s.sums)) console.log("sum", type, sum);
' "$file" "$here/validate.mjs")"
  if [ "$protoc_says" != "$node_says" ]; then
    echo "$file: protoc (<) and pprof-format (>) differ"
    diff <(echo "$protoc_says") <(echo "$node_says") || true
    exit 1
  fi
  echo "$file: protoc and pprof-format agree: $(echo "$protoc_says" | paste -sd, | sed 's/,/, /g')"
done
