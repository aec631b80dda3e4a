// SPDX-License-Identifier: Apache-2.0
// The operations of the recording file system, as programs see them.
//
// Everything goes through FileSystem::Run, which counts, fails, records and tells; the bodies below
// are what a POSIX system would do, and a test compares the two. What each operation means for the
// medium is in crash_states.cc.
#include "recording_storage.h"

#include <errno.h>
#include <string.h>

#include <algorithm>

#include "base/checked.h"
#include "node.h"
#include "storage/fd.h"
#include "storage/posix.h"

namespace crash {

using base::ByteSpan;
using base::Code;
using base::Result;
using base::Status;
using storage::JoinPath;

namespace {

constexpr const char* kNames[kOps] = {"open",
                                      "read",
                                      "map",
                                      "create",
                                      "write",
                                      "flush",
                                      "close",
                                      "rename",
                                      "remove",
                                      "look for",
                                      "list",
                                      "make directory",
                                      "remove directory",
                                      "lock",
                                      "unlock",
                                      "write lock text",
                                      "flush directory",
                                      "open directory",
                                      "open parent",
                                      "get random bytes",
                                      "note"};

Status Error(int os_error, Op kind, const std::string& path) {
  const Status status =
      storage::StatusFromErrno(os_error, std::string("cannot ") + NameOf(kind) + " '" + path + "'");
  const bool sync = kind == Op::kSyncFile || kind == Op::kSyncDirectory;
  if (!sync || os_error == ENOENT) return status;
  return Status(Code::kIoSync, std::string(status.message()), os_error);
}

bool IsRecordName(std::string_view name) {
  return name.size() == 20 && name.find_first_not_of("0123456789") == std::string_view::npos;
}

bool IsManifests(const Node& directory) {
  if (directory.parent == nullptr) return false;
  const auto found = directory.parent->entries.find("manifests");
  return found != directory.parent->entries.end() && found->second.get() == &directory;
}

}  // namespace

const char* NameOf(Op kind) { return kNames[static_cast<uint32_t>(kind)]; }

class RecordingReader final : public storage::ReadableFile {
 public:
  RecordingReader(FileSystem* fs, ImagePtr image, std::string path)
      : fs_(fs), image_(std::move(image)), path_(std::move(path)) {}
  ~RecordingReader() override {
    const std::lock_guard<std::mutex> guard(fs_->mutex_);
    --fs_->handles_;
  }

  Status ReadAt(uint64_t offset, void* dst, uint64_t n) const override {
    return fs_->Run(Op::kRead, path_, [&] {
      const ByteSpan bytes = image_->bytes();
      if (!base::InBounds(offset, n, bytes.size)) {
        return Status(Code::kCorruptTruncated,
                      "'" + path_ + "' ends at byte " + std::to_string(bytes.size), 0, bytes.size);
      }
      if (n != 0) memcpy(dst, bytes.data + offset, static_cast<size_t>(n));
      return Status();
    });
  }
  Result<std::shared_ptr<const storage::Region>> Map() const override {
    TR_RETURN_IF_ERROR(fs_->Run(Op::kMap, path_, [] { return Status(); }));
    return std::shared_ptr<const storage::Region>(image_);
  }
  uint64_t size() const override { return image_->bytes().size; }
  const std::string& name() const override { return path_; }

 private:
  FileSystem* fs_;
  ImagePtr image_;
  std::string path_;
};

class RecordingWriter final : public storage::WritableFile {
 public:
  RecordingWriter(FileSystem* fs, NodePtr node, std::string path)
      : fs_(fs), node_(std::move(node)), path_(std::move(path)) {}
  ~RecordingWriter() override {
    const std::lock_guard<std::mutex> guard(fs_->mutex_);
    if (!closed_) --fs_->handles_;
  }

