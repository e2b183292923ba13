// SPDX-License-Identifier: Apache-2.0
//
// The bodies of cpu.hpp.
#ifndef WHENCE_IMPL_CPU_IPP
#define WHENCE_IMPL_CPU_IPP

#include <whence/config.hpp>

#include <memory>
#include <system_error>
#include <utility>

#include <whence/cpu.hpp>
#include <whence/errc.hpp>
#include <whence/format/profile_writer.hpp>
#include <whence/format/sink.hpp>
#include <whence/record/recording.hpp>
#include <whence/samplers/cpu_sampler.hpp>
#include <whence/samplers/session.hpp>
#include <whence/snapshots/snapshot.hpp>
#include <whence/state/attach.hpp>
#include <whence/state/process_state.hpp>
#include <whence/sys/cancel_guard.hpp>
#include <whence/sys/catch_error.hpp>

namespace whence::inline v1 {

WHENCE_LAZY_FUNCTION cpu_session::cpu_session(cpu_options options)
    : it_(new own_session(options.hz), [](own_session* s) { delete s; }) {}

WHENCE_FUNCTION cpu_session::~cpu_session() = default;

WHENCE_LAZY_FUNCTION std::error_code cpu_session::error() const noexcept {
  return it_->error();
}

WHENCE_LAZY_FUNCTION void cpu_session::stop() {
  it_->stop();
}

WHENCE_LAZY_FUNCTION profile_snapshot cpu_session::snapshot() const {
  return it_->snapshot();
}

WHENCE_LAZY_FUNCTION std::error_code cpu_session::write_to(sink out, write_options options) const {
  const sys::cancel_guard uncancelled;
  return error() ? error() : format::write_proto(out, snapshot(), options);
}

namespace samplers {

// The profile that start_cpu_profile began. A function pointer ends it, because another module may
// be the one that stops it.
struct running_profile {
  std::error_code (*finish)(running_profile*);
};

template <class = void>
struct own_running_profile : running_profile {
  own_running_profile(sink to, cpu_options options)
      : running_profile{end}, out(std::move(to)), session(options) {}

  sink out;
  cpu_session session;
  static std::error_code end(running_profile* q) {
    own_running_profile* const p = static_cast<own_running_profile*>(q);
    const std::unique_ptr<own_running_profile> ended(p);
    return sys::catch_error([&] {
      p->session.stop();
      return p->session.write_to(std::move(p->out));
    });
  }
};

}  // namespace samplers

WHENCE_LAZY_FUNCTION std::error_code start_cpu_profile(sink out, cpu_options options) {
  const sys::cancel_guard uncancelled;
  std::atomic<samplers::running_profile*>& current = state::attached().samplers.cpu_profile;
  if (current.load(std::memory_order_acquire) != nullptr) return errc::already_profiling;
  auto* const mine = new samplers::own_running_profile<>(std::move(out), options);
  std::error_code error = mine->session.error();
  samplers::running_profile* none = nullptr;
  if (!error && !current.compare_exchange_strong(none, mine)) error = errc::already_profiling;
  if (error) delete mine;
  return error;
}

WHENCE_LAZY_FUNCTION std::error_code stop_cpu_profile() {
  const sys::cancel_guard uncancelled;
  samplers::running_profile* const it = state::attached().samplers.cpu_profile.exchange(nullptr);
  return it == nullptr ? std::error_code{} : it->finish(it);
}

}  // namespace whence::inline v1

#endif  // WHENCE_IMPL_CPU_IPP
