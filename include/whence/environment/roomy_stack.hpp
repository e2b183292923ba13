// SPDX-License-Identifier: Apache-2.0
//
// A thread that ends the process may have a stack of 16 KiB, or a fibre's; to write a profile takes
// more.
#ifndef WHENCE_ENVIRONMENT_ROOMY_STACK_HPP
#define WHENCE_ENVIRONMENT_ROOMY_STACK_HPP

#include <pthread.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

#include <whence/samplers/library_threads.hpp>
#include <whence/serve/worker_pool.hpp>
#include <whence/sys/inside_library.hpp>
#include <whence/sys/main_stack_end.hpp>
#include <whence/sys/service_thread.hpp>

namespace whence::inline v1::environment {

// Not for signal handlers.
inline bool is_on_roomy_stack() noexcept {
  constexpr std::uintptr_t needed = std::uintptr_t{256} << 10;
  const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  if (::gettid() == ::getpid()) {
    // The kernel adds pages to the first stack, 8 MiB as a rule.
    constexpr std::uintptr_t half = std::uintptr_t{4} << 20;
    return reinterpret_cast<std::uintptr_t>(__libc_stack_end) - here < half;
  }
  ::pthread_attr_t attributes;
  if (::pthread_getattr_np(::pthread_self(), &attributes) != 0) return false;
  void* lowest = nullptr;
  std::size_t size = 0;
  const bool is_known = ::pthread_attr_getstack(&attributes, &lowest, &size) == 0;
  ::pthread_attr_destroy(&attributes);
  const std::uintptr_t below = here - reinterpret_cast<std::uintptr_t>(lowest);
  return is_known && below < size && below >= needed;
}

// Calls work(), in a thread of its own if the caller's stack is small. False if that is refused.
template <class Work>
bool call_on_roomy_stack(Work work) noexcept {
  if (is_on_roomy_stack()) {
    work();
    return true;
  }
  sys::service_thread thread;
  const auto body = [](void* it) {
    const serve::own_thread_scope ours;
    const sys::inside_scope inside;
    (*static_cast<Work*>(it))();
  };
  if (samplers::library_threads::start(thread, body, &work, "whence-files") != 0) return false;
  thread.stop();  // once the work is done
  return true;
}

}  // namespace whence::inline v1::environment

#endif  // WHENCE_ENVIRONMENT_ROOMY_STACK_HPP
