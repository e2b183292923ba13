// SPDX-License-Identifier: Apache-2.0
//
// The windows a request may open: a sampler's session, or the growth of any profile.
#ifndef WHENCE_HTTP_WINDOWS_HPP
#define WHENCE_HTTP_WINDOWS_HPP

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <whence/http/answers.hpp>
#include <whence/http/of_process.hpp>
#include <whence/http/operation.hpp>
#include <whence/http/view.hpp>
#include <whence/profile.hpp>
#include <whence/profile/difference.hpp>
#include <whence/profile/profile.hpp>
#include <whence/profile/rows.hpp>
#include <whence/profile/snapshot.hpp>
#include <whence/sys/sequence.hpp>

namespace whence::inline v1::http {

// Session: cpu_session or wall_session.
template <class Session>
class session_window final : public pending {
 public:
  session_window(int hz, view how, const char* name)
      : session_({.hz = hz}), view_(std::move(how)), name_(name) {}

  std::error_code error() const noexcept { return session_.error(); }

  response finish() override {
    session_.stop();
    return view_.show(session_.snapshot(), name_);
  }

 private:
  Session session_;
  const view view_;
  const char* const name_;
};

// What a profile says now, less what it said before.
inline profile_snapshot since(core::earlier_rows& before, profile_snapshot now,
                              core::subtracted which, core::below_zero negative) {
  for (profile_row& row : now.rows) before.subtract_from(row, which, negative);
  if (negative == core::below_zero::is_kept) {
    before.for_each_gone([&now](const profile_row& row) { now.rows.push_back(row); });
  }
  // A row of zeros would be a sample, or a group, of nothing.
  sys::erase_if(now.rows, core::is_zero);
  now.header.duration_ns = now.header.time_ns - before.time_ns();
  return now;
}

// (Go: net/http/pprof's delta profiles, which hold two profiles and keep negative values)
class difference_window final : public pending {
 public:
  difference_window(const profile& shown, view how)
      : profile_(shown),
        view_(std::move(how)),
        before_(shown.snapshot(), view_.negative() == core::below_zero::is_kept
                                      ? core::gone_rows::are_kept
                                      : core::gone_rows::are_forgotten) {}

  response finish() override {
    profile_snapshot delta =
        since(before_, profile_.snapshot(), core::subtracted::all, view_.negative());
    return view_.show(std::move(delta), std::string(profile_.name()) + "-delta");
  }

 private:
  const profile& profile_;
  const view view_;
  core::earlier_rows before_;
};

// delta_heap, delta_block ...: what was added since the last such request that was answered, by any
// client; the first time, since the process began. (godeltaprof)
class last_rows {
 public:
  // Answers like show(profile_snapshot). A profile counts as shown only if a client gets it: not if
  // the answer fails, and not for HEAD. Throws: std::bad_alloc.
  template <class Show>
  static response show(const profile& p, bool is_head, Show show) {
    auto& all = of_process<last_rows>();
    const std::lock_guard hold(all.mutex_);
    rows& before = all.of(p);
    profile_snapshot now = p.snapshot();
    auto next = std::make_unique<core::earlier_rows>(now, core::gone_rows::are_forgotten);
    if (before != nullptr) {
      now = since(*before, std::move(now), core::subtracted::sums, core::below_zero::is_zero);
    }
    response r = show(std::move(now));
    if (r.status == 200 && !is_head) before = std::move(next);
    return r;
  }

 private:
  using rows = std::unique_ptr<core::earlier_rows>;

  rows& of(const profile& p) {
    for (auto& [known, before] : all_) {
      if (known == &p) return before;
    }
    return all_.emplace_back(&p, nullptr).second;
  }

  std::mutex mutex_;
  std::vector<std::pair<const profile*, rows>> all_;
};

}  // namespace whence::inline v1::http

#endif  // WHENCE_HTTP_WINDOWS_HPP
