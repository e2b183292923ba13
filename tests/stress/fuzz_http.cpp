// SPDX-License-Identifier: Apache-2.0
//
// Sends arbitrary requests: only the documented statuses come back, headers without line breaks,
// and errors that repeat nothing of the request. A libFuzzer target; without it, its own main makes
// requests of meaningful words.
//
//   input:  method \n target \n authorization \n host \n peer \n body      to the handler
//           any bytes with a CR LF                                     to the server, by a socket
//
// fuzz_http [--seconds N | --runs N] [--seed N] [--first RUN]        or libFuzzer's options
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

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
#include <whence/server.hpp>

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
    // Our own texts never contain these characters.
    if (r.body.find_first_of("<>%&") != std::string::npos)
      fail("what was asked, in an error", input);
    if (r.body.size() > 200) fail("a long error", input);
  }
}

// Sends the bytes of a client that then ends its side, and waits until the server has hung up.
void try_bytes(std::string_view sent) {
  static const whence::server server("127.0.0.1", 0, {.token = "s3cret", .max_body = 4096});
  const int client = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(server.port()));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(client, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) fail("no server", "");
  (void)::send(client, sent.data(), sent.size(), MSG_NOSIGNAL);
  ::shutdown(client, SHUT_WR);
  std::string got;
  std::array<char, 65536> part;
  for (ssize_t some = 0; (some = ::recv(client, part.data(), part.size(), 0)) > 0;) {
    got.append(part.data(), static_cast<std::size_t>(some));
  }
  // Otherwise the kernel would keep the address of each connection for a minute.
  const ::linger at_once{1, 0};
  ::setsockopt(client, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  ::close(client);
  if (got.empty()) return;
  const std::string input(sent);
  constexpr std::string_view version = "HTTP/1.1 ";
  if (!got.starts_with(version)) fail("an answer that is no HTTP response", input);
  const int status = std::atoi(got.c_str() + version.size());
  constexpr std::array of_server{100, 411, 415, 431};
  if (std::ranges::find(documented, status) == documented.end() &&
      std::ranges::find(of_server, status) == of_server.end()) {
    fail("a status that is not documented", input);
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
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  input.find("\r\n") == std::string_view::npos ? try_request(input) : try_bytes(input);
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
                                      " HTTP/1.1\r\n",
                                      " HTTP/1.0\r\n",
                                      "Host: localhost\r\n",
                                      "Connection: keep-alive\r\n",
                                      "Authorization: Bearer s3cret\r\n",
                                      "Content-Length: ",
                                      "Transfer-Encoding: chunked\r\n",
                                      "Expect: 100-continue\r\n",
                                      "\r\n",
                                      "\r\n\r\n",
                                      "AAAAAAAAAAAAAAAA"};
    static constexpr std::array begins{
        "",
        "",
        "GET\n/debug/pprof/",
        "GET\n/debug/pprof/",
        "POST /debug/pprof/symbol HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer s3cret\r\n",
        "GET /debug/pprof/cmdline HTTP/1.1\r\nHost: [::1]\r\n"};
    std::string input = begins[r.below(begins.size())];
    for (std::size_t i = r.below(14); i > 0; --i) input += words[r.below(words.size())];
    if (r.below(50) == 0) input += std::string(r.below(10000), 'a');
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
  });
  std::printf("%" PRIu64 " requests\npassed\n", runs);
  return 0;
}
#endif
