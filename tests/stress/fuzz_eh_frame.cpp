// SPDX-License-Identifier: Apache-2.0
//
// Damages real call-frame information, the program's own and libc's as they are in their files, and
// asks for rules. For any bytes, the reader has to stay within them, and to come to an end.
// Undamaged, they have to give what the copy in memory gives.
//
// fuzz_eh_frame [--seconds N | --runs N] [--seed N]. With -DWHENCE_FUZZ_ENTRY it is a target for
// libFuzzer instead: eight bytes of address, then the section.
#include <elf.h>
#include <link.h>

#include <algorithm>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "fuzz.hpp"
#include <whence/unwind/arch.hpp>
#include <whence/unwind/cfi/cfa_program.hpp>
#include <whence/unwind/cfi/eh_frame.hpp>
#include <whence/unwind/cfi/expression.hpp>
#include <whence/unwind/make_rule.hpp>
#include <whence/unwind/modules/permanent_modules.hpp>

namespace {

namespace unwind = whence::unwind;

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "FAILED: %s\n", what);
  std::abort();
}

// The section in place; reports reads outside of it.
struct watched_memory {
  const unwind::frame_section& section;

  const std::byte* view(std::uintptr_t address, std::size_t size, unwind::view_slot) const {
    if (!section.holds(address, size)) fail("a view outside of the section");
    return reinterpret_cast<const std::byte*>(address);
  }
};

// Every register is known and all memory readable: expressions go as far as they can.
struct machine {
  using value = std::uint64_t;
  std::uint64_t steps = 0;

  value constant(std::uint64_t n) noexcept { return ++steps, n; }
  bool reg(std::uint64_t number, std::int64_t offset, value& v) noexcept {
    v = number * 4096 + static_cast<std::uint64_t>(offset);
    return ++steps, true;
  }
  bool load(value& v, std::uint64_t bytes) noexcept {
    v = v * 31 + bytes;
    return ++steps, true;
  }
  bool apply(std::uint8_t which, value& a, value b) noexcept {
    return ++steps, unwind::compute(which, a, b);
  }
};

struct answer {
  unwind::lookup_result found = unwind::lookup_result::no_entry;
  unwind::rule rule;
  bool runs = false;
  std::uint64_t values = 0;

  friend bool operator==(const answer&, const answer&) = default;
};

template <class Program, class Row>
void evaluate(const Program& program, const Row& row, answer& a) {
  const auto add = [&](std::int64_t distance, bool pushed) {
    machine m;
    std::uint64_t v = 0;
    const std::uint64_t cfa = 1 << 20;
    if (unwind::expression(m).evaluate(program.expression(distance), v, pushed ? &cfa : nullptr)) {
      a.values = a.values * 31 + v + m.steps;
    }
  };
  if (row.cfa_by_expression) add(row.cfa_offset, false);
  for (const unwind::register_rule& r : row.registers) {
    if (r.where == unwind::register_location::at_expression ||
        r.where == unwind::register_location::by_expression) {
      add(r.value, true);
    }
  }
}

// All answers about one address.
answer ask(const unwind::module& m, std::uintptr_t address) {
  watched_memory memory{m.frames};
  answer a;
  unwind::fde f;
  a.found = unwind::eh_frame(m.frames, memory).find(address, f);
  a.rule = unwind::make_rule(m, address, memory);
  if (a.found != unwind::lookup_result::found) return a;
  unwind::cfa_program<unwind::all_registers> program(f);
  unwind::cfa_row<unwind::all_registers> row;
  a.runs = program.run(f, address, row);
  if (a.runs) evaluate(program, row, a);
  return a;
}

#ifndef WHENCE_FUZZ_ENTRY

// ---- the real thing, to be damaged

