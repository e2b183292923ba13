// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include <whence/instruments/recorder.hpp>
#include <whence/sys/elf_note.hpp>
#include <whence/sys/loader.hpp>

using namespace whence;

namespace {

// A segment of notes, as the linker lays it out.
class segment {
 public:
  segment& note(const std::string& name, std::uint32_t type, const std::string& content) {
    word(static_cast<std::uint32_t>(name.size()));
    word(static_cast<std::uint32_t>(content.size()));
    word(type);
    text(name);
    text(content);
    return *this;
  }
  // The object's distance from the note's content.
  segment& ours(const std::string& name, std::uint32_t layout, std::int64_t distance) {
    std::string content(8, '\0');
    std::memcpy(content.data(), &distance, 8);
    return note(name + std::string(1, '\0'), layout, content);
  }
  sys::elf_note find(std::size_t size) const {
    return sys::find_note("whence1", reinterpret_cast<std::uintptr_t>(bytes_.data()), size);
  }
  sys::elf_note find() const { return find(bytes_.size()); }
  std::uintptr_t at(std::size_t offset) const {
    return reinterpret_cast<std::uintptr_t>(bytes_.data()) + offset;
  }
  std::size_t size() const { return bytes_.size(); }

 private:
  void word(std::uint32_t value) {
    const auto* const first = reinterpret_cast<const char*>(&value);
    bytes_.insert(bytes_.end(), first, first + 4);
  }
  void text(const std::string& s) {
    bytes_.insert(bytes_.end(), s.begin(), s.end());
    while (bytes_.size() % 4 != 0) bytes_.push_back('\0');
  }

  std::vector<char> bytes_;
};

}  // namespace

TEST_CASE("a note is found among others, and tells of its object and layout") {
  segment s;
  s.note(std::string("GNU\0", 4), 3, "0123456789abcdefghij")
      .ours("whence2", 7, 16)
      .ours("whence1", 10, 16);
  const sys::elf_note found = s.find();
  CHECK(found.layout == 10);
  CHECK(found.object == s.at(s.size() - 8 + 16));
}

TEST_CASE("notes of other names and sizes are skipped") {
  segment s;
  s.note(std::string("whence1\0", 8), 10, "1234")
      .note("whence1", 10, "12345678")
      .ours("whence9", 10, 8);
  CHECK(s.find().object == 0);
}

TEST_CASE("a damaged segment is not read beyond its end") {
  segment s;
  s.ours("whence1", 10, 8);
  for (std::size_t size = 0; size < s.size(); ++size) CHECK(s.find(size).object == 0);
  for (std::uint32_t length : {0xffffffffU, 0xfffffff0U, 0x7fffffffU, 100U}) {
    segment broken;
    broken.note("GNU", 3, "build").ours("whence1", 10, 8);
    std::memcpy(reinterpret_cast<char*>(broken.at(4)), &length, 4);
    CHECK(broken.find().object == 0);
  }
}

TEST_CASE("this module's note leads to its link") {
  std::uintptr_t found = 0;
  sys::for_each_module([&found](const dl_phdr_info& module) {
    const sys::elf_note note = sys::find_note("whence1", module);
    if (note.object == reinterpret_cast<std::uintptr_t>(&instruments::here)) {
      found = note.object;
      CHECK(note.layout == WHENCE_LAYOUT);
    }
    return false;
  });
  CHECK(found != 0);
}
