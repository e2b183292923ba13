// SPDX-License-Identifier: Apache-2.0
//
// A program that includes a page for its whole memory reads the rate from the environment, though
// the page makes itself known before libc has told programs of their environment. PAGE is the page.
//
//   WHENCE_HEAP_RATE=4096 rate 4096
#include PAGE

#include <cstdio>
#include <cstdlib>

#include <whence/whence.hpp>

int main(int, char** argv) {
  const long expected = std::strtol(argv[1], nullptr, 10);
  if (whence::lookup("heap") == nullptr) return 2;  // makes this a program that reads
  const auto rate = static_cast<long>(whence::set_heap_profile_rate(1));
  if (rate == expected) return 0;
  std::fprintf(stderr, "rate: it is %ld, not %ld\n", rate, expected);
  return 1;
}
