// SPDX-License-Identifier: Apache-2.0
//
// libwhence_preload.so: profiles of a program that was never changed, and is not compiled again.
//
//   $ examples/preload/build.sh folder
//   $ folder/whence-run --heap --cpu ./program arguments
//
// The pages define malloc, operator new, pthread_create, _exit and exec; exports.map exports these
// and nothing else, or the program would use this library's copy of the C++ library.
#include <sys/random.h>

#include "without_libm.hpp"
#include <whence/environment.hpp>
#include <whence/malloc.hpp>
#include <whence/pthread.hpp>

extern "C" {

double log(double x) noexcept {
  return without_libm::log(x);
}
double expm1(double x) noexcept {
  return without_libm::expm1(x);
}

// libstdc++ calls it if glibc has it (2.36), and the library could not be loaded by an older one.
[[gnu::visibility("hidden")]] unsigned arc4random() noexcept {
  unsigned number = 0;
  while (::getrandom(&number, sizeof number, 0) != sizeof number) {
  }
  return number;
}
}
