// SPDX-License-Identifier: Apache-2.0
// Saving a step: decide, write, commit, and only then drop what the policies no longer keep.
//
// A save at once and one in the background run the same job; the latter on the queue's thread, with
// the leaves passing through a staging, so that the caller may go on when they are copied. The
// failure of a job is its save's; the queue tells it to the next call that can hear it (D11).
//
// Everything that can be refused is refused before anything is written: names, JSON, steps.
#include "manager/manager.h"

#include <algorithm>
#include <new>
#include <set>
#include <utility>

#include "base/planted.h"
#include "format/names.h"
#include "format/version_note.h"
#include "storage/posix.h"

namespace treering::manager {
namespace {

using base::Code;
using base::Result;
using base::Status;

Status CheckJson(std::string_view text, const char* what) {
  uint64_t offset = 0;
  if (text.empty() || container::IsJson(text, &offset)) return {};
  return Status(
      Code::kInvalidArgument,
      std::string(what) + " is not one JSON value: see its byte " + std::to_string(offset));
}

Status CheckMetrics(const std::vector<format::Metric>& metrics) {
  std::set<std::string_view> names;
  for (const format::Metric& metric : metrics) {
    if (metric.name.empty() || metric.name.size() > 255) {
      return Status(Code::kInvalidArgument, "a metric's name must have 1 to 255 bytes, not " +
                                                std::to_string(metric.name.size()));
    }
    uint64_t offset = 0;
    if (!container::IsJson(format::JsonQuoted(metric.name), &offset)) {
      return Status(Code::kInvalidArgument, "a metric's name is not UTF-8");
    }
    if (!names.insert(metric.name).second) {
      return Status(Code::kInvalidArgument, "the metric '" + metric.name + "' is given twice");
    }
  }
  return {};
}

Status CheckItems(const std::vector<SaveItem>& items) {
  if (items.empty()) return Status(Code::kInvalidArgument, "there is nothing to save: no items");
  std::set<std::string_view> names;
  for (const SaveItem& item : items) {
    const std::string name(item.name);
    if (name.empty() || name.size() > format::kMaxItemName) {
      return Status(Code::kInvalidArgument,
                    "an item's name must have 1 to 255 bytes, not " + std::to_string(name.size()));
    }
    if (!names.insert(item.name).second) {
      return Status(Code::kInvalidArgument, "the item '" + name + "' is given twice");
    }
    if (item.kind == format::kTreeItem && item.tree == nullptr) {
      return Status(Code::kInvalidArgument, "the item '" + name + "' is a tree without a tree");
    }
    if (item.kind == format::kJsonItem) {
      const Status json = CheckJson(item.bytes.text(), ("the item '" + name + "'").c_str());
      if (!json.ok() || item.bytes.size == 0) {
        return json.ok() ? Status(Code::kInvalidArgument, "the item '" + name + "' is empty")
                         : json;
      }
    }
  }
  return {};
}

}  // namespace

// What a save needs from its call, in the form that outlives it where it must.
struct Manager::Job {
  struct Item {
    std::string name;
    format::ItemKind kind;
    const tree::Tree* tree = nullptr;  // saves at once
    size_t staged = 0;                 // position in `staging`
    base::ByteSpan bytes;
    std::string copy;  // what `bytes` are in a save in the background
  };

  int64_t step = 0;
  StepOptions options;
  std::vector<Item> items;
  std::shared_ptr<Staging> staging;
  Manager* manager = nullptr;
  bool counted = false;  // in in_flight_

  ~Job() {
    if (staging != nullptr) staging->Finish();
    if (!counted) return;
    const std::lock_guard<std::mutex> hold(manager->in_flight_mutex_);
    manager->in_flight_.erase(manager->in_flight_.find(step));
  }
};

Manager::Manager(ManagerOptions options)
    : options_(std::move(options)), queue_(options_.save_queue) {}

Result<std::unique_ptr<Manager>> Manager::Open(std::unique_ptr<storage::Directory> parent,
                                               std::string_view name, ManagerOptions options) {
  TR_RETURN_IF_ERROR(CheckSavePolicies(options.save_policies));
  TR_RETURN_IF_ERROR(CheckPreservePolicies(options.keep_policies));
  TR_RETURN_IF_ERROR(CheckJson(options.store.metadata, "the metadata"));
  std::unique_ptr<Manager> manager(new Manager(std::move(options)));
  TR_ASSIGN_OR_RETURN(manager->store_,
                      Store::Open(std::move(parent), name, manager->options_.store));
  return manager;
}

Result<std::unique_ptr<Manager>> Manager::Open(std::string_view path, ManagerOptions options) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  TR_ASSIGN_OR_RETURN(const storage::SplitPath split, storage::SplitDirectory(path));
  TR_ASSIGN_OR_RETURN(auto parent, storage::OpenPosixParent(split.directory));
  return Open(std::move(parent), split.name, std::move(options));
}

