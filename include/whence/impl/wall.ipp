// SPDX-License-Identifier: Apache-2.0
//
// The bodies of wall.hpp.
#ifndef WHENCE_IMPL_WALL_IPP
#define WHENCE_IMPL_WALL_IPP

#include <whence/config.hpp>

#include <memory>
#include <system_error>

#include <whence/format/profile_writer.hpp>
#include <whence/format/sink.hpp>
#include <whence/record/recording.hpp>
#include <whence/samplers/session.hpp>
#include <whence/samplers/wall_sampler.hpp>
#include <whence/snapshots/snapshot.hpp>
#include <whence/sys/cancel_guard.hpp>
#include <whence/wall.hpp>

namespace whence::inline v1 {

WHENCE_LAZY_FUNCTION wall_session::wall_session(wall_options options)
    : it_(new own_session(options.hz), [](own_session* s) { delete s; }) {}

WHENCE_FUNCTION wall_session::~wall_session() = default;

WHENCE_LAZY_FUNCTION std::error_code wall_session::error() const noexcept {
  return it_->error();
}

WHENCE_LAZY_FUNCTION void wall_session::stop() {
  it_->stop();
}

WHENCE_LAZY_FUNCTION profile_snapshot wall_session::snapshot() const {
  return it_->snapshot();
}

WHENCE_LAZY_FUNCTION std::error_code wall_session::write_to(sink out, write_options options) const {
  const sys::cancel_guard uncancelled;
  return error() ? error() : format::write_proto(out, snapshot(), options);
}

}  // namespace whence::inline v1

#endif  // WHENCE_IMPL_WALL_IPP
