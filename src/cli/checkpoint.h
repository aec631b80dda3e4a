// SPDX-License-Identifier: Apache-2.0
// An open container as the verbs use it: items, single leaves, paths.
#pragma once

#include <treering/treering.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/address.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/run.h"

namespace treering::cli {

struct CheckpointFree {
  void operator()(treering_checkpoint* p) const { treering_checkpoint_free(p); }
};
struct BlobFree {
  void operator()(treering_blob* p) const { treering_blob_free(p); }
};
struct ReportFree {
  void operator()(treering_report* p) const { treering_report_free(p); }
};
using Blob = std::unique_ptr<treering_blob, BlobFree>;
using Report = std::unique_ptr<treering_report, ReportFree>;

struct Item {
  std::string name;
  int32_t kind = 0;
  uint64_t root = 0;
};

// Attributes that are shown: names and text. The variable type is the most derived one.
struct Attributes {
  std::vector<std::pair<std::string, std::string>> named;
  std::vector<std::string> variable_types;
  std::string type_name;
  bool empty() const { return named.empty() && variable_types.empty() && type_name.empty(); }
};

// What is known of a leaf without its data.
struct Leaf {
  uint64_t id = 0;
  int32_t kind = 0;
  uint32_t dtype = 0;
  std::vector<uint64_t> shape;
  uint64_t bytes = 0;
};

class Checkpoint {
 public:
  // A path in the address is not looked at.
  Outcome Open(const Address& address, const Options& options);

  // As it is shown: a version with its step.
  const std::string& file() const { return file_; }
  const treering_checkpoint* get() const { return handle_.get(); }
  const treering_info& info() const { return info_; }
  const std::vector<Item>& items() const { return items_; }

  // The node at a display path; not found names what is near.
  Outcome Find(const Item& item, std::string_view path, uint64_t* id) const;
  // As the tool shows it: what a terminal must not get is in quotes, with escapes.
  Outcome Path(uint64_t id, std::string* out) const;
  // `node` points into *scratch.
  Outcome Node(uint64_t id, treering_node* node, Blob* scratch) const;

 private:
  Outcome LoadItems();

  std::string file_;
  OpenedCheckpoint opened_;
  std::unique_ptr<treering_checkpoint, CheckpointFree> handle_;  // before what it came from
  treering_info info_ = {};
  std::vector<Item> items_;
};

Leaf LeafOf(const treering_node& node);
Attributes AttributesOf(const treering_node& node);

bool IsArray(int32_t kind);
bool IsLeaf(int32_t kind);
// "dict", "array", "str"; "kind 77" for one that is not known.
std::string KindName(int32_t kind);
const char* ItemKindName(int32_t kind);
std::string DtypeName(uint32_t dtype);
std::string ShapeText(const uint64_t* shape, uint64_t rank);
// "1.0" of major << 16 | minor.
std::string FormatVersion(uint32_t version);
uint64_t Elements(const uint64_t* shape, uint64_t rank);

}  // namespace treering::cli