Manager::~Manager() {
  if (store_ == nullptr) return;
  if (store_->Forked()) {
    queue_.Abandon();
    return;
  }
  static_cast<void>(queue_.Close(0));
  static_cast<void>(store_->Close());
}

std::vector<std::pair<int64_t, int64_t>> Manager::InFlight() const {
  const std::lock_guard<std::mutex> hold(in_flight_mutex_);
  return {in_flight_.begin(), in_flight_.end()};
}

Status Manager::CheckStep(int64_t step, const std::vector<SaveItem>& items,
                          const StepOptions& options) const {
  TR_RETURN_IF_ERROR(store_->Usable());
  if (store_->read_only()) {
    return Status(Code::kWrongState, "'" + name() + "' was opened read-only; open it for writing");
  }
  if (step < 0) {
    return Status(Code::kInvalidArgument,
                  "step " + std::to_string(step) + " is negative; steps begin at 0");
  }
  TR_RETURN_IF_ERROR(CheckItems(items));
  TR_RETURN_IF_ERROR(CheckMetrics(options.metrics));
  TR_RETURN_IF_ERROR(CheckJson(options.metrics_document, "the metrics document"));
  return CheckJson(options.metadata, "the metadata");
}

bool Manager::IsInFlight(int64_t step) const {
  const std::lock_guard<std::mutex> hold(in_flight_mutex_);
  return in_flight_.count(step) != 0;
}

Status Manager::CheckFree(int64_t step, bool overwrite) const {
  if (overwrite) return {};
  const bool in_flight = IsInFlight(step);
  if (!in_flight && store_->catalog()->Find(step) == nullptr) return {};
  return Status(Code::kAlreadyExists,
                "step " + std::to_string(step) + " of '" + name() +
                    (in_flight ? "' is being saved; wait for it" : "' exists already") +
                    "; save another step, or ask for overwrite");
}

Result<bool> Manager::Wanted(int64_t step, const std::vector<SaveItem>& items,
                             const StepOptions& options) const {
  if (!options.force) {
    TR_RETURN_IF_ERROR(store_->Usable());
    // With `overwrite` an existing step is what the caller means, also one that is being saved;
    // policies look at new ones.
    const bool again =
        options.overwrite && (store_->catalog()->Find(step) != nullptr || IsInFlight(step));
    if (!again) {
      TR_ASSIGN_OR_RETURN(const bool wanted, ShouldSave(step));
      if (!wanted && CheckFree(step, options.overwrite).ok()) return false;
    }
  }
  TR_RETURN_IF_ERROR(CheckStep(step, items, options));
  TR_RETURN_IF_ERROR(CheckFree(step, options.overwrite));
  return true;
}

Status Manager::Save(int64_t step, const std::vector<SaveItem>& items, StepOptions options,
                     Saved* out) {
  *out = Saved();
  TR_ASSIGN_OR_RETURN(const bool wanted, Wanted(step, items, options));
  out->skipped = !wanted;
  if (!wanted) return {};
  TR_RETURN_IF_ERROR(queue_.Wait(-1));
  Job job;
  job.step = step;
  job.options = std::move(options);
  for (const SaveItem& item : items) {
    job.items.push_back({std::string(item.name), item.kind, item.tree, 0, item.bytes, {}});
  }
  requested_.store(false);
  return RunJob(&job, nullptr, out);
}

