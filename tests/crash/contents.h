// SPDX-License-Identifier: Apache-2.0
// What the crash tests save: trees by number, their containers, and the check that one came back.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "container/writer.h"
#include "format/manifest.h"
#include "storage/storage.h"
#include "tree/tree.h"

namespace crash {

namespace container = treering::container;
namespace format = treering::format;
namespace storage = treering::storage;
namespace tree = treering::tree;

struct Content {
  tree::Tree tree;
  std::vector<uint8_t> file;  // the container that holds it
  container::Summary summary;
  std::shared_ptr<const void> lent;  // what the tree points to
};

class Contents {
 public:
  // Trees of different numbers differ in values; sizes are from some hundred bytes to some KiB.
  const Content& Get(int number);
  // The record of a version that holds it, as far as a saver fills it.
  format::ManifestRecord RecordOf(int number);
  // The number that a record says; -1 if it says none.
  static int NumberOf(const format::ManifestRecord& record);
  // "" if the bytes are a container that is right in every respect and holds what was handed in for
  // the number. Bytes that were found right are only compared the next time.
  std::string Check(const std::shared_ptr<const storage::Region>& region, int number);

 private:
  std::map<int, std::unique_ptr<Content>> made_;
  std::set<int> right_;
};

}  // namespace crash
