// SPDX-License-Identifier: Apache-2.0
// Each lie with right checksums gets the answer that the format names, from every call.
#include "mutants.h"
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

}  // namespace

int main(int argc, char** argv) {
  folder = argc > 1 ? argv[1] : ".";
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(LyingNodesAreRefused),
      cmocka_unit_test(LyingStorageIsRefused),
      cmocka_unit_test(LyingTablesAreRefused),
      cmocka_unit_test(LyingTrailersAreRefused),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
