// SPDX-License-Identifier: Apache-2.0
// Verification against an enemy: bits of the index are flipped and hashes made right again.
//
// What checksums cannot find must be found by what records say of each other: structure, identities
// and the content digest, which is not recomputed. Only the caller's metadata mean nothing to us.
extern "C" {
#include "support.h"
}

#include "codec/hash.h"
#include "format/records.h"

namespace {

using treering::base::ByteSpan;
namespace codec = treering::codec;
namespace format = treering::format;

// Makes block hashes, table hash, file digest and trailer hash those of the bytes.
void Seal(uint8_t* bytes, uint64_t size) {
  auto trailer = format::DecodeTrailer(ByteSpan(bytes, size), size);
  format::Trailer& t = trailer.value();
  uint8_t* table = bytes + t.table_offset();
  for (uint64_t block = 0; block < t.block_count; ++block) {
    const uint64_t begin = block * format::kBlockSize;
    const uint64_t end =
        begin + format::kBlockSize < t.index_size ? begin + format::kBlockSize : t.index_size;
    treering::base::StoreLe64(table + block * 8,
                              codec::Hash64(ByteSpan(bytes + t.index_offset + begin, end - begin)));
  }
  const ByteSpan table_bytes(table, uint64_t{t.block_count} * 8);
  t.table_hash = codec::Hash64(table_bytes);
  t.file = format::FileDigest(ByteSpan(bytes, format::kHeaderSize), table_bytes, t);
  format::EncodeTrailer(t, bytes + size - format::kTrailerSize);
}

uint64_t IndexOffset(const uint8_t* bytes, uint64_t size) {
  return format::DecodeTrailer(ByteSpan(bytes, size), size)->index_offset;
}

struct Answer {
  treering_status status;
  uint64_t findings;
  bool loads_equal;  // what is loaded is the tree that was saved
};

// Reads everything, too, whatever verification says: that must be safe.
Answer OpenAndVerify(const uint8_t* bytes, uint64_t size, const treering_tree* saved) {
  Answer answer = {TREERING_OK, 0, false};
  treering_checkpoint* checkpoint = nullptr;
  treering_report* report = nullptr;
  treering_tree* tree = nullptr;
  answer.status =
      treering_checkpoint_open_memory(&checkpoint, bytes, size, nullptr, nullptr, nullptr, err());
  if (answer.status != TREERING_OK) return {answer.status, 1, false};
  answer.status = treering_checkpoint_verify(&report, checkpoint, nullptr, err());
  answer.findings = treering_report_count(report);
  treering_report_free(report);
  report = nullptr;
  if (treering_checkpoint_load(&tree, checkpoint, "", 0, nullptr, nullptr) == TREERING_OK) {
    assert_ok(treering_tree_compare(&report, saved, tree, nullptr, err()));
    answer.loads_equal = treering_report_count(report) == 0;
  }
  treering_tree_free(tree);
  treering_report_free(report);
  treering_checkpoint_free(checkpoint);
  return answer;
}

treering_blob* Container(int32_t codec, treering_tree** saved) {
  sample s;
  make_sample(&s);
  // A dict of 20 children, so that there is a hash table, one of them with attributes.
  static const treering_attribute attributes[] = {{TREERING_ATTR_TAG, 0, "weights", 7},
                                                  {40000, 1, "own", 3}};
  treering_node nodes[21];
  static char names[20][4];
  nodes[0] = make_node(TREERING_DICT, text_key("many"), 20);
  for (int i = 0; i < 20; ++i) {
    snprintf(names[i], sizeof names[i], "k%d", i);
    nodes[i + 1] = make_bytes(TREERING_BYTES, text_key(names[i]), "0123456789abcdefghi", 19);
  }
  nodes[7].attributes = attributes;
  nodes[7].attribute_count = 2;
  uint64_t first = 0;
  assert_ok(treering_tree_append(&first, s.tree, s.root, nodes, NODE_SIZE, 21, nullptr, err()));
  treering_save_options options = {};
  options.struct_size = sizeof options;
  options.codec = codec;
  options.chunk_bytes = 40000;
  treering_blob* blob = save_to_memory(s.tree, &options);
  *saved = s.tree;
  free(s.kernel);
  return blob;
}

// A flip may be without meaning: a shape that points to an equal run elsewhere. Then what is loaded
// is what was saved, and nothing is wrong.
bool Found(const uint8_t* bytes, uint64_t size, const treering_tree* saved) {
  const Answer answer = OpenAndVerify(bytes, size, saved);
  return answer.status == TREERING_OK ? answer.loads_equal : answer.findings != 0;
}

void flipped_bits_under_right_hashes_are_found(void** state) {
  (void)state;
  int missed = 0;
  for (int32_t kind = TREERING_CODEC_RAW; kind <= TREERING_CODEC_ZSTD; ++kind) {
    treering_tree* saved = nullptr;
    treering_blob* blob = Container(kind, &saved);
    const uint64_t size = treering_blob_size(blob);
    auto* bytes = static_cast<uint8_t*>(malloc(size));
    memcpy(bytes, treering_blob_data(blob), size);
    Seal(bytes, size);
    assert_memory_equal(bytes, treering_blob_data(blob), size);
    assert_int_equal(OpenAndVerify(bytes, size, saved).status, TREERING_OK);
    const uint64_t begin = IndexOffset(bytes, size);
    for (uint64_t i = begin; i < size - format::kTrailerSize - 8; ++i) {
      for (uint64_t bit = i % 4; bit < 8; bit += 4) {
        bytes[i] = static_cast<uint8_t>(bytes[i] ^ 1u << bit);
        Seal(bytes, size);
        if (!Found(bytes, size, saved)) {
          print_error("bit %d of byte %d\n", static_cast<int>(bit), static_cast<int>(i - begin));
          ++missed;
        }
        bytes[i] = static_cast<uint8_t>(bytes[i] ^ 1u << bit);
      }
    }
    free(bytes);
    treering_tree_free(saved);
    treering_blob_free(blob);
  }
  assert_int_equal(missed, 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(flipped_bits_under_right_hashes_are_found),
  };
  return cmocka_run_group_tests_name("capi sealed", tests, nullptr, nullptr);
}
