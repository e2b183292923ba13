// SPDX-License-Identifier: Apache-2.0
//
// /debug/pprof/ for servers by Boost.Beast. It only translates requests and responses, because the
// event loop of such a server is the program's own.
//
//   blocking     auto r = whence::beast::handle(request, options, peer);
//                boost::beast::http::write(socket, r);
//
//   event loop   auto it = whence::beast::begin(request, options, peer);
//                timer.expires_after(it.delay());
//                timer.async_wait(... { r = whence::beast::finish(it, request); async_write(r) });
//
// begin and finish write the profile in the calling thread. If that takes longer than the loop may
// stop (a program of many stacks, a large executable), post them to a worker.
//
// peer: the client's address, socket.remote_endpoint().address().to_string(). Without it, requests
// are answered wherever they come from. examples/beast_server.cpp is a complete server, which also
// notices that a client has gone.
//
// Thread-safe; not for signal handlers.
#ifndef WHENCE_BEAST_HPP
#define WHENCE_BEAST_HPP

#include <whence/config.hpp>

#include <boost/beast/http/field.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/status.hpp>
#include <boost/beast/http/string_body.hpp>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <whence/http.hpp>
#include <whence/http/operation.hpp>
#include <whence/http/request.hpp>

namespace whence::inline v1::beast {

using response = boost::beast::http::response<boost::beast::http::string_body>;

// Body: string_body, or a body without content, such as empty_body, if POST is not served.
template <class Body, class Fields>
http::request to_request(const boost::beast::http::request<Body, Fields>& asked,
                         std::string_view peer) {
  const auto view = [](auto text) { return std::string_view(text.data(), text.size()); };
  http::request r{.method = view(asked.method_string()),
                  .target = view(asked.target()),
                  .authorization = view(asked[boost::beast::http::field::authorization]),
                  .host = view(asked[boost::beast::http::field::host]),
                  .peer = peer,
                  .fetch_site = view(asked["Sec-Fetch-Site"])};
  if constexpr (std::is_convertible_v<const typename Body::value_type&, std::string_view>) {
    r.body = asked.body();
  }
  return r;
}

// A HEAD request gets the headers that GET would get, except for the length of a window.
template <class Body, class Fields>
response to_response(http::response from, const boost::beast::http::request<Body, Fields>& asked) {
  response r(static_cast<boost::beast::http::status>(from.status), asked.version());
  for (const auto& [name, value] : from.headers) r.set(name, value);
  r.keep_alive(asked.keep_alive());
  if (asked.method() != boost::beast::http::verb::head) {
    r.content_length(from.body.size());
    r.body() = std::move(from.body);
  } else if (from.content_length) {
    r.content_length(*from.content_length);
  }
  return r;
}

// Works as http::begin; `asked` may be destroyed when it returns.
template <class Body, class Fields>
http::operation begin(const boost::beast::http::request<Body, Fields>& asked,
                      const http::options& o = {}, std::string_view peer = {}) {
  return http::begin(to_request(asked, peer), o);
}

template <class Body, class Fields>
response finish(http::operation& it, const boost::beast::http::request<Body, Fields>& asked) {
  return to_response(it.finish(), asked);
}

// Works as http::handle; a window holds the calling thread.
template <class Body, class Fields>
response handle(const boost::beast::http::request<Body, Fields>& asked, const http::options& o = {},
                std::string_view peer = {}) {
  return to_response(http::handle(to_request(asked, peer), o), asked);
}

}  // namespace whence::inline v1::beast

#endif  // WHENCE_BEAST_HPP
