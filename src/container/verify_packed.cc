// SPDX-License-Identifier: Apache-2.0
// Verifying packed leaves, and telling which leaves a bad chunk takes along.
//
// Packed leaves of a chunk are sorted by place: they may be the same bytes, but not overlap
// otherwise, and what lies between them is zero. Each is hashed where it lies, the same bytes once,
// so the cost is that of the chunk.
//
// Telling runs on one thread once all chunks are known. A leaf is named once, by the first of its
// chunks that is bad; a bad chunk that no leaf uses is told by its number.
#include <algorithm>
#include <utility>

#include "base/checked.h"
#include "container/verify_parts.h"
#include "container/verify_values.h"

namespace treering::container {

using base::ByteSpan;
using base::Code;
using base::Status;
using tree::FindingKind;

namespace {

std::string Why(Code code) {
  switch (code) {
    case Code::kCorruptChecksum:
      return "bytes with another hash";
    case Code::kCorruptTruncated:
      return "the end of the file before its bytes";
    case Code::kCorruptStructure:
      return "a place or coding that is not possible";
    case Code::kNotFoundFile:
      return "no such file";
    case Code::kUnsupportedCodec:
      return "a codec that is not known";
    case Code::kUnsupportedFeature:
      return "a digest algorithm that is not known";
    default:
      return base::ClassOf(code) == 80 ? "a medium that cannot be read"
                                       : "bytes that cannot be decoded";
  }
}

bool AllZero(const uint8_t* begin, const uint8_t* end) {
  return std::all_of(begin, end, [](uint8_t byte) { return byte == 0; });
}

}  // namespace

// Runs on any thread: writes to what belongs to this chunk only.
void ChunkCheck::CheckPacked(uint32_t id, ByteSpan decoded) {
  const auto [begin, end] = PackedIn(id);
  uint64_t at = 0;  // where the leaf before ended
  bool gaps_zero = true;
  bool overlap = false;
  CheckPackedValues(begin, end, decoded);
  for (size_t i = begin; i < end; ++i) {
    const Usage::Packed& leaf = usage_->packed[i];
    const bool again = i != begin && leaf.begin == usage_->packed[i - 1].begin &&
                       leaf.size == usage_->packed[i - 1].size;
    if (again) {
      wrong_packed_[i] = SameIdentity(leaf.node, usage_->packed[i - 1].node) ? wrong_packed_[i - 1]
                                                                             : uint8_t{kOtherBytes};
      continue;
    }
    if (leaf.begin < at || leaf.begin > decoded.size || leaf.size > decoded.size - leaf.begin) {
      wrong_packed_[i] = kOutside;
      overlap = true;
      continue;
    }
    gaps_zero = gaps_zero && AllZero(decoded.data + at, decoded.data + leaf.begin);
    at = uint64_t{leaf.begin} + leaf.size;
    const auto record = index_.Node(leaf.node);
    const codec::Hash128 hash = codec::Hash128Of(decoded.Sub(leaf.begin, leaf.size));
    if (!record.ok() || hash != record->identity()) wrong_packed_[i] = kOtherBytes;
  }
  gaps_zero = gaps_zero && AllZero(decoded.data + at, decoded.data + decoded.size);
  if (decoded.size > format::kPackedChunkSize) wrong_chunks_[id] = kOutside;
  if (!gaps_zero && !overlap && usage_->complete) wrong_chunks_[id] = kOtherBytes;
}

// Each leaf by itself: the same bytes may be a value of one kind and none of another.
void ChunkCheck::CheckPackedValues(size_t begin, size_t end, ByteSpan decoded) {
  for (size_t i = begin; i < end; ++i) {
    const Usage::Packed& leaf = usage_->packed[i];
    const auto record = index_.Node(leaf.node);
    if (!record.ok() || !base::InBounds(leaf.begin, leaf.size, decoded.size)) continue;
    no_values_[i] = !AreValues(*record, leaf.spare, decoded.Sub(leaf.begin, leaf.size));
  }
}

bool ChunkCheck::SameIdentity(uint32_t a, uint32_t b) const {
  const auto x = index_.Node(a);
  const auto y = index_.Node(b);
  return x.ok() && y.ok() && x->identity() == y->identity();
}

std::pair<size_t, size_t> ChunkCheck::PackedIn(uint32_t chunk) const {
  const auto& packed = usage_->packed;
  const auto begin =
      std::lower_bound(packed.begin(), packed.end(), chunk,
                       [](const Usage::Packed& leaf, uint32_t id) { return leaf.chunk < id; });
  auto end = begin;
  while (end != packed.end() && end->chunk == chunk) ++end;
  return {static_cast<size_t>(begin - packed.begin()), static_cast<size_t>(end - packed.begin())};
}

void ChunkCheck::Tell() {
  for (uint32_t id = 0; id < codes_.size(); ++id) {
    const auto code = static_cast<Code>(codes_[id]);
    if (code == Code::kOk) continue;
    const auto chunk = index_.Chunk(id);
    std::string found = Why(code) + " in chunk " + std::to_string(id);
    if (chunk.ok() && chunk->file != 0) {
      found += " of " + NameOfFile(chunk->file);
    }
    const uint64_t offset = chunk.ok() ? chunk->offset : Status::kNoOffset;
    const std::string expected =
        chunk.ok() ? std::to_string(chunk->stored_size) + " bytes as they were written" : "";
    TellChunk(id, code, expected, found, offset);
  }
  for (uint32_t id = 0; id < wrong_chunks_.size(); ++id) {
    if (wrong_chunks_[id] == 0) continue;
    if (wrong_chunks_[id] == kNoValue) {
      findings_->NoValue(usage_->leaves[id]);
      continue;
    }
    findings_->Invalid("chunk " + std::to_string(id),
                       wrong_chunks_[id] == kOutside ? "at most 262144 bytes in a packed chunk"
                                                     : "zeros between packed leaves",
                       wrong_chunks_[id] == kOutside ? "more" : "other bytes");
  }
  for (size_t i = 0; i < wrong_packed_.size(); ++i) {
    const Usage::Packed& leaf = usage_->packed[i];
    if (wrong_packed_[i] == kOutside) {
      findings_->InvalidNode(leaf.node, "leaves apart and inside their packed chunk",
                             "bytes " + std::to_string(leaf.begin) + " to " +
                                 std::to_string(uint64_t{leaf.begin} + leaf.size) + " of chunk " +
                                 std::to_string(leaf.chunk));
    } else if (wrong_packed_[i] == kOtherBytes) {
      findings_->Node(leaf.node, FindingKind::kDamaged, Code::kCorruptChecksum,
                      "bytes with the leaf's identity", "others");
    } else if (no_values_[i] != 0) {
      findings_->NoValue(leaf.node);
    }
  }
}

void ChunkCheck::TellChunk(uint32_t id, Code code, const std::string& expected,
                           const std::string& found, uint64_t offset) {
  FindingKind kind = KindOf(code);
  if (kind == FindingKind::kInvalid) kind = FindingKind::kDamaged;  // of the leaf, as people see it
  const uint8_t role = usage_->roles[id];
  if (role == Usage::kPackedChunk) {
    const auto [begin, end] = PackedIn(id);
    for (size_t i = begin; i < end; ++i) {
      findings_->Node(usage_->packed[i].node, kind, code, expected, found, offset);
    }
  } else if (role != Usage::kUnused) {
    findings_->Node(usage_->leaves[id], kind, code, expected, found, offset);
  } else if (code != Code::kCorruptChecksum || index_.Chunk(id).ok()) {
    findings_->Add(kind, code, "chunk " + std::to_string(id), expected, found, offset);
  }
}

std::string ChunkCheck::NameOfFile(uint32_t file) const {
  const auto record = index_.File(file - 1);
  if (!record.ok()) return "file " + std::to_string(file);
  const auto folder = index_.Text(record->folder, record->folder_size);
  const auto name = index_.Text(record->name, record->name_size);
  if (!folder.ok() || !name.ok()) return "file " + std::to_string(file);
  return "'" + std::string(*folder) + (folder->empty() ? "" : "/") + std::string(*name) + "'";
}

}  // namespace treering::container
