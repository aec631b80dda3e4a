// SPDX-License-Identifier: Apache-2.0
// The file table at work: chunks that lie in other containers of the same checkpoint.
//
// An entry is two names of a strict pattern, a size and a digest. Only what answers to all of them
// is used: the pattern keeps an entry inside the parent folder, the digest makes sure that the file
// beside us is the one that was meant. The digest covers that file's header, table and trailer, so
// it is compared without reading the data; chunks are verified when they are read, as ours are.
//
// Invariant: a failure concerns the leaves that need the file and nothing else. Chunks are read by
// offset, so the other file's own file table is never looked at.
#include "container/other_files.h"

#include <utility>

#include "container/frame.h"
#include "storage/posix.h"

namespace treering::container {

using base::Code;
using base::Result;
using base::Status;

Resolve ResolveBeside(std::string path) {
  return [path = std::move(path)](
             std::string_view folder, std::string_view name,
             uint64_t /*size*/) -> Result<std::unique_ptr<storage::ReadableFile>> {
    if (!format::IsFileName(name) || (!folder.empty() && !format::IsFileName(folder))) {
      return Status(Code::kInvalidArgument, "not a file name of a file table");
    }
    TR_ASSIGN_OR_RETURN(const storage::SplitPath split, storage::Split(path));
    TR_ASSIGN_OR_RETURN(auto directory, storage::OpenPosixDirectory(split.directory));
    if (folder.empty()) return directory->OpenToRead(name);
    TR_ASSIGN_OR_RETURN(auto parent, directory->OpenParent());
    TR_ASSIGN_OR_RETURN(auto sibling, parent->OpenChild(folder));
    return sibling->OpenToRead(name);
  };
}

// Opened without the lock, since that calls the caller's function. Where two threads open one file
// at once, the first to come back is kept.
Result<const ChunkFile*> OtherFiles::Get(uint32_t n) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto found = opened_.find(n);
    if (found != opened_.end()) return &found->second->chunks;
  }
  auto opened = std::make_unique<Opened>();
  TR_RETURN_IF_ERROR(Open(n, opened.get()));
  std::lock_guard<std::mutex> lock(mutex_);
  std::unique_ptr<Opened>& kept = opened_[n];
  if (kept == nullptr) kept.swap(opened);
  return &kept->chunks;
}

Status OtherFiles::Open(uint32_t n, Opened* out) const {
  TR_ASSIGN_OR_RETURN(const format::FileRecord record, index_->File(n - 1));
  TR_ASSIGN_OR_RETURN(const std::string_view folder,
                      index_->Text(record.folder, record.folder_size));
  TR_ASSIGN_OR_RETURN(const std::string_view name, index_->Text(record.name, record.name_size));
  if (!format::IsFileName(name) || (!folder.empty() && !format::IsFileName(folder))) {
    return Status(Code::kCorruptStructure,
                  "'" + *name_ + "': entry " + std::to_string(n - 1) +
                      " of the file table is no name of a file beside it; restore an intact copy");
  }
  Status status = OpenNamed(record, folder, name, out);
  if (status.ok()) return status;
  std::string shown(folder);
  if (!shown.empty()) shown += '/';
  shown += name;
  return std::move(status).WithContext("'" + *name_ + "' needs '" + shown + "'");
}

Status OtherFiles::OpenNamed(const format::FileRecord& record, std::string_view folder,
                             std::string_view name, Opened* out) const {
  if (record.algorithm != format::kDigestXxh3) {
    return Status(Code::kUnsupportedFeature, "digest algorithm " +
                                                 std::to_string(record.algorithm) +
                                                 " is not known; use a newer treering");
  }
  if (!options_->resolve) {
    return Status(Code::kNotFoundFile, "there is no way to find it; give a resolve function");
  }
  TR_ASSIGN_OR_RETURN(out->file, options_->resolve(folder, name, record.size));
  if (out->file == nullptr) return Status(Code::kNotFoundFile, "it is not there");
  if (out->file->size() != record.size) {
    return Status(Code::kCorruptChecksum, "it has " + std::to_string(out->file->size()) +
                                              " bytes, " + std::to_string(record.size) +
                                              " are expected; put the right file there");
  }
  if (options_->map) {
    auto region = out->file->Map();
    if (region.ok()) out->chunks.region = std::move(region.value());
    if (!region.ok() && region.status().code() != Code::kUnsupportedNoView) {
      return std::move(region.status());
    }
  }
  Frame frame;
  TR_RETURN_IF_ERROR(ReadFrame(*out->file, out->chunks.region, options_->max_index_bytes, &frame));
  const codec::Hash128 digest = frame.Digest();
  if (digest.low != base::LoadLe64(record.digest.data()) ||
      digest.high != base::LoadLe64(record.digest.data() + 8)) {
    return Status(Code::kCorruptChecksum,
                  "it is another file than the one that was written with this checkpoint: its "
                  "digest differs; put the right file there");
  }
  out->chunks.file = out->file.get();
  out->chunks.end = frame.trailer.index_offset;
  return Status();
}

}  // namespace treering::container