class specimen {
 public:
  // The segment that holds the sections, as it is in the file.
  explicit specimen(const dl_phdr_info& info) : name_(info.dlpi_name) {
    std::ifstream file(name_.empty() ? "/proc/self/exe" : name_, std::ios::binary);
    in_memory_ = unwind::describe(info);
    const unwind::frame_section& frames = in_memory_.frames;
    for (int i = 0; i < info.dlpi_phnum; ++i) {
      const ElfW(Phdr)& segment = info.dlpi_phdr[i];
      if (segment.p_type != PT_LOAD || info.dlpi_addr + segment.p_vaddr != frames.begin) continue;
      bytes_.resize(frames.end - frames.header);
      file.seekg(static_cast<std::streamoff>(segment.p_offset + (frames.header - frames.begin)));
      file.read(reinterpret_cast<char*>(bytes_.data()),
                static_cast<std::streamsize>(bytes_.size()));
    }
    if (!file || bytes_.empty()) fail("no call-frame information in the file");
    std::memcpy(&rows_, bytes_.data() + 8, sizeof rows_);
  }

  const std::string& name() const noexcept { return name_; }
  const std::vector<std::byte>& bytes() const noexcept { return bytes_; }
  const unwind::module& in_memory() const noexcept { return in_memory_; }
  std::size_t rows() const noexcept { return rows_; }

  // For row i of the search table, relative to the table: the function, its entry.
  std::int32_t function(std::size_t i) const noexcept { return word(12 + 8 * i); }
  std::int32_t entry(std::size_t i) const noexcept { return word(16 + 8 * i); }
  // The CIE of the entry at `at`.
  std::int32_t common(std::int32_t at) const noexcept {
    return at + 4 - word(static_cast<std::size_t>(at) + 4);
  }

 private:
  std::int32_t word(std::size_t at) const noexcept {
    std::int32_t w;
    std::memcpy(&w, bytes_.data() + at, sizeof w);
    return w;
  }

  std::string name_;
  unwind::module in_memory_;
  std::vector<std::byte> bytes_;
  std::uint32_t rows_ = 0;
};

// A copy that is damaged and restored. Memory ends where the copy begins or ends, except for bytes
// that keep its alignment: PLT stubs have rules that look at an address's lower bits.
class patient {
 public:
  patient(const specimen& from, bool at_begin)
      : from_(from), memory_(from.bytes().size() + 2 * unit), bytes_(memory_.begin()) {
    const unwind::module& was = from.in_memory();
    const std::size_t aligned = was.frames.header % unit;
    const std::size_t room =
        static_cast<std::size_t>(memory_.end() - memory_.begin()) - from.bytes().size();
    bytes_ += at_begin ? aligned : (room - aligned) / unit * unit + aligned;
    std::copy(from.bytes().begin(), from.bytes().end(), bytes_);
    const auto header = reinterpret_cast<std::uintptr_t>(bytes_);
    const std::uintptr_t away = header - was.frames.header;
    module_.start = was.start + away;
    module_.end = was.end + away;
    module_.code_start = was.code_start + away;
    module_.code_end = was.code_end + away;
    module_.frames = {header, header, header + from.bytes().size()};
  }

  void check_undamaged(std::size_t i, std::uint64_t offset) const {
    const auto there = static_cast<std::uintptr_t>(std::intptr_t{from_.function(i)}) + offset;
    const answer here = ask(module_, module_.frames.header + there);
    const answer real = ask(from_.in_memory(), from_.in_memory().frames.header + there);
    if (!(here == real)) fail("the undamaged copy gives another rule than the memory");
    if (offset == 0 && (here.found != unwind::lookup_result::found || !here.runs)) {
      fail("no rule for a function of the table");
    }
  }

  void damage_and_ask(stress::random_numbers& random) {
    const std::size_t row = random.below(from_.rows());
    std::size_t places[8];
    const std::size_t damages = 1 + random.below(8);
    for (std::size_t i = 0; i < damages; ++i) places[i] = damage(random, row);
    for (int i = 0; i < 4; ++i) ask(module_, address(random, row));
    for (std::size_t i = 0; i < damages; ++i) restore(places[i]);
  }

 private:
  static constexpr std::size_t unit = 16;
  static constexpr std::size_t widest = 16;

