// SPDX-License-Identifier: Apache-2.0
// The one place where everything that goes wrong becomes a status of the C ABI.
#pragma once

#include <treering/treering.h>

#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>

#include "base/status.h"

namespace treering::capi {

// Fills the caller's struct, as far as it reaches, and returns the status. Allocates nothing.
treering_status Answer(treering_error* error, base::Code code, int os_error, uint64_t offset,
                       std::string_view message) noexcept;

// Runs body() and answers its Status; what the standard library throws becomes NO_MEMORY or
// INTERNAL.
template <typename Body>
treering_status Guard(treering_error* error, Body&& body) noexcept {
  constexpr uint64_t kNowhere = base::Status::kNoOffset;
  try {
    const base::Status status = body();
    return Answer(error, status.code(), status.os_error(), status.offset(), status.message());
  } catch (const std::bad_alloc&) {
    return Answer(error, base::Code::kNoMemory, 0, kNowhere, "out of memory");
  } catch (const std::length_error&) {  // a count of elements that no memory holds
    return Answer(error, base::Code::kNoMemory, 0, kNowhere, "out of memory");
  } catch (const std::exception& e) {
    return Answer(error, base::Code::kInternal, 0, kNowhere, e.what());
  } catch (...) {
    return Answer(error, base::Code::kInternal, 0, kNowhere, "unknown exception");
  }
}

inline base::Status InvalidArgument(std::string message) {
  return base::Status(base::Code::kInvalidArgument, std::move(message));
}

inline base::Status NullArgument(const char* name) {
  return InvalidArgument(std::string("'") + name + "' is NULL; give a valid pointer");
}

}  // namespace treering::capi

// Returns INVALID_ARGUMENT naming the parameter from the body of a Guard.
#define TR_REQUIRE(pointer)                                                    \
  do {                                                                         \
    if ((pointer) == nullptr) return ::treering::capi::NullArgument(#pointer); \
  } while (0)
