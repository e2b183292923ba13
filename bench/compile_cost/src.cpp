// SPDX-License-Identifier: Apache-2.0
//
// Every body of the library, compiled once for a program built with WHENCE_COMPILED.
#include <whence/src.hpp>
