// SPDX-License-Identifier: Apache-2.0
//
// Damages programs with debug information, and asks for lines and inlined frames all over their
// code, through libdw and our code around it. For any file, an answer comes in bounded time and
// memory and has a sound shape; for the undamaged file it is the same as before.
//
// fuzz_dwarf [--seconds N | --runs N] [--seed N] [--first RUN]. With -DWHENCE_STRESS_LIBFUZZER it
// is a target for libFuzzer instead, of which an input is a whole file; programs are good seeds.
#include <whence/config.hpp>

#include <elf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
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
#include "support/sanitizers.hpp"
#include <whence/symbols/lines.hpp>

namespace {

namespace symbols = whence::symbols;
using bytes = std::vector<unsigned char>;

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "FAILED: %s\n", what);
  std::abort();
}

struct code {
  std::uint64_t low = 0, high = 0;
};

code code_of(std::span<const unsigned char> file) {
  code c;
  Elf64_Ehdr header;
  if (file.size() < sizeof header) return c;
  std::memcpy(&header, file.data(), sizeof header);
  for (std::size_t i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    const std::uint64_t at = header.e_phoff + i * sizeof segment;
    if (at > file.size() || sizeof segment > file.size() - at) break;
    std::memcpy(&segment, file.data() + at, sizeof segment);
    if (segment.p_type == PT_LOAD && (segment.p_flags & PF_X) != 0) {
      c = {segment.p_vaddr, segment.p_vaddr + segment.p_memsz};
    }
  }
  return c;
}

// A file that exists only in memory, written anew for each run.
class scratch_file {
 public:
  scratch_file() : descriptor_(::memfd_create("fuzz_dwarf", MFD_CLOEXEC)) {
    if (descriptor_ < 0) fail("no memfd");
  }
  int write(std::span<const unsigned char> content) const {
    if (::ftruncate(descriptor_, 0) != 0) fail("ftruncate");
    for (std::size_t at = 0; at < content.size();) {
      const ssize_t n =
          ::pwrite(descriptor_, content.data() + at, content.size() - at, static_cast<off_t>(at));
      if (n <= 0) fail("pwrite");
      at += static_cast<std::size_t>(n);
    }
    return descriptor_;
  }

 private:
  int descriptor_;
};

// All answers for some addresses, as one text.
std::string ask(const scratch_file& file, std::span<const unsigned char> content, code where,
                int questions) {
  symbols::debug_lines lines(file.write(content), -1, "/nowhere/fuzz_dwarf");
  std::string all;
  const std::uint64_t step =
      std::max<std::uint64_t>((where.high - where.low) / static_cast<std::uint64_t>(questions), 1);
  std::uint64_t address = where.low;
  for (int i = 0; i < questions; ++i, address += step) {
    const auto frames = lines.find(address);
    if (frames.size() > 1000) fail("more frames than scopes can be in each other");
    for (const symbols::source_line& f : frames) {
      if (f.function.size() > 200000) fail("a name without end");
      all += f.function + " " + f.file + ":" + std::to_string(f.line) + "\n";
    }
  }
  if (lines.missing().size() > 2000) fail("missing() without end");
  return all;
}

}  // namespace

#ifdef WHENCE_STRESS_LIBFUZZER

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const scratch_file file;
  const std::span<const unsigned char> content(data, size);
  (void)ask(file, content, code_of(content), 30);
  return 0;
}

#else

namespace {

class specimen {
 public:
  explicit specimen(const char* path) : path_(path) {
    std::ifstream file(path, std::ios::binary);
    content_.assign(std::istreambuf_iterator<char>(file), {});
    where_ = code_of(content_);
    Elf64_Ehdr header;
    if (content_.size() < sizeof header) fail("no specimen");
    std::memcpy(&header, content_.data(), sizeof header);
    std::vector<Elf64_Shdr> sections(header.e_shnum);
    std::memcpy(sections.data(), content_.data() + header.e_shoff,
                sections.size() * sizeof(Elf64_Shdr));
    headers_ = {header.e_shoff, sections.size() * sizeof(Elf64_Shdr)};
    for (const Elf64_Shdr& s : sections) {
      const char* const name = reinterpret_cast<const char*>(content_.data()) +
                               sections[header.e_shstrndx].sh_offset + s.sh_name;
      if (std::string_view(name).find("debug_") != std::string_view::npos && s.sh_size != 0) {
        parts_.push_back({s.sh_offset, s.sh_size});
      }
    }
    if (parts_.empty()) fail("a specimen without debug information");
    known_ = ask(file_, content_, where_, 200);
    if (known_.find("shop") == std::string::npos) fail("nothing is known of the specimen");
  }

  void damage_and_ask(stress::random_numbers& random) {
    bytes damaged = content_;
    const std::uint64_t places = 1 + random.below(8);
    for (std::uint64_t i = 0; i < places; ++i) damage(damaged, random);
    if (random.below(64) == 0) damaged.resize(random.below(damaged.size()));
    (void)ask(file_, damaged, where_, 40);
    if (random.below(256) == 0) check_undamaged();
  }

  void check_undamaged() const {
    if (ask(file_, content_, where_, 200) != known_) fail("undamaged it is another answer");
  }
  const char* path() const { return path_; }

 private:
  struct part {
    std::uint64_t offset, size;
  };

  void damage(bytes& to, stress::random_numbers& random) const {
    const part p = random.below(16) == 0 ? headers_ : parts_[random.below(parts_.size())];
    // Damage at the beginning of a section has the greatest effect.
    const std::uint64_t size = random.below(4) == 0 ? std::min<std::uint64_t>(p.size, 64) : p.size;
    const std::uint64_t at = p.offset + random.below(size);
    constexpr std::size_t widths[] = {1, 1, 1, 2, 4, 8};
    const std::uint64_t value = stress::odd_number(random);
    const std::size_t width = std::min<std::size_t>(widths[random.below(6)], to.size() - at);
    std::memcpy(to.data() + at, &value, width);
    if (random.below(8) == 0) {  // repeated bytes make it nested, recursive, endless
      const std::uint64_t from = p.offset + random.below(p.size);
      const std::uint64_t run =
          std::min<std::uint64_t>(random.below(4096), p.offset + p.size - std::max(at, from));
      std::memmove(to.data() + at, content_.data() + from, run);
    }
  }

  const char* path_;
  scratch_file file_;
  bytes content_;
  code where_;
  part headers_{};
  std::vector<part> parts_;
  std::string known_;
};

long peak_kilobytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::atol(line.c_str() + 6);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (!whence::config::with_libdw) {
    std::puts("built without libdw: nothing to ask\npassed");
    return 0;
  }
  const stress::fuzz_options options(argc, argv);
  std::vector<specimen> specimens;
  specimens.reserve(8);
  for (const char* path : {WHENCE_STRESS_SPECIMENS}) specimens.emplace_back(path);
  const std::uint64_t runs = options.loop([&](stress::random_numbers& random) {
    specimens[random.below(specimens.size())].damage_and_ask(random);
  });
  for (const specimen& s : specimens) s.check_undamaged();
  const long peak = peak_kilobytes();
  std::printf("%" PRIu64 " runs over %zu programs, at most %ld kB at once\n", runs,
              specimens.size(), peak);
  if (!sanitized && peak > 512 * 1024) fail("more memory than a small file can need");
  std::puts("passed");
  return 0;
}

#endif
