// SPDX-License-Identifier: Apache-2.0
//
// A sampled block whose end is seen without its size, as the recorder hands it over
// (record/sized_heap.hpp), and the layers that see the memory of the whole program.
#ifndef WHENCE_INSTRUMENTS_SIZED_BLOCK_HPP
#define WHENCE_INSTRUMENTS_SIZED_BLOCK_HPP

#include <cstddef>
#include <cstdint>

namespace whence::inline v1::tables {
struct bucket;
}  // namespace whence::inline v1::tables

namespace whence::inline v1::instruments {

// What sees the memory of the whole program. If both layers are in the process, that of malloc
// records, and the operators only forward. The other two see nothing, and are told for the
// profile's comments: the program has a malloc of its own, or the allocator below is a sanitizer's.
enum class layer : unsigned { operators = 1, malloc = 2, shadowed_malloc = 4, passing_malloc = 8 };
inline constexpr unsigned seeing_layers = 3;

// How far a thread is from its next sample, in a layer's countdown: a word apart from that of the
// instruments (countdown.hpp).
struct program_draw {
  std::uint64_t left = 0;  // bytes that pass without a sample; wrapped in a slow path
  std::int64_t epoch = 0;  // the hot words' floor when it was made
};
// What is left if nothing is sampled: for good, and until a recorder may have come.
inline constexpr std::uint64_t far_away = std::uint64_t{1} << 62;
inline constexpr std::uint64_t look_again = 64 * 1024;

struct sized_block {
  tables::bucket* counted_in = nullptr;  // nullptr: the block is not sampled
  std::size_t bytes = 0;                 // as asked for
  std::size_t usable = 0;                // what the program may use of it; 0: upstream knows

  bool sampled() const noexcept { return counted_in != nullptr; }
};

}  // namespace whence::inline v1::instruments

#endif  // WHENCE_INSTRUMENTS_SIZED_BLOCK_HPP
