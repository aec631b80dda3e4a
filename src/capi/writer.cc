// SPDX-License-Identifier: Apache-2.0
// Saving through the C ABI: one writer over three kinds of place.
//
// To a path, the bytes go to a pending file, which alone knows how a file comes to exist whole or
// not at all. To memory they go to a vector that becomes a blob; to a sink they go to the caller.
// What is written is container/'s business.
#include <treering/treering.h>

#include "capi/convert.h"
#include "capi/guard.h"
#include "capi/handles.h"
#include "capi/import.h"
#include "capi/options.h"
#include "storage/callback.h"
#include "storage/memory.h"
#include "storage/posix.h"

// The order of members is the order of their needs: the writer uses the file, and goes first.
struct treering_writer {
  std::unique_ptr<std::vector<uint8_t>> memory;
  std::unique_ptr<treering::container::PendingFile> pending;
  std::unique_ptr<treering::storage::WritableFile> file;  // memory and sinks
  std::unique_ptr<treering::container::Writer> writer;
  bool durable = true;
  bool finished = false;
};

namespace treering::capi {

using base::Status;

Status ImportSaveOptions(const treering_save_options* options, treering_save_options* in,
                         container::WriterOptions* out) {
  TR_RETURN_IF_ERROR(ImportStruct(options, "options", sizeof(*in), in));
  std::string_view metadata;
  TR_RETURN_IF_ERROR(ImportText(in->metadata, in->metadata_size, "options.metadata", &metadata));
  out->codec = in->codec;
  out->level = in->level;
  out->threads = in->threads;
  out->chunk_bytes = in->chunk_bytes;
  out->metadata = std::string(metadata);
  if (in->progress != nullptr) {
    out->progress = [progress = in->progress, user = in->user](uint64_t done, uint64_t total) {
      return progress(user, done, total);
    };
  }
  return {};
}

namespace {

Status StartWriter(treering_writer* writer, storage::WritableFile* file,
                   container::WriterOptions options) {
  TR_ASSIGN_OR_RETURN(writer->writer, container::Writer::Create(file, std::move(options)));
  return {};
}

Status CreateAtPath(treering_writer** out, std::string_view path,
                    const treering_save_options* options) {
  treering_save_options in;
  container::WriterOptions writer_options;
  TR_RETURN_IF_ERROR(ImportSaveOptions(options, &in, &writer_options));
  auto writer = std::make_unique<treering_writer>();
  container::CommitOptions commit;
  commit.overwrite = in.overwrite != 0;
  commit.durable = in.not_durable == 0;
  commit.write.io_threads = in.threads == 0 ? 0 : 1;
  TR_ASSIGN_OR_RETURN(writer->pending, container::PendingFile::Create(path, commit));
  TR_RETURN_IF_ERROR(StartWriter(writer.get(), writer->pending->file(), std::move(writer_options)));
  *out = writer.release();
  return {};
}

Status CreateInMemory(treering_writer** out, const treering_save_options* options) {
  treering_save_options in;
  container::WriterOptions writer_options;
  TR_RETURN_IF_ERROR(ImportSaveOptions(options, &in, &writer_options));
  auto writer = std::make_unique<treering_writer>();
  writer->memory = std::make_unique<std::vector<uint8_t>>();
  writer->file = storage::WriteToVector(writer->memory.get());
  TR_RETURN_IF_ERROR(StartWriter(writer.get(), writer->file.get(), std::move(writer_options)));
  *out = writer.release();
  return {};
}

Status CreateOverSink(treering_writer** out, const treering_sink* sink,
                      const treering_save_options* options) {
  treering_sink to;
  TR_RETURN_IF_ERROR(ImportStruct(sink, "sink", sizeof(to), &to));
  if (to.write == nullptr) return NullArgument("sink.write");
  treering_save_options in;
  container::WriterOptions writer_options;
  TR_RETURN_IF_ERROR(ImportSaveOptions(options, &in, &writer_options));
  auto writer = std::make_unique<treering_writer>();
  writer->durable = in.not_durable == 0;
  storage::FlushCallback flush;
  if (to.flush != nullptr) flush = [to] { return to.flush(to.user); };
  writer->file = storage::WriteToCallback(
      [to](const void* data, uint64_t size) { return to.write(to.user, data, size); },
      std::move(flush));
  TR_RETURN_IF_ERROR(StartWriter(writer.get(), writer->file.get(), std::move(writer_options)));
  *out = writer.release();
  return {};
}

treering_summary ExportSummary(const container::Summary& in) {
  treering_summary out = {};
  out.file_size = in.file_size;
  out.leaf_count = in.leaf_count;
  out.node_count = in.node_count;
  out.raw_bytes = in.raw_bytes;
  CopyDigest(in.content, out.content);
  CopyDigest(in.file, out.file);
  return out;
}

// Everything after the index: making the file exist, flushing the sink, or handing out the memory.
Status Deliver(treering_writer* writer, treering_blob** out_blob) {
  if (writer->pending != nullptr) return writer->pending->Commit();
  if (writer->durable) TR_RETURN_IF_ERROR(writer->file->Sync());
  TR_RETURN_IF_ERROR(writer->file->Close());
  if (writer->memory == nullptr) return {};
  // A vector's memory is not 64-byte aligned, and alignment is what views of it are for.
  std::shared_ptr<void> aligned = AlignedBuffer(writer->memory->size());
  std::memcpy(aligned.get(), writer->memory->data(), writer->memory->size());
  *out_blob = NewBlob({aligned.get(), writer->memory->size()}, aligned);
  return {};
}

Status Finish(treering_writer* writer, treering_summary* summary, treering_blob** out_blob) {
  if (writer->finished) {
    return Status(base::Code::kWrongStateFinished,
                  "the writer was finished already; create a new one");
  }
  if (writer->memory != nullptr) TR_REQUIRE(out_blob);
  writer->finished = true;
  TR_ASSIGN_OR_RETURN(const container::Summary written, writer->writer->Finish());
  Status delivered = Deliver(writer, out_blob);
  if (summary != nullptr && (delivered.ok() || delivered.code() == base::Code::kOutcomeUnknown)) {
    TR_RETURN_IF_ERROR(
        ExportStruct(ExportSummary(written), "out_summary", sizeof(treering_summary), summary));
  }
  return delivered;
}

Status RequireOpen(const treering_writer* writer) {
  if (!writer->finished) return {};
  return Status(base::Code::kWrongStateFinished,
                "the writer was finished already; create a new one");
}

}  // namespace
}  // namespace treering::capi

