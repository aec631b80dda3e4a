// SPDX-License-Identifier: Apache-2.0
// Arbitrary bytes whose checksums are right: no crash, and what is intact loads and is saved again
// as the same content.

#include "repair.h"
#include "walk.h"

namespace {

using fuzz::Claim;

struct Item {
  std::string name;
  int32_t kind;
  treering_tree* tree;
};

bool AddItem(treering_writer* writer, const Item& item) {
  treering_error error = {};
  error.struct_size = sizeof(error);
  treering_status status;
  if (item.kind == TREERING_ITEM_TREE) {
    status =
        treering_writer_add_tree(writer, item.name.data(), item.name.size(), item.tree, &error);
  } else {
    treering_node node = {};
    status =
        treering_tree_node(&node, sizeof(node), item.tree, treering_tree_root(item.tree), &error);
    Claim(status == TREERING_OK, "the root of a document is there");
    status = treering_writer_add_bytes(writer, item.kind, item.name.data(), item.name.size(),
                                       node.data, node.data_size, &error);
  }
  // Whether a document is JSON is its reader's affair; a writer asks.
  const bool refused = item.kind == TREERING_ITEM_JSON && status == TREERING_INVALID_ARGUMENT;
  Claim(status == TREERING_OK || refused, "what is intact can be saved again", error.message);
  return status == TREERING_OK;
}

// `exactly`: no grid of chunks has been lost by loading, so the digests must agree.
void CheckSavedAgain(const std::vector<Item>& items, const treering_info& info, bool exactly) {
  treering_writer* writer = nullptr;
  treering_blob* blob = nullptr;
  treering_summary summary = {};
  summary.struct_size = sizeof(summary);
  Claim(treering_writer_create_memory(&writer, nullptr, nullptr) == 0, "a writer is made");
  for (const Item& item : items) {
    if (AddItem(writer, item)) continue;
    treering_writer_free(writer);
    return;
  }
  Claim(treering_writer_finish(&summary, &blob, writer, nullptr) == 0, "a writer finishes");
  treering_writer_free(writer);
  Claim(!exactly || std::equal(info.content, info.content + 16, summary.content),
        "the content digest is that of the content");
  treering_checkpoint* again =
      fuzz::Open(static_cast<const uint8_t*>(treering_blob_data(blob)), treering_blob_size(blob));
  Claim(again != nullptr && fuzz::Verify(again) == TREERING_OK, "what was saved again is intact");
  const std::vector<treering_item> found = fuzz::Items(again);
  Claim(found.size() == items.size(), "as many items");
  for (size_t i = 0; i < items.size(); ++i) {
    treering_tree* tree = fuzz::Load(again, found[i], false);
    treering_report* report = nullptr;
    Claim(tree != nullptr, "what was saved again loads");
    Claim(treering_tree_compare(&report, items[i].tree, tree, nullptr, nullptr) == 0, "compares");
    Claim(treering_report_count(report) == 0, "what was saved again is the same");
    treering_report_free(report);
    treering_tree_free(tree);
  }
  treering_checkpoint_free(again);
  treering_blob_free(blob);
}

bool HasPieces(const std::vector<uint8_t>& bytes) {
  const uint8_t* trailer = bytes.data() + bytes.size() - treering::format::kTrailerSize;
  return treering::base::LoadLe32(trailer + 88 + 16 * treering::format::kPieces) != 0;
}

void CheckIntact(const treering_checkpoint* checkpoint, bool exactly) {
  treering_info info = {};
  info.struct_size = sizeof(info);
  Claim(treering_checkpoint_info(&info, checkpoint, nullptr) == 0,
        "what is intact tells of itself");
  if (info.item_count == 0 || info.item_count > 64 || info.file_count != 0) return;
  std::vector<Item> items;
  for (const treering_item& item : fuzz::Items(checkpoint)) {
    std::string said;
    items.push_back({std::string(item.name, item.name_size), item.kind,
                     fuzz::Load(checkpoint, item, false, &said)});
    Claim(items.back().tree != nullptr, "what is intact loads", said);
  }
  CheckSavedAgain(items, info, exactly);
  for (const Item& item : items) treering_tree_free(item.tree);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<uint8_t> bytes(data, data + size);
  fuzz::Repair(&bytes);
  treering_checkpoint* checkpoint = fuzz::Open(bytes.data(), bytes.size());
  if (checkpoint == nullptr) return 0;
  if (fuzz::WalkAll(checkpoint)) CheckIntact(checkpoint, !HasPieces(bytes));
  treering_checkpoint_free(checkpoint);
  return 0;
}
