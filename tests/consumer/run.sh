#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Uses the library as other projects do: `run.sh BUILD_FOLDER [case ...]`. BUILD_FOLDER is a
# configured build of this library. It is installed to a prefix in a temporary folder, the
# consumer's sources are copied beside it, and nothing there refers to this tree.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
root="$(cd "$here/../.." && pwd)"
[ $# -ge 1 ] || { echo "usage: run.sh BUILD_FOLDER [case ...]" >&2; exit 2; }
build="$(cd "$1" && pwd)"
shift

cached() { sed -nE "s/^$1:[A-Z]+=(.*)/\1/p" "$build/CMakeCache.txt"; }
CXX="$(cached CMAKE_CXX_COMPILER)"
generator="$(cached CMAKE_GENERATOR)"
export CXX
# What is tried here does not depend on the optimizer, except where a case asks for it; the optimized
# library is the unit tests' business.
strict=(-std=c++20 -O0 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror)
optimized=("${strict[@]}" -O1 -g1)

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
prefix="$work/prefix"
cmake --install "$build" --prefix "$prefix" >"$work/install.log" || { cat "$work/install.log"; exit 1; }

die() { echo "consumer: $*" >&2; exit 1; }

# The folder of the package whence, or of the named package.
pc_dir() { dirname "$(find "$prefix" -name whence.pc)"; }
flags() { PKG_CONFIG_PATH="$(pc_dir)" pkg-config "$1" "${2:-whence}"; }
compile_flags() { flags --cflags "$@"; }
link_flags() { flags --libs "$@"; }
# An archive does not name the libraries that it needs itself.
static_link_flags() { PKG_CONFIG_PATH="$(pc_dir)" pkg-config --static --libs "${1:-whence}"; }

# An object's part of the library: its own body of a function that is never inlined, or no body.
expect_mode() {  # whence::whence or whence::compiled, objects...
  bash "$here/../checks/mode.sh" "$@"
}

configure() {  # source folder, build folder, cmake arguments...
  local source="$1" into="$2"
  shift 2
  cmake -S "$source" -B "$into" -G "$generator" -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O0 "$@"
}

# Checks the program's profile: it is gzip if zlib is configured, has the heap's sample type and
# names the function that allocated.
expect_heap_profile() {
  local zlib=0
  grep -q 'WHENCE_WITH_ZLIB 1' "$prefix/include/whence/config_generated.hpp" && zlib=1
  python3 - "$1" "$zlib" <<'PYTHON'
import gzip, sys
data = open(sys.argv[1], "rb").read()
zipped = data[:2] == b"\x1f\x8b"
if zipped != (sys.argv[2] == "1"):
    sys.exit(f"consumer: gzip is {zipped}, but config_generated.hpp says {sys.argv[2]}")
if zipped:
    data = gzip.decompress(data)
for word in (b"inuse_space", b"bytes", b"fill"):
    if word not in data:
        sys.exit(f"consumer: the profile lacks {word}")
PYTHON
}

case_find_package() {
  cp "$here/main.cpp" .
  local link build_folder
  for link in whence::whence whence::compiled; do
    build_folder="build-${link#*::}"
    configure . "$build_folder" -DCMAKE_PREFIX_PATH="$prefix" -DLINK=$link
    cmake --build "$build_folder"
    "./$build_folder/consumer" heap.pb.gz
    expect_heap_profile heap.pb.gz
    expect_mode $link "$(find "$build_folder" -name main.cpp.o)"
  done

  # A moved copy still works, and a missing version is refused.
  mv "$prefix" "$prefix.moved"
  configure . moved -DCMAKE_PREFIX_PATH="$prefix.moved" -DLINK=whence::compiled >moved.log ||
    { cat moved.log; die "a moved prefix is not found"; }
  cmake --build moved
  ./moved/consumer heap.pb.gz
  mv "$prefix.moved" "$prefix"
  local version
  for version in 2.0 1.99 0.9; do
    if configure . "refused-$version" -DCMAKE_PREFIX_PATH="$prefix" -DWANTED=$version >refused.log 2>&1; then
      die "find_package(whence $version) was not refused"
    fi
    grep -q 'whence-config.cmake, version: ' refused.log ||
      { cat refused.log; die "find_package(whence $version) failed for another reason"; }
  done
  if grep -rn -e "$root" -e "$build" "$prefix" --include='*.cmake' --include='*.pc' --include='*generated*'; then
    die "the installed files name the folders they were built in"
  fi
  if grep -c -e "$root" -e "$build" "$(find "$prefix" -name libwhence.a)"; then
    die "the installed archive names the folders it was built in"
  fi
}

case_subdirectory() {
  cp "$here/main.cpp" .
  mkdir whence
  cp -r "$root/CMakeLists.txt" "$root/include" "$root/packaging" whence/
  configure . build-added -DWHENCE_SOURCE="$PWD/whence"
  cmake --build build-added
  ./build-added/consumer heap-added.pb.gz
  [ -z "$(find build-added -name libwhence.a)" ] || die "the archive is built, but nothing links it"
  # Both ways to add it end in the same targets, so each is tried with one of them.
  configure . build-compiled -DWHENCE_SOURCE="$PWD/whence" -DFETCH=ON -DLINK=whence::compiled
  cmake --build build-compiled
  ./build-compiled/consumer heap-compiled.pb.gz
  expect_mode whence::compiled build-compiled/CMakeFiles/consumer.dir/main.cpp.o
  # Unwanted libraries are not used, and wanted ones have to exist.
  configure . build-plain -DWHENCE_SOURCE="$PWD/whence" -DWHENCE_WITH_ZLIB=OFF -DWHENCE_WITH_LIBDW=OFF
  cmake --build build-plain
  ./build-plain/consumer heap.pb
  python3 -c 'import sys; data = open("heap.pb", "rb").read(); sys.exit(data[:1] == b"\x1f" or b"fill" not in data)' ||
    die "without zlib the profile is not plain protobuf that names the function"
  if configure . build-missing -DWHENCE_SOURCE="$PWD/whence" -DWHENCE_WITH_ZLIB=ON \
    -DCMAKE_DISABLE_FIND_PACKAGE_ZLIB=ON >missing.log 2>&1; then
    die "WHENCE_WITH_ZLIB=ON passed without zlib"
  fi
  grep -q 'WHENCE_WITH_ZLIB is ON, but ZLIB is not' missing.log || { cat missing.log; die "another error"; }
}

case_pkg_config() {
  cp "$here/main.cpp" .
  local package
  for package in whence whence-compiled; do
    # shellcheck disable=SC2046
    "$CXX" "${strict[@]}" $(compile_flags $package) -c main.cpp -o "$package.o"
    # shellcheck disable=SC2046
    "$CXX" "$package.o" -o "$package" $(link_flags $package)
    "./$package" heap.pb.gz
    expect_heap_profile heap.pb.gz
    echo "pkg-config: $package $(flags --modversion $package), libs $(link_flags $package)"
  done
  expect_mode whence::whence whence.o
  expect_mode whence::compiled whence-compiled.o
}

case_two_units() {
  local package
  for package in whence whence-compiled; do
    # shellcheck disable=SC2046
    "$CXX" "${strict[@]}" $(compile_flags $package) main.cpp other.cpp -o "$package" $(link_flags $package)
    "./$package"
  done
}

# Compiled once without CMake: a definition for every file, and one more source file.
case_by_hand() {
  cp -r "$here/two_units/." .
  local source objects=()
  echo '#include <whence/src.hpp>' >src.cpp
  for source in main other src; do
    # shellcheck disable=SC2046
    "$CXX" "${strict[@]}" -DWHENCE_COMPILED $(compile_flags) -c $source.cpp -o $source.o
    objects+=($source.o)
  done
  # shellcheck disable=SC2046
  "$CXX" "${objects[@]}" -o program $(link_flags)
  ./program
  expect_mode whence::compiled main.o

  # Without the definition, or without the source file, the error says what is missing.
  # shellcheck disable=SC2046
  if "$CXX" "${strict[@]}" -fsyntax-only $(compile_flags) src.cpp 2>src.err; then
    die "src.hpp compiles without WHENCE_COMPILED"
  fi
  grep -q 'error.*-DWHENCE_COMPILED' src.err || { cat src.err; die "src.hpp does not say what it needs"; }
  # shellcheck disable=SC2046
  if "$CXX" main.o other.o -o none $(link_flags) 2>none.err; then
    die "a compiled program links without the bodies"
  fi
  grep -q 'undefined.*write_to' none.err || { cat none.err; die "another error than the missing bodies"; }
}

# Programs and plugins of both modes and of both visibilities, each program with each pair.
case_plugin() {
  local visibility package mode
  for package in whence whence-compiled; do
    for visibility in default hidden; do
      mode="$package-$visibility"
      local options=("${strict[@]}" "-fvisibility=$visibility")
      # Without unique symbols, dlclose really unloads it.
      [ $visibility = default ] || options+=(-fvisibility-inlines-hidden)
      [ $visibility = default ] || [[ "$("$CXX" --version)" == *clang* ]] || options+=(-fno-gnu-unique)
      # shellcheck disable=SC2046
      "$CXX" "${options[@]}" -fPIC -shared $(compile_flags $package) plugin.cpp -o "./$mode-one.so" $(link_flags $package)
      cp "./$mode-one.so" "./$mode-two.so"
      # shellcheck disable=SC2046
      "$CXX" "${options[@]}" $(compile_flags $package) main.cpp -o "program-$mode" $(link_flags $package) -ldl
    done
  done
  local program one two count=0
  for program in program-*; do
    for one in ./*-one.so; do
      for two in ./*-two.so; do
        # Two of a kind, or one of each mode and visibility: every kind meets every other.
        [ "${one%-one.so}" = "${two%-two.so}" ] || [ "${one%-one.so}" \< "${two%-two.so}" ] || continue
        "./$program" "$one" "$two"
        count=$((count + 1))
      done
    done
  done
  echo "plugin: $count programs with two plugins"
}

# The archive, and a program that compiles the bodies by hand, by every linker that is installed and
# in every manner of linking that could lose a section, a symbol or a relocation.
case_link_modes() {
  cp "$here/main.cpp" .
  echo '#include <whence/src.hpp>' >src.cpp
  local linker manner tried=0
  # shellcheck disable=SC2046
  "$CXX" "${optimized[@]}" -ffunction-sections -fdata-sections $(compile_flags whence-compiled) -c main.cpp -o main.o
  # shellcheck disable=SC2046
  "$CXX" "${strict[@]}" -fno-pie $(compile_flags whence-compiled) -c main.cpp -o main-no-pie.o
  for linker in bfd gold lld; do
    command -v "ld.$linker" >/dev/null || { echo "link_modes: no ld.$linker here"; continue; }
    for manner in "main.o" "main.o -Wl,--gc-sections" "main-no-pie.o -no-pie" "main.o -static"; do
      local kind_of_link=link_flags
      [[ $manner != *-static ]] || kind_of_link=static_link_flags
      # shellcheck disable=SC2046,SC2086
      "$CXX" -fuse-ld=$linker $manner -o program $($kind_of_link whence-compiled)
      ./program heap.pb.gz || die "$linker, $manner: the program failed"
      expect_heap_profile heap.pb.gz
      tried=$((tried + 1))
    done
  done

  # Only the compiler's own linker can finish link-time optimization.
  linker=bfd
  [[ "$("$CXX" --version)" != *clang* ]] || linker=lld
  if command -v "ld.$linker" >/dev/null; then
    # shellcheck disable=SC2046
    "$CXX" "${optimized[@]}" -flto -fuse-ld=$linker $(compile_flags whence-compiled) main.cpp src.cpp -o whole $(link_flags)
    # shellcheck disable=SC2046
    "$CXX" "${optimized[@]}" -flto -fuse-ld=$linker $(compile_flags whence-compiled) main.cpp -o half $(link_flags whence-compiled)
    for manner in whole half; do
      ./$manner heap.pb.gz || die "-flto, $manner: the program failed"
      expect_heap_profile heap.pb.gz
      tried=$((tried + 1))
    done
  fi
  [ $tried -ge 4 ] || die "link_modes: only $tried programs were linked"
  echo "link_modes: $tried programs ran"
}

# One module reads what another records: the executable or a plugin records; the executable, a
# plugin or no module reads; each is loaded first once, with each linker and in each kind of
# program.
case_recording() {
  # shellcheck disable=SC2207
  local compile=("${strict[@]}" $(compile_flags)) link=() linker order visibility
  # shellcheck disable=SC2207
  link=($(link_flags) -ldl)
  local hidden=(-fvisibility=hidden -fvisibility-inlines-hidden)
  [[ "$("$CXX" --version)" == *clang* ]] || hidden+=(-fno-gnu-unique)
  local unit
  for unit in records reads; do
    "$CXX" "${compile[@]}" -fPIE -c $unit.cpp -o $unit.o
    "$CXX" "${compile[@]}" -fPIC -c $unit.cpp -o default-$unit.o
    "$CXX" "${compile[@]}" -fPIC "${hidden[@]}" -c $unit.cpp -o hidden-$unit.o
  done
  "$CXX" "${compile[@]}" -fPIE -c main.cpp -o main.o
  "$CXX" "${compile[@]}" -fPIE -DWITH_RECORDS -c main.cpp -o main_records.o
  "$CXX" "${compile[@]}" -fPIE -DWITH_READS -c main.cpp -o main_reads.o
  "$CXX" "${compile[@]}" -fPIE -DWITH_RECORDS -DWITH_READS -c main.cpp -o main_both.o

  for linker in bfd gold lld; do
    if ! command -v "ld.$linker" >/dev/null; then
      echo "recording: ld.$linker is not installed"
      continue
    fi
    mkdir "$linker"
    for visibility in default hidden; do
      for unit in records reads; do
        "$CXX" -shared "-fuse-ld=$linker" $visibility-$unit.o -o "$linker/$visibility-$unit.so" "${link[@]}"
      done
    done
    "$CXX" "-fuse-ld=$linker" main.o -o "$linker/neither" "${link[@]}"
    "$CXX" "-fuse-ld=$linker" -rdynamic main_records.o records.o -o "$linker/records" "${link[@]}"
    "$CXX" "-fuse-ld=$linker" -rdynamic main_reads.o reads.o -o "$linker/reads" "${link[@]}"
    "$CXX" "-fuse-ld=$linker" main_both.o records.o reads.o -o "$linker/both" "${link[@]}"
    for order in records-first reader-first; do
      "$linker/both" $order - -
      "$linker/records" $order - none
      for visibility in default hidden; do
        local records="$linker/$visibility-records.so" reads="$linker/$visibility-reads.so"
        "$linker/reads" $order "$records" -
        "$linker/records" $order - "$reads"
        "$linker/neither" $order "$records" "$reads"
        "$linker/neither" $order "$records" none
      done
    done >/dev/null
    echo "recording: ld.$linker: 20 of 20"
  done

  # Kinds of programs, each of units that only record and of one that reads. The units are compiled for
  # several kinds at once if these concern different things: what a fault in one of them needs is there.
  # Only what records is inlined into its user, so the optimizer gets that alone.
  local kind number=0 options
  while IFS='|' read -r kind manners; do
    number=$((number + 1))
    # shellcheck disable=SC2206
    options=("${compile[@]}" $kind)
    "$CXX" "${options[@]}" -DWITH_RECORDS -c main.cpp -o records_main.o
    "$CXX" "${options[@]}" -DWITH_RECORDS -DWITH_READS -c main.cpp -o both_main.o
    # These two exist already.
    if [ "$kind" = -fPIC ]; then
      cp default-records.o kind_records.o
      cp default-reads.o kind_reads.o
    else
      "$CXX" "${options[@]}" -c records.cpp -o kind_records.o
      "$CXX" "${options[@]}" -O0 -c reads.cpp -o kind_reads.o
    fi
    local manner
    for manner in $manners; do
      # shellcheck disable=SC2207
      if [[ $manner == -static ]]; then link=($(static_link_flags) -ldl); else link=($(link_flags) -ldl); fi
      # clang's LTO needs a linker that knows its objects.
      [[ $manner != -flto || "$("$CXX" --version)" != *clang* ]] || link+=(-fuse-ld=lld)
      "$CXX" "$manner" records_main.o kind_records.o -o records "${link[@]}" 2>warnings
      "$CXX" "$manner" both_main.o kind_records.o kind_reads.o -o both "${link[@]}" 2>warnings
      ./records reader-first - none >/dev/null
      ./both reader-first - - >/dev/null
      echo "recording: $kind, linked with $manner: 2 of 2"
    done
  done <<'KINDS'
-fno-pie|-no-pie -static
-O2 -fno-exceptions -fno-rtti -ffunction-sections -fdata-sections|-Wl,--gc-sections
-fPIC|-pie
-flto|-flto
KINDS
  [ $number -eq 4 ] || die "recording: only $number kinds were tried"

  # A plugin with another layout shares nothing, and reports it.
  cp -r "$prefix/include" other
  sed -i 's/^#define WHENCE_LAYOUT [0-9]*$/#define WHENCE_LAYOUT 9999/' other/whence/instruments/recorder.hpp
  "$CXX" "${strict[@]}" -Iother -fPIC -shared records.cpp -o other.so
  bfd/neither reader-first ./other.so none
  if bfd/reads reader-first ./other.so - 2>other.err; then die "a plugin of another layout shares the profiles"; fi
  grep -q 'different versions of whence' other.err || { cat other.err; die "nothing is said of another layout"; }
  echo "recording: $(grep -m1 versions other.err)"
}

# Units that differ in a setting without effect on the layout work together, and report it.
# Faults that appear only between modules, or if one of them lacks something; each program says
# which.
case_modules() {
  cp "$here/recording/"{reads.cpp,records.hpp} .
  # shellcheck disable=SC2207
  local compile=("${strict[@]}" $(compile_flags)) link=() run
  # shellcheck disable=SC2207
  link=($(link_flags) -ldl)
  "$CXX" "${compile[@]}" -fPIC -shared reads.cpp -o reads.so "${link[@]}"
  "$CXX" "${compile[@]}" late_reader.cpp -o late_reader -ldl
  for ((run = 0; run < 40; ++run)); do ./late_reader ./reads.so; done
  "$CXX" "${compile[@]}" -fPIC -shared interposed_plugin.cpp -o interposed.so
  "$CXX" "${compile[@]}" -rdynamic interposed.cpp -o interposed "${link[@]}"
  ./interposed ./interposed.so
  "$CXX" "${compile[@]}" -DWHENCE_DISABLE disabled.cpp -o disabled "${link[@]}"
  ./disabled
  "$CXX" "${compile[@]}" no_memory.cpp -o no_memory "${link[@]}"
  ./no_memory
  echo "modules: 40 late readers, interposed, disabled, no_memory"
}

case_mixed_flags() {
  local usual=("${strict[@]}" "-I$prefix/include" -DWHENCE_WITH_ZLIB=1)
  # shellcheck disable=SC2046
  "$CXX" "${usual[@]}" main.cpp other.cpp -o same $(link_flags) -lz
  ./same 2>same.err
  [ ! -s same.err ] || { cat same.err; die "equal settings are reported as mixed"; }

  # Both orders: the difference is seen in whatever order the linker takes the units.
  "$CXX" "${usual[@]}" -c main.cpp -o main.o
  "$CXX" "${usual[@]}" -UWHENCE_WITH_ZLIB -DWHENCE_WITH_ZLIB=0 -c other.cpp -o other.o
  "$CXX" "${usual[@]}" -DWHENCE_DISABLE -c other.cpp -o disabled.o
  expect_warning "incomplete" main.o other.o
  expect_warning "incomplete" other.o main.o

  # Units that differ in WHENCE_DISABLE do not link. If the two groups that a linker compares are
  # taken away, the program still says what it is.
  local linker
  for linker in bfd gold lld; do
    if ! command -v "ld.$linker" >/dev/null; then
      echo "mixed_flags: ld.$linker is not installed, so it is not tried"
      continue
    fi
    expect_refused_link "$linker" main.o disabled.o
    expect_refused_link "$linker" disabled.o main.o
    mixed_units "$linker" "-O0"
    mixed_units "$linker" "-O2 -ffunction-sections -fdata-sections" -Wl,--gc-sections
    mixed_units "$linker" "-O2" -static
    mixed_units "$linker" "-O2 -fPIC" -shared
    # Each compiler's own linkers for link-time optimization.
    case "$linker$("$CXX" --version)" in
      bfd*clang* | lld*g++*) ;;
      *) mixed_units "$linker" "-O2 -flto" -flto ;;
    esac
  done
  objcopy -R '.rodata.whence_error*' disabled.o unmarked.o
  expect_warning "undefined behaviour" main.o unmarked.o
  expect_warning "undefined behaviour" unmarked.o main.o
}

expect_warning() {  # text, objects...
  local text="$1"
  shift
  # shellcheck disable=SC2046
  "$CXX" "$@" -o mixed $(link_flags) -lz
  ./mixed 2>mixed.err >mixed.out || { cat mixed.err; die "$*: the program failed"; }
  grep -q 'ran to the end' mixed.out
  grep -q "^whence: .*$text" mixed.err || { cat mixed.err; die "$*: stderr does not say: $text"; }
  echo "mixed_flags: $*: $(head -n 1 mixed.err)"
}

expect_refused_link() {  # linker, arguments...
  local linker="$1"
  shift
  # shellcheck disable=SC2046
  if "$CXX" "-fuse-ld=$linker" "$@" -o mixed $(link_flags) -lz 2>link.err; then
    die "$linker links $*"
  fi
  grep -q 'whence_error_WHENCE_DISABLE' link.err || { cat link.err; die "$linker: $*: another error"; }
}

# Two small units, linked in either order, and with one of them in an archive: if their settings are
# equal they link, if not they do not.
mixed_units() {  # linker, compiler flags, a flag of the linker or none
  local linker="$1" compile link=() one two
  read -ra compile <<<"-std=c++20 -I$prefix/include $2"
  [ -z "${3-}" ] || link=("$3")
  for one in on off; do
    local setting=-UWHENCE_DISABLE
    [ $one = on ] || setting=-DWHENCE_DISABLE
    "$CXX" "${compile[@]}" $setting -DWITH_MAIN -DUNIT=first -DOTHER=second -c unit.cpp -o "first-$one.o"
    "$CXX" "${compile[@]}" $setting -DUNIT=second -DOTHER=first -c unit.cpp -o "second-$one.o"
    rm -f "second-$one.a"
    ar rc "second-$one.a" "second-$one.o"
  done
  for one in on off; do
    two=$([ $one = on ] && echo off || echo on)
    "$CXX" "-fuse-ld=$linker" "${link[@]}" "first-$one.o" "second-$one.o" -o same
    [ "${3-}" = -shared ] || ./same || die "$linker $2 ${3-}: equal units do not run"
    expect_refused_link "$linker" "${link[@]}" "first-$one.o" "second-$two.o"
    expect_refused_link "$linker" "${link[@]}" "second-$one.o" "first-$two.o"
    # A shared library takes nothing out of an archive here, and ar lists no symbols of bitcode.
    case "${3-}" in
      -shared | -flto) ;;
      *) expect_refused_link "$linker" "${link[@]}" "first-$one.o" "second-$two.a" ;;
    esac
  done
  echo "mixed_flags: ld.$linker, $2${3:+ $3}: refused: $(grep -m 1 whence_error link.err)"
}

# A program with WHENCE_DISABLE and a plugin without it, and the other way round.
case_mixed_modules() {
  local name setting
  for name in on off; do
    setting=(-UWHENCE_DISABLE)
    [ $name = on ] || setting=(-DWHENCE_DISABLE)
    # shellcheck disable=SC2046
    "$CXX" "${strict[@]}" "${setting[@]}" -fPIC -shared $(compile_flags) plugin.cpp -o "./plugin-$name.so" \
      $(link_flags)
    # Symbols are exported, so that the two really share what they have in common.
    # shellcheck disable=SC2046
    "$CXX" "${strict[@]}" "${setting[@]}" -rdynamic $(compile_flags) main.cpp -o "program-$name" \
      $(link_flags) -ldl
  done
  expect_recorded() {  # program, plugin, expected output
    "./program-$1" "./plugin-$2.so" >recorded.out 2>recorded.err || { cat recorded.err; die "program $1, plugin $2: failed"; }
    [ ! -s recorded.err ] || { cat recorded.err; die "program $1, plugin $2: something is said on stderr"; }
    [ "$(cat recorded.out)" = "$3" ] || die "program $1, plugin $2: $(cat recorded.out), not $3"
    echo "mixed_modules: program $1, plugin $2: recorded are: $3"
  }
  expect_recorded on on "program 1, plugin 1"
  expect_recorded on off "program 1, plugin 0"
  expect_recorded off on "program 0, plugin 1"
  expect_recorded off off "program 0, plugin 0"
}

# The bodies are the same text in both modes, and what cannot be without exceptions is an error of both
# compilers: clang++ compiles all of them once, g++ what a program has of them header-only.
case_no_exceptions() {
  local program=header status sources=(main.cpp) mode=()
  if [[ "$("$CXX" --version)" == *clang* ]]; then
    program=compiled mode=(-DWHENCE_COMPILED)
    sources+=(src.cpp)
    echo '#include <whence/src.hpp>' >src.cpp
  fi
  # shellcheck disable=SC2046
  "$CXX" "${strict[@]}" -fno-exceptions -fno-rtti "${mode[@]}" $(compile_flags) "${sources[@]}" -o $program $(link_flags)
  for program in $program; do
    ./$program
    status=0
    ./$program misuse 2>misuse.err || status=$?
    [ $status -eq 134 ] || { cat misuse.err; die "misuse ended with status $status, not by abort"; }
    grep -q 'heap' misuse.err || { cat misuse.err; die "misuse does not say what was wrong"; }
    echo "no_exceptions: $(grep heap misuse.err | head -n 1)"
  done
}

# Refused by exactly one #error, which is the first that is printed, and by little more.
expect_refusal() {  # page, expected text, compiler arguments...
  local page="$1" expected="$2"
  shift 2
  echo "#include <whence/$page>" >page.cpp
  if "$CXX" "-I$prefix/include" "$@" -fsyntax-only page.cpp 2>refused.err; then
    die "$page is not refused with $*"
  fi
  [ "$(grep -c ' error: ' refused.err)" -eq 2 ] && [ "$(grep -c 'fatal error: ' refused.err)" -eq 1 ] &&
    [ "$(wc -l <refused.err)" -lt 20 ] && grep -m 1 ' error: ' refused.err | grep -qF "$expected" ||
    { head -n 40 refused.err; die "$page is not refused by one line with \"$expected\" with $*"; }
}

case_refused() {
  local page pages compiler count=0
  mapfile -t pages < <(cd "$prefix/include/whence" && ls -- *.hpp | grep -vx config_generated.hpp)
  [ ${#pages[@]} -gt 20 ] || die "only ${#pages[@]} pages were found"
  echo '#include <whence/config.hpp>' >page.cpp
  "$CXX" -std=c++20 "-I$prefix/include" -Werror -fsyntax-only page.cpp

  # Each page answers the most usual mistake.
  for page in "${pages[@]}"; do
    expect_refusal "$page" C++20 -std=c++17
  done
  echo "refused: C++17, by ${#pages[@]} pages: $(grep -m 1 ' error: ' refused.err)"

  # Every page refuses what config.hpp refuses, because it includes config.hpp before any other.
  for page in "${pages[@]}"; do
    [ "$page" = config.hpp ] || [ "$(grep -m 1 '^ *# *include' "$prefix/include/whence/$page")" = "#include <whence/config.hpp>" ] ||
      die "$page does not include config.hpp first"
  done
  config_refuses() {
    expect_refusal config.hpp "$@"
    echo "refused: ${*:2}: $(grep -m 1 ' error: ' refused.err)"
    count=$((count + 1))
  }
  config_refuses C++20 -std=c++98
  config_refuses Linux -std=c++20 -U__linux__
  config_refuses "x86-64 or AArch64" -std=c++20 -U__x86_64__ -U__aarch64__
  config_refuses "64 bits" -std=c++20 -U__LP64__
  config_refuses little-endian -std=c++20 -U__BYTE_ORDER__ -D__BYTE_ORDER__=__ORDER_BIG_ENDIAN__
  if [ "$(uname -m)" = x86_64 ]; then
    config_refuses "64 bits" -std=c++20 -m32
    config_refuses "64 bits" -std=c++20 -mx32
  fi
  compiler=__GNUC__=10
  [[ "$("$CXX" --version)" != *clang* ]] || compiler=__clang_major__=13
  config_refuses "or a newer one" -std=c++20 "-U${compiler%=*}" "-D$compiler"

  # Another libc: one without features.h, one like musl whose features.h names no version, and an
  # old glibc.
  mkdir musl old
  touch musl/features.h
  printf '#define __GLIBC__ 2\n#define __GLIBC_MINOR__ 34\n' >old/features.h
  config_refuses "glibc 2.35" -std=c++20 -nostdinc
  config_refuses "glibc 2.35" -std=c++20 -nostdinc -isystem musl
  config_refuses "glibc 2.35" -std=c++20 -nostdinc -isystem old
  if [ -d "/usr/include/$(uname -m)-linux-musl" ]; then
    config_refuses "glibc 2.35" -std=c++20 -nostdinc -isystem "/usr/include/$(uname -m)-linux-musl"
  fi
  echo "refused: $count more ways, by config.hpp, which ${#pages[@]} pages include first"
}

# A header names the library's types by fwd.hpp; later the pages define them. They are tried in two
# orders, and fwd.hpp after them.
case_forward() {
  local page pages=()
  local syntax=("${strict[@]}" "-I$prefix/include" -fsyntax-only)
  while read -r page; do
    # Pages for other servers need those servers.
    case "$page" in
      httplib.hpp) "$CXX" -E -include httplib.h -xc++ /dev/null >/dev/null 2>&1 || continue ;;
      new_delete.hpp) continue ;; # malloc.hpp defines the same operators.
      src.hpp) continue ;; # It is for programs whose every file is compiled with WHENCE_COMPILED.
      beast.hpp) "$CXX" -E -include boost/beast/http/message.hpp -xc++ /dev/null >/dev/null 2>&1 || continue ;;
    esac
    pages+=("$page")
  done < <(cd "$prefix/include/whence" && ls -- *.hpp | grep -vx config_generated.hpp)
  [ ${#pages[@]} -gt 20 ] || die "only ${#pages[@]} pages were found"
  include_all() { printf '#include <whence/%s>\n' "$@"; }
  { cat names.cpp; include_all "${pages[@]}"; } >after.cpp
  { cat names.cpp; include_all "${pages[@]}" | tac; } >after_reversed.cpp
  { include_all "${pages[@]}" | grep -v fwd.hpp; cat names.cpp; } >before.cpp
  local order
  for order in after after_reversed before; do
    "$CXX" "${syntax[@]}" $order.cpp || die "fwd.hpp and the pages do not agree: $order.cpp"
  done
  echo "forward: ${#pages[@]} pages in two orders after fwd.hpp, and fwd.hpp after them"
}

case_must_not_compile() {
  local source expected count=0
  for source in *.cpp; do
    expected="$(sed -n 's|^// expected: ||p' "$source")"
    [ -n "$expected" ] || die "$source does not say what is expected"
    # shellcheck disable=SC2046
    if "$CXX" "${strict[@]}" -fsyntax-only $(compile_flags) "$source" 2>"$source.err"; then
      die "$source compiles"
    fi
    grep 'error:\|note:' "$source.err" | grep -E "$expected" >/dev/null ||
      { head -n 20 "$source.err"; die "$source fails, but not with: $expected"; }
    echo "must_not_compile: $source: $(grep -E "error:.*($expected)|note:.*($expected)" "$source.err" | head -n 1 | sed -E 's/^[^ ]+ //')"
    count=$((count + 1))
  done
  [ $count -gt 0 ] || die "must_not_compile holds no source"
}

if [ $# -eq 0 ]; then
  set -- find_package subdirectory pkg_config two_units by_hand plugin recording modules link_modes mixed_flags \
    mixed_modules no_exceptions must_not_compile refused forward
fi
for name in "$@"; do
  declare -F "case_$name" >/dev/null || die "there is no case $name"
  mkdir "$work/$name"
  [ ! -d "$here/$name" ] || cp -r "$here/$name/." "$work/$name/"
  echo "== consumer: $name"
  cd "$work/$name"
  "case_$name"
  cd "$work"
done
echo "consumer: $# passed"
