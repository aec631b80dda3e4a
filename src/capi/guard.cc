// SPDX-License-Identifier: Apache-2.0
// Filling the caller's treering_error.
//
// The struct lives with the caller and may be older (shorter) or newer (longer) than ours: only
// bytes within its struct_size are written. A message that does not fit is cut at a whole code
// point, so that what is shown is valid UTF-8. Names of files may hold line ends, control
// characters and bytes that are no UTF-8: a message shows each as a question mark. Nothing here
// allocates: this also runs when memory is gone.
#include "capi/guard.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "tree/text.h"

namespace treering::capi {
namespace {

// The longest prefix of at most `capacity` bytes that does not end inside a code point.
size_t WholeCodePoints(std::string_view text, size_t capacity) {
  size_t n = std::min(text.size(), capacity);
  if (n == text.size()) return n;
  while (n > 0 && (static_cast<unsigned char>(text[n]) & 0xc0) == 0x80) --n;
  return n;
}

// One line of UTF-8, whatever was named in it.
void MakePrintable(char* text, size_t size) {
  const std::string_view all(text, size);
  for (size_t at = 0; at < size;) {
    const size_t start = at;
    const uint32_t c = tree::NextCodePoint(all, &at);
    const bool line_end = c == 0x2028 || c == 0x2029;
    if (c == UINT32_MAX || tree::IsSurrogate(c) || tree::IsControl(c) || line_end) {
      std::memset(text + start, '?', at - start);
    }
  }
}

}  // namespace

treering_status Answer(treering_error* error, base::Code code, int os_error, uint64_t offset,
                       std::string_view message) noexcept {
  const auto status = static_cast<treering_status>(code);
  constexpr size_t kMessageAt = offsetof(treering_error, message);
  if (error == nullptr || error->struct_size <= kMessageAt) return status;
  error->status = status;
  error->os_error = os_error;
  error->reserved = 0;
  error->offset = offset;
  const size_t room = error->struct_size - kMessageAt;
  const size_t n = WholeCodePoints(message, room - 1);
  if (n != 0) std::memcpy(error->message, message.data(), n);
  std::memset(error->message + n, 0, room - n);
  MakePrintable(error->message, n);
  return status;
}

}  // namespace treering::capi
