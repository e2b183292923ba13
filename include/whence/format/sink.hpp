// SPDX-License-Identifier: Apache-2.0
//
// The destination of a profile. Made implicitly from
//
//   std::ostream&                       flushed at the end
//   std::string&                        appended to
//   std::FILE*                          flushed at the end, not closed
//   whence::fd{number}                  not closed
//   std::filesystem::path, const char*  a file, replaced only on success (sys/atomic_file.hpp)
//   std::error_code(std::span<const std::byte>)   any callable, called once or many times
//
// If that callable has a member `bool is_wanted() const`, long work that comes before the first
// byte ends soon after it returns false: std::errc::operation_canceled.
//
// A literal is a path, `write_to("heap.pb.gz")`, but a std::string is text to append to. A string
// that could be meant as a path (a temporary, a const one) therefore does not compile: write
// std::filesystem::path(name).
//
// The object that a sink is made from has to outlive it. A path is made absolute at once, so a
// later chdir does not change where the profile goes. Every failure is returned, exceptions too,
// and the first one ends the sink. A closed pipe is EPIPE, never SIGPIPE.
#ifndef WHENCE_FORMAT_SINK_HPP
#define WHENCE_FORMAT_SINK_HPP

#include <whence/config.hpp>

#include <concepts>
#include <cstddef>
#include <cstdio>
#include <iosfwd>
#include <memory>
#include <span>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

#include <whence/names.hpp>

namespace whence::inline v1 {

// A file descriptor. It is a type of its own, so that no int becomes one by accident.
struct fd {
  int number;
};

namespace format {

// The object that a sink was made from.
struct target {
  target() = default;
  target(const target&) = delete;
  target& operator=(const target&) = delete;
  virtual ~target() = default;
  virtual std::error_code write(std::span<const std::byte> bytes) = 0;
  virtual std::error_code finish() { return {}; }
  virtual bool is_wanted() const { return true; }
};

template <class F>
class callable_target final : public target {
 public:
  explicit callable_target(F f) : f_(std::move(f)) {}
  std::error_code write(std::span<const std::byte> bytes) override { return f_(bytes); }
  bool is_wanted() const override {
    if constexpr (requires { static_cast<bool>(f_.is_wanted()); }) {
      return static_cast<bool>(f_.is_wanted());
    } else {
      return true;
    }
  }

 private:
  F f_;
};

// std::filesystem::path, without its header, which would add 7600 lines for everyone.
template <class P>
concept path_like = requires(const std::remove_cvref_t<P>& path) {
  { path.native() } -> std::same_as<const std::string&>;
  { path.is_relative() } -> std::same_as<bool>;
};

template <class F>
concept sink_callable =
    !std::same_as<std::remove_cvref_t<F>, sink> &&
    std::is_invocable_r_v<std::error_code, std::decay_t<F>&, std::span<const std::byte>>;

}  // namespace format

class sink {
 public:
  sink(std::ostream& out);
  sink(std::string& out);
  sink(const std::string& path_or_text) = delete;  // std::filesystem::path(name) is meant
  sink(std::FILE* out);
  sink(fd out);
  sink(const char* path);
  template <format::path_like P>
  sink(const P& path) : sink(path.native().c_str()) {}
  template <format::sink_callable F>
  sink(F f) : target_(std::make_unique<format::callable_target<F>>(std::move(f))) {}

  // After the first failure nothing more is written, and every call returns that failure.
  std::error_code write(std::span<const std::byte> bytes);

  // Ends the output: flushes, or moves the file into place. Nothing can be written afterwards. A
  // sink destroyed without finish() leaves no file.
  std::error_code finish();

  // False if nothing more that is written would be used. A failure shows in the next write.
  bool is_wanted() const { return target_ == nullptr || target_->is_wanted(); }

 private:
  template <class F>
  std::error_code run(F&& f);

  std::unique_ptr<format::target> target_;
  std::error_code error_;
};

}  // namespace whence::inline v1

#ifndef WHENCE_COMPILED
#include <whence/impl/sink.ipp>
#endif

#endif  // WHENCE_FORMAT_SINK_HPP
