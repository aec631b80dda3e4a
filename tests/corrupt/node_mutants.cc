// SPDX-License-Identifier: Apache-2.0
// Changes of nodes, keys, aliases and the hash table.

#include "mutants.h"

namespace corrupt {
namespace {

namespace base = treering::base;

// A list in a list in a list …: `depth` of them below the root of smallest.
void Nest(Editor* e, uint32_t depth) {
  NodeRecord root = e->node(0);
  root.kind = 2;
  e->SetNode(0, root);
  for (uint32_t i = 1; i <= depth; ++i) {
    NodeRecord list;
    list.kind = 2;
    list.key_kind = 1;
    list.parent = i - 1;
    list.size = i < depth ? 1 : 0;
    list.a = i < depth ? i + 1 : 0;
    e->SetNode(i, list);
  }
  ItemRecord item = e->item(0);
  item.node_count = depth + 1;
  e->SetItem(0, item);
  e->sections[format::kDims].clear();
}

std::function<void(Editor*)> Slot(uint32_t slot, uint32_t tag, uint32_t node) {
  return [=](Editor* e) {
    base::StoreLe32(e->At(format::kHashSlots, slot), tag);
    base::StoreLe32(e->At(format::kHashSlots, slot) + 4, node);
  };
}

// The first slot that is used is emptied, or its tag changed.
std::function<void(Editor*)> UsedSlot(bool empty) {
  return [=](Editor* e) {
    uint8_t* slot = e->sections[format::kHashSlots].data();
    while (base::LoadLe32(slot + 4) == 0) slot += 8;
    slot[0] ^= 1;
    if (empty) std::fill_n(slot, 8, uint8_t{0});
  };
}

void FullTable(Editor* e) {
  const size_t count = e->sections[format::kHashSlots].size() / 8;
  for (uint32_t i = 0; i < count; ++i) Slot(i, 0x12345678, 2)(e);
}

void SameKeys(Editor* e, uint32_t a, uint32_t b) {
  NodeRecord r = e->node(b);
  r.key = e->node(a).key;
  r.key_size = e->node(a).key_size;
  e->SetNode(b, r);
}

// Changes the text of a node's key.
std::function<void(Editor*)> KeyText(uint32_t id, std::string text) {
  return [=](Editor* e) {
    NodeRecord r = e->node(id);
    r.key = e->AddText(text);
    r.key_size = static_cast<uint32_t>(text.size());
    e->SetNode(id, r);
  };
}

void Shape33(NodeRecord* r) { r->rank = 33; }

// tiny_packed: 0 dict, 1 a uint8[20] packed, 2 b string inline, 3 c bytes packed, attributes.
std::vector<Mutant> Structure() {
  return {
      {"child_beyond_the_item", "tiny_packed", kMeaning, Node(0, [](auto* r) { r->size = 4; }), kOk,
       kStructure, kStructure},
      {"children_too_few", "tiny_packed", kMeaning, Node(0, [](auto* r) { r->size = 2; }), kOk, kOk,
       kStructure},
      {"children_countless", "tiny_packed", kMeaning,
       Node(0, [](auto* r) { r->size = UINT64_MAX; }), kOk, kStructure, kStructure},
      {"child_is_itself", "tiny_packed", kMeaning, Node(0, [](auto* r) { r->a = 0; }), kOk,
       kStructure, kStructure},
      {"children_from_2", "tiny_packed", kMeaning, Node(0, [](auto* r) { r->a = 2, r->size = 2; }),
       kOk, kOk, kStructure},
      {"children_without_a_number", "kinds", kMeaning, Node(2, [](auto* r) { r->a = 13; }), kOk,
       kStructure, kStructure},
      {"children_shared", "kinds", kMeaning, Node(3, [](auto* r) { r->a = 13; }), kOk, kStructure,
       kStructure},
      {"children_of_other_items", "items", kMeaning, Node(0, [](auto* r) { r->size = 2; }), kOk,
       kStructure, kStructure},
      {"parent_is_another", "aliases", kMeaning, Node(5, [](auto* r) { r->parent = 2; }), kOk,
       kStructure, kStructure},
      {"parent_is_itself", "aliases", kMeaning, Node(1, [](auto* r) { r->parent = 1; }), kOk,
       kStructure, kStructure},
      {"parent_is_a_child", "aliases", kMeaning, Node(1, [](auto* r) { r->parent = 5; }), kOk,
       kStructure, kStructure},
      {"parent_is_none", "aliases", kMeaning, Node(1, [](auto* r) { r->parent = UINT32_MAX; }), kOk,
       kStructure, kStructure},
      {"parent_of_a_root", "items", kMeaning, Node(2, [](auto* r) { r->parent = 0; }), kOk,
       kStructure, kStructure},
      {"depth_256", "smallest", kMeaning, [](Editor* e) { Nest(e, 256); }, kOk, kOk, kOk},
      {"depth_257", "smallest", kMeaning, [](Editor* e) { Nest(e, 257); }, kOk, kLimit, kLimit},
      {"depth_300", "smallest", kMeaning, [](Editor* e) { Nest(e, 300); }, kOk, kLimit, kLimit},
      {"none_with_children", "tiny_packed", kMeaning, Node(0, [](auto* r) { r->kind = 7; }), kOk,
       kStructure, kStructure},
      {"kind_0", "tiny_packed", kMeaning, Node(2, [](auto* r) { r->kind = 0; }), kOk, kStructure,
       kStructure},
      {"kind_128", "tiny_packed", kMeaning, Node(2, [](auto* r) { r->kind = 128; }), kOk,
       kStructure, kStructure},
      {"container_of_unknown_kind", "tiny_packed", kMeaning, Node(0, [](auto* r) { r->kind = 63; }),
       kOk, kKind, kKind},
      {"leaf_of_unknown_kind", "tiny_packed", kMeaning, Node(2, [](auto* r) { r->kind = 127; }),
       kOk, kKind, kKind},
      {"flag_reserved", "tiny_packed", kMeaning, Node(0, [](auto* r) { r->flags = 2; }), kOk,
       kStructure, kStructure},
      {"flag_of_a_leaf", "tiny_packed", kMeaning, Node(1, [](auto* r) { r->flags = 1; }), kOk,
       kStructure, kStructure},
      {"container_with_a_dtype", "tiny_packed", kMeaning,
       Node(0, [](auto* r) { r->dtype_bits = 8; }), kOk, kStructure, kStructure},
      {"container_with_a_value", "tiny_packed", kMeaning, Node(0, [](auto* r) { r->value[3] = 8; }),
       kOk, kStructure, kStructure},
      {"container_stored_inline", "tiny_packed", kMeaning, Node(0, [](auto* r) { r->storage = 1; }),
       kOk, kStructure, kStructure},
      {"container_with_b", "tiny_packed", kMeaning, Node(0, [](auto* r) { r->b = 1; }), kOk,
       kStructure, kStructure},
  };
}

std::vector<Mutant> Keys() {
  const std::string int_as_bigint("\1\0\0\0\0\0\0\0\0", 9);
  return {
      {"key_twice", "tiny_packed", kMeaning, [](Editor* e) { SameKeys(e, 1, 2); }, kOk, kStructure,
       kStructure},
      {"key_twice_in_a_table", "hashed", kMeaning, [](Editor* e) { SameKeys(e, 1, 2); }, kOk,
       kStructure, kStructure},
      {"key_outside", "tiny_packed", kMeaning, Node(1, [](auto* r) { r->key = 1ull << 40; }), kOk,
       kStructure, kStructure},
      {"key_wraps", "tiny_packed", kMeaning, Node(1, [](auto* r) { r->key = UINT64_MAX; }), kOk,
       kStructure, kStructure},
      {"key_longer_than_texts", "tiny_packed", kMeaning,
       Node(1, [](auto* r) { r->key_size = 65535; }), kOk, kStructure, kStructure},
      {"key_longer_than_allowed", "tiny_packed", kMeaning,
       Node(1, [](auto* r) { r->key_size = 65536; }), kOk, kStructure, kStructure},
      {"key_of_unknown_kind", "tiny_packed", kMeaning, Node(1, [](auto* r) { r->key_kind = 5; }),
       kOk, kStructure, kStructure},
      {"key_missing", "tiny_packed", kMeaning,
       Node(1, [](auto* r) { r->key_kind = 0, r->key = 0, r->key_size = 0; }), kOk, kStructure,
       kStructure},
      {"key_of_a_root", "tiny_packed", kMeaning,
       Node(0, [](auto* r) { r->key_kind = 3, r->key = 7; }), kOk, kStructure, kStructure},
      {"key_no_utf8", "tiny_packed", kMeaning, KeyText(1, "\xff\xfe"), kOk, kStructure, kStructure},
      {"key_cut_utf8", "tiny_packed", kMeaning, KeyText(1, "\xe2\x82"), kOk, kStructure,
       kStructure},
      {"key_overlong_utf8", "tiny_packed", kMeaning, KeyText(1, "\xc0\x80"), kOk, kStructure,
       kStructure},
      {"key_with_a_slash", "tiny_packed", kMeaning, KeyText(1, "../../etc/passwd"), kOk, kOk, kOk},
      {"key_of_an_int_with_text", "hashed", kMeaning, Node(17, [](auto* r) { r->key_size = 1; }),
       kOk, kStructure, kStructure},
      {"bigint_that_is_an_int", "hashed", kMeaning, KeyText(18, int_as_bigint), kOk, kOk,
       kStructure},
      {"bigint_not_minimal", "hashed", kMeaning,
       KeyText(18, std::string("\0\0\0\0\0\0\0\x80\0\0", 10)), kOk, kOk, kStructure},
      {"bigint_too_short", "hashed", kMeaning, KeyText(18, "\1\2"), kOk, kStructure, kStructure},
      {"dict_with_an_index", "tiny_packed", kMeaning,
       Node(1, [](auto* r) { r->key_kind = 1, r->key = 0, r->key_size = 0; }), kOk, kStructure,
       kStructure},
      {"list_with_an_int", "pieces", kMeaning, Node(1, [](auto* r) { r->key_kind = 3; }), kOk,
       kStructure, kStructure},
      {"list_out_of_order", "pieces", kMeaning,
       [](Editor* e) {
         Node(1, [](auto* r) { r->key = 1; })(e);
         Node(2, [](auto* r) { r->key = 0; })(e);
       },
       kOk, kStructure, kStructure},
      {"list_with_a_gap", "pieces", kMeaning, Node(4, [](auto* r) { r->key = 4; }), kOk, kStructure,
       kStructure},
      {"namedtuple_with_an_int", "kinds", kMeaning,
       Node(18, [](auto* r) { r->key_kind = 3, r->key_size = 0; }), kOk, kStructure, kStructure},
      {"hash_flag_without_a_table", "tiny_packed", kMeaning, Node(0, [](auto* r) { r->flags = 1; }),
       kOk, kStructure, kStructure},
      {"hash_flag_missing", "hashed", kMeaning, Node(0, [](auto* r) { r->flags = 0; }), kOk, kOk,
       kStructure},
      {"hash_slot_emptied", "hashed", kMeaning, UsedSlot(true), kOk, kOk, kStructure},
      {"hash_tag", "hashed", kMeaning, UsedSlot(false), kOk, kOk, kStructure},
      {"hash_table_full", "hashed", kMeaning, FullTable, kOk, kOk, kStructure},
      {"hash_slot_beyond_nodes", "hashed", kMeaning, Slot(3, 9, 1000), kOk, kOk, kStructure},
      {"hash_table_too_large", "hashed", kMeaning,
       [](Editor* e) { e->sections[format::kHashSlots].resize(8 * 1024); }, kOk, kOk, kStructure},
  };
}

// aliases: 3 kernel (packed), 4 step (inline), 5 and 6 of 3, 7 of 4; 1 and 2 are containers.
std::vector<Mutant> Aliases() {
  return {
      {"alias_of_an_alias", "aliases", kMeaning, Node(6, [](auto* r) { r->a = 5; }), kOk,
       kStructure, kStructure},
      {"alias_of_itself", "aliases", kMeaning, Node(6, [](auto* r) { r->a = 6; }), kOk, kStructure,
       kStructure},
      {"alias_of_a_later_one", "aliases", kMeaning, Node(5, [](auto* r) { r->a = 7; }), kOk,
       kStructure, kStructure},
      {"alias_of_a_container", "aliases", kMeaning, Node(5, [](auto* r) { r->a = 1; }), kOk,
       kStructure, kStructure},
      {"alias_of_nothing", "aliases", kMeaning, Node(5, [](auto* r) { r->a = 4000000; }), kOk,
       kStructure, kStructure},
      {"alias_with_a_size", "aliases", kMeaning, Node(5, [](auto* r) { r->size = 36; }), kOk,
       kStructure, kStructure},
      {"alias_with_a_value", "aliases", kMeaning, Node(5, [](auto* r) { r->value[0] = 1; }), kOk,
       kStructure, kStructure},
      {"alias_with_a_shape", "aliases", kMeaning, Node(5, [](auto* r) { r->rank = 2; }), kOk,
       kStructure, kStructure},
      {"alias_stored_inline", "aliases", kMeaning, Node(5, [](auto* r) { r->storage = 1; }), kOk,
       kStructure, kStructure},
      {"leaf_stored_as_alias", "aliases", kMeaning, Node(4, [](auto* r) { r->storage = 4; }), kOk,
       kStructure, kStructure},
      {"leaf_of_rank_33", "tiny_packed", kMeaning, Node(1, Shape33), kOk, kStructure, kStructure},
  };
}

}  // namespace

std::vector<Mutant> NodeMutants() {
  std::vector<Mutant> all = Structure();
  for (Mutant& m : Keys()) all.push_back(std::move(m));
  for (Mutant& m : Aliases()) all.push_back(std::move(m));
  return all;
}

}  // namespace corrupt
