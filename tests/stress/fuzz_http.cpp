// SPDX-License-Identifier: Apache-2.0
//
// Requests made of anything: only the documented statuses, headers that no line break is in, and
// errors that hold nothing of what was asked. A libFuzzer target; without it, its own main makes
// requests of the words that mean something here.
//
//   input:  method \n target \n authorization \n host \n peer \n body
//
// fuzz_http [--seconds N | --runs N] [--seed N] [--first RUN]        or libFuzzer's options
#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

#include "fuzz.hpp"
#include <whence/http.hpp>
#include <whence/profile.hpp>

namespace {

[[noreturn]] void fail(const char* what, const std::string& input) {
  std::fprintf(stderr, "FAILED: %s\n%s\n", what, input.c_str());
  std::abort();
}

constexpr std::array documented{200, 301, 400, 401, 403, 404, 405, 413, 414, 503};

void try_request(std::string_view text) {
  const std::string input(text);
  const auto part = [&text] {
    const std::string_view one = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(one.size() + 1, text.size()));
    return one;
  };
  whence::http::request asked;
  asked.method = part();
  asked.target = part();
  asked.authorization = part();
  asked.host = part();
  asked.peer = part();
  asked.body = text;
  static const whence::http::options with_token{.token = "s3cret"};
  static const whence::http::options open{.max_seconds = 5, .max_windows = 3};
  const bool has_token = !asked.authorization.empty();
  whence::http::operation it = whence::http::begin(asked, has_token ? with_token : open);
  const bool is_window = it.delay().count() > 0;
  const whence::http::response r = it.finish();
  if (std::ranges::find(documented, r.status) == documented.end()) {
    fail("a status that is not documented", input);
  }
  for (const auto& [name, value] : r.headers) {
    if (value.find_first_of("\r\n") != std::string::npos) fail("a line break in a header", input);
  }
  if (r.status >= 400) {
    if (is_window) fail("a window that cannot be shown", input);
    // None of our own texts has one of these.
    if (r.body.find_first_of("<>%&") != std::string::npos)
      fail("what was asked, in an error", input);
    if (r.body.size() > 200) fail("a long error", input);
  }
}

void set_up() {
  static bool done = false;
  if (std::exchange(done, true)) return;
  whence::new_profile("fuzz/a b\r\nX: y").add(1);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  set_up();
  try_request({reinterpret_cast<const char*>(data), size});
  return 0;
}

#if !defined(WHENCE_STRESS_LIBFUZZER)
int main(int argc, char** argv) {
  const stress::fuzz_options options(argc, argv);
  const std::uint64_t runs = options.loop([](stress::random_numbers& r) {
    static constexpr std::array words{"GET",
                                      "HEAD",
                                      "POST",
                                      "PUT",
                                      "\n",
                                      "\n",
                                      "\n",
                                      "/",
                                      "?",
                                      "&",
                                      "=",
                                      "%",
                                      "%00",
                                      "%2f",
                                      "+",
                                      ":",
                                      "..",
                                      "debug",
                                      "pprof",
                                      "/debug/pprof/",
                                      "/debug/pprof/",
                                      "/debug/pprof/heap",
                                      "/debug/fgprof",
                                      "profile",
                                      "wall",
                                      "heap",
                                      "block",
                                      "goroutine",
                                      "symbol",
                                      "cmdline",
                                      "trace",
                                      "ui",
                                      "delta_",
                                      "fuzz/a%20b%0d%0aX:%20y",
                                      "seconds=",
                                      "1",
                                      "-1",
                                      "99999999999999999999",
                                      "debug=2",
                                      "debug=1",
                                      "format=",
                                      "folded",
                                      "json",
                                      "label=",
                                      "k:v",
                                      "inline=expand",
                                      "symbolize=0",
                                      "signed=1",
                                      "hz=",
                                      "sample_type=",
                                      "inuse_space",
                                      "gc=1",
                                      "Bearer ",
                                      "Basic ",
                                      "s3cret",
                                      "bWU6czNjcmV0",
                                      "localhost",
                                      "127.0.0.1",
                                      "::1",
                                      "[",
                                      "]",
                                      "0x",
                                      "0x401000",
                                      "\xff",
                                      "<script>",
                                      "\r",
                                      "\t",
                                      "\"",
                                      "'",
                                      "AAAAAAAAAAAAAAAA"};
    std::string input;
    const bool is_plain = r.below(2) == 0;
    if (is_plain) input = "GET\n/debug/pprof/";
    for (std::size_t i = r.below(14); i > 0; --i) input += words[r.below(words.size())];
    if (r.below(50) == 0) input += std::string(r.below(10000), 'a');
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
  });
  std::printf("%" PRIu64 " requests\npassed\n", runs);
  return 0;
}
#endif