using treering::base::Status;
using treering::capi::Guard;

extern "C" {

treering_status treering_writer_create(treering_writer** out, const char* path, uint64_t path_size,
                                       const treering_save_options* options,
                                       treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(out);
    *out = nullptr;
    std::string_view text;
    TR_RETURN_IF_ERROR(treering::capi::ImportText(path, path_size, "path", &text));
    return treering::capi::CreateAtPath(out, text, options);
  });
}

treering_status treering_writer_create_memory(treering_writer** out,
                                              const treering_save_options* options,
                                              treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(out);
    *out = nullptr;
    return treering::capi::CreateInMemory(out, options);
  });
}

treering_status treering_writer_create_sink(treering_writer** out, const treering_sink* sink,
                                            const treering_save_options* options,
                                            treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(out);
    *out = nullptr;
    TR_REQUIRE(sink);
    return treering::capi::CreateOverSink(out, sink, options);
  });
}

void treering_writer_free(treering_writer* writer) { delete writer; }

treering_status treering_writer_add_tree(treering_writer* writer, const char* name,
                                         uint64_t name_size, const treering_tree* tree,
                                         treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(writer);
    TR_REQUIRE(tree);
    TR_RETURN_IF_ERROR(treering::capi::RequireOpen(writer));
    std::string_view text;
    TR_RETURN_IF_ERROR(treering::capi::ImportText(name, name_size, "name", &text));
    return writer->writer->AddTree(text, tree->value);
  });
}

treering_status treering_writer_add_bytes(treering_writer* writer, int32_t item_kind,
                                          const char* name, uint64_t name_size, const void* data,
                                          uint64_t size, treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(writer);
    if (size != 0) TR_REQUIRE(data);
    if (item_kind != TREERING_ITEM_JSON && item_kind != TREERING_ITEM_BLOB) {
      return treering::capi::InvalidArgument(
          "item_kind " + std::to_string(item_kind) +
          " is neither TREERING_ITEM_JSON nor TREERING_ITEM_BLOB");
    }
    TR_RETURN_IF_ERROR(treering::capi::RequireOpen(writer));
    std::string_view text;
    TR_RETURN_IF_ERROR(treering::capi::ImportText(name, name_size, "name", &text));
    return writer->writer->AddBytes(static_cast<treering::format::ItemKind>(item_kind), text,
                                    {data, size});
  });
}

treering_status treering_writer_finish(treering_summary* out_summary, treering_blob** out_blob,
                                       treering_writer* writer, treering_error* error) {
  return Guard(error, [&]() -> Status {
    if (out_blob != nullptr) *out_blob = nullptr;
    if (out_summary != nullptr) {
      TR_RETURN_IF_ERROR(treering::capi::ExportStruct(treering_summary{}, "out_summary",
                                                      sizeof(treering_summary), out_summary));
    }
    TR_REQUIRE(writer);
    return treering::capi::Finish(writer, out_summary, out_blob);
  });
}

treering_status treering_save(const char* path, uint64_t path_size, const treering_tree* tree,
                              const treering_save_options* options, treering_error* error) {
  return Guard(error, [&]() -> Status {
    TR_REQUIRE(tree);
    std::string_view text;
    TR_RETURN_IF_ERROR(treering::capi::ImportText(path, path_size, "path", &text));
    treering_writer* made = nullptr;
    TR_RETURN_IF_ERROR(treering::capi::CreateAtPath(&made, text, options));
    const std::unique_ptr<treering_writer> writer(made);
    TR_RETURN_IF_ERROR(writer->writer->AddTree("default", tree->value));
    return treering::capi::Finish(writer.get(), nullptr, nullptr);
  });
}

}  // extern "C"
