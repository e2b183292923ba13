// SPDX-License-Identifier: Apache-2.0
//
// Blocks of mixed sizes that come and go, by operator new or by malloc: `churn new|malloc PAIRS`.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

namespace {

std::uint64_t state = 1;
std::uint32_t random_word() {
  state = state * 6364136223846793005 + 1442695040888963407;
  return static_cast<std::uint32_t>(state >> 33);
}

template <class Make, class End>
void churn(int pairs, Make make, End end) {
  constexpr unsigned slots = 4096;
  static void* blocks[slots];
  for (int i = 0; i < pairs; ++i) {
    void*& block = blocks[random_word() % slots];
    if (block != nullptr) end(block);
    block = make(16 + random_word() % (random_word() % 64 == 0 ? 8192 : 256));
    *static_cast<char*>(block) = 1;
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const int pairs = std::atoi(argv[2]);
  if (std::strcmp(argv[1], "new") == 0) {
    churn(
        pairs, [](std::size_t n) { return ::operator new(n); },
        [](void* p) { ::operator delete(p); });
  } else {
    churn(
        pairs, [](std::size_t n) { return std::malloc(n); }, [](void* p) { std::free(p); });
  }
}
