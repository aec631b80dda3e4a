// SPDX-License-Identifier: Apache-2.0
// Verifying a container: everything that opening and reading leave unchecked.
//
// From the outside in: the two ends of the file as they are now, each block of the index, padding
// of the index, the small tables, all nodes, where leaves lie, all chunks. Each step uses what the
// steps before it found usable and goes on after findings, so that one flipped bit does not hide
// the next; no step trusts a number because an earlier one looked at it.
//
// Time is linear in file and index (sorting apart), memory in the number of records: claims that
// two records make on one thing are refused before they are followed (verify_storage.cc).
#include "container/verify.h"

#include <algorithm>

#include "container/frame.h"
#include "container/verify_parts.h"
#include "container/verify_values.h"
#include "tree/tree.h"

namespace treering::container {

using base::Status;
using tree::FindingKind;

namespace {

const char* const kNames[format::kSectionCount] = {
    "items",  "nodes",  "the hash table", "attributes", "dims", "text",
    "pieces", "chunks", "the file table", "metadata",   "",     ""};

// The header, trailer and table of block hashes as the file has them now.
Status CheckEnds(const Container& container, Findings* findings) {
  Frame frame;
  Status read = ReadFrame(container.file(), nullptr, UINT64_MAX, &frame);
  if (IsAbort(read.code())) return read;
  if (!read.ok()) {
    findings->Add(FindingKind::kInvalid, read.code(), "the ends of the file", "",
                  std::string(read.message()), read.offset());
    return Status();
  }
  if (frame.Digest() == frame.trailer.file) return Status();
  findings->Invalid("trailer.file", "the digest of header, table and trailer", "another one");
  return Status();
}

// "nodes 256 to 511, text": what records a block of the index holds.
std::string Holds(const format::Trailer& trailer, uint32_t block) {
  const uint64_t begin = uint64_t{block} * format::kBlockSize;
  const uint64_t end = std::min(begin + format::kBlockSize, trailer.index_size);
  std::string text;
  for (uint32_t i = 0; i < format::kSectionCount; ++i) {
    const format::SectionEntry& entry = trailer.sections[i];
    const uint64_t from = std::max(begin, entry.offset);
    const uint64_t to = std::min(end, entry.offset + entry.size());
    if (entry.stride == 0 || from >= to) continue;
    text += (text.empty() ? "" : ", ") + std::string(kNames[i]);
    if (entry.stride == 1) continue;
    text += " " + std::to_string((from - entry.offset) / entry.stride) + " to " +
            std::to_string((to - 1 - entry.offset) / entry.stride);
  }
  return text;
}

// Reads every block from the file, whether it was used before or not.
Status CheckBlocks(const Container& container, Findings* findings) {
  const format::Trailer& trailer = container.index().trailer();
  for (uint32_t block = 0; block < trailer.block_count; ++block) {
    Status status = container.index().CheckBlock(block);
    if (status.ok()) continue;
    if (IsAbort(status.code())) return status;
    findings->Add(FindingKind::kInvalid, status.code(), "index block " + std::to_string(block),
                  "bytes with the hash of the table",
                  "others where " + Holds(trailer, block) + " should be",
                  trailer.index_offset + uint64_t{block} * format::kBlockSize);
  }
  return Status();
}

// The bytes between sections are zero.
Status CheckIndexPadding(const Container& container, Findings* findings) {
  const format::Trailer& trailer = container.index().trailer();
  for (uint32_t i = 0; i < format::kSectionCount; ++i) {
    const format::SectionEntry& entry = trailer.sections[i];
    const uint64_t end = entry.offset + entry.size();
    uint8_t bytes[64] = {};
    const uint64_t count = (64 - end % 64) % 64;
    if (entry.stride == 0 || count == 0) continue;
    TR_RETURN_IF_ERROR(container.file().ReadAt(trailer.index_offset + end, bytes, count));
    if (std::all_of(bytes, bytes + count, [](uint8_t byte) { return byte == 0; })) continue;
    findings->Invalid("padding behind " + std::string(kNames[i]), "zeros", "other bytes",
                      trailer.index_offset + end);
  }
  return Status();
}

// Pieces that no leaf has.
void CheckPieces(const Usage& usage, Findings* findings) {
  const auto lost = std::count(usage.pieces.begin(), usage.pieces.end(), 0);
  if (lost == 0 || !usage.complete) return;
  findings->Invalid("pieces", "pieces that belong to leaves",
                    std::to_string(lost) + " that belong to none");
}

Status CheckAll(const Container& container, const ReadOptions& options, Findings* findings) {
  const IndexView& index = container.index();
  TR_RETURN_IF_ERROR(CheckEnds(container, findings));
  TR_RETURN_IF_ERROR(CheckBlocks(container, findings));
  TR_RETURN_IF_ERROR(CheckIndexPadding(container, findings));
  TableCheck tables(container, findings);
  TR_RETURN_IF_ERROR(tables.Run());
  Usage usage;
  usage.roles.assign(index.count(format::kChunks), Usage::kUnused);
  usage.spare.assign(index.count(format::kChunks), 0);
  usage.leaves.assign(index.count(format::kChunks), 0);
  usage.pieces.assign(index.count(format::kPieces), 0);
  TR_RETURN_IF_ERROR(NodeCheck(container, tables, findings, &usage).Run());
  CheckPieces(usage, findings);
  TR_RETURN_IF_ERROR(ChunkCheck(container, options, findings, &usage).Run());
  TR_RETURN_IF_ERROR(CheckLongValues(container, usage, findings));
  for (const Usage::Alias& alias : usage.aliases) findings->Alias(alias.node, alias.leaf);
  return Status();
}

}  // namespace

Status Verify(const Container& container, const ReadOptions& options, tree::Report* report) {
  Findings findings(container, report);
  Status status = CheckAll(container, options, &findings);
  if (!status.ok()) {
    *report = tree::Report();
    return status;
  }
  return findings.Finish();
}

}  // namespace treering::container
