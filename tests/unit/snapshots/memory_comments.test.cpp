// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <malloc.h>
#include <stdlib.h>

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "support/sanitizers.hpp"
#include <whence/profile.hpp>
#include <whence/registry.hpp>
#include <whence/snapshots/memory_comments.hpp>
#include <whence/state/attach.hpp>

using namespace whence;

namespace {

std::string line_with(const std::vector<std::string>& lines, const std::string& start) {
  for (const std::string& line : lines) {
    if (line.rfind(start, 0) == 0) return line;
  }
  return {};
}

// A sanitizer and valgrind replace malloc, of which mallinfo2 then knows nothing.
bool has_mallinfo() {
  return !sanitized && ::mallinfo2().uordblks > 0;
}

// The kernel's own figure, in bytes.
std::int64_t status_bytes(const std::string& key) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind(key, 0) == 0) return std::strtoll(line.c_str() + key.size(), nullptr, 10) * 1024;
  }
  return -1;
}

}  // namespace

TEST_CASE("the heap's comments say what is tracked, what is mapped, and whose malloc it is") {
  const std::vector<std::string> lines = lookup("heap")->snapshot().header.comments;
  long long mapped = 0, resident = 0;
  REQUIRE(std::sscanf(line_with(lines, "mapped ").c_str(), "mapped %lld bytes, resident %lld",
                      &mapped, &resident) == 2);
  const std::int64_t around = std::int64_t{64} << 20;
  CHECK(std::abs(mapped - status_bytes("VmSize:")) < around);
  CHECK(std::abs(resident - status_bytes("VmRSS:")) < around);
  CHECK(line_with(lines, "seen: ") ==
        "seen: what instruments track; not operator new, malloc or mmap");
  CHECK(!line_with(lines, "malloc is ").empty());
  if (!has_mallinfo()) return;
  long long tracked = 0, in_use = 0;
  REQUIRE(std::sscanf(line_with(lines, "tracked ").c_str(),
                      "tracked %lld of %lld bytes in use by malloc", &tracked, &in_use) == 2);
  CHECK(in_use > 0);
  CHECK(line_with(lines, "malloc is that of ").find("libc.so") != std::string::npos);
}

TEST_CASE("what malloc has in use is mallinfo2's sum") {
  if (!has_mallinfo()) return;
  state::malloc_use use;
  // Through a volatile, because a compiler may leave out a block that is never used.
  void* volatile block = ::malloc(50 << 20);
  const std::unique_ptr<void, void (*)(void*)> large(block, &::free);
  const auto known = use.get(&snapshots::in_use_by_mallinfo).bytes;
  const struct mallinfo2 now = ::mallinfo2();
  CHECK(std::abs(known - static_cast<std::int64_t>(now.uordblks + now.hblkhd)) < (1 << 20));
  CHECK(known > (50 << 20));
}

TEST_CASE("a registry's own heap says nothing of the whole process") {
  const auto lines = named_registry<"memory_comments">::heap().snapshot().header.comments;
  CHECK(line_with(lines, "tracked ").empty());
}
