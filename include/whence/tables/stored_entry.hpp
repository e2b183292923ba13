// SPDX-License-Identifier: Apache-2.0
//
// What a live map stores behind a key: the bucket in which the begin was counted, and what the end
// needs to know. Zero bytes are no entry.
#ifndef WHENCE_TABLES_STORED_ENTRY_HPP
#define WHENCE_TABLES_STORED_ENTRY_HPP

#include <cstddef>
#include <cstdint>

#include <whence/tables/bucket.hpp>

namespace whence::inline v1::tables {

// A bucket, and sixteen bits for the owner of the map, in one word.
class packed_entry {
 public:
  struct entry {
    tables::bucket* bucket = nullptr;  // nullptr: not found
    std::uint16_t extra = 0;
  };

  packed_entry() noexcept = default;
  explicit packed_entry(entry e) noexcept
      : word_(reinterpret_cast<std::uintptr_t>(e.bucket) | (std::uint64_t{e.extra} << 48)) {}

  // Stands for what was moved or erased. No bucket has this address.
  static packed_entry mark() noexcept { return packed_entry({reinterpret_cast<bucket_at>(1), 0}); }

  tables::bucket* bucket() const noexcept {
    return reinterpret_cast<bucket_at>(word_ & address_bits);
  }
  entry get() const noexcept { return {bucket(), static_cast<std::uint16_t>(word_ >> 48)}; }

 private:
  using bucket_at = tables::bucket*;
  static constexpr std::uint64_t address_bits = (std::uint64_t{1} << 48) - 1;
  std::uint64_t word_ = 0;
};

// A bucket, the bytes that were asked for, and those that the program may use of the block: a free
// has no size to tell.
class sized_entry {
 public:
  struct entry {
    tables::bucket* bucket = nullptr;  // nullptr: not found
    std::size_t bytes = 0, usable = 0;
  };

  sized_entry() noexcept = default;
  explicit sized_entry(entry e) noexcept : entry_(e) {}

  static sized_entry mark() noexcept { return sized_entry({reinterpret_cast<bucket_at>(1), 0, 0}); }

  tables::bucket* bucket() const noexcept { return entry_.bucket; }
  entry get() const noexcept { return entry_; }

 private:
  using bucket_at = tables::bucket*;
  entry entry_;
};

}  // namespace whence::inline v1::tables

#endif  // WHENCE_TABLES_STORED_ENTRY_HPP
