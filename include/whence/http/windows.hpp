// SPDX-License-Identifier: Apache-2.0
//
// What is made when it is sent: a profile, a sampler's session, or the growth of any profile.
#ifndef WHENCE_HTTP_WINDOWS_HPP
#define WHENCE_HTTP_WINDOWS_HPP

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <system_error>
#include <utility>
#include <vector>

#include <whence/core/profile.hpp>
#include <whence/format/sink.hpp>
#include <whence/format/wanted.hpp>
#include <whence/http/operation.hpp>
#include <whence/http/per_process.hpp>
#include <whence/http/render.hpp>
#include <whence/http/render_options.hpp>
#include <whence/profile.hpp>
#include <whence/snapshots/difference.hpp>
#include <whence/snapshots/rows.hpp>
#include <whence/snapshots/snapshot.hpp>
#include <whence/sys/algorithms.hpp>
#include <whence/sys/catch_error.hpp>
#include <whence/sys/work_check.hpp>

namespace whence::inline v1::http {

// Session: cpu_session or wall_session.
template <class Session>
class session_window final : public pending {
 public:
  session_window(int hz, render_options how) : session_({.hz = hz}), how_(std::move(how)) {}

  std::error_code error() const noexcept { return session_.error(); }

  std::error_code write(sink& body) override {
    session_.stop();
    return render(body, session_.snapshot(), how_);
  }

 private:
  Session session_;
  const render_options how_;
};

// What a profile says when it is sent.
class whole_profile final : public pending {
 public:
  whole_profile(const profile& shown, render_options how) : profile_(shown), how_(std::move(how)) {}

  std::error_code write(sink& body) override { return render(body, profile_, how_); }

 private:
  const profile& profile_;
  const render_options how_;
};

// What a profile says now, less what it said before. Throws: std::bad_alloc, and as the check.
inline profile_snapshot since(snapshots::baseline& before, profile_snapshot now,
                              sys::work_check check) {
  for (profile_row& row : now.rows) {
    check.step();
    before.subtract_from(row);
  }
  before.for_each_gone([&](const profile_row& row) {
    check.step();
    now.rows.push_back(row);
  });
  // A row of zeros would be a sample, or a group, of nothing.
  sys::erase_if(now.rows, snapshots::is_zero);
  now.header.duration_ns = now.header.time_ns - before.time_ns();
  return now;
}

// (Go: net/http/pprof's delta profiles, which hold two profiles and keep negative values)
class difference_window final : public pending {
 public:
  // Throws: std::bad_alloc, and as the check.
  difference_window(const profile& shown, render_options how, sys::work_check check)
      : profile_(shown),
        how_(std::move(how)),
        before_(snapshot_of(shown, check), {.is_signed = how_.is_signed}, check) {}

  std::error_code write(sink& body) override {
    const sys::work_check check = format::check_of(body);
    return render(body, since(before_, snapshot_of(profile_, check), check), how_);
  }

 private:
  const profile& profile_;
  const render_options how_;
  snapshots::baseline before_;
};

// delta_heap, delta_block ...: what was added since the last such request, by any client; the first
// time, since the process began. (godeltaprof)
class last_rows {
 public:
  using rows = std::shared_ptr<snapshots::baseline>;

  // What was added since the last call. Throws: std::bad_alloc, and as the check; then the next
  // call tells it.
  struct growth {
    profile_snapshot added;
    rows before, now;
  };
  growth take(const profile& p, sys::work_check check) {
    const std::lock_guard hold(mutex_);
    rows& last = of(p);
    growth g{snapshot_of(p, check), last, nullptr};
    g.now = std::make_shared<snapshots::baseline>(g.added,
                                                  snapshots::delta_rules{.only_sums = true}, check);
    if (last != nullptr) {
      g.now->keep_highest_sums(*last);
      g.added = since(*last, std::move(g.added), check);
    }
    last = g.now;
    return g;
  }

  // No client has received it: the next request gets it again, unless another one came meanwhile.
  void put_back(const profile& p, const growth& g) {
    const std::lock_guard hold(mutex_);
    if (rows& last = of(p); last == g.now) last = g.before;
  }

 private:
  // Requires: mutex_ is held.
  rows& of(const profile& p) {
    for (auto& [known, before] : all_) {
      if (known == &p) return before;
    }
    return all_.emplace_back(&p, nullptr).second;
  }

  std::mutex mutex_;
  std::vector<std::pair<const profile*, rows>> all_;
};

class delta final : public pending {
 public:
  delta(const profile& shown, render_options how, bool is_head)
      : profile_(shown), how_(std::move(how)), is_head_(is_head) {}

  std::error_code write(sink& body) override {
    last_rows& all = per_process<last_rows>();
    last_rows::growth g = all.take(profile_, format::check_of(body));
    const std::error_code error =
        sys::catch_error([&] { return render(body, std::move(g.added), how_); });
    if (error || is_head_) all.put_back(profile_, g);
    return error;
  }

 private:
  const profile& profile_;
  const render_options how_;
  const bool is_head_;
};

}  // namespace whence::inline v1::http

#endif  // WHENCE_HTTP_WINDOWS_HPP
