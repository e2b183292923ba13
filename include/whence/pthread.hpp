// SPDX-License-Identifier: Apache-2.0
//
// Include this in one source file of a program. Every thread that the program or a library starts
// is then known as a tracked_thread is, with the stack that made it and the labels in force there
// (<whence/thread.hpp>).
//
// C11's thrd_create does not go through it.
//
// It defines pthread_create, which the dynamic linker then takes for all modules, and calls libc's.
// It is not for a program that is linked statically, nor with a sanitizer, which does the same.
// Thread-safe; not for signal handlers.
#ifndef WHENCE_PTHREAD_HPP
#define WHENCE_PTHREAD_HPP

#include <whence/config.hpp>

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>

#include <new>

#include <whence/instruments/birth.hpp>
#include <whence/instruments/pthread_marker.hpp>
#include <whence/instruments/recorder.hpp>
#include <whence/instruments/thread_words.hpp>
#include <whence/registry.hpp>
#include <whence/sys/atomic_word.hpp>
#include <whence/sys/block_tail_call.hpp>

namespace whence::inline v1::instruments {

using thread_body = void* (*)(void*);

struct thread_start {
  birth b;
  thread_body body;
  void* argument;

  static void* run(void* start) {
    auto* const me = static_cast<thread_start*>(start);
    const thread_body body = me->body;
    void* const argument = me->argument;
    me->b.adopt();
    delete me;
    return body(argument);
  }
};

using create_function = int (*)(::pthread_t*, const ::pthread_attr_t*, thread_body, void*);

// True if the threads that the calling thread starts now are not to be recorded here.
inline bool starts_unrecorded() noexcept {
  const recorder* const r = recorder_here();
  if (r == nullptr) return true;
  const thread_words* const words = r->this_thread(false);
  return words != nullptr && words->starts_unrecorded.load(sys::relaxed);
}

[[gnu::noinline]] inline int create(create_function libc, ::pthread_t* thread,
                                    const ::pthread_attr_t* attributes, thread_body body,
                                    void* argument, const void* caller) {
  if (starts_unrecorded()) return libc(thread, attributes, body, argument);
  birth b(predefined_registry::threadcreate(), {}, caller);
  auto* const start = new (std::nothrow) thread_start{b, body, argument};
  if (start == nullptr) {
    b.cancel();
    return libc(thread, attributes, body, argument);
  }
  const int error = libc(thread, attributes, &thread_start::run, start);
  if (error != 0) {
    start->b.cancel();
    delete start;
  }
  return error;
}

}  // namespace whence::inline v1::instruments

extern "C" const char whence_wraps_pthread_create = 1;

extern "C" [[gnu::noinline, gnu::visibility("default")]] int pthread_create(
    ::pthread_t* thread, const ::pthread_attr_t* attributes, void* (*body)(void*),
    void* argument) noexcept {
  static const auto libc =
      reinterpret_cast<whence::instruments::create_function>(::dlsym(RTLD_NEXT, "pthread_create"));
  if (libc == nullptr) return ENOSYS;
  if constexpr (whence::config::disabled) return libc(thread, attributes, body, argument);
  const int error = whence::instruments::create(libc, thread, attributes, body, argument,
                                                __builtin_return_address(0));
  whence::sys::block_tail_call();
  return error;
}

#endif  // WHENCE_PTHREAD_HPP