Result<std::shared_ptr<manager::Save>> Manager::SaveAsync(int64_t step,
                                                          const std::vector<SaveItem>& items,
                                                          StepOptions options) {
  TR_ASSIGN_OR_RETURN(const bool wanted, Wanted(step, items, options));
  if (!wanted) return std::shared_ptr<manager::Save>();
  TR_RETURN_IF_ERROR(queue_.WaitForRoom(true));
  TR_RETURN_IF_ERROR(CheckFree(step, options.overwrite));  // the save that was waited for
  auto job = std::make_shared<Job>();
  job->step = step;
  job->manager = this;
  std::vector<const tree::Tree*> trees;
  for (const SaveItem& item : items) {
    Job::Item kept{std::string(item.name), item.kind, nullptr, trees.size(), {}, {}};
    if (item.kind == format::kTreeItem) {
      trees.push_back(item.tree);
    } else {
      kept.copy = std::string(item.bytes.text());
    }
    job->items.push_back(std::move(kept));
  }
  StagingOptions staging;
  staging.budget = options_.staging_bytes;
  staging.borrow = options.borrow || base::Planted(21);
  staging.threads = options.writer.threads;
  if (!trees.empty()) {
    TR_ASSIGN_OR_RETURN(job->staging, Staging::Create(trees, staging));
  }
  SaveQueue::SubmitOptions submit;
  submit.finished = std::move(options.finished);
  job->options = std::move(options);
  {
    const std::lock_guard<std::mutex> hold(in_flight_mutex_);
    in_flight_.emplace(step, store_->Now());
    job->counted = true;
  }
  requested_.store(false);
  const std::shared_ptr<Staging> copied = job->staging;
  TR_ASSIGN_OR_RETURN(auto save, queue_.Submit(
                                     step,
                                     [this, job = std::move(job)](manager::Save* running) {
                                       Saved saved;
                                       return RunJob(job.get(), running, &saved);
                                     },
                                     std::move(submit)));
  // A failure to copy is the save's, whose job ends with it: told once, by the queue.
  if (copied != nullptr) static_cast<void>(copied->Copy());
  save->SnapshotTaken();
  return save;
}

Status Manager::WriteContainer(Job* job, manager::Save* save, storage::WritableFile* file,
                               container::Summary* summary) {
  container::WriterOptions options = job->options.writer;
  options.metadata = format::EncodeVersionNote(
      {job->step, job->options.metrics, job->options.metrics_document, job->options.metadata});
  if (save != nullptr) {
    options.progress = [save, told = std::move(options.progress)](uint64_t done, uint64_t total) {
      const int32_t cancelled = save->Report(done, total);
      return cancelled != 0 || !told ? cancelled : told(done, total);
    };
  }
  TR_ASSIGN_OR_RETURN(const auto writer, container::Writer::Create(file, std::move(options)));
  for (const Job::Item& item : job->items) {
    if (item.kind != format::kTreeItem) {
      const base::ByteSpan bytes = save == nullptr ? item.bytes : base::ByteSpan(item.copy);
      TR_RETURN_IF_ERROR(writer->AddBytes(item.kind, item.name, bytes));
    } else if (job->staging == nullptr) {
      TR_RETURN_IF_ERROR(writer->AddTree(item.name, *item.tree));
    } else {
      TR_RETURN_IF_ERROR(writer->AddTree(item.name, job->staging->tree(item.staged),
                                         job->staging->gate(item.staged)));
    }
  }
  TR_ASSIGN_OR_RETURN(*summary, writer->Finish());
  return {};
}

Status Manager::RunJob(Job* job, manager::Save* save, Saved* out) {
  storage::WriteOptions write;
  write.io_threads = job->options.io_threads;
  TR_ASSIGN_OR_RETURN(const auto attempt, store_->Begin(job->step, write, job->options.durable));
  container::Summary summary;
  TR_RETURN_IF_ERROR(WriteContainer(job, save, attempt->file(), &summary));
  TR_RETURN_IF_ERROR(attempt->Seal());
  if (save != nullptr && save->cancelled()) {
    return Status(Code::kCancelled, "the save of step " + std::to_string(job->step) +
                                        " was cancelled; nothing of it is there");
  }
  format::ManifestRecord record;
  record.files.push_back(FileEntry(format::kContainerName, summary.file_size, summary.file));
  for (const Job::Item& item : job->items) record.items.push_back({item.kind, item.name});
  record.metrics = job->options.metrics;
  record.metrics_document = job->options.metrics_document;
  record.metadata = job->options.metadata;
  if (base::Planted(11)) Retain(job->step, out);
  Status no_memory(Code::kNoMemory, "no memory to drop old versions");
  Status committed =
      store_->Commit(attempt.get(), std::move(record), job->options.overwrite, &out->record);
  if (out->record != nullptr) out->content = summary.content;
  try {
    if (committed.ok() || base::Planted(12)) Retain(job->step, out);
  } catch (const std::bad_alloc&) {  // the version is there all the same
    out->retention = std::move(no_memory);
  }
  if (save != nullptr && out->record != nullptr) {
    save->SetResult({job->step, out->record->number, out->record->attempt, summary.file_size,
                     summary.content, std::move(out->retention), out->dropped});
  }
  return committed;
}

Status Manager::Wait(int64_t timeout_ms) {
  TR_RETURN_IF_ERROR(store_->Usable());
  return queue_.Wait(timeout_ms);
}

Status Manager::Close(int64_t timeout_ms) {
  if (store_->Forked()) return store_->Usable();
  Status drained = queue_.Close(timeout_ms);
  Status closed = store_->Close();
  return drained.ok() ? std::move(closed) : std::move(drained);
}

}  // namespace treering::manager
