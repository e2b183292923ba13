// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <new>
#include <span>
#include <sstream>
#include <stdexcept>
#include <streambuf>
#include <string>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>

#include "tools.hpp"
#include <whence/format/sink.hpp>

using namespace whence;
namespace fs = std::filesystem;

namespace {

std::error_code write(sink& out, std::string_view text) {
  return out.write(std::as_bytes(std::span(text)));
}

// Uses a sink in the way a profile does.
std::error_code write_all(sink out, std::string_view text = "content") {
  if (const std::error_code error = write(out, text)) return error;
  return out.finish();
}

mode_t mode_of(const fs::path& path) {
  struct stat s {};
  REQUIRE(::stat(path.c_str(), &s) == 0);
  return s.st_mode & 07777;
}

// A buffer that takes only so many bytes.
class short_buffer : public std::streambuf {
 public:
  explicit short_buffer(std::streamsize room) : room_(room) {}

 protected:
  std::streamsize xsputn(const char*, std::streamsize n) override {
    const std::streamsize taken = std::min(n, room_);
    room_ -= taken;
    return taken;
  }
  int_type overflow(int_type) override { return traits_type::eof(); }

 private:
  std::streamsize room_;
};

struct pipe_pair {
  std::array<int, 2> ends{};
  pipe_pair() { REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0); }
  ~pipe_pair() {
    close_reader();
    if (ends[1] >= 0) ::close(ends[1]);
  }
  void close_reader() {
    if (ends[0] >= 0) ::close(std::exchange(ends[0], -1));
  }
};

}  // namespace

// A string that could be meant as a path does not compile.
static_assert(!std::is_constructible_v<sink, const std::string&>);
static_assert(!std::is_constructible_v<sink, std::string>);
static_assert(!std::is_convertible_v<int, sink>);
static_assert(std::is_convertible_v<std::string&, sink>);
static_assert(std::is_convertible_v<const char*, sink>);
static_assert(std::is_convertible_v<fs::path, sink>);
static_assert(std::is_nothrow_move_constructible_v<sink> && !std::is_copy_constructible_v<sink>);

