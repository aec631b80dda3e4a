// SPDX-License-Identifier: Apache-2.0
// Structs that cross the ABI: callers may be older or newer than the library.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "base/status.h"
#include "capi/guard.h"

namespace treering::capi {

// True if no byte of [p, p + n) is set.
inline bool AllZero(const uint8_t* p, uint64_t n) {
  return std::all_of(p, p + n, [](uint8_t b) { return b == 0; });
}

// True if the struct has a `reserved` member that is set: a later version may mean something by it.
template <typename T>
auto SetsReserved(const T& in, int) -> decltype(in.reserved != 0) {
  return in.reserved != 0;
}
template <typename T>
bool SetsReserved(const T&, int64_t) {
  return false;
}

// Takes over an options struct: NULL is all defaults; a shorter one of an older caller is filled up
// with zeros, a longer one of a newer caller must have zeros where we know nothing. `first_size` is
// sizeof in version 0.1.
template <typename T>
base::Status ImportStruct(const T* in, const char* name, uint64_t first_size, T* out) {
  std::memset(static_cast<void*>(out), 0, sizeof(T));
  if (in == nullptr) return {};
  const uint64_t size = in->struct_size;
  if (size < first_size) {
    return InvalidArgument(std::string(name) + ".struct_size is " + std::to_string(size) +
                           ", less than the " + std::to_string(first_size) +
                           " of the first version; set it to sizeof the struct");
  }
  std::memcpy(static_cast<void*>(out), in, std::min<uint64_t>(size, sizeof(T)));
  const bool beyond = size > sizeof(T) &&
                      !AllZero(reinterpret_cast<const uint8_t*>(in) + sizeof(T), size - sizeof(T));
  if (beyond || SetsReserved(*out, 0)) {
    return base::Status(base::Code::kUnsupported,
                        std::string(name) + " sets a field that this version (" +
                            treering_version() +
                            ") does not know; update treering or leave it zero");
  }
  return {};
}

// Gives a struct to the caller: as much as both know, zeros in the caller's tail, struct_size kept.
template <typename T>
base::Status ExportStruct(const T& in, const char* name, uint64_t first_size, T* out) {
  const uint32_t size = out->struct_size;
  if (size < first_size) {
    return InvalidArgument(std::string(name) + ".struct_size is " + std::to_string(size) +
                           "; set it to sizeof the struct before the call");
  }
  std::memcpy(static_cast<void*>(out), &in, std::min<uint64_t>(size, sizeof(T)));
  if (size > sizeof(T)) {
    std::memset(reinterpret_cast<uint8_t*>(out) + sizeof(T), 0, size - sizeof(T));
  }
  out->struct_size = size;
  return {};
}

// An array of structs of `element_size` each, as the caller knows them.
template <typename T>
class InputArray {
 public:
  InputArray(const T* data, uint64_t element_size, uint64_t count)
      : data_(reinterpret_cast<const uint8_t*>(data)), element_size_(element_size), count_(count) {}

  base::Status Check(const char* name, uint64_t first_size) const {
    if (count_ != 0 && data_ == nullptr) return NullArgument(name);
    if (count_ != 0 && element_size_ < first_size) {
      return InvalidArgument(std::string("element_size of ") + name + " is " +
                             std::to_string(element_size_) + "; pass sizeof the element");
    }
    return {};
  }
  // Copies element i; false if it sets a field that we do not know.
  bool Get(uint64_t i, T* out) const {
    const uint8_t* p = data_ + i * element_size_;
    if (element_size_ < sizeof(T)) std::memset(static_cast<void*>(out), 0, sizeof(T));
    std::memcpy(static_cast<void*>(out), p, std::min<uint64_t>(element_size_, sizeof(T)));
    if (SetsReserved(*out, 0)) return false;
    return element_size_ <= sizeof(T) || AllZero(p + sizeof(T), element_size_ - sizeof(T));
  }
  static base::Status UnknownField(const char* name, uint64_t i) {
    return base::Status(base::Code::kUnsupported,
                        std::string(name) + "[" + std::to_string(i) +
                            "] sets a field that this version does not know; update treering");
  }

 private:
  const uint8_t* data_;
  uint64_t element_size_;
  uint64_t count_;
};

template <typename T>
class OutputArray {
 public:
  OutputArray(T* data, uint64_t element_size, uint64_t capacity)
      : data_(reinterpret_cast<uint8_t*>(data)), element_size_(element_size), capacity_(capacity) {}

  base::Status Check(uint64_t first_size) const {
    if (capacity_ != 0 && data_ == nullptr) return NullArgument("out");
    if (capacity_ != 0 && element_size_ < first_size) {
      return InvalidArgument("element_size is " + std::to_string(element_size_) +
                             "; pass sizeof the element");
    }
    return {};
  }
  void Put(uint64_t i, const T& value) const {
    uint8_t* p = data_ + i * element_size_;
    std::memcpy(p, &value, std::min<uint64_t>(element_size_, sizeof(T)));
    if (element_size_ > sizeof(T)) std::memset(p + sizeof(T), 0, element_size_ - sizeof(T));
  }

 private:
  uint8_t* data_;
  uint64_t element_size_;
  uint64_t capacity_;
};

// Text as (pointer, length): NULL is empty if the length is 0 or TREERING_NUL.
inline base::Status ImportText(const char* text, uint64_t size, const char* name,
                               std::string_view* out) {
  if (text == nullptr) {
    if (size != 0 && size != TREERING_NUL) return NullArgument(name);
    *out = {};
    return {};
  }
  *out = size == TREERING_NUL ? std::string_view(text) : std::string_view(text, size);
  return {};
}

}  // namespace treering::capi
