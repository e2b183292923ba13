// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/field.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/verb.hpp>
#include <string>

#include <whence/beast.hpp>

namespace bhttp = boost::beast::http;

TEST_CASE("requests and responses of Beast are ours") {
  const bhttp::request<bhttp::string_body> get(bhttp::verb::get, "/debug/pprof/heap", 11);
  const whence::beast::response heap = whence::beast::handle(get);
  CHECK(heap.result_int() == 200);
  CHECK(heap.version() == 11);
  CHECK(heap.keep_alive());
  CHECK(heap[bhttp::field::content_type] == "application/octet-stream");
  CHECK(heap[bhttp::field::content_length] == std::to_string(heap.body().size()));
  CHECK(heap.body().size() > 100);

  bhttp::request<bhttp::string_body> post(bhttp::verb::post, "/debug/pprof/symbol", 10);
  post.body() = "0x1";
  const whence::beast::response symbols = whence::beast::handle(post);
  CHECK(symbols.body() == "num_symbols: 1\n0x1 [overflow]\n");
  CHECK(symbols.version() == 10);
  CHECK_FALSE(symbols.keep_alive());
}

TEST_CASE("HEAD has the headers of GET") {
  for (const char* target : {"/debug/pprof/cmdline", "/debug/pprof/nosuch", "/debug/pprof"}) {
    CAPTURE(target);
    const bhttp::request<bhttp::empty_body> get(bhttp::verb::get, target, 11);
    const bhttp::request<bhttp::empty_body> head(bhttp::verb::head, target, 11);
    const whence::beast::response expected = whence::beast::handle(get);
    whence::http::operation in_two_steps = whence::beast::begin(head);
    for (const auto& r : {whence::beast::handle(head), whence::beast::finish(in_two_steps, head)}) {
      CHECK(r.result() == expected.result());
      CHECK(r.body().empty());
      for (const auto& field : expected) CHECK(r[field.name_string()] == field.value());
    }
  }
  const bhttp::request<bhttp::empty_body> window(bhttp::verb::head, "/debug/pprof/wall", 11);
  CHECK(whence::beast::handle(window).count(bhttp::field::content_length) == 0);
}

TEST_CASE("headers and peer decide which clients are answered") {
  bhttp::request<bhttp::empty_body> get(bhttp::verb::get, "/debug/pprof/heap", 11);
  CHECK(whence::beast::handle(get, {}, "10.0.0.1").result_int() == 403);
  get.set(bhttp::field::host, "evil.example.com");
  CHECK(whence::beast::handle(get, {}, "127.0.0.1").result_int() == 403);
  get.set(bhttp::field::host, "localhost:6061");
  CHECK(whence::beast::handle(get, {}, "127.0.0.1").result_int() == 200);
  get.set("Sec-Fetch-Site", "cross-site");
  CHECK(whence::beast::handle(get, {}, "127.0.0.1").result_int() == 403);
  get.erase("Sec-Fetch-Site");
  const whence::http::options o{.token = "s3cret"};
  CHECK(whence::beast::handle(get, o).result_int() == 401);
  get.set(bhttp::field::authorization, "Bearer s3cret");
  CHECK(whence::beast::handle(get, o).result_int() == 200);
}

TEST_CASE("a window in two steps") {
  const bhttp::request<bhttp::empty_body> get(bhttp::verb::get, "/debug/pprof/wall?seconds=1", 11);
  whence::http::operation window = whence::beast::begin(get);
  CHECK(window.delay() == std::chrono::seconds(1));
  const whence::beast::response r = whence::beast::finish(window, get);
  CHECK(r.result_int() == 200);
  CHECK(r[bhttp::field::content_disposition] == "attachment; filename=\"wall\"");
}