  // Damages at most 16 bytes in or near what `row` leads to.
  std::size_t damage(stress::random_numbers& random, std::size_t row) {
    const auto entry = static_cast<std::size_t>(from_.entry(row));
    std::size_t at = 0;
    switch (random.below(8)) {
      case 0:
        at = random.below(12);
        break;
      case 1:
        at = 12 + 8 * row + random.below(8);
        break;
      case 2:
        at = entry + random.below(8);
        break;
      case 3:
        at = static_cast<std::size_t>(from_.common(from_.entry(row))) + random.below(28);
        break;
      case 4:
        at = random.below(from_.bytes().size());
        break;
      default:
        at = entry + 8 + random.below(48);
        break;
    }
    at = std::min(at, from_.bytes().size() - 1);
    const std::uint64_t value = stress::odd_number(random);
    constexpr std::size_t widths[] = {1, 1, 1, 2, 4, 8};
    const std::size_t width = std::min(widths[random.below(6)], from_.bytes().size() - at);
    std::memcpy(bytes_ + at, &value, width);
    if (random.below(8) == 0) {  // instructions of one kind: nested, unbounded, endless
      const std::size_t run = std::min(widest, from_.bytes().size() - at);
      std::memset(bytes_ + at, static_cast<int>(value & 0xff), run);
    }
    return at;
  }
  void restore(std::size_t at) {
    const std::size_t n = std::min(widest, from_.bytes().size() - at);
    std::memcpy(bytes_ + at, from_.bytes().data() + at, n);
  }

  std::uintptr_t address(stress::random_numbers& random, std::size_t row) const {
    const auto function = static_cast<std::uintptr_t>(std::intptr_t{from_.function(row)});
    switch (random.below(8)) {
      case 0:
        return stress::odd_number(random);
      case 1:
        return module_.start + random.below(module_.end - module_.start);
      default:
        return module_.frames.header + function + random.below(64);
    }
  }

  const specimen& from_;
  stress::fenced_memory memory_;
  std::byte* bytes_;
  unwind::module module_;
};

#endif

}  // namespace

#ifdef WHENCE_FUZZ_ENTRY

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::uintptr_t offset = 0;
  if (size < sizeof offset + 1) return 0;
  std::memcpy(&offset, data, sizeof offset);
  const std::vector<std::uint8_t> section(data + sizeof offset, data + size);
  const auto header = reinterpret_cast<std::uintptr_t>(section.data());
  unwind::module m;
  m.start = m.code_start = header - 65536;
  m.end = m.code_end = header + 65536;
  m.frames = {header, header, header + section.size()};
  ask(m, header + offset);
  return 0;
}

#else

int main(int argc, char** argv) {
  const stress::fuzz_options options(argc, argv);
  std::vector<specimen> specimens;
  ::dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* all) {
        const char* const name = info->dlpi_name;
        if (name[0] == '\0' || std::strstr(name, "/libc.so.6") != nullptr) {
          static_cast<std::vector<specimen>*>(all)->emplace_back(*info);
        }
        return 0;
      },
      &specimens);

  stress::random_numbers random(options.seed);
  std::vector<std::unique_ptr<patient> > patients;
  for (const specimen& s : specimens) {
    for (const bool at_begin : {true, false}) {
      patients.push_back(std::make_unique<patient>(s, at_begin));
      for (std::size_t i = 0; i < s.rows(); ++i) {
        patients.back()->check_undamaged(i, 0);
        patients.back()->check_undamaged(i, random.below(64));
      }
    }
    std::printf("%s: %zu functions, the copy equals the original\n",
                s.name().empty() ? "the program" : s.name().c_str(), s.rows());
  }
  const std::uint64_t runs = options.loop(
      [&](stress::random_numbers& r) { patients[r.below(patients.size())]->damage_and_ask(r); });
  for (const auto& p : patients) {
    for (std::size_t i = 0; i < 100; ++i) p->check_undamaged(i % specimens[0].rows(), i % 64);
  }
  std::printf("%" PRIu64 " runs, each with damages at 1 to 8 places and 4 questions\npassed\n",
              runs);
  return 0;
}

#endif
