// SPDX-License-Identifier: Apache-2.0
//
// The whole toolkit, except the servers and the pages that need another library.
#ifndef WHENCE_WHENCE_HPP
#define WHENCE_WHENCE_HPP

#include <whence/config.hpp>

#include <whence/allocator.hpp>
#include <whence/condition_variable.hpp>
#include <whence/cpu.hpp>
#include <whence/errc.hpp>
#include <whence/fwd.hpp>
#include <whence/knobs.hpp>
#include <whence/labels.hpp>
#include <whence/memory_resource.hpp>
#include <whence/mutex.hpp>
#include <whence/profile.hpp>
#include <whence/registry.hpp>
#include <whence/sync.hpp>
#include <whence/thread.hpp>
#include <whence/tracked.hpp>
#include <whence/version.hpp>
#include <whence/wall.hpp>

#endif  // WHENCE_WHENCE_HPP
