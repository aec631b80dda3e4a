// SPDX-License-Identifier: Apache-2.0
// Faults that a test build plants, one at a time, so that the tests prove that they would find
// them.
#pragma once

namespace treering::base {

// True in a build with -DTREERING_PLANTED=number, in which the caller then does the wrong thing.
// Elsewhere it is a constant false, and nothing of the fault is compiled. The numbers are those of
// src/manager/DURABILITY.md.
constexpr bool Planted([[maybe_unused]] int number) {
#ifdef TREERING_PLANTED
  return number == TREERING_PLANTED;
#else
  return false;
#endif
}

}  // namespace treering::base
