// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <string_view>

#include <whence/serve/message.hpp>

using whence::serve::message_head;
using whence::serve::parse_head;
using whence::serve::text_of;

namespace {

std::optional<message_head> parsed(std::string_view request_line, std::string_view fields = "") {
  static std::string text;  // what the head views
  text = std::string(request_line) + "\r\nHost: h\r\n" + std::string(fields) + "\r\n";
  return parse_head(text);
}

}  // namespace

TEST_CASE("a head is taken apart") {
  const auto head = parsed("POST /a?b%20c HTTP/1.1", "X-Y:  z \t\r\nEmpty:\r\nx-y: second\r\n");
  REQUIRE(head);
  CHECK(head->method == "POST");
  CHECK(head->target == "/a?b%20c");
  CHECK_FALSE(head->is_1_0);
  CHECK((*head)["x-y"] == "z");
  CHECK((*head)["host"] == "h");
  CHECK(head->has("empty"));
  CHECK_FALSE(head->has("z"));
  CHECK(parsed("GET HTTP://host:1/a HTTP/1.1")->target == "/a");
  CHECK(parsed("GET http://host HTTP/1.1")->target == "/");
  CHECK(parsed("GET /\xff HTTP/1.1"));
}

TEST_CASE("an invalid request is refused, and not repaired") {
  for (const char* line :
       {"", " ", "GET", "GET /", "GET  HTTP/1.1", " / HTTP/1.1", "GET / HTTP/2.0",
        "GET / HTTP/1.1 ", "GET / http/1.1", "G:T / HTTP/1.1", "GET /a b HTTP/1.1",
        "GET /\t HTTP/1.1", "GET /\n HTTP/1.1", "GET /\x7f HTTP/1.1"}) {
    CAPTURE(line);
    CHECK_FALSE(parsed(line));
  }
  for (const char* field :
       {"no colon\r\n", ": no name\r\n", "a b: c\r\n", "a : c\r\n", " folded\r\n", "a: b\n c\r\n",
        "a: \x01\r\n", "a: b\rc\r\n", "Host: two\r\n"}) {
    CAPTURE(field);
    CHECK_FALSE(parsed("GET / HTTP/1.1", field));
  }
  CHECK_FALSE(parse_head("GET / HTTP/1.1\r\n\r\n"));
  CHECK(parse_head("GET / HTTP/1.0\r\n\r\n"));
  std::string many;
  for (int i = 0; i < 99; ++i) many += "a: b\r\n";
  CHECK(parsed("GET / HTTP/1.1", many));
  CHECK_FALSE(parsed("GET / HTTP/1.1", many + "a: b\r\n"));
}

TEST_CASE("whether a connection is kept") {
  CHECK(parsed("GET / HTTP/1.1")->keeps_alive());
  CHECK_FALSE(parsed("GET / HTTP/1.1", "Connection: TE, Close\r\n")->keeps_alive());
  CHECK_FALSE(parsed("GET / HTTP/1.0")->keeps_alive());
  CHECK(parsed("GET / HTTP/1.0", "Connection: Keep-Alive\r\n")->keeps_alive());
}

TEST_CASE("the head of an answer") {
  const whence::http::response_head h{.status = 404, .headers = {{"A", "b"}}};
  const std::string text = text_of(h, {5, false}, true);
  CHECK(text.starts_with("HTTP/1.1 404 Not Found\r\nDate: "));
  CHECK(text.ends_with(" GMT\r\nA: b\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n"));
  CHECK(text_of(h, {5, false}, false).ends_with("Length: 5\r\nConnection: close\r\n\r\n"));
  CHECK(text_of(h, {}, true).find("Length") == std::string::npos);
  CHECK(text_of(h, {std::nullopt, true}, true)
            .ends_with("A: b\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n"));
  CHECK(whence::serve::http_date(784111777) == "Sun, 06 Nov 1994 08:49:37 GMT");
  CHECK(whence::serve::size_of_head("GET / HTTP/1.1\r\n\r\nmore") == 18);
  CHECK(whence::serve::size_of_head("GET / HTTP/1.1\r\n\r") == 0);
}

TEST_CASE("a body in chunks") {
  CHECK(whence::serve::chunk_of("0123456789abcdef", false) == "10\r\n0123456789abcdef\r\n");
  CHECK(whence::serve::chunk_of("x", true) == "1\r\nx\r\n0\r\n\r\n");
  CHECK(whence::serve::chunk_of("", true) == "0\r\n\r\n");
}
