// SPDX-License-Identifier: Apache-2.0
//
// Leaves a profile of every kind in the folder given, in both formats, for the clients to read:
// what clients.test.sh runs beside the indexer.
#include <cstdint>
#include <cstdio>
#include <string>
#include <system_error>
#include <vector>

#include <whence/whence.hpp>

namespace {

[[gnu::noinline]] void grow(std::vector<int, whence::tracking_allocator<int>>& v) {
  for (int i = 0; i < 10'000; ++i) v.push_back(i);
}

int recurse(int depth) {
  whence::tracked<whence::custom_profile<"app.deep-stacks">> entry;
  return depth == 0 ? 0 : recurse(depth - 1) + 1;
}

bool save(const whence::profile& p, const std::string& folder, const char* suffix, int debug) {
  const std::string path = folder + "/" + std::string(p.name()) + suffix;
  const std::error_code error = p.write_to(path.c_str(), debug);
  if (error) std::fprintf(stderr, "%s: %s\n", path.c_str(), error.message().c_str());
  return !error;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  whence::set_heap_profile_rate(1);
  std::vector<int, whence::tracking_allocator<int>> numbers;
  grow(numbers);
  whence::set_heap_profile_rate(4096);  // two rates at one stack make one row
  grow(numbers);
  whence::set_max_stack_depth(10);
  whence::tracked<whence::custom_profile<"app.deep-stacks">> kept;
  std::vector<decltype(kept)> copies(5, kept);
  recurse(30);
  whence::profile& values = whence::new_profile("app.values");
  for (std::uint64_t i = 0; i < 3; ++i) values.add(i);
  bool written = true;
  for (const whence::profile* p : whence::profiles()) {
    written = save(*p, argv[1], ".pb.gz", 0) && save(*p, argv[1], ".txt", 1) && written;
  }
  return written ? 0 : 1;
}