  Status Append(ByteSpan bytes) override {
    return Run(Op::kAppend, [&](bool fault) {
      if (node_->append_failed || node_->sync_failed) {
        fs_->Violate("'" + path_ + "' was written after a failure");
      }
      node_->image = nullptr;
      const uint64_t n = fault ? bytes.size / 2 : bytes.size;
      if (n != 0) node_->written.insert(node_->written.end(), bytes.data, bytes.data + n);
    });
  }
  // A failed flush forgets what it should have written: the next one finds nothing to do.
  Status Sync() override {
    if (node_->sync_failed) fs_->Violate("'" + path_ + "' was flushed again after a failure");
    if (node_->append_failed) fs_->Violate("'" + path_ + "' was flushed after a failed write");
    return Run(Op::kSyncFile, [&](bool) {
      if (!node_->sync_failed) node_->durable_size = node_->size();
    });
  }
  Status Close() override {
    const Status status = Run(Op::kClose, [](bool) {});
    const std::lock_guard<std::mutex> guard(fs_->mutex_);
    if (!closed_) --fs_->handles_;
    closed_ = true;
    node_->open = false;
    return status;
  }
  const std::string& name() const override { return path_; }

 private:
  Status Run(Op kind, const std::function<void(bool)>& body) {
    bool ran = false;
    const Status status = fs_->Run(kind, path_, [&] {
      if (closed_) return storage::ClosedFile(path_);
      ran = true;
      body(fs_->log_.back().fault);
      return Status();
    });
    if (status.ok() || (!ran && closed_)) return status;
    const std::lock_guard<std::mutex> guard(fs_->mutex_);
    (kind == Op::kAppend     ? node_->append_failed
     : kind == Op::kSyncFile ? node_->sync_failed
                             : node_->close_failed) = true;
    return status;
  }

  FileSystem* fs_;
  NodePtr node_;
  std::string path_;
  bool closed_ = false;
};

class RecordingLock final : public storage::Lock {
 public:
  RecordingLock(FileSystem* fs, NodePtr node, std::string path)
      : fs_(fs), node_(std::move(node)), path_(std::move(path)) {}
  ~RecordingLock() override {
    const std::lock_guard<std::mutex> guard(fs_->mutex_);
    Free();
  }

  Status Unlock() override {
    const Status status = fs_->Run(Op::kUnlock, path_, [] { return Status(); });
    const std::lock_guard<std::mutex> guard(fs_->mutex_);
    Free();
    return status;
  }
  Status Write(std::string_view text) override {
    return fs_->Run(Op::kLockText, path_, [&] {
      node_->image = std::make_shared<const Image>(Bytes(text.begin(), text.end()));
      node_->durable_size = 0;
      return Status();
    });
  }

 private:
  void Free() {
    if (!held_) return;
    held_ = false;
    node_->locked = false;
    --fs_->handles_;
  }

  FileSystem* fs_;
  NodePtr node_;
  std::string path_;
  bool held_ = true;
};

class RecordingDirectory final : public storage::Directory {
 public:
  RecordingDirectory(FileSystem* fs, NodePtr node, std::string path)
      : fs_(fs), node_(std::move(node)), path_(std::move(path)) {}
  ~RecordingDirectory() override {
    const std::lock_guard<std::mutex> guard(fs_->mutex_);
    --fs_->handles_;
  }

  Result<std::unique_ptr<storage::ReadableFile>> OpenToRead(std::string_view name) const override;
  Result<std::unique_ptr<storage::WritableFile>> CreateToWrite(
      std::string_view name, const storage::WriteOptions& options) override;
  Status Rename(std::string_view from, std::string_view to, storage::Replace replace) override;
  Status Remove(std::string_view name) override;
  Status SyncFile(std::string_view name) override;
  Result<bool> Exists(std::string_view name) const override;
  Result<std::vector<storage::Entry>> List() const override;
  Result<std::unique_ptr<storage::Directory>> MakeChild(std::string_view name) override;
  Status RemoveChild(std::string_view name) override;
  Result<std::unique_ptr<storage::Lock>> LockFile(std::string_view name,
                                                  int64_t timeout_ms) override;
  Status Sync() override {
    return fs_->Run(Op::kSyncDirectory, path_, [&] {
      fs_->FlushDirectory(node_);
      return Status();
    });
  }
  Result<std::unique_ptr<storage::Directory>> OpenChild(std::string_view name) const override;
  Result<std::unique_ptr<storage::Directory>> OpenParent() const override;
  Status Random(void* dst, uint64_t n) override {
    return fs_->Run(Op::kRandom, path_, [&] {
      for (uint64_t i = 0; i < n; ++i) {
        fs_->random_ = Mix(fs_->random_, 1);
        static_cast<uint8_t*>(dst)[i] = static_cast<uint8_t>(fs_->random_ >> 32);
      }
      return Status();
    });
  }
  int64_t Now() const override {
    const std::lock_guard<std::mutex> guard(fs_->mutex_);
    fs_->clock_ += 1000000;
    return 1700000000000000000 + fs_->clock_;
  }
  const std::string& name() const override { return path_; }

