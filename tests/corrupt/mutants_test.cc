// SPDX-License-Identifier: Apache-2.0
// Each lie with right checksums gets the answer that the format names, from every call.
#include "mutants.h"
#include "../golden/growing.h"
#include "asking.h"

// The last, since cmocka has macros for words of the standard library.
#include "../container/cmocka_all.h"

namespace {

using namespace corrupt;

std::string folder;

template <typename AnyMutant>
bool AnswersRight(const AnyMutant& mutant) {
  const Bytes base = ReadFile(folder + "/" + mutant.base + "-0.1.ring");
  if (base.empty()) return false;
  const Answers found = Ask(Mutate(mutant, base));
  const bool right =
      found.open == mutant.open &&
      (mutant.open != kOk || (found.load == mutant.load && found.verify == mutant.verify));
  if (!right) {
    print_message("# %s: open %s, load %s, verify %s\n# %s\n", mutant.name,
                  treering_status_name(found.open), treering_status_name(found.load),
                  treering_status_name(found.verify), found.message.c_str());
  }
  return right && !found.internal;
}

template <typename AnyMutant>
size_t CountWrong(const std::vector<AnyMutant>& mutants) {
  size_t wrong = 0;
  for (const AnyMutant& mutant : mutants) wrong += AnswersRight(mutant) ? 0u : 1u;
  print_message("# %zu mutants\n", mutants.size());
  return wrong;
}

void LyingNodesAreRefused(void** /*state*/) { assert_int_equal(CountWrong(NodeMutants()), 0); }
void LyingStorageIsRefused(void** /*state*/) { assert_int_equal(CountWrong(StorageMutants()), 0); }
void LyingTablesAreRefused(void** /*state*/) { assert_int_equal(CountWrong(TableMutants()), 0); }
void LyingTrailersAreRefused(void** /*state*/) {
  assert_int_equal(CountWrong(TrailerMutants()), 0);
}

// A string of `size` a's and then `tail`, in pieces; its last bytes then become `end`.
treering_status VerifyLongText(size_t size, const std::string& tail, const std::string& end) {
  golden::Growing g;
  g.Leaf(TREERING_STRING, std::string(size, 'a') + tail);
  treering_tree* tree = g.Finish();
  treering_writer* writer = nullptr;
  treering_blob* blob = nullptr;
  Bytes bytes;
  if (treering_writer_create_memory(&writer, nullptr, nullptr) == 0 &&
      treering_writer_add_tree(writer, "t", 1, tree, nullptr) == 0 &&
      treering_writer_finish(nullptr, &blob, writer, nullptr) == 0) {
    const auto* data = static_cast<const uint8_t*>(treering_blob_data(blob));
    bytes.assign(data, data + treering_blob_size(blob));
  }
  treering_blob_free(blob);
  treering_writer_free(writer);
  treering_tree_free(tree);
  const Mutant change = {"",
                         "",
                         kMeaning,
                         [&](Editor* e) {
                           const ChunkRecord chunk = e->chunk(0);
                           const uint64_t at = chunk.offset + chunk.raw_size - end.size();
                           std::copy(end.begin(), end.end(),
                                     e->front.begin() + static_cast<ptrdiff_t>(at));
                         },
                         kOk,
                         kOk,
                         kOk};
  return Ask(Mutate(change, bytes)).verify;
}

void TextOfSeveralWindowsIsCheckedAcrossThem(void** /*state*/) {
  const std::string tree = "\xf0\x9f\x8c\xb2", high = "\xed\xa0\xbc", low = "\xed\xbc\xb2";
  for (size_t size = 65528; size <= 65540; ++size) {
    assert_int_equal(VerifyLongText(size, tree + tree, ""), kOk);
    assert_int_equal(VerifyLongText(size, high + "abc", ""), kOk);
    assert_int_equal(VerifyLongText(size, low + "abcdef", high), kOk);
    assert_int_equal(VerifyLongText(size, high + "abc", low), kStructure);
    assert_int_equal(VerifyLongText(size, tree + "abc", "\x80"), kStructure);
    assert_int_equal(VerifyLongText(size, tree + "abc", "\xf0"), kStructure);
  }
}

}  // namespace

int main(int argc, char** argv) {
  folder = argc > 1 ? argv[1] : ".";
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(LyingNodesAreRefused),
      cmocka_unit_test(LyingStorageIsRefused),
      cmocka_unit_test(LyingTablesAreRefused),
      cmocka_unit_test(LyingTrailersAreRefused),
      cmocka_unit_test(TextOfSeveralWindowsIsCheckedAcrossThem),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
