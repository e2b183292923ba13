// SPDX-License-Identifier: Apache-2.0
//
// The whole library in one more translation unit of every test program: a function or a variable
// that is not inline is then defined twice, and the program does not link.
#include <whence/whence.hpp>
