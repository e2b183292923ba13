// SPDX-License-Identifier: Apache-2.0
//
// A library that is loaded and unloaded: a chain of functions that ends in a callback. It is built
// several times, with frames of other sizes (FRAME_BYTES) under the same code, so that a later
// library at the same address has equal return addresses and different frames.
#include <cstddef>

using callback = void (*)(void*);

// Each function lies in a block of its own, so that the program knows its bounds.
#define LEVEL [[gnu::noinline, gnu::aligned(4096), gnu::visibility("default")]]

namespace {

// Some bytes of the frame, which the compiler has to give a place.
template <std::size_t Bytes>
struct frame_bytes {
  volatile char bytes[Bytes];
  frame_bytes() {
    bytes[0] = 1;
    bytes[Bytes - 1] = 1;
  }
  int sum() const { return bytes[0] + bytes[Bytes - 1]; }
};

}  // namespace

extern "C" {

LEVEL int plugin_inner(callback call, void* argument) {
  const frame_bytes<FRAME_BYTES> frame;
  call(argument);
  return frame.sum();
}

LEVEL int plugin_middle(callback call, void* argument) {
  const frame_bytes<2 * FRAME_BYTES + 128> frame;
  return plugin_inner(call, argument) + frame.sum();
}

LEVEL int plugin_outer(callback call, void* argument) {
  const frame_bytes<FRAME_BYTES + 64> frame;
  return plugin_middle(call, argument) + frame.sum();
}

}  // extern "C"
