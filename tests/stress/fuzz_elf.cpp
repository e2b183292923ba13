// SPDX-License-Identifier: Apache-2.0
//
// Damages the sources of names: a real program with debug information, as a file (a memfd: readers
// go by descriptor) and in memory, a map of generated code, and mangled names. For any bytes, the
// readers have to stay within them, and to come to an end; undamaged, the program's own function
// has to be found.
//
// fuzz_elf [--seconds N | --runs N] [--seed N]. With -DWHENCE_STRESS_LIBFUZZER it is a target for
// libFuzzer instead: the first byte says which reader, the rest is its input.
#include <whence/config.hpp>

#include <elf.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz.hpp"
#include <whence/symbols/byte_source.hpp>
#include <whence/symbols/debug_file.hpp>
#include <whence/symbols/dynamic_symbols.hpp>
#include <whence/symbols/elf.hpp>
#include <whence/symbols/function_name.hpp>
#include <whence/symbols/lines.hpp>
#include <whence/symbols/minidebuginfo.hpp>
#include <whence/symbols/module_file.hpp>
#include <whence/symbols/perf_map.hpp>
#include <whence/symbols/symbol_table.hpp>

namespace {

namespace symbols = whence::symbols;
using bytes = std::vector<std::byte>;

extern "C" [[gnu::noinline, gnu::used]] int fuzz_elf_marker(int n) {
  asm volatile("# by this name the undamaged bytes are known");
  return n;
}

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "FAILED: %s\n", what);
  std::abort();
}

// A file of those bytes that has no name.
class nameless_file {
 public:
  explicit nameless_file(std::span<const std::byte> content)
      : descriptor_(::memfd_create("fuzz", MFD_CLOEXEC)) {
    if (descriptor_ < 0) fail("no memfd");
    for (std::size_t done = 0; done < content.size();) {
      const ssize_t n = ::write(descriptor_, content.data() + done, content.size() - done);
      if (n <= 0) fail("a memfd cannot be written");
      done += static_cast<std::size_t>(n);
    }
  }
  ~nameless_file() { ::close(descriptor_); }
  nameless_file(const nameless_file&) = delete;
  nameless_file& operator=(const nameless_file&) = delete;

  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

std::size_t look_around(const symbols::symbol_table& table) {
  std::size_t length = 0;
  for (std::uint64_t a = 0; a < 0x20000; a += 0x1f0) length += table.find(a).name.size();
  for (unsigned shift = 20; shift < 64; shift += 7) {
    length += table.find(std::uint64_t{1} << shift).name.size();
  }
  return length;
}

// Reads a file's checks, symbols, debug file's name and lines. True if it names the marker.
bool read_file(std::span<const std::byte> content, std::uint64_t marker) {
  const nameless_file memory(content);
  const symbols::file_source file(memory.path().c_str());
  const symbols::elf header(file);
  symbols::loaded_module m;
  m.build_id = header.build_id();
  int error = 0;
  (void)symbols::is_module(file, header, m, error);
  symbols::symbol_table table;
  table.add(file, header);
  table.sort();
  look_around(table);
  (void)symbols::find_debug_file("/nonexistent/fuzz", file, header);
  symbols::debug_lines lines(file.descriptor(), -1, "/nonexistent/fuzz");
  for (const std::uint64_t a : {marker, marker + 1, std::uint64_t{0x1234}}) (void)lines.find(a);
  return table.find(marker).name == "fuzz_elf_marker";
}

// The dynamic symbols of a module in memory that begins at `start`.
bool read_memory(std::span<const std::byte> image, std::uintptr_t start, std::uintptr_t bias,
                 std::uint64_t dynamic, std::uint64_t marker) {
  const symbols::memory_source memory(image);
  const symbols::symbol_table::place where =
      symbols::dynamic_symbols(memory, start, bias, dynamic).where();
  symbols::symbol_table table;
  if (where.count != 0) table.add(memory, where);
  table.sort();
  look_around(table);
  return table.find(marker).name == "fuzz_elf_marker";
}

void read_map(std::span<const std::byte> content) {
  const nameless_file file(content);
  const symbols::perf_map map(file.path());
  for (std::uintptr_t a = 1; a != 0; a *= 16) (void)map.find(a);
}

// A name of every style is bounded, whatever its references stand for.
void read_name(std::string_view text) {
  const std::string mangled = "_Z" + std::string(text);
  for (const std::string& known_as : {mangled, std::string(text)}) {
    const std::string system = symbols::system_name_of(known_as);
    for (const whence::name_style style :
         {whence::name_style::brief, whence::name_style::templates, whence::name_style::full}) {
      if (symbols::name_of(system, style).size() > symbols::longest_demangled + 2 * system.size()) {
        fail("a name is longer than names may be");
      }
    }
  }
}

#ifndef WHENCE_STRESS_LIBFUZZER

// Mangled names whose references and kinds of parts are changed.
void read_names(stress::random_numbers& random) {
  constexpr std::string_view parts[] = {"S_", "S0_", "S1_", "T_", "I", "E",
                                        "L",  "1a",  "N",   "Dp", "J", "i"};
  std::string name = "1f1AIiiE";
  for (std::size_t n = 1 + random.below(60); n > 0; --n) {
    name += parts[random.below(std::size(parts))];
    if (random.below(8) == 0) name.insert(random.below(name.size()), "S_IS0_S0_E");
  }
  read_name(name);
}

struct specimen {
  bytes file, image;
  std::uintptr_t start = 0, bias = 0;
  std::uint64_t dynamic = 0, marker = 0;
};

specimen this_program() {
  specimen s;
  std::ifstream file("/proc/self/exe", std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto all = std::as_bytes(std::span(text));
  s.file.assign(all.begin(), all.end());
  for (const symbols::loaded_module& m : symbols::loaded_modules()) {
    if (!m.is_program) continue;
    s.start = m.start;
    s.bias = m.bias;
    s.dynamic = m.dynamic - m.start;
    s.image.resize(m.end - m.start);
    for (std::size_t at = 0; at < s.image.size(); at += 4096) {
      const std::size_t n = std::min<std::size_t>(4096, s.image.size() - at);
      if (!whence::sys::copy_memory(s.image.data() + at, m.start + at, n)) continue;
    }
  }
  s.marker = reinterpret_cast<std::uintptr_t>(&fuzz_elf_marker) - s.bias;
  return s;
}

// Puts odd numbers in 1 to 8 places, most of them among those that say where other things are.
class damage {
 public:
  damage(bytes& of, stress::random_numbers& random, std::span<const std::size_t> places) : of_(of) {
    for (std::size_t n = 1 + random.below(8); n > 0; --n) {
      const std::size_t near = random.below(4) == 0
                                   ? random.below(of.size())
                                   : places[random.below(places.size())] + random.below(256);
      const std::size_t at = std::min(near, of.size() - sizeof(std::uint64_t));
      undo entry{at, 0};
      std::memcpy(&entry.was, of.data() + at, sizeof entry.was);
      undo_.push_back(entry);
      const std::uint64_t value = stress::odd_number(random);
      std::memcpy(of.data() + at, &value, std::size_t{1} << random.below(4));
    }
  }
  ~damage() {
    for (auto u = undo_.rbegin(); u != undo_.rend(); ++u) {
      std::memcpy(of_.data() + u->at, &u->was, sizeof u->was);
    }
  }
  damage(const damage&) = delete;
  damage& operator=(const damage&) = delete;

 private:
  struct undo {
    std::size_t at;
    std::uint64_t was;
  };
  bytes& of_;
  std::vector<undo> undo_;
};

// The places where the file says where its parts are: its header, program headers, section headers,
// notes, tables.
std::vector<std::size_t> places_of(const bytes& file) {
  std::vector<std::size_t> places{0, 64};
  const symbols::memory_source memory(file);
  ElfW(Ehdr) header;
  memory.read_value(0, header);
  for (std::size_t i = 0; i < header.e_shnum; ++i) {
    places.push_back(header.e_shoff + i * sizeof(ElfW(Shdr)));
  }
  const symbols::elf all(memory);
  for (const symbols::elf::section& s : all.sections()) {
    if (s.sh_type != SHT_NOBITS && s.sh_size != 0) places.push_back(s.sh_offset);
  }
  return places;
}

#endif

}  // namespace

#ifdef WHENCE_STRESS_LIBFUZZER

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 3) return 0;
  const auto content = std::as_bytes(std::span(data + 2, size - 2));
  switch (data[0] % 5) {
    case 0:
      read_file(content, 0x1000);
      break;
    case 1:
      read_memory(content, 0x10000, data[1] % 2 == 0 ? 0 : 0x10000, data[1], 0x1000);
      break;
    case 2:
      read_map(content);
      break;
    case 3:
      (void)symbols::xz_size::of(content);
      break;
    default:
      read_name({reinterpret_cast<const char*>(content.data()), content.size()});
      break;
  }
  return 0;
}

