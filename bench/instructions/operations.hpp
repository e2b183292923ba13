// SPDX-License-Identifier: Apache-2.0
//
// The operations that bench/instructions.py counts. Their file only records, and the loop around
// them is in another file, which also reads, as in a program that uses the library.
#ifndef WHENCE_BENCH_OPERATIONS_HPP
#define WHENCE_BENCH_OPERATIONS_HPP

#include <span>

struct operation {
  const char* name;
  void (*run)();
};

std::span<const operation> operations();

#endif  // WHENCE_BENCH_OPERATIONS_HPP
