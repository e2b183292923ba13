// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include <whence/symbols/own_line.hpp>

using namespace whence;

TEST_CASE("a library's frames are known by their names or by their files") {
  const auto at = [](std::string_view name, std::string_view file) {
    return symbols::frame{name, {}, file, 1};
  };
  const std::string ours = std::string(symbols::own_headers()) + "instruments/lock_holder.hpp";
  CHECK(symbols::is_own(at("note", ours)));
  CHECK(symbols::is_own(at("whence::mutex::lock", "")));
  CHECK_FALSE(symbols::is_own(at("note", "/home/me/whence-like/notes.cpp")));
  CHECK_FALSE(symbols::is_own(at("pay", "pay.cpp")));
  CHECK(symbols::is_standard_library(at("std::thread::join", "")));
  CHECK(symbols::is_standard_library(at("join", "/usr/include/c++/12/thread")));
  CHECK_FALSE(symbols::is_standard_library(at("shop::name", "shop.cpp")));
  CHECK_FALSE(symbols::is_standard_library(at("main", "main.cpp")));
}

TEST_CASE("a recording header is ours in any folder") {
  for (const char* const file :
       {"/opt/include/whence/instruments/lock_holder.hpp", "./include/whence/sys/atomic_word.hpp",
        "whence/mutex.hpp", "/usr/include/whence/allocator.hpp"}) {
    CAPTURE(file);
    CHECK(symbols::is_recording_header(file));
  }
  for (const char* const file :
       {"/home/me/whence/app/main.cpp", "/home/me/whence/mutex.hpp/x.cpp", "/home/me/mutex.hpp",
        "/home/me/my_whence/mutex.hpp", "/home/me/whence/mutexes.hpp", ""}) {
    CAPTURE(file);
    CHECK_FALSE(symbols::is_recording_header(file));
  }
}

TEST_CASE("a file is recognized as ours by whole parts of its path") {
  constexpr std::string_view installed = "/usr/include/whence/";
  CHECK(symbols::is_below("/usr/include/whence/sys/clock.hpp", installed));
  CHECK_FALSE(symbols::is_below("/usr/include/whence.hpp", installed));
  CHECK(symbols::is_below("/home/me/build/../include/whence/cpu.hpp", "../include/whence/"));
  CHECK_FALSE(symbols::is_below("/home/me/my..include/whence/cpu.hpp", "include/whence/"));
  CHECK(symbols::is_below("whence/cpu.hpp", "whence/"));
  CHECK_FALSE(symbols::is_below("/home/me/whence/app/main.cpp", "whence/"));
  CHECK(symbols::is_below("/home/me/third_party/whence.hpp", "third_party/whence.hpp"));
  CHECK(symbols::is_below("/home/me/whence.hpp", "whence.hpp"));
  CHECK_FALSE(symbols::is_below("/home/me/use_whence.hpp", "whence.hpp"));
  CHECK_FALSE(symbols::is_below("/home/me/whence.hpp.in", "whence.hpp"));
  CHECK_FALSE(symbols::is_below("", "whence.hpp"));
}
