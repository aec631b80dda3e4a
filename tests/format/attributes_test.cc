// SPDX-License-Identifier: Apache-2.0
// Attribute sets: golden bytes, one encoding per list, and hostile counts and sizes.
#include "record_checks.h"

namespace treering::format {
namespace {

using base::ByteSpan;
using base::Code;

constexpr char kType[] = "Param\0Variable";

std::vector<AttributeRecord> AList() {
  return {{1, 0, ByteSpan(kType, sizeof kType - 1)},
          {2, 0, ByteSpan()},
          {40000, kCriticalAttribute, ByteSpan("12345678", 8)}};
}

Bytes EncodedList(const std::vector<AttributeRecord>& list) {
  Bytes bytes;
  EncodeAttributes(list, &bytes);
  return bytes;
}

const Bytes kSet = EncodedList(AList());

bool Names(const Bytes& bytes, const char* field) {
  return RefusesNaming(bytes, DecodeAttributes, field);
}

void ASetHasTheBytesOfTheFormat(void**) {
  assert_true(IsHex(kSet,
                    "03000000 30000000 0100 0000 0e000000 506172616d005661726961626c65 0000"
                    "0200 0000 00000000 409c 0100 08000000 3132333435363738"));
}

void ASetRoundTrips(void**) {
  const auto list = DecodeAttributes(ByteSpan(kSet));
  assert_true(list.ok());
  assert_int_equal(list.value().size(), 3);
  assert_true(list.value()[0].value.text() == std::string_view(kType, sizeof kType - 1));
  assert_int_equal(list.value()[2].id, 40000);
  assert_int_equal(list.value()[2].flags, kCriticalAttribute);
  assert_true(EncodedList(list.value()) == kSet);
}

void NoAttributesAreNoBytes(void**) { assert_true(EncodedList({}).empty()); }

int SetViolations() {
  int violations = 0;
  Bytes bytes = kSet;
  for (uint8_t& byte : bytes) {
    const uint8_t before = byte;
    for (int value = 0; value < 256; ++value) {
      byte = static_cast<uint8_t>(value);
      const auto list = DecodeAttributes(ByteSpan(bytes));
      if (!list.ok()) {
        if (list.status().code() != Code::kCorruptStructure) ++violations;
      } else if (EncodedList(list.value()) != bytes) {
        ++violations;
      }
    }
    byte = before;
  }
  return violations;
}

void AnAcceptedSetEncodesToItsBytes(void**) { assert_int_equal(SetViolations(), 0); }

void EveryPrefixAndEveryExtensionIsRefused(void**) {
  assert_int_equal(PrefixesAccepted(kSet, DecodeAttributes), 0);
  Bytes longer = kSet;
  longer.resize(kSet.size() + 8);
  assert_true(Names(longer, "attribute set"));
}

void PaddingIsZero(void**) {
  assert_int_equal(ReservedAccepted(kSet, DecodeAttributes, 30, 32), 0);
}

void IdsAscendFromOne(void**) {
  assert_true(Names(With(kSet, 8, 0), "attribute.id"));
  assert_true(Names(With(kSet, 8, 2), "attribute.id"));
  assert_true(Names(With(kSet, 32, 1), "attribute.id"));
}

void OnlyTheFirstFlagIsDefined(void**) {
  for (const int flags : {2, 3, 4, 128}) {
    assert_true(Names(With(kSet, 10, flags), "attribute.flags"));
  }
  assert_true(Names(With(kSet, 11, 1), "attribute.flags"));
}

void CountsAndSizesAreHeldAgainstTheBytes(void**) {
  assert_true(Names(With32(kSet, 0, 0), "attribute set.count"));
  assert_true(Names(With32(kSet, 0, 7), "attribute set.count"));
  assert_true(Names(With32(kSet, 0, UINT32_MAX), "attribute set.count"));
  assert_true(Names(With32(kSet, 0, 4), "attribute.size"));
  assert_true(Names(With32(kSet, 0, 2), "attribute set.size"));
  assert_true(Names(With32(kSet, 4, 0x31), "attribute set.size"));
  assert_true(Names(With32(kSet, 4, 0x38), "attribute set.size"));
  assert_true(Names(With32(kSet, 4, 0x28), "attribute set"));
  assert_true(Names(With32(kSet, 12, UINT32_MAX), "attribute.size"));
}

void TheSizeOfASetIsKnownFromItsFirstEightBytes(void**) {
  const auto size = AttributeSetSize(ByteSpan(kSet.data(), 8), 1000);
  assert_true(size.ok() && size.value() == kSet.size());
  assert_true(AttributeSetSize(ByteSpan(kSet.data(), 8), kSet.size()).ok());
  assert_false(AttributeSetSize(ByteSpan(kSet.data(), 8), kSet.size() - 1).ok());
  assert_false(AttributeSetSize(ByteSpan(kSet.data(), 8), 7).ok());
  assert_false(AttributeSetSize(ByteSpan(kSet.data(), 7), 1000).ok());
}

}  // namespace
}  // namespace treering::format

int main() {
  using namespace treering::format;  // NOLINT(google-build-using-namespace)
  const CMUnitTest tests[] = {
      cmocka_unit_test(ASetHasTheBytesOfTheFormat),
      cmocka_unit_test(ASetRoundTrips),
      cmocka_unit_test(NoAttributesAreNoBytes),
      cmocka_unit_test(AnAcceptedSetEncodesToItsBytes),
      cmocka_unit_test(EveryPrefixAndEveryExtensionIsRefused),
      cmocka_unit_test(PaddingIsZero),
      cmocka_unit_test(IdsAscendFromOne),
      cmocka_unit_test(OnlyTheFirstFlagIsDefined),
      cmocka_unit_test(CountsAndSizesAreHeldAgainstTheBytes),
      cmocka_unit_test(TheSizeOfASetIsKnownFromItsFirstEightBytes),
  };
  return cmocka_run_group_tests_name("format attributes", tests, nullptr, nullptr);
}
