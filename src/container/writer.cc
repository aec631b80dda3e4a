// SPDX-License-Identifier: Apache-2.0
// Writes one container front to back: header, items, index, trailer.
//
// The parts do the work: ChunkWriter has the file and the chunks, IndexBuilder the records,
// LeafWriter decides where a value goes, TreeWriter walks. Here are the options, the items and the
// state: after a failure the file has no end and never will, so all further calls are refused.
//
// Nothing of a tree is kept when AddTree returns: chunks that wait in its memory are written
// before.
#include "container/writer.h"

#include <unordered_set>
#include <utility>

#include "container/chunk_plan.h"
#include "container/chunk_writer.h"
#include "container/index_builder.h"
#include "container/leaf_writer.h"
#include "container/tree_writer.h"
#include "tree/text.h"

namespace treering::container {
namespace {

using base::ByteSpan;
using base::Code;
using base::Result;
using base::Status;

constexpr uint64_t kDefaultChunk = uint64_t{1} << 20;
constexpr uint64_t kLeastChunk = 4096;
constexpr uint32_t kMostThreads = 256;

enum class State { kOpen, kFinished, kFailed };

Status CheckJson(const char* what, std::string_view text) {
  uint64_t offset = 0;
  bool too_deep = false;
  if (IsJson(text, &offset, &too_deep)) return Status();
  if (too_deep) {
    return Status(Code::kInvalidArgument, std::string(what) +
                                              " is nested deeper than the limit of 128 at byte " +
                                              std::to_string(offset) + "; store it as a blob");
  }
  return Status(Code::kInvalidArgument, std::string(what) +
                                            " is not one JSON value in UTF-8: wrong at byte " +
                                            std::to_string(offset));
}

Status CheckOptions(const WriterOptions& options) {
  TR_RETURN_IF_ERROR(CheckCodec(options.codec, options.level));
  if (options.chunk_bytes != 0 &&
      (options.chunk_bytes < kLeastChunk || options.chunk_bytes > kMaxWrittenChunk)) {
    return Status(Code::kInvalidArgument, "chunks of " + std::to_string(options.chunk_bytes) +
                                              " bytes were asked for; use 4096 to 67108864");
  }
  if (options.threads > kMostThreads) {
    return Status(Code::kInvalidArgument,
                  std::to_string(options.threads) + " threads were asked for; use at most 256");
  }
  return options.metadata.empty() ? Status() : CheckJson("metadata", options.metadata);
}

LeafDefaults DefaultsOf(const WriterOptions& options) {
  return {options.codec, options.level,
          options.chunk_bytes != 0 ? options.chunk_bytes : kDefaultChunk};
}

}  // namespace

struct Writer::Impl {
  Impl(storage::WritableFile* f, WriterOptions o)
      : file(f),
        options(std::move(o)),
        chunks(f, options.threads, options.progress),
        leaves(&chunks, &index, DefaultsOf(options)) {}

  Status Start();
  Status CheckOpen() const;
  Status CheckName(std::string_view name);
  Status AddTree(std::string_view name, const tree::Tree& tree, LeafGate* gate);
  Status AddBytes(format::ItemKind kind, std::string_view name, ByteSpan bytes);
  Result<Summary> Finish();
  Status Kept(Status status) {
    if (!status.ok()) state = State::kFailed;
    return status;
  }

