// SPDX-License-Identifier: Apache-2.0
// Verifying values: what a hash cannot tell, since a file may lie under right hashes.
//
// Most bytes are a value of anything. Of the others, arrays can be looked at chunk by chunk, and
// leaves that are not in pieces as a whole, while their bytes are at hand. That leaves strings and
// ints in pieces, where a code point or the deciding bits may lie across chunks: they are read
// again, in windows cut between code points, so that memory stays small.
#include "container/verify_values.h"

#include <algorithm>
#include <string>

#include "tree/text.h"
#include "tree/tree.h"

namespace treering::container {

using base::ByteSpan;
using base::Status;
using tree::Kind;

namespace {

constexpr uint64_t kWindow = 65536;
constexpr size_t kLongestCarry = 8;  // a surrogate and the beginning of another code point

bool AllBelow(ByteSpan bytes, uint8_t limit) {
  return std::all_of(bytes.data, bytes.data + bytes.size,
                     [limit](uint8_t byte) { return byte < limit; });
}

// Where text may be cut: before its last code point, and before a surrogate in front of that.
size_t CutPlace(const std::string& text) {
  size_t at = text.size();
  const auto back = [&] {
    size_t steps = 0;
    while (at > 0 && steps++ < 4 && (text[--at] & 0xc0) == 0x80) {
    }
  };
  back();
  if (at >= 3 && text[at - 3] == '\xed' && (text[at - 2] & 0xe0) == 0xa0) at -= 3;
  return at;
}

// Appends the bytes [at, at + size) of a leaf.
Status ReadWindow(const Container& container, uint32_t node, uint64_t at, uint64_t size,
                  std::string* out) {
  const size_t before = out->size();
  out->resize(before + static_cast<size_t>(size));
  ReadRequest request;
  request.node = node;
  request.whole = false;
  request.box.rank = 1;
  request.box.origin[0] = at;
  request.box.extent[0] = size;
  request.dst = out->data() + before;
  request.dst_size = size;
  return container.Read(&request, 1, ReadOptions());
}

Status CheckText(const Container& container, uint32_t node, uint64_t size, bool* right) {
  std::string text;
  *right = false;
  for (uint64_t at = 0; at < size;) {
    const uint64_t n = std::min(kWindow, size - at);
    TR_RETURN_IF_ERROR(ReadWindow(container, node, at, n, &text));
    at += n;
    const size_t cut = at == size ? text.size() : CutPlace(text);
    if (text.size() - cut > kLongestCarry) return Status();
    if (!tree::IsWtf8(std::string_view(text).substr(0, cut))) return Status();
    text.erase(0, cut);
  }
  *right = true;
  return Status();
}

}  // namespace

uint8_t SpareBits(tree::Dtype dtype, uint64_t elements) {
  if (!tree::IsSubByte(dtype)) return 0;
  const uint64_t used = elements % 8 * dtype.bits % 8;
  return static_cast<uint8_t>(used == 0 ? 0 : 8 - used);
}

bool AreValues(const format::NodeRecord& leaf, uint8_t spare, ByteSpan bytes) {
  if (bytes.size == 0) return true;
  switch (static_cast<Kind>(leaf.kind)) {
    case Kind::kString:
      return tree::IsWtf8(bytes.text());
    case Kind::kInt:
      return tree::MinimalIntegerSize(bytes.data, bytes.size) == bytes.size;
    case Kind::kArray:
    case Kind::kPrngKey:
      if (spare != 0 && bytes.data[bytes.size - 1] >> (8 - spare) != 0) return false;
      if (leaf.dtype_bits == 6) return AllBelow(bytes, 64);
      return leaf.dtype_code != 6 || leaf.dtype_bits != 8 || AllBelow(bytes, 2);
    default:
      return true;
  }
}

Status CheckLongValues(const Container& container, const Usage& usage, Findings* findings) {
  for (const uint32_t id : usage.long_values) {
    if (findings->Has(id)) continue;
    const auto leaf = container.index().Node(id);
    if (!leaf.ok()) continue;
    bool right = true;
    Status status;
    if (static_cast<Kind>(leaf->kind) == Kind::kString) {
      status = CheckText(container, id, leaf->size, &right);
    } else {
      std::string last;
      status = ReadWindow(container, id, leaf->size - 2, 2, &last);
      right = AreValues(*leaf, 0, ByteSpan(std::string_view(last)));
    }
    if (IsAbort(status.code())) return status;
    if (status.ok() && !right) findings->NoValue(id);
  }
  return Status();
}

}  // namespace treering::container
