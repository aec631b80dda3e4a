// SPDX-License-Identifier: Apache-2.0
// Turns a golden container and a change into the bytes of a mutant; changes of tables and trailer.

#include "mutants.h"

#include <utility>

namespace corrupt {

namespace base = treering::base;

Bytes Mutate(const Mutant& mutant, const Bytes& base) {
  Editor editor(base);
  mutant.edit(&editor);
  Bytes bytes = editor.Make(false);
  if (mutant.repairs == kMeaning) fuzz::Meaning(&bytes).Repair();
  written::RepairHashes(&bytes, mutant.repairs != kLies);
  return bytes;
}

Bytes Mutate(const ByteMutant& mutant, const Bytes& base) {
  Bytes bytes = base;
  mutant.edit(&bytes);
  written::RepairHashes(&bytes);
  return bytes;
}

namespace {

std::function<void(Editor*)> Attributes(size_t at, std::vector<uint8_t> bytes) {
  return [=](Editor* e) {
    std::copy(bytes.begin(), bytes.end(),
              e->sections[format::kAttributes].begin() + static_cast<ptrdiff_t>(at));
  };
}

// The packed chunk of tiny_packed is said to lie in another file.
std::function<void(Editor*)> Elsewhere(std::string folder, std::string name, size_t at = SIZE_MAX,
                                       uint8_t value = 0) {
  return [=](Editor* e) {
    const Bytes other(1000);
    e->AddFile(folder, name, other);
    if (at != SIZE_MAX) e->At(format::kFiles, 0)[at] = value;
    ChunkRecord chunk = e->chunk(0);
    e->front.resize(64);  // it was all there was
    chunk.file = 1;
    e->SetChunk(0, chunk);
  };
}

void RenameToNoUtf8(Editor* e) {
  e->sections[format::kText][static_cast<size_t>(e->item(0).name)] = 0xff;
}

// A byte mutant: `value` of `width` bytes at `at` of the trailer, added to what is there if `add`.
std::function<void(Bytes*)> Trailer(size_t at, uint32_t width, uint64_t value, bool add = false) {
  return [=](Bytes* bytes) {
    uint8_t* field = bytes->data() + bytes->size() - format::kTrailerSize + at;
    uint64_t x = value;
    for (uint32_t i = 0; add && i < width; ++i) x += uint64_t{field[i]} << 8 * i;
    for (uint32_t i = 0; i < width; ++i) field[i] = static_cast<uint8_t>(x >> 8 * i);
  };
}

size_t SectionField(format::Section section, size_t field) { return 80 + 16 * section + field; }

}  // namespace

std::vector<Mutant> TableMutants() {
  const auto empty = [](Editor*) {};
  return {
      {"nothing_changed", "kinds", kMeaning, empty, kOk, kOk, kOk},
      // Items of `items`: 0 params (nodes 0, 1), 1 config, 2 é/blob, 3 empty, 4 bare leaf.
      {"item_names_twice", "items", kMeaning,
       [](Editor* e) {
         ItemRecord r = e->item(3);
         r.name = e->item(4).name, r.name_size = e->item(4).name_size;
         e->SetItem(3, r);
       },
       kOk, kOk, kStructure},
      {"item_name_empty", "items", kMeaning, Item(4, [](auto* r) { r->name_size = 0; }), kOk,
       kStructure, kStructure},
      {"item_name_too_long", "items", kMeaning, Item(4, [](auto* r) { r->name_size = 256; }), kOk,
       kStructure, kStructure},
      {"item_name_outside", "items", kMeaning, Item(4, [](auto* r) { r->name = 1u << 30; }), kOk,
       kStructure, kStructure},
      {"item_name_no_utf8", "items", kMeaning, RenameToNoUtf8, kOk, kOk, kStructure},
      {"item_of_unknown_kind", "items", kMeaning, Item(1, [](auto* r) { r->kind = 9; }), kOk, kKind,
       kKind},
      {"item_of_kind_0", "items", kMeaning, Item(1, [](auto* r) { r->kind = 0; }), kOk, kKind,
       kKind},
      {"item_json_as_blob", "items", kMeaning, Item(1, [](auto* r) { r->kind = 3; }), kOk, kOk,
       kStructure},
      {"item_tree_as_json", "items", kMeaning, Item(0, [](auto* r) { r->kind = 2; }), kOk,
       kStructure, kStructure},
      {"items_with_a_gap", "items", kMeaning, Item(4, [](auto* r) { r->root = 4; }), kOk, kOk,
       kStructure},
      {"item_beyond_the_nodes", "items", kMeaning, Item(4, [](auto* r) { r->node_count = 2; }), kOk,
       kStructure, kStructure},
      {"item_without_nodes", "items", kMeaning, Item(4, [](auto* r) { r->node_count = 0; }), kOk,
       kStructure, kStructure},
      {"item_with_reserved_bytes", "items", kMeaning,
       [](Editor* e) { e->At(format::kItems, 2)[24] = 1; }, kOk, kStructure, kStructure},
      // Attribute sets: tiny_packed has one, u32 count, u32 size, u16 id, u16 flags, u32 size, "t".
      {"attributes_outside", "tiny_packed", kMeaning, Node(3, [](auto* r) { r->attributes = 900; }),
       kOk, kStructure, kStructure},
      {"attributes_inside_a_set", "tiny_packed", kMeaning,
       Node(3, [](auto* r) { r->attributes = 2; }), kOk, kStructure, kStructure},
      {"attributes_none", "tiny_packed", kMeaning, Attributes(0, {0}), kOk, kStructure, kStructure},
      {"attributes_too_many", "tiny_packed", kMeaning, Attributes(0, {2}), kOk, kStructure,
       kStructure},
      {"attributes_size_odd", "tiny_packed", kMeaning, Attributes(4, {17}), kOk, kStructure,
       kStructure},
      {"attributes_size_huge", "tiny_packed", kMeaning, Attributes(4, {0xf8, 0xff, 0xff, 0xff}),
       kOk, kStructure, kStructure},
      {"attribute_id_0", "tiny_packed", kMeaning, Attributes(8, {0}), kOk, kStructure, kStructure},
      {"attribute_padding", "tiny_packed", kMeaning, Attributes(23, {1}), kOk, kStructure,
       kStructure},
      {"attribute_flag_reserved", "tiny_packed", kMeaning, Attributes(10, {2}), kOk, kStructure,
       kStructure},
      {"attribute_that_must_be_known", "tiny_packed", kMeaning, Attributes(8, {0, 0x70, 1, 0}), kOk,
       kFeature, kFeature},
      {"attribute_that_may_be_unknown", "tiny_packed", kMeaning, Attributes(8, {0, 0x70, 0, 0}),
       kOk, kOk, kOk},
      {"attributes_descending", "attributes", kMeaning,
       [](Editor* e) {
         Bytes& set = e->sections[format::kAttributes];
         for (size_t i = 0; i + 8 < set.size(); i += 8) {
           if (set[i] == 3 && set[i + 1] == 0 && set[i + 4] == 10) set[i] = 2;  // twice
         }
       },
       kOk, kStructure, kStructure},
      // The file table.
      {"file_is_missing", "tiny_packed", kMeaning, Elsewhere("", "part-00001.ring"), kOk, kNoFile,
       kNoFile},
      {"file_name_with_a_slash", "tiny_packed", kMeaning, Elsewhere("", "a/b.ring"), kOk,
       kStructure, kStructure},
      {"file_name_above", "tiny_packed", kMeaning, Elsewhere("", ".."), kOk, kStructure,
       kStructure},
      {"file_folder_above", "tiny_packed", kMeaning, Elsewhere("..", "a.ring"), kOk, kStructure,
       kStructure},
      {"file_folder_here", "tiny_packed", kMeaning, Elsewhere(".", "a.ring"), kOk, kStructure,
       kStructure},
      {"file_folder_absolute", "tiny_packed", kMeaning, Elsewhere("/etc", "passwd"), kOk,
       kStructure, kStructure},
      {"file_name_in_capitals", "tiny_packed", kMeaning, Elsewhere("", "A.RING"), kOk, kStructure,
       kStructure},
      {"file_name_empty", "tiny_packed", kMeaning, Elsewhere("", ""), kOk, kStructure, kStructure},
      {"file_without_digest", "tiny_packed", kMeaning, Elsewhere("", "a.ring", 32, 0), kOk,
       kStructure, kStructure},
      {"file_of_unknown_algorithm", "tiny_packed", kMeaning, Elsewhere("", "a.ring", 32, 7), kOk,
       kFeature, kFeature},
      {"file_with_reserved_bytes", "tiny_packed", kMeaning, Elsewhere("", "a.ring", 33, 1), kOk,
       kStructure, kStructure},
      {"file_digest_too_long", "tiny_packed", kMeaning, Elsewhere("", "a.ring", 71, 1), kOk,
       kStructure, kStructure},
      {"file_too_small", "tiny_packed", kMeaning, Elsewhere("", "a.ring", 25, 0), kOk, kStructure,
       kStructure},
      // Totals and digests.
      {"leaf_count", "tiny_packed", kChecksums, [](Editor* e) { ++e->trailer.leaf_count; }, kOk,
       kOk, kStructure},
      {"leaf_count_beyond_nodes", "tiny_packed", kChecksums,
       [](Editor* e) { e->trailer.leaf_count = 5; }, kStructure, kOk, kOk},
      {"raw_bytes", "tiny_packed", kChecksums, [](Editor* e) { --e->trailer.raw_bytes; }, kOk, kOk,
       kStructure},
      {"content_digest", "tiny_packed", kChecksums, [](Editor* e) { ++e->trailer.content.low; },
       kOk, kOk, kStructure},
      {"metadata_changes_no_content", "tiny_zstd", kChecksums,
       [](Editor* e) {
         e->sections[format::kMetadata] = {'[', '4', ']'};
       },
       kOk, kOk, kOk},
  };
}

std::vector<ByteMutant> TrailerMutants() {
  const char* base = "tiny_packed";
  return {
      {"header_reserved", base, [](Bytes* b) { (*b)[20] = 1; }, kStructure, kOk, kOk},
      {"header_magic", base, [](Bytes* b) { (*b)[0] = 0x88; }, kChecksum, kOk, kOk},
      {"header_text_mode", base, [](Bytes* b) { (*b)[4] = 0x0a; }, kChecksum, kOk, kOk},
      {"header_major", base, [](Bytes* b) { (*b)[8] = 2; }, kVersion, kOk, kOk},
      {"trailer_magic", base, [](Bytes* b) { b->back() ^= 1; }, kTruncated, kOk, kOk},
      {"both_magics", base, [](Bytes* b) { b->back() ^= 1, (*b)[0] = 0; }, TREERING_NOT_TREERING,
       kOk, kOk},
      {"major_2", base, Trailer(300, 2, 2), kVersion, kOk, kOk},
      {"major_0", base, Trailer(300, 2, 0), kStructure, kOk, kOk},
      {"minor_5", base, Trailer(302, 2, 5), kOk, kOk, kOk},
      {"feature_compatible", base, Trailer(304, 8, 1), kOk, kOk, kOk},
      {"feature_read_only", base, Trailer(312, 8, 1), kOk, kOk, kOk},
      {"feature_incompatible", base, Trailer(320, 8, uint64_t{1} << 63), kFeature, kOk, kOk},
      {"trailer_reserved", base, Trailer(328, 8, 1), kStructure, kOk, kOk},
      {"trailer_reserved_280", base, Trailer(280, 8, 1), kStructure, kOk, kOk},
      {"file_size_larger", base, Trailer(288, 8, 1, true), kTruncated, kOk, kOk},
      {"file_size_smaller", base, Trailer(288, 8, UINT64_MAX, true), kStructure, kOk, kOk},
      {"trailer_size_63", base, Trailer(296, 4, 63), kStructure, kOk, kOk},
      {"trailer_size_huge", base, Trailer(296, 4, UINT32_MAX), kStructure, kOk, kOk},
      {"index_offset_unaligned", base, Trailer(8, 8, 32, true), kStructure, kOk, kOk},
      {"index_offset_0", base, Trailer(8, 8, 0), kStructure, kOk, kOk},
      {"index_offset_wraps", base, Trailer(8, 8, UINT64_MAX - 63), kStructure, kOk, kOk},
      {"index_size_larger", base, Trailer(16, 8, 64, true), kStructure, kOk, kOk},
      {"index_size_huge", base, Trailer(16, 8, uint64_t{1} << 50), kStructure, kOk, kOk},
      {"block_size", base, Trailer(24, 4, 4096), kStructure, kOk, kOk},
      {"block_count", base, Trailer(28, 4, 2), kStructure, kOk, kOk},
      {"section_overlaps", base, Trailer(SectionField(format::kNodes, 0), 8, 0), kStructure, kOk,
       kOk},
      {"section_with_a_gap", base, Trailer(SectionField(format::kNodes, 0), 8, 64, true),
       kStructure, kOk, kOk},
      {"section_unaligned", base, Trailer(SectionField(format::kText, 0), 8, 8, true), kStructure,
       kOk, kOk},
      {"section_count_huge", base, Trailer(SectionField(format::kNodes, 8), 4, UINT32_MAX),
       kStructure, kOk, kOk},
      {"section_count_fewer", base, Trailer(SectionField(format::kNodes, 8), 4, 2), kStructure, kOk,
       kOk},
      {"section_stride_smaller", base, Trailer(SectionField(format::kNodes, 12), 4, 56), kStructure,
       kOk, kOk},
      {"section_stride_odd", base, Trailer(SectionField(format::kChunks, 12), 4, 50), kStructure,
       kOk, kOk},
      {"section_stride_of_text", base, Trailer(SectionField(format::kText, 12), 4, 2), kStructure,
       kOk, kOk},
      {"section_reserved", base, Trailer(80 + 16 * 10 + 8, 4, 1), kStructure, kOk, kOk},
      {"hash_slots_no_power_of_two", "hashed", Trailer(SectionField(format::kHashSlots, 8), 4, 31),
       kStructure, kOk, kOk},
      {"index_padding", base,
       [](Bytes* b) {
         const uint8_t* trailer = b->data() + b->size() - format::kTrailerSize;
         const uint64_t index = treering::base::LoadLe64(trailer + 8);
         (*b)[static_cast<size_t>(index) + 40] = 1;  // behind the only item of 32 bytes
       },
       kOk, kOk, kStructure},
  };
}

}  // namespace corrupt
