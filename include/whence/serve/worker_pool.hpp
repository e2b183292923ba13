// SPDX-License-Identifier: Apache-2.0
//
// Threads of our own server: they are in no profile, block all signals, and start when they are
// needed. If all are busy, jobs wait; the submitter bounds their number: it withdraws those of
// clients that have gone (serve/event_loop.hpp).
#ifndef WHENCE_SERVE_WORKER_POOL_HPP
#define WHENCE_SERVE_WORKER_POOL_HPP

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include <whence/samplers/library_threads.hpp>
#include <whence/state/attach.hpp>
#include <whence/sys/publish_once.hpp>
#include <whence/sys/service_thread.hpp>

namespace whence::inline v1::serve {

// While this lives, the calling thread counts as one of the library's own.
class own_thread_scope {
 public:
  own_thread_scope() noexcept {
    state::process_state& s = state::attached();
    own_ = sys::publish_once(s.arena, s.samplers.own);
    if (own_ != nullptr && !own_->join()) own_ = nullptr;
  }
  ~own_thread_scope() {
    if (own_ != nullptr) own_->leave();
  }
  own_thread_scope(const own_thread_scope&) = delete;
  own_thread_scope& operator=(const own_thread_scope&) = delete;

 private:
  samplers::library_threads* own_;
};

class worker_pool {
 public:
  using job = std::function<void()>;

  explicit worker_pool(std::size_t most) : most_(most) {}
  ~worker_pool() { shut_down(); }
  worker_pool(const worker_pool&) = delete;
  worker_pool& operator=(const worker_pool&) = delete;

  // `owner` tells whose job it is. False if there is no thread and none can be started: the job is
  // not done.
  bool submit(const void* owner, job j) {
    {
      const std::lock_guard hold(mutex_);
      if (idle_ <= waiting_.size() && workers_.size() < most_) add_worker();
      if (workers_.empty()) return false;
      waiting_.emplace_back(owner, std::move(j));
    }
    come_.notify_one();
    return true;
  }

  // Drops the owner's job if it has not begun. False if it has, or was never submitted. Requires:
  // the owner holds what the job holds, since it is destroyed under the lock.
  bool withdraw(const void* owner) noexcept {
    const std::lock_guard hold(mutex_);
    return std::erase_if(waiting_, [owner](const auto& w) { return w.first == owner; }) != 0;
  }

  // The number of jobs that wait for a worker.
  std::size_t shortage() const {
    const std::lock_guard hold(mutex_);
    return waiting_.size() > idle_ ? waiting_.size() - idle_ : 0;
  }

  // Returns once every job is done.
  void shut_down() {
    {
      const std::lock_guard hold(mutex_);
      is_over_ = true;
    }
    come_.notify_all();
    for (const auto& worker : workers_) worker->stop();
    workers_.clear();
  }

 private:
  // Requires: mutex_ is held.
  void add_worker() {
    auto worker = std::make_unique<sys::service_thread>();
    const auto body = [](void* pool) {
      const own_thread_scope ours;
      static_cast<worker_pool*>(pool)->work();
    };
    if (samplers::library_threads::start(*worker, body, this, "whence-http") == 0) {
      workers_.push_back(std::move(worker));
    }
  }

  void work() {
    for (std::unique_lock hold(mutex_);;) {
      ++idle_;
      come_.wait(hold, [this] { return !waiting_.empty() || is_over_; });
      --idle_;
      if (waiting_.empty()) return;
      {
        const job j = std::move(waiting_.front().second);
        waiting_.pop_front();
        hold.unlock();
        j();
      }
      hold.lock();
    }
  }

  const std::size_t most_;  // workers
  mutable std::mutex mutex_;
  std::condition_variable come_;
  std::deque<std::pair<const void*, job>> waiting_;  // with their owners
  std::vector<std::unique_ptr<sys::service_thread>> workers_;
  std::size_t idle_ = 0;
  bool is_over_ = false;
};

}  // namespace whence::inline v1::serve

#endif  // WHENCE_SERVE_WORKER_POOL_HPP
