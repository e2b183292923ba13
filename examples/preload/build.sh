#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# examples/preload/build.sh FOLDER leaves libwhence_preload.so and whence-run in FOLDER.
#
# The library needs nothing but libc: the C++ library and zlib (libz.a, Debian: zlib1g-dev) are in
# it. libdw cannot be, since Debian's libdw.a is not position-independent: profiles have functions,
# and lines come from `go tool pprof`, which reads the files of the program. CXX: the compiler, g++.
# Build it on the oldest system that it is for: it starts on no older glibc.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
[ $# = 1 ] || { echo "usage: $0 FOLDER" >&2; exit 2; }
mkdir -p "$1"
cxx="${CXX:-g++}"

zlib="$("$cxx" -print-file-name=libz.a)"
if [ "$zlib" = libz.a ]; then
  echo "build.sh: libz.a is not found (Debian: zlib1g-dev), profiles will not be compressed" >&2
  zlib=""
fi
flags=(-std=c++20 -O2 -g1 -fPIC -shared -fvisibility=hidden -ffunction-sections -fdata-sections
       -I "$here/../../include" "-DWHENCE_WITH_ZLIB=$([ -n "$zlib" ] && echo 1 || echo 0)" -DWHENCE_WITH_LIBDW=0)
link=(-static-libstdc++ -static-libgcc -Wl,--gc-sections -Wl,--as-needed -Wl,-z,relro
      "-Wl,--version-script=$here/exports.map" -Wl,-soname,libwhence_preload.so)
"$cxx" "${flags[@]}" "$here/preload.cpp" -o "$1/libwhence_preload.so.new" "${link[@]}" ${zlib:+"$zlib"}

# One import that the system's libc lacks is fatal before main, while a missing library is ignored.
newest="$(objdump -T "$1/libwhence_preload.so.new" | grep -oE 'GLIBC_[0-9]+\.[0-9]+' | LC_ALL=C sort -Vu | tail -n 1)"
case "$(printf '%s\n' "$newest" GLIBC_2.35 | sort -V | tail -n 1)" in
  GLIBC_2.35) ;;
  *) echo "build.sh: the library needs $newest, more than GLIBC_2.35" >&2
     objdump -T "$1/libwhence_preload.so.new" | grep -F "$newest" >&2
     exit 1 ;;
esac
mv "$1/libwhence_preload.so.new" "$1/libwhence_preload.so"
install -m 755 "$here/whence-run" "$1/whence-run"
