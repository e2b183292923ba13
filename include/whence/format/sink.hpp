// SPDX-License-Identifier: Apache-2.0
//
// Where a profile goes. Made implicitly from
//
//   std::ostream&                       flushed at the end
//   std::string&                        appended to
//   std::FILE*                          flushed at the end, not closed
//   whence::fd{number}                  not closed
//   std::filesystem::path, const char*  a file, replaced only on success (sys/replaced_file.hpp)
//   std::error_code(std::span<const std::byte>)   any callable, called once or many times
//
// A literal is a path, `write_to("heap.pb.gz")`, but a std::string is text to append to. A string
// that may be meant as a path (a temporary, a const one) therefore does not compile: write
// std::filesystem::path(name).
//
// What a sink is made from has to outlive it; a path is made absolute at once, so that a profile
// that ends later goes where it was meant. Every failure is returned, an exception too, and the
// first one ends the sink. A closed pipe is EPIPE, never SIGPIPE.
#ifndef WHENCE_FORMAT_SINK_HPP
#define WHENCE_FORMAT_SINK_HPP

#include <cerrno>
#include <concepts>
#include <cstddef>
#include <cstdio>
#include <memory>
#include <ostream>
#include <span>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

#include <whence/names.hpp>
#include <whence/sys/as_error.hpp>
#include <whence/sys/replaced_file.hpp>
#include <whence/sys/sigpipe_guard.hpp>
#include <whence/sys/write_all.hpp>

namespace whence::inline v1 {

// A file descriptor, so that an int is none by accident.
struct fd {
  int number;
};

namespace format {

struct target {
  target() = default;
  target(const target&) = delete;
  target& operator=(const target&) = delete;
  virtual ~target() = default;
  virtual std::error_code write(std::span<const std::byte> bytes) = 0;
  virtual std::error_code finish() { return {}; }
};

class stream_target final : public target {
 public:
  explicit stream_target(std::ostream& out) : out_(out) {}
  // good(), not fail(): a stream at its end of file writes nothing and need not say so.
  std::error_code write(std::span<const std::byte> bytes) override {
    if (out_.good()) {
      out_.write(reinterpret_cast<const char*>(bytes.data()),
                 static_cast<std::streamsize>(bytes.size()));
    }
    return state();
  }
  std::error_code finish() override {
    if (out_.good()) out_.flush();
    return state();
  }

 private:
  std::error_code state() const {
    return out_.good() ? std::error_code() : make_error_code(std::io_errc::stream);
  }
  std::ostream& out_;
};

class string_target final : public target {
 public:
  explicit string_target(std::string& out) : out_(out) {}
  std::error_code write(std::span<const std::byte> bytes) override {
    out_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return {};
  }

 private:
  std::string& out_;
};

// An interrupted write is returned here: stdio then has dropped what it had buffered.
class stdio_target final : public target {
 public:
  explicit stdio_target(std::FILE* out) : out_(out) {}
  std::error_code write(std::span<const std::byte> bytes) override {
    if (out_ == nullptr) return sys::errno_code(EBADF);
    errno = 0;
    const bool all = std::fwrite(bytes.data(), 1, bytes.size(), out_) == bytes.size();
    return all ? std::error_code() : failure();
  }
  std::error_code finish() override {
    if (out_ == nullptr) return sys::errno_code(EBADF);
    errno = 0;
    return std::fflush(out_) == 0 && std::ferror(out_) == 0 ? std::error_code() : failure();
  }

 private:
  static std::error_code failure() { return sys::errno_code(errno != 0 ? errno : EIO); }
  std::FILE* out_;
};

class fd_target final : public target {
 public:
  explicit fd_target(int number) : number_(number) {}
  std::error_code write(std::span<const std::byte> bytes) override {
    return sys::errno_code(sys::write_all(number_, bytes));
  }

 private:
  int number_;
};

class file_target final : public target {
 public:
  explicit file_target(std::string path) : file_(std::move(path)) {}
  std::error_code write(std::span<const std::byte> bytes) override {
    return sys::errno_code(file_.write(bytes));
  }
  std::error_code finish() override { return sys::errno_code(file_.finish()); }

 private:
  sys::replaced_file file_;
};

template <class F>
class callable_target final : public target {
 public:
  explicit callable_target(F f) : f_(std::move(f)) {}
  std::error_code write(std::span<const std::byte> bytes) override { return f_(bytes); }

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
  sink(std::ostream& out) : target_(std::make_unique<format::stream_target>(out)) {}
  sink(std::string& out) : target_(std::make_unique<format::string_target>(out)) {}
  sink(const std::string& path_or_text) = delete;  // std::filesystem::path(name) is meant
  sink(std::FILE* out) : target_(std::make_unique<format::stdio_target>(out)) {}
  sink(fd out) : target_(std::make_unique<format::fd_target>(out.number)) {}
  sink(const char* path)
      : target_(std::make_unique<format::file_target>(path == nullptr ? "" : path)) {}
  template <format::path_like P>
  sink(const P& path) : target_(std::make_unique<format::file_target>(path.native())) {}
  template <format::sink_callable F>
  sink(F f) : target_(std::make_unique<format::callable_target<F>>(std::move(f))) {}

  // After the first failure nothing more is written, and the failure is what every call returns.
  std::error_code write(std::span<const std::byte> bytes) {
    return bytes.empty() ? error_ : run([&](format::target& t) { return t.write(bytes); });
  }

  // Ends the output: flushes, or puts the file in its place. Nothing can be written afterwards.
  // A sink destroyed without it leaves no file.
  std::error_code finish() {
    const std::error_code result = run([](format::target& t) { return t.finish(); });
    target_.reset();
    return result;
  }

 private:
  template <class F>
  std::error_code run(F&& f) {
    if (!error_ && target_ == nullptr)
      error_ = std::make_error_code(std::errc::bad_file_descriptor);
    if (error_) return error_;
    {
      const sys::sigpipe_guard no_signal;
      error_ = sys::as_error([&] { return f(*target_); });
    }
    if (error_) target_.reset();
    return error_;
  }

  std::unique_ptr<format::target> target_;
  std::error_code error_;
};

}  // namespace whence::inline v1

#endif  // WHENCE_FORMAT_SINK_HPP
