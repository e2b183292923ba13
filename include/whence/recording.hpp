// SPDX-License-Identifier: Apache-2.0
//
// Every page that records, for the many files of a program: they compile hardly slower than with
// the std types. The pages that read profiles (<whence/whence.hpp>, <whence/server.hpp>, ...) are
// for the one file that reads. If no module of the process has such a file, nothing is recorded,
// and the program runs all the same.
#ifndef WHENCE_RECORDING_HPP
#define WHENCE_RECORDING_HPP

#include <whence/config.hpp>

#include <whence/allocator.hpp>
#include <whence/condition_variable.hpp>
#include <whence/coroutine.hpp>
#include <whence/fwd.hpp>
#include <whence/knobs.hpp>
#include <whence/labels.hpp>
#include <whence/memory_resource.hpp>
#include <whence/mutex.hpp>
#include <whence/registry.hpp>
#include <whence/sync.hpp>
#include <whence/thread.hpp>
#include <whence/tracked.hpp>
#include <whence/version.hpp>

#endif  // WHENCE_RECORDING_HPP
