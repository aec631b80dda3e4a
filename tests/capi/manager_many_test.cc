// SPDX-License-Identifier: Apache-2.0
// Ten thousand versions in one directory: opened, listed in pieces, ranked, pruned.
//
// The records are made by the format room, since saving as many checkpoints would take minutes; no
// container exists, which shows that listing touches none.
extern "C" {
#include "support.h"
}

#include <ftw.h>

#include <string>
#include <vector>

#include "format/manifest.h"
#include "format/names.h"

namespace {

namespace format = treering::format;

constexpr uint64_t kVersions = 10000;
constexpr uint64_t kAtOnce = 777;

int RemoveEntry(const char* path, const struct stat*, int, struct FTW*) { return remove(path); }

class Folder {
 public:
  Folder() {
    const char* base = getenv("TMPDIR");
    path_ = std::string(base != nullptr ? base : "/tmp") + "/treering-many-XXXXXX";
    if (mkdtemp(path_.data()) == nullptr) path_.clear();
  }
  ~Folder() { nftw(path_.c_str(), RemoveEntry, 16, FTW_DEPTH | FTW_PHYS); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string run() const { return path_ + "/run"; }

 private:
  std::string path_;
};

struct Manager {
  treering_manager* handle = nullptr;
  Manager(const Folder& folder, int32_t mode) {
    treering_manager_options options = {};
    options.struct_size = sizeof(options);
    options.mode = mode;
    treering_manager_open(&handle, folder.run().c_str(), TREERING_NUL, &options, nullptr);
  }
  ~Manager() { treering_manager_free(handle); }
  Manager(const Manager&) = delete;
  Manager& operator=(const Manager&) = delete;
};

bool WriteRecords(const Folder& folder) {
  treering_store_info info = {};
  info.struct_size = sizeof(info);
  {
    const Manager manager(folder, TREERING_CREATE_NEW);
    if (treering_manager_info(&info, manager.handle, nullptr) != TREERING_OK) return false;
  }
  for (uint64_t i = 0; i < kVersions; ++i) {
    format::ManifestRecord record;
    record.number = i + 1;
    record.step = static_cast<int64_t>(i);
    std::memcpy(record.store.data(), info.uuid, record.store.size());
    std::memcpy(record.attempt.data(), &record.number, sizeof(record.number));
    record.started = record.committed = static_cast<int64_t>(i) + 1;
    record.files.push_back({"", "default.ring", 100, format::kDigestXxh3, {}});
    record.items.push_back({format::kTreeItem, "default"});
    record.metrics.push_back({"loss", static_cast<double>(i)});
    const std::vector<uint8_t> bytes = format::EncodeManifest(&record);
    const std::string path = folder.run() + "/manifests/" + format::RecordName(record.number);
    FILE* file = fopen(path.c_str(), "wb");
    if (file == nullptr || fwrite(bytes.data(), 1, bytes.size(), file) != bytes.size())
      return false;
    fclose(file);
  }
  return true;
}

// How many versions a listing in pieces gives, all of them as they were written.
uint64_t CountListed(const treering_manager* manager) {
  std::vector<treering_version_info> batch(kAtOnce);
  uint64_t listed = 0;
  for (;;) {
    uint64_t count = 0;
    if (treering_manager_versions(manager, listed, batch.data(), sizeof(batch[0]), kAtOnce, &count,
                                  nullptr) != TREERING_OK) {
      return 0;
    }
    for (uint64_t i = 0; i < count; ++i, ++listed) {
      const treering_version_info& version = batch[i];
      const bool right = version.step == static_cast<int64_t>(listed) && version.size == 100 &&
                         version.number == listed + 1 && version.metric_count == 1 &&
                         version.metrics[0].value == static_cast<double>(listed);
      if (!right) return 0;
    }
    if (count < kAtOnce) return listed;
  }
}

struct Found {
  bool written = false;
  uint64_t counted = 0;
  uint64_t listed[2] = {};
  bool same_memory = false;
  treering_status pruned = -1;
  uint64_t left = 0;
  int64_t first_left = -1;
};

Found Run() {
  Found found;
  const Folder folder;
  found.written = WriteRecords(folder);
  if (!found.written) return found;
  treering_version_info first[2] = {};
  uint64_t count = 0;
  {
    const Manager reader(folder, TREERING_READ_ONLY);
    treering_store_info info = {};
    info.struct_size = sizeof(info);
    treering_manager_info(&info, reader.handle, nullptr);
    found.counted = info.version_count;
    for (int i = 0; i < 2; ++i) {
      found.listed[i] = CountListed(reader.handle);
      treering_manager_versions(reader.handle, 0, &first[i], sizeof(first[i]), 1, &count, nullptr);
    }
    found.same_memory = first[0].metrics == first[1].metrics && first[0].file == first[1].file;
  }
  const Manager writer(folder, TREERING_OPEN_EXISTING);
  treering_keep_policy policies[2] = {};
  policies[0].kind = TREERING_KEEP_LATEST;
  policies[0].count = 3;
  policies[1].kind = TREERING_KEEP_BEST;
  policies[1].count = 1;
  policies[1].metric = "loss";
  policies[1].metric_size = TREERING_NUL;
  policies[1].lowest = 1;
  found.pruned = treering_manager_prune(writer.handle, policies, sizeof(policies[0]), 2, 0, nullptr,
                                        sizeof(treering_decision), 0, &count, nullptr);
  treering_store_info info = {};
  info.struct_size = sizeof(info);
  treering_manager_info(&info, writer.handle, nullptr);
  found.left = info.version_count;
  treering_manager_versions(writer.handle, 1, first, sizeof(first[0]), 1, &count, nullptr);
  found.first_left = first[0].step;
  return found;
}

void ten_thousand_versions_are_listed_from_their_records_alone(void**) {
  const Found found = Run();
  assert_true(found.written);
  assert_int_equal(found.counted, kVersions);
  assert_int_equal(found.listed[0], kVersions);
  assert_int_equal(found.listed[1], kVersions);
  assert_true(found.same_memory);
  assert_int_equal(found.pruned, TREERING_OK);
  assert_int_equal(found.left, 4);
  assert_int_equal(found.first_left, 9997);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(ten_thousand_versions_are_listed_from_their_records_alone),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