#else

int main(int argc, char** argv) {
  const stress::fuzz_options options(argc, argv);
  if (fuzz_elf_marker(argc) != argc) return 2;
  specimen s = this_program();
  if (!read_file(s.file, s.marker)) fail("the undamaged file does not name its function");
  if (!read_memory(s.image, s.start, s.bias, s.dynamic, s.marker)) {
    fail("the undamaged memory does not name its function");
  }
  const std::vector<std::size_t> file_places = places_of(s.file);
  std::vector<std::size_t> image_places{s.dynamic, s.dynamic};
  {
    const symbols::memory_source memory(s.image);
    const auto where = symbols::dynamic_symbols(memory, s.start, s.bias, s.dynamic).where();
    image_places.insert(image_places.end(), {where.symbols, where.names, std::size_t{0x300}});
  }
  const std::string map = "1000 100 a\n2000 fff b c\nffffffffffffffff 1 d\n1000 20 e\n";
  bytes lines(map.size() * 50);
  for (std::size_t i = 0; i < 50; ++i) {
    std::memcpy(lines.data() + i * map.size(), map.data(), map.size());
  }
  const std::uint64_t runs = options.loop([&](stress::random_numbers& random) {
    switch (random.below(16)) {
      case 0: {
        const std::size_t cut = random.below(s.file.size());
        read_file(std::span(s.file).first(cut), s.marker);
        break;
      }
      case 1:
      case 2: {
        const damage done(s.file, random, file_places);
        read_file(s.file, s.marker);
        break;
      }
      case 3: {
        const std::size_t first[] = {0};
        const damage done(lines, random, first);
        read_map(lines);
        break;
      }
      case 4:
        read_names(random);
        break;
      default: {
        const damage done(s.image, random, image_places);
        read_memory(s.image, s.start, s.bias, s.dynamic, s.marker);
        break;
      }
    }
  });
  if (!read_file(s.file, s.marker)) fail("the file is no longer what it was");
  std::printf("%" PRIu64 " runs, each with damages at 1 to 8 places or a cut\npassed\n", runs);
  return 0;
}

#endif
