// SPDX-License-Identifier: Apache-2.0
// Little-endian loads and stores, a bounded sticky reader, a growing writer.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace treering::base {

// A borrowed run of bytes. Never owns.
struct ByteSpan {
  const uint8_t* data = nullptr;
  uint64_t size = 0;

  ByteSpan() = default;
  ByteSpan(const void* d, uint64_t n) : data(static_cast<const uint8_t*>(d)), size(n) {}
  explicit ByteSpan(std::string_view s) : ByteSpan(s.data(), s.size()) {}
  explicit ByteSpan(const std::vector<uint8_t>& v) : ByteSpan(v.data(), v.size()) {}
  ByteSpan Sub(uint64_t offset, uint64_t n) const { return ByteSpan(data + offset, n); }
  std::string_view text() const {
    return std::string_view(reinterpret_cast<const char*>(data), static_cast<size_t>(size));
  }
};

// Loads and stores by bytes: right on every processor. Written out, not looped, because gcc and
// clang then make one instruction of each on a little-endian processor.
inline uint16_t LoadLe16(const uint8_t* p) { return static_cast<uint16_t>(p[0] | p[1] << 8); }
inline uint32_t LoadLe32(const uint8_t* p) {
  return uint32_t{p[0]} | uint32_t{p[1]} << 8 | uint32_t{p[2]} << 16 | uint32_t{p[3]} << 24;
}
inline uint64_t LoadLe64(const uint8_t* p) {
  return uint64_t{p[0]} | uint64_t{p[1]} << 8 | uint64_t{p[2]} << 16 | uint64_t{p[3]} << 24 |
         uint64_t{p[4]} << 32 | uint64_t{p[5]} << 40 | uint64_t{p[6]} << 48 | uint64_t{p[7]} << 56;
}
// For any integer type of 1, 2, 4 or 8 bytes.
template <typename T>
inline T LoadLe(const uint8_t* p) {
  static_assert(sizeof(T) == 1 || sizeof(T) == 2 || sizeof(T) == 4 || sizeof(T) == 8,
                "no such load");
  if constexpr (sizeof(T) == 8) return static_cast<T>(LoadLe64(p));
  if constexpr (sizeof(T) == 4) return static_cast<T>(LoadLe32(p));
  if constexpr (sizeof(T) == 2) return static_cast<T>(LoadLe16(p));
  return static_cast<T>(p[0]);
}

inline void StoreLe16(uint8_t* p, uint16_t v) {
  p[0] = static_cast<uint8_t>(v);
  p[1] = static_cast<uint8_t>(v >> 8);
}
inline void StoreLe32(uint8_t* p, uint32_t v) {
  p[0] = static_cast<uint8_t>(v);
  p[1] = static_cast<uint8_t>(v >> 8);
  p[2] = static_cast<uint8_t>(v >> 16);
  p[3] = static_cast<uint8_t>(v >> 24);
}
inline void StoreLe64(uint8_t* p, uint64_t v) {
  p[0] = static_cast<uint8_t>(v);
  p[1] = static_cast<uint8_t>(v >> 8);
  p[2] = static_cast<uint8_t>(v >> 16);
  p[3] = static_cast<uint8_t>(v >> 24);
  p[4] = static_cast<uint8_t>(v >> 32);
  p[5] = static_cast<uint8_t>(v >> 40);
  p[6] = static_cast<uint8_t>(v >> 48);
  p[7] = static_cast<uint8_t>(v >> 56);
}

// Reads records from a bounded span. Sticky: after the first read past the end every read gives
// zero and ok() stays false, so a decoder checks once, before it uses what it read.
class ByteReader {
 public:
  explicit ByteReader(ByteSpan span) : p_(span.data), left_(span.size) {}

  bool ok() const { return ok_; }
  bool done() const { return ok_ && left_ == 0; }
  uint64_t left() const { return left_; }

  uint8_t U8() { return Take(1) ? p_[-1] : uint8_t{0}; }
  uint16_t U16() { return Take(2) ? LoadLe16(p_ - 2) : uint16_t{0}; }
  uint32_t U32() { return Take(4) ? LoadLe32(p_ - 4) : 0u; }
  uint64_t U64() { return Take(8) ? LoadLe64(p_ - 8) : 0ull; }
  ByteSpan Bytes(uint64_t n) { return Take(n) ? ByteSpan(p_ - n, n) : ByteSpan(); }
  // True if the next n bytes exist and are all zero.
  bool Zeros(uint64_t n) {
    if (!Take(n)) return false;
    for (const uint8_t* q = p_ - n; q != p_; ++q) {
      if (*q != 0) return ok_ = false;
    }
    return true;
  }

 private:
  bool Take(uint64_t n) {
    if (!ok_ || n > left_) return ok_ = false;
    p_ += n;
    left_ -= n;
    return true;
  }
  const uint8_t* p_;
  uint64_t left_;
  bool ok_ = true;
};

// Appends to a vector that it borrows.
class ByteWriter {
 public:
  explicit ByteWriter(std::vector<uint8_t>* out) : out_(out) {}

  void U8(uint8_t v) { out_->push_back(v); }
  void U16(uint16_t v) { StoreLe16(Grow(2), v); }
  void U32(uint32_t v) { StoreLe32(Grow(4), v); }
  void U64(uint64_t v) { StoreLe64(Grow(8), v); }
  void Bytes(ByteSpan s) {
    if (s.size != 0) std::memcpy(Grow(s.size), s.data, static_cast<size_t>(s.size));
  }
  void Zeros(uint64_t n) { out_->resize(out_->size() + static_cast<size_t>(n)); }
  void AlignTo(uint64_t alignment) {
    while (out_->size() % alignment != 0) out_->push_back(0);
  }

 private:
  uint8_t* Grow(uint64_t n) {
    const size_t at = out_->size();
    out_->resize(at + static_cast<size_t>(n));
    return out_->data() + at;
  }
  std::vector<uint8_t>* out_;
};

}  // namespace treering::base
