// SPDX-License-Identifier: Apache-2.0
//
// The test program's main(). It includes nothing of the library, so a change there rebuilds the
// tests and not this.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