TEST_CASE("a stream, a string, a FILE, a descriptor, a path and a callable take the bytes") {
  const whence_tests::temp_dir here;
  std::ostringstream stream;
  CHECK_FALSE(write_all(stream));
  CHECK(stream.str() == "content");

  std::string text = "before ";
  CHECK_FALSE(write_all(text));
  CHECK(text == "before content");

  std::FILE* const file = std::fopen((here / "stdio").c_str(), "w");
  REQUIRE(file != nullptr);
  CHECK_FALSE(write_all(file));
  CHECK(tools::read(here / "stdio") == "content");  // flushed, though not closed
  CHECK(std::fclose(file) == 0);

  const int number = ::open((here / "fd").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  CHECK_FALSE(write_all(fd{number}));
  CHECK(::close(number) == 0);  // still open
  CHECK(tools::read(here / "fd") == "content");

  CHECK_FALSE(write_all(here / "path"));
  CHECK(tools::read(here / "path") == "content");
  CHECK_FALSE(write_all((here / "literal").c_str()));
  CHECK(tools::read(here / "literal") == "content");

  std::string taken;
  auto owner = std::make_unique<int>(1);  // a callable need not be copyable
  CHECK_FALSE(write_all([&taken, o = std::move(owner)](std::span<const std::byte> bytes) {
    taken.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return std::error_code();
  }));
  CHECK(taken == "content");
}

TEST_CASE("a sink may be stored, moved and written to later") {
  std::string text;
  sink first(text);
  CHECK_FALSE(write(first, "a"));
  sink second(std::move(first));
  CHECK_FALSE(write(second, "b"));
  CHECK_FALSE(second.finish());
  CHECK(text == "ab");
  CHECK(write(second, "c") == std::errc::bad_file_descriptor);
  CHECK(second.finish() == std::errc::bad_file_descriptor);
}

TEST_CASE("a relative path means the folder of the moment it was given") {
  const whence_tests::temp_dir here;
  const fs::path before = fs::current_path();
  fs::current_path(here / "");
  sink out("later");
  fs::current_path(before);
  CHECK_FALSE(write(out, "x"));
  CHECK_FALSE(out.finish());
  CHECK(tools::read(here / "later") == "x");
}

TEST_CASE("a file is replaced on success, and until then it is the old one") {
  const whence_tests::temp_dir here;
  tools::save(here / "f", "old");
  sink out(here / "f");
  CHECK_FALSE(write(out, "new"));
  CHECK(tools::read(here / "f") == "old");
  CHECK(here.files() == 2);
  CHECK_FALSE(out.finish());
  CHECK(tools::read(here / "f") == "new");
  CHECK(here.files() == 1);
}

TEST_CASE("a failed or abandoned write leaves the old file and no temporary") {
  const whence_tests::temp_dir here;
  tools::save(here / "f", "old");
  {
    sink out(here / "f");
    CHECK_FALSE(write(out, "new"));
  }
  CHECK(tools::read(here / "f") == "old");
  CHECK(here.files() == 1);

  // The folder vanishes between the write and the rename: a rename that fails.
  fs::create_directory(here / "d");
  sink out(here / "d/f");
  CHECK_FALSE(write(out, "new"));
  fs::create_directory(here / "d/f");
  CHECK(out.finish() == std::errc::is_a_directory);
  CHECK(std::distance(fs::directory_iterator(here / "d"), {}) == 1);
}

TEST_CASE("permission bits of an existing file are kept, a new one gets 0666 without the umask") {
  const whence_tests::temp_dir here;
  const mode_t umask_before = ::umask(027);
  tools::save(here / "kept", "old");
  fs::permissions(here / "kept", fs::perms(0604));
  CHECK_FALSE(write_all(here / "kept"));
  CHECK_FALSE(write_all(here / "fresh"));
  ::umask(umask_before);
  CHECK(mode_of(here / "kept") == 0604);
  CHECK(mode_of(here / "fresh") == 0640);
}

TEST_CASE("a symbolic link is followed, and a pipe or device is written to and not replaced") {
  const whence_tests::temp_dir here;
  tools::save(here / "real", "old");
  fs::create_symlink("real", here / "link");
  CHECK_FALSE(write_all(here / "link"));
  CHECK(fs::is_symlink(here / "link"));
  CHECK(tools::read(here / "real") == "content");

  REQUIRE(::mkfifo((here / "fifo").c_str(), 0600) == 0);
  std::string taken;
  std::thread reader([&] { taken = tools::read(here / "fifo"); });
  const std::error_code error = write_all(here / "fifo");
  reader.join();
  CHECK_FALSE(error);
  CHECK(taken == "content");
  CHECK(fs::is_fifo(here / "fifo"));

  CHECK_FALSE(write_all("/dev/null"));
  CHECK(fs::is_character_file("/dev/null"));
}

TEST_CASE("a path that cannot be a file is an error, even if nothing is written") {
  const whence_tests::temp_dir here;
  tools::save(here / "file", "old");
  CHECK(write_all(here / "") == std::errc::is_a_directory);
  CHECK(write_all(here / "missing/f") == std::errc::no_such_file_or_directory);
  CHECK(write_all(here / "file/f") == std::errc::not_a_directory);
  CHECK(write_all("") != std::error_code());
  CHECK(write_all(static_cast<const char*>(nullptr)) != std::error_code());
  CHECK(write_all(here / "missing/f", "") == std::errc::no_such_file_or_directory);
  CHECK_FALSE(write_all(here / "empty", ""));
  CHECK(fs::file_size(here / "empty") == 0);
}

TEST_CASE("a name of the maximal length has room for its temporary") {
  const whence_tests::temp_dir here;
  CHECK_FALSE(write_all(here / std::string(255, 'n')));
  CHECK(here.files() == 1);
}

TEST_CASE("many threads may replace one file: it has the whole content of one") {
  const whence_tests::temp_dir here;
  std::atomic<int> failures{0};
  std::array<std::thread, 4> threads;
  for (std::size_t t = 0; t < threads.size(); ++t) {
    threads[t] = std::thread([&, t] {
      const std::string own(100'000, static_cast<char>('a' + t));
      for (int i = 0; i < 20; ++i) failures += write_all(here / "f", own) ? 1 : 0;
    });
  }
  for (std::thread& t : threads) t.join();
  CHECK(failures == 0);
  CHECK(here.files() == 1);
  const std::string text = tools::read(here / "f");
  CHECK(text == std::string(100'000, text.at(0)));
}

TEST_CASE("a closed descriptor is EBADF, for a FILE too") {
  CHECK(write_all(fd{-1}) == std::errc::bad_file_descriptor);
  std::FILE* const readable = std::fopen("/dev/null", "r");
  REQUIRE(readable != nullptr);
  CHECK(write_all(readable) == std::errc::bad_file_descriptor);
  std::fclose(readable);
  CHECK(write_all(static_cast<std::FILE*>(nullptr)) == std::errc::bad_file_descriptor);
}

TEST_CASE("a full disk is an error for everything that writes to a file") {
  const int number = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
  REQUIRE(number >= 0);
  CHECK(write_all(fd{number}) == std::errc::no_space_on_device);
  ::close(number);
  CHECK(write_all("/dev/full") == std::errc::no_space_on_device);
  CHECK(fs::is_character_file("/dev/full"));
  std::FILE* const file = std::fopen("/dev/full", "w");
  REQUIRE(file != nullptr);
  CHECK(write_all(file) == std::errc::no_space_on_device);  // small: fails when flushed
  std::fclose(file);
  std::ofstream stream("/dev/full");
  CHECK(write_all(stream) == std::io_errc::stream);
}

TEST_CASE("a stream that fails midway, or has failed before, is an error and keeps its state") {
  short_buffer buffer(10);
  std::ostream stream(&buffer);
  sink out(stream);
  CHECK_FALSE(write(out, "12345678"));
  CHECK(write(out, "12345678") == std::io_errc::stream);
  CHECK(write(out, "1") == std::io_errc::stream);
  CHECK(out.finish() == std::io_errc::stream);

  std::stringstream at_end;
  at_end.setstate(std::ios::eofbit);
  CHECK(write_all(at_end) == std::io_errc::stream);
}

TEST_CASE("an exception of a stream or a callable is returned as an error") {
  short_buffer buffer(0);
  std::ostream stream(&buffer);
  stream.exceptions(std::ios::badbit | std::ios::failbit);
  CHECK(write_all(stream) == std::io_errc::stream);

  const auto throwing = [](auto exception) {
    return [exception](std::span<const std::byte>) -> std::error_code { throw exception; };
  };
  CHECK(write_all(throwing(std::runtime_error("no"))) == std::io_errc::stream);
  CHECK(write_all(throwing(std::bad_alloc())) == std::errc::not_enough_memory);
  CHECK(write_all(throwing(1)) == std::io_errc::stream);
  const std::error_code own = std::make_error_code(std::errc::host_unreachable);
  CHECK(write_all(throwing(std::system_error(own))) == own);
  CHECK(write_all(throwing(std::system_error(std::error_code()))) == std::io_errc::stream);
}

TEST_CASE("a callable's error is returned, and it is not called again") {
  int calls = 0;
  sink out([&calls](std::span<const std::byte>) {
    ++calls;
    return std::make_error_code(std::errc::connection_reset);
  });
  CHECK(write(out, "a") == std::errc::connection_reset);
  CHECK(write(out, "b") == std::errc::connection_reset);
  CHECK(out.finish() == std::errc::connection_reset);
  CHECK(calls == 1);
}

TEST_CASE("a pipe without readers is EPIPE; SIGPIPE neither ends the program nor stays pending") {
  struct sigaction before {};
  struct sigaction deadly {};
  deadly.sa_handler = SIG_DFL;
  REQUIRE(::sigaction(SIGPIPE, &deadly, &before) == 0);
  pipe_pair p;
  p.close_reader();
  CHECK(write_all(fd{p.ends[1]}) == std::errc::broken_pipe);

  std::FILE* const file = ::fdopen(::dup(p.ends[1]), "w");
  REQUIRE(file != nullptr);
  CHECK(write_all(file) == std::errc::broken_pipe);
  std::fclose(file);

  sigset_t pending;
  sigset_t mask;
  ::sigpending(&pending);
  ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  CHECK(::sigismember(&pending, SIGPIPE) == 0);
  CHECK(::sigismember(&mask, SIGPIPE) == 0);
  ::sigaction(SIGPIPE, &before, nullptr);
}

TEST_CASE("a SIGPIPE that was pending before is still pending afterwards") {
  sigset_t pipe_only;
  ::sigemptyset(&pipe_only);
  ::sigaddset(&pipe_only, SIGPIPE);
  sigset_t before;
  ::pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
  ::pthread_kill(::pthread_self(), SIGPIPE);
  pipe_pair p;
  p.close_reader();
  CHECK(write_all(fd{p.ends[1]}) == std::errc::broken_pipe);
  sigset_t pending;
  ::sigpending(&pending);
  CHECK(::sigismember(&pending, SIGPIPE) == 1);
  const timespec at_once{};
  CHECK(::sigtimedwait(&pipe_only, nullptr, &at_once) == SIGPIPE);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

// The pipe takes 64 KiB at a time, and signals without SA_RESTART break into the writes.
TEST_CASE("short and interrupted writes are continued, a full non-blocking descriptor waited for") {
  for (const bool blocking : {true, false}) {
    CAPTURE(blocking);
    struct sigaction before {};
    struct sigaction interrupting {};
    interrupting.sa_handler = [](int) {};
    REQUIRE(::sigaction(SIGUSR2, &interrupting, &before) == 0);
    pipe_pair p;
    if (!blocking) ::fcntl(p.ends[1], F_SETFL, O_NONBLOCK);
    std::string text;
    for (int i = 0; i < 200'000; ++i) text += std::to_string(i) + ",";
    const pthread_t writer = ::pthread_self();
    std::string taken;
    std::thread reader([&] {
      char part[5000];
      for (ssize_t n = 0; taken.size() < text.size();) {
        ::pthread_kill(writer, SIGUSR2);
        n = ::read(p.ends[0], part, sizeof part);
        if (n <= 0) break;
        taken.append(part, static_cast<std::size_t>(n));
      }
    });
    const std::error_code error = write_all(fd{p.ends[1]}, text);
    ::close(std::exchange(p.ends[1], -1));
    reader.join();
    ::sigaction(SIGUSR2, &before, nullptr);
    CHECK_FALSE(error);
    CHECK(taken == text);
  }
}
