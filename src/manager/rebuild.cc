// SPDX-License-Identifier: Apache-2.0
// Bringing back versions whose records are lost.
//
// A container that was written by a manager says in its metadata which step it is and with which
// metrics it was saved. Where it is whole, that is all that a record needs but for the times, which
// are marked as not known. Nothing is guessed: of two whole containers for one step neither is
// taken, and a step that has a record keeps it. The caller asks for this; it never happens by
// itself.
#include <map>

#include "container/verify.h"
#include "format/names.h"
#include "format/version_note.h"
#include "manager/manager.h"

namespace treering::manager {
namespace {

using base::Code;
using base::Result;
using base::Status;

struct Lost {
  Store::Orphan orphan;
  format::ManifestRecord record;
};

Result<std::string> TextOf(const container::Container& container, uint64_t offset, uint64_t size) {
  TR_ASSIGN_OR_RETURN(const std::string_view text, container.index().Text(offset, size));
  return std::string(text);
}

Status ReadItems(const container::Container& container, format::ManifestRecord* record) {
  const container::IndexView& index = container.index();
  for (uint32_t i = 0; i < index.count(format::kItems); ++i) {
    TR_ASSIGN_OR_RETURN(const format::ItemRecord item, index.Item(i));
    TR_ASSIGN_OR_RETURN(const std::string_view name, container.ItemName(item));
    record->items.push_back({item.kind, std::string(name)});
  }
  for (uint32_t i = 0; i < index.count(format::kFiles); ++i) {
    TR_ASSIGN_OR_RETURN(const format::FileRecord file, index.File(i));
    format::ManifestFile other;
    TR_ASSIGN_OR_RETURN(other.folder, TextOf(container, file.folder, file.folder_size));
    TR_ASSIGN_OR_RETURN(other.name, TextOf(container, file.name, file.name_size));
    other.size = file.size;
    other.algorithm = file.algorithm;
    other.digest = file.digest;
    record->other_files.push_back(std::move(other));
  }
  return {};
}

// The record that the container of an orphan would have had. *opened: it is a container, so it is
// not what a dead attempt leaves, even if some of its leaves are damaged.
Status Describe(const Store& store, const Store::Orphan& orphan, format::ManifestRecord* record,
                bool* opened) {
  TR_ASSIGN_OR_RETURN(auto file, store.OpenOrphan(orphan));
  TR_ASSIGN_OR_RETURN(const auto whole, container::Container::Open(std::move(file), {}));
  const container::Container& container = *whole;
  *opened = true;
  tree::Report report;
  TR_RETURN_IF_ERROR(container::Verify(container, {}, &report));
  TR_ASSIGN_OR_RETURN(const std::string_view text, container.metadata());
  TR_ASSIGN_OR_RETURN(format::VersionNote note, format::DecodeVersionNote(text));
  if (note.step != orphan.step) {
    return Status(Code::kMismatch, "it was saved as step " + std::to_string(note.step));
  }
  record->metrics = std::move(note.metrics);
  record->metrics_document = std::move(note.metrics_document);
  record->metadata = std::move(note.metadata);
  record->files.push_back(
      FileEntry(format::kContainerName, container.file().size(), container.index().trailer().file));
  return ReadItems(container, record);
}

// What a file that a dead attempt left half written looks like.
bool IsDamage(Code code) {
  return base::ClassOf(code) == static_cast<int>(Code::kCorrupt) || code == Code::kNotTreering ||
         code == Code::kNotFoundFile;
}

tree::Finding NotTaken(const std::string& folder, const Status& why) {
  tree::Finding finding;
  finding.kind = tree::FindingKind::kSkippedVersion;
  finding.code = why.code();
  finding.path = "data/" + folder;
  finding.found = std::string(why.message());
  return finding;
}

}  // namespace

format::ManifestFile FileEntry(std::string_view name, uint64_t size, const codec::Hash128& digest) {
  format::ManifestFile file;
  file.name = std::string(name);
  file.size = size;
  base::StoreLe64(file.digest.data(), digest.low);
  base::StoreLe64(file.digest.data() + 8, digest.high);
  return file;
}

Result<uint64_t> Manager::Rebuild(tree::Report* report) {
  TR_RETURN_IF_ERROR(store_->Usable());
  TR_RETURN_IF_ERROR(WaitBefore("rebuilt"));
  TR_RETURN_IF_ERROR(store_->Reload());  // records that were put back meanwhile
  TR_ASSIGN_OR_RETURN(const std::vector<Store::Orphan> orphans, store_->Orphans());
  std::map<int64_t, std::vector<Lost>> by_step;
  bool open_questions = false;  // about what a damaged record may have named
  for (const Store::Orphan& orphan : orphans) {
    Lost candidate{orphan, {}};
    bool opened = false;
    Status whole = Describe(*store_, orphan, &candidate.record, &opened);
    if (whole.ok()) {
      by_step[orphan.step].push_back(std::move(candidate));
    } else {
      open_questions = open_questions || opened || !IsDamage(whole.code());
      if (opened) {
        whole = Status(whole.code(), std::string(whole.message()) +
                                         "; what is intact in it can be read by its path");
      }
      report->Add(NotTaken(orphan.folder, whole));
    }
  }
  uint64_t count = 0;
  for (auto& [step, candidates] : by_step) {
    const bool known = !store_->catalog()->NumbersOf(step).empty();  // a removed one counts too
    if (known || candidates.size() > 1) {
      open_questions = true;
      const Status why(Code::kAlreadyExists,
                       known ? "the step has a record already; if that version is the right one, "
                               "move this folder away"
                             : "several whole containers claim this step; move away all but one");
      for (const Lost& candidate : candidates) {
        report->Add(NotTaken(candidate.orphan.folder, why));
      }
      continue;
    }
    TR_RETURN_IF_ERROR(store_->Adopt(candidates[0].orphan, std::move(candidates[0].record)));
    ++count;
  }
  // With every whole container under a record again, a damaged record names nothing that is needed.
  if (!open_questions) TR_RETURN_IF_ERROR(store_->RemoveBad());
  return count;
}

}  // namespace treering::manager
