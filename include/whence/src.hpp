// SPDX-License-Identifier: Apache-2.0
//
// The bodies of every page that reads, for a program that compiles them once: give
// -DWHENCE_COMPILED to each of its files, and include this in one of them. CMake's whence::compiled
// does both.
#ifndef WHENCE_SRC_HPP
#define WHENCE_SRC_HPP

#include <whence/config.hpp>

#ifndef WHENCE_COMPILED
#error "<whence/src.hpp> is for programs whose every file is compiled with -DWHENCE_COMPILED"
#endif

#include <whence/impl/cpu.ipp>
#include <whence/impl/flamegraph.ipp>
#include <whence/impl/http.ipp>
#include <whence/impl/profile.ipp>
#include <whence/impl/server.ipp>
#include <whence/impl/sink.ipp>
#include <whence/impl/wall.ipp>

#endif  // WHENCE_SRC_HPP
