// SPDX-License-Identifier: Apache-2.0
//
// The headers that most files of a program include anyway: the measure of all other figures.
#include <memory>
#include <mutex>
#include <thread>
