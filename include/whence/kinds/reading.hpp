// SPDX-License-Identifier: Apache-2.0
//
// How the profiles of a kind are counted, copied and written: by a class with the functions of
// kinds/from_buckets.hpp. A kind that is read in a way of its own has a file in this folder, which
// names the class here and is included by kinds/all.hpp.
#ifndef WHENCE_KINDS_READING_HPP
#define WHENCE_KINDS_READING_HPP

#include <whence/instruments/kind.hpp>
#include <whence/kinds/from_buckets.hpp>

namespace whence::inline v1::kinds {

template <instruments::kind K>
struct reading_of {
  using type = from_buckets;
};

}  // namespace whence::inline v1::kinds

#endif  // WHENCE_KINDS_READING_HPP