 private:
  NodePtr Look(std::string_view name) const {
    const auto found = node_->entries.find(std::string(name));
    return found == node_->entries.end() ? nullptr : found->second;
  }
  // Runs `body`, which answers an errno, on a name that is one component.
  Status Run(Op kind, std::string_view name, const std::function<int()>& body) const {
    const std::string path = JoinPath(path_, name);
    return fs_->Run(kind, path, [&] {
      if (name.empty() || name == "." || name == ".." || name.find('/') != name.npos ||
          name.find('\0') != name.npos) {
        return Status(Code::kInvalidArgument, "a file name must be one path component");
      }
      if (name.size() > 255) return Error(ENAMETOOLONG, kind, path);
      const int os_error = body();
      return os_error == 0 ? Status() : Error(os_error, kind, path);
    });
  }
  std::unique_ptr<storage::Directory> Handle(NodePtr node, std::string path) const {
    const std::lock_guard<std::mutex> guard(fs_->mutex_);
    ++fs_->handles_;
    return std::make_unique<RecordingDirectory>(fs_, std::move(node), std::move(path));
  }

  FileSystem* fs_;
  NodePtr node_;
  std::string path_;
};

Result<std::unique_ptr<storage::ReadableFile>> RecordingDirectory::OpenToRead(
    std::string_view name) const {
  ImagePtr image;
  bool is_directory = false;
  const Status status = Run(Op::kOpenToRead, name, [&] {
    const NodePtr node = Look(name);
    if (node == nullptr) return ENOENT;
    is_directory = node->directory;
    if (is_directory) return EISDIR;
    image = node->Contents();
    return 0;
  });
  if (is_directory) {
    return Status(Code::kInvalidArgument, "'" + std::string(name) + "' is a directory");
  }
  if (!status.ok()) return status;
  {
    const std::lock_guard<std::mutex> guard(fs_->mutex_);
    ++fs_->handles_;
  }
  return std::unique_ptr<storage::ReadableFile>(
      new RecordingReader(fs_, std::move(image), JoinPath(path_, name)));
}

Result<std::unique_ptr<storage::WritableFile>> RecordingDirectory::CreateToWrite(
    std::string_view name, const storage::WriteOptions&) {
  NodePtr node;
  const Status status = Run(Op::kCreate, name, [&] {
    if (node_->removed) return ENOENT;
    if (Look(name) != nullptr) return EEXIST;
    if (IsManifests(*node_) && IsRecordName(name)) {
      fs_->Violate("'" + JoinPath(path_, name) + "' was written in place");
    }
    node = std::make_shared<Node>();
    fs_->Apply(node_, {{std::string(name), node}});
    return 0;
  });
  if (!status.ok()) return status;
  node->open = true;
  {
    const std::lock_guard<std::mutex> guard(fs_->mutex_);
    ++fs_->handles_;
  }
  return std::unique_ptr<storage::WritableFile>(
      new RecordingWriter(fs_, std::move(node), JoinPath(path_, name)));
}

Status RecordingDirectory::Rename(std::string_view from, std::string_view to,
                                  storage::Replace replace) {
  return Run(Op::kRename, from, [&] {
    const NodePtr node = Look(from);
    const NodePtr there = Look(to);
    if (node == nullptr) return ENOENT;
    if (there != nullptr && replace != storage::Replace::kYes) return EEXIST;
    if (there != nullptr && there->directory != node->directory) {
      return there->directory ? EISDIR : ENOTDIR;
    }
    fs_->CheckRecordOrder(*node_, std::string(from), std::string(to));
    fs_->Apply(node_, {{std::string(from), nullptr}, {std::string(to), node}});
    return 0;
  });
}

Status RecordingDirectory::Remove(std::string_view name) {
  return Run(Op::kRemove, name, [&] {
    const NodePtr node = Look(name);
    if (node == nullptr) return ENOENT;
    if (node->directory) return EISDIR;
    fs_->Apply(node_, {{std::string(name), nullptr}});
    return 0;
  });
}

Status RecordingDirectory::SyncFile(std::string_view name) {
  NodePtr node;
  const Status status = Run(Op::kSyncFile, name, [&] {
    node = Look(name);
    if (node == nullptr) return ENOENT;
    if (node->directory) return EISDIR;
    if (node->sync_failed) {
      fs_->Violate("'" + JoinPath(path_, name) + "' was flushed again after a failure");
    } else {
      node->durable_size = node->size();
    }
    return 0;
  });
  if (status.ok() || status.os_error() == ENOENT || status.os_error() == EISDIR) return status;
  const std::lock_guard<std::mutex> guard(fs_->mutex_);
  if (const NodePtr failed = Look(name)) failed->sync_failed = true;
  return status;
}

Result<bool> RecordingDirectory::Exists(std::string_view name) const {
  bool there = false;
  TR_RETURN_IF_ERROR(Run(Op::kExists, name, [&] {
    there = Look(name) != nullptr;
    return 0;
  }));
  return there;
}

Result<std::vector<storage::Entry>> RecordingDirectory::List() const {
  std::vector<storage::Entry> entries;
  TR_RETURN_IF_ERROR(fs_->Run(Op::kList, path_, [&] {
    if (node_->removed) return Error(ENOENT, Op::kList, path_);
    for (const auto& [name, node] : node_->entries) {
      entries.push_back(
          {name, node->directory ? storage::EntryKind::kDirectory : storage::EntryKind::kFile});
    }
    return Status();
  }));
  return entries;
}

Result<std::unique_ptr<storage::Directory>> RecordingDirectory::MakeChild(std::string_view name) {
  NodePtr node;
  TR_RETURN_IF_ERROR(Run(Op::kMakeChild, name, [&] {
    if (node_->removed) return ENOENT;
    if (Look(name) != nullptr) return EEXIST;
    node = std::make_shared<Node>();
    node->directory = true;
    node->parent = node_.get();
    fs_->Apply(node_, {{std::string(name), node}});
    return 0;
  }));
  return Handle(std::move(node), JoinPath(path_, name));
}

Status RecordingDirectory::RemoveChild(std::string_view name) {
  return Run(Op::kRemoveChild, name, [&] {
    const NodePtr node = Look(name);
    if (node == nullptr) return ENOENT;
    if (!node->directory) return ENOTDIR;
    if (!node->entries.empty()) return ENOTEMPTY;
    node->removed = true;
    fs_->Apply(node_, {{std::string(name), nullptr}});
    return 0;
  });
}

Result<std::unique_ptr<storage::Lock>> RecordingDirectory::LockFile(std::string_view name,
                                                                    int64_t) {
  NodePtr node;
  Status busy;
  TR_RETURN_IF_ERROR(Run(Op::kLock, name, [&] {
    node = Look(name);
    if (node != nullptr && node->directory) return EISDIR;
    if (node == nullptr) {
      if (node_->removed) return ENOENT;
      node = std::make_shared<Node>();
      fs_->Apply(node_, {{std::string(name), node}});
    }
    if (node->locked) {
      busy = Status(Code::kBusy, std::string(node->Contents()->bytes().text()), EAGAIN);
    }
    return 0;
  }));
  if (!busy.ok()) return busy;
  const std::lock_guard<std::mutex> guard(fs_->mutex_);
  node->locked = true;
  ++fs_->handles_;
  return std::unique_ptr<storage::Lock>(
      new RecordingLock(fs_, std::move(node), JoinPath(path_, name)));
}

Result<std::unique_ptr<storage::Directory>> RecordingDirectory::OpenChild(
    std::string_view name) const {
  NodePtr node;
  TR_RETURN_IF_ERROR(Run(Op::kOpenChild, name, [&] {
    node = Look(name);
    return node == nullptr ? ENOENT : node->directory ? 0 : ENOTDIR;
  }));
  return Handle(std::move(node), JoinPath(path_, name));
}

Result<std::unique_ptr<storage::Directory>> RecordingDirectory::OpenParent() const {
  TR_RETURN_IF_ERROR(fs_->Run(Op::kOpenParent, path_, [] { return Status(); }));
  Node* parent = node_->parent == nullptr ? node_.get() : node_->parent;
  const std::string path = path_.substr(0, std::max<size_t>(1, path_.rfind('/')));
  return Handle(parent->shared_from_this(), path);
}

FileSystem::FileSystem(uint64_t seed) : random_(Mix(seed, 0)), root_(std::make_shared<Node>()) {
  root_->directory = true;
}

FileSystem::~FileSystem() = default;

std::unique_ptr<storage::Directory> FileSystem::OpenRoot() {
  ++handles_;
  return std::make_unique<RecordingDirectory>(this, root_, "/");
}

void FileSystem::Note(std::string what) {
  const Status always_ok = Run(Op::kNote, std::move(what), [] { return Status(); });
  static_cast<void>(always_ok.ok());
}

void FileSystem::SetFault(const Fault& fault) {
  fault_ = fault;
  matching_ = faults_hit_ = 0;
}

bool FileSystem::FaultNow(Op kind) {
  if (fault_.at == 0 || kind == Op::kNote) return false;
  if (matching_ >= fault_.at) return fault_.for_ever && (fault_.then & Bit(kind)) != 0;
  if ((fault_.kinds & Bit(kind)) == 0 || ++matching_ != fault_.at) return false;
  if (fault_.then_its_kind) fault_.then = Bit(kind);
  return true;
}

Status FileSystem::Run(Op kind, std::string path, const std::function<Status()>& body) {
  Operation told;
  Status status;
  {
    const std::lock_guard<std::mutex> guard(mutex_);
    const bool fault = FaultNow(kind);
    log_.push_back({kind, std::move(path), Code::kOk, 0, fault});
    if (!fault || fault_.happens) status = body();
    if (fault) {
      ++faults_hit_;
      status = Error(fault_.os_error, kind, log_.back().path);
    }
    log_.back().result = status.code();
    log_.back().os_error = status.os_error();
    if (after_) told = log_.back();
  }
  if (after_) after_(told);
  return status;
}

void FileSystem::Violate(std::string what) {
  if (std::find(violations_.begin(), violations_.end(), what) == violations_.end()) {
    violations_.push_back(std::move(what));
  }
}

// The record gets its name: what it names must be on the medium. The temporary name, which is
// ".<attempt folder>.tmp", tells the folder; a record without data has none.
void FileSystem::CheckRecordOrder(const Node& manifests, const std::string& from,
                                  const std::string& to) {
  if (!IsRecordName(to) || !IsManifests(manifests)) return;
  const auto sure = [](const Node& file) {
    return file.durable_size == file.size() && !file.open && !file.sync_failed &&
           !file.append_failed && !file.close_failed;
  };
  if (!sure(*manifests.entries.at(from))) Violate("record " + to + " was named before it was sure");
  const auto data = manifests.parent->entries.find("data");
  if (data == manifests.parent->entries.end() || from.size() < 5) return;
  const std::string folder = from.substr(1, from.size() - 5);
  const auto attempt = data->second->entries.find(folder);
  if (attempt == data->second->entries.end()) return;
  for (const auto& [name, file] : attempt->second->entries) {
    if (!file->directory && !sure(*file)) {
      Violate("record " + to + " was named before '" + name + "' was sure");
    }
  }
  for (const Change& change : pending_) {
    const bool own_entry =
        change.directory == data->second && change.assignments[0].first == folder;
    if (change.directory == attempt->second || own_entry) {
      Violate("record " + to + " was named before its folder was flushed");
    }
  }
}

}  // namespace crash
