// SPDX-License-Identifier: Apache-2.0
//
// class profile: a name over a list of buckets. Profiles are made in the arena and never freed, so
// a reference to one stays valid for the life of the process.
//
// The functions that programs call are defined in impl/profile.ipp, which <whence/profile.hpp>
// includes.
#ifndef WHENCE_CORE_PROFILE_HPP
#define WHENCE_CORE_PROFILE_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <system_error>

#include <whence/core/key.hpp>
#include <whence/core/kinds.hpp>
#include <whence/names.hpp>
#include <whence/tables/bucket.hpp>

namespace whence::inline v1 {

class profile {
 public:
  profile(const profile&) = delete;
  profile& operator=(const profile&) = delete;

  std::string_view name() const noexcept { return name_; }
  std::string_view description() const noexcept {
    return description_.load(std::memory_order_acquire);
  }

  // The number of values that a custom profile has now; of every other profile the number of
  // stacks, those of freed memory included (Go: Profile.Count). Thread-safe.
  WHENCE_LAZY std::size_t count() const noexcept;

  // Adds `value` with the stack of the caller, less its `skip` innermost frames. Thread-safe.
  // Throws: std::logic_error on a predefined profile or a negative skip; std::invalid_argument if
  // the value is already in the profile.
  void add(profile_key value, int skip = 0);

  // Takes `value` out; false if it is not in the profile. Thread-safe.
  // Throws: std::logic_error on a predefined profile.
  bool remove(profile_key value);

  // Writes the profile: debug <= 0 gzip-compressed profile.proto with symbols, else Go's text. Text
  // has short names, or those of options.names. Returns the error of writing.
  // Thread-safe, and concurrent with recording.
  WHENCE_LAZY [[nodiscard]] std::error_code write_to(sink out, int debug = 0,
                                                     write_options options = {}) const;

  // The same as typed data, for tests and tools.
  WHENCE_LAZY profile_snapshot snapshot() const;

  // Instruments and writers use these, programs do not.
  instruments::kind kind() const noexcept { return kind_; }
  tables::bucket_list& rows() noexcept { return rows_ != nullptr ? *rows_ : lost(); }
  const tables::bucket_list& rows() const noexcept { return rows_ != nullptr ? *rows_ : lost(); }

 private:
  friend class profile_directory;
  profile(std::string_view name, const char* description, instruments::kind kind,
          std::uint16_t id) noexcept
      : name_(name), description_(description), kind_(kind) {
    own_rows_.id = id;
  }

  // The rows of a profile that was named before any module of the process read
  // (instruments::no_profile).
  static tables::bucket_list& lost() noexcept {
    static constinit tables::bucket_list rows{};
    return rows;
  }

  std::string_view name_;
  std::atomic<const char*> description_;
  instruments::kind kind_;
  bool only_declared_ = false;  // guarded by the directory's lock
  tables::bucket_list own_rows_;
  tables::bucket_list* rows_ = &own_rows_;  // allocs shows heap's
  std::atomic<profile*> next_{nullptr};
};

}  // namespace whence::inline v1

#endif  // WHENCE_CORE_PROFILE_HPP