  storage::WritableFile* file;
  WriterOptions options;
  State state = State::kOpen;
  ChunkWriter chunks;
  IndexBuilder index;
  LeafWriter leaves;
  NodeOrder order;
  std::unordered_set<std::string> names;
};

Writer::Writer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Writer::~Writer() = default;

Result<std::unique_ptr<Writer>> Writer::Create(storage::WritableFile* file, WriterOptions options) {
  TR_RETURN_IF_ERROR(CheckOptions(options));
  auto impl = std::make_unique<Impl>(file, std::move(options));
  TR_RETURN_IF_ERROR(impl->Start());
  return std::unique_ptr<Writer>(new Writer(std::move(impl)));
}

Status Writer::AddTree(std::string_view name, const tree::Tree& tree, LeafGate* gate) {
  TR_RETURN_IF_ERROR(impl_->CheckOpen());
  return impl_->Kept(impl_->AddTree(name, tree, gate));
}

Status Writer::AddBytes(format::ItemKind kind, std::string_view name, ByteSpan bytes) {
  TR_RETURN_IF_ERROR(impl_->CheckOpen());
  return impl_->Kept(impl_->AddBytes(kind, name, bytes));
}

Result<Summary> Writer::Finish() {
  TR_RETURN_IF_ERROR(impl_->CheckOpen());
  auto summary = impl_->Finish();
  impl_->state = summary.ok() ? State::kFinished : State::kFailed;
  return summary;
}

Status Writer::Impl::Start() {
  uint8_t header[format::kHeaderSize];
  format::EncodeHeader(header);
  return chunks.Append(ByteSpan(header, sizeof header));
}

Status Writer::Impl::CheckOpen() const {
  if (state == State::kFinished) {
    return Status(Code::kWrongStateFinished,
                  "'" + file->name() + "' is finished; nothing can be added to it");
  }
  if (state == State::kFailed) {
    return Status(Code::kWrongState, "writing '" + file->name() + "' failed before; start again");
  }
  return Status();
}

Status Writer::Impl::CheckName(std::string_view name) {
  if (name.empty() || name.size() > format::kMaxItemName) {
    return Status(Code::kInvalidArgument,
                  "an item's name has " + std::to_string(name.size()) + " bytes; use 1 to 255");
  }
  for (size_t at = 0; at < name.size();) {
    const uint32_t c = tree::NextCodePoint(name, &at);
    if (c == UINT32_MAX || tree::IsSurrogate(c)) {
      return Status(Code::kInvalidArgument,
                    "an item's name is not UTF-8 before byte " + std::to_string(at));
    }
  }
  if (!names.emplace(name).second) {
    return Status(Code::kInvalidArgument,
                  "item '" + std::string(name) + "' was added before; give each item its own name");
  }
  return Status();
}

Status Writer::Impl::AddTree(std::string_view name, const tree::Tree& tree, LeafGate* gate) {
  TR_RETURN_IF_ERROR(CheckName(name));
  NumberBreadthFirst(tree, &order);
  if (order.empty()) {
    return Status(Code::kInvalidArgument,
                  "the tree of item '" + std::string(name) + "' is empty; give it a root");
  }
  TR_RETURN_IF_ERROR(index.BeginItem(format::kTreeItem, name, order.size()));
  if (options.progress) chunks.ExpectBytes(LeafBytes(tree, order));
  TR_RETURN_IF_ERROR(TreeWriter(tree, order, &index, &leaves, gate).Write());
  index.ForgetSets();
  TR_RETURN_IF_ERROR(chunks.Flush());
  if (gate != nullptr) gate->AllRead();
  return chunks.ReportAll();
}

Status Writer::Impl::AddBytes(format::ItemKind kind, std::string_view name, ByteSpan bytes) {
  TR_RETURN_IF_ERROR(CheckName(name));
  const std::string what = "item '" + std::string(name) + "'";
  if (kind != format::kJsonItem && kind != format::kBlobItem) {
    return Status(Code::kInvalidArgument, what + " is of kind " + std::to_string(kind) +
                                              "; use 2 (JSON document) or 3 (blob)");
  }
  if (kind == format::kJsonItem) TR_RETURN_IF_ERROR(CheckJson(what.c_str(), bytes.text()));
  TR_RETURN_IF_ERROR(index.BeginItem(kind, name, 1));
  chunks.ExpectBytes(bytes.size);
  tree::Node leaf;
  leaf.kind = kind == format::kJsonItem ? tree::Kind::kString : tree::Kind::kBytes;
  leaf.value.form = tree::ValueForm::kData;
  leaf.value.data = bytes.data;
  leaf.value.size = bytes.size;
  format::NodeRecord record;
  record.kind = static_cast<uint8_t>(leaf.kind);
  codec::Hash128 identity;
  Status status = leaves.Write(leaf, index.next_node(), &record, &identity);
  if (status.ok()) status = chunks.Flush();
  if (!status.ok()) return std::move(status).WithContext(what);
  index.AddNode(record, ByteSpan(), nullptr, identity);
  return chunks.ReportAll();
}

Result<Summary> Writer::Impl::Finish() {
  TR_RETURN_IF_ERROR(leaves.Close());
  TR_RETURN_IF_ERROR(chunks.Flush());
  TR_ASSIGN_OR_RETURN(const format::Trailer trailer, index.Finish(options.metadata, &chunks));
  Summary summary;
  summary.file_size = trailer.file_size;
  summary.leaf_count = trailer.leaf_count;
  summary.node_count = index.node_count();
  summary.raw_bytes = trailer.raw_bytes;
  summary.content = trailer.content;
  summary.file = trailer.file;
  return summary;
}

}  // namespace treering::container
