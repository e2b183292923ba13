// SPDX-License-Identifier: Apache-2.0
//
// The bodies of format/sink.hpp: the destinations of bytes, and how each of them reports a failure.
#ifndef WHENCE_IMPL_SINK_IPP
#define WHENCE_IMPL_SINK_IPP

#include <whence/config.hpp>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <memory>
#include <ostream>
#include <span>
#include <string>
#include <system_error>
#include <utility>

#include <whence/format/sink.hpp>
#include <whence/sys/atomic_file.hpp>
#include <whence/sys/catch_error.hpp>
#include <whence/sys/sigpipe_guard.hpp>

namespace whence::inline v1 {

namespace format {

class stream_target final : public target {
 public:
  explicit stream_target(std::ostream& out) : out_(out) {}
  // It asks good(), not fail(), because a stream at its end of file writes nothing without setting
  // failbit.
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

// An interrupted write is returned from here, because stdio has then dropped its buffer.
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
  sys::atomic_file file_;
};

}  // namespace format

WHENCE_FUNCTION sink::sink(std::ostream& out) : target_(new format::stream_target(out)) {}

WHENCE_FUNCTION sink::sink(std::string& out) : target_(new format::string_target(out)) {}

WHENCE_FUNCTION sink::sink(std::FILE* out) : target_(new format::stdio_target(out)) {}

WHENCE_FUNCTION sink::sink(fd out) : target_(new format::fd_target(out.number)) {}

WHENCE_FUNCTION sink::sink(const char* path)
    : target_(new format::file_target(path == nullptr ? "" : path)) {}

// The template may be defined here, because it is private and no other file calls it.
template <class F>
std::error_code sink::run(F&& f) {
  if (!error_ && target_ == nullptr) {
    error_ = std::make_error_code(std::errc::bad_file_descriptor);
  }
  if (error_) return error_;
  {
    const sys::sigpipe_guard no_signal;
    error_ = sys::catch_error([&] { return f(*target_); });
  }
  if (error_) target_.reset();
  return error_;
}

WHENCE_FUNCTION std::error_code sink::write(std::span<const std::byte> bytes) {
  return bytes.empty() ? error_ : run([&](format::target& t) { return t.write(bytes); });
}

WHENCE_FUNCTION std::error_code sink::finish() {
  const std::error_code result = run([](format::target& t) { return t.finish(); });
  target_.reset();
  return result;
}

}  // namespace whence::inline v1

#endif  // WHENCE_IMPL_SINK_IPP
