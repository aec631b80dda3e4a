// SPDX-License-Identifier: Apache-2.0
// The records of a manager's directory, STORE and versions: bytes, and what their readers refuse.
#include "format/manifest.h"

#include <cmath>
#include <limits>

#include "format/store_record.h"
#include "record_checks.h"

namespace treering::format {
namespace {

using base::ByteSpan;
using base::Code;

constexpr size_t kFixed = 184;  // of a version record, in front of the lists

Uuid Numbered(uint8_t first) {
  Uuid uuid{};
  for (uint8_t& byte : uuid) byte = first++;
  return uuid;
}

ManifestFile AFile(const char* folder, const char* name) {
  ManifestFile file;
  file.folder = folder;
  file.name = name;
  file.size = 744;
  for (uint8_t i = 0; i < 16; ++i) file.digest[i] = static_cast<uint8_t>(0xa0 + i);
  return file;
}

ManifestRecord AVersion() {
  ManifestRecord record;
  record.number = 42;
  record.step = 1200;
  record.store = Numbered(1);
  record.attempt = Numbered(0x81);
  record.started = 1700000000000000000;
  record.committed = 1700000001000000000;
  record.previous = 41;
  record.previous_digest = {3, 4};
  record.files.push_back(AFile("", "default.ring"));
  record.other_files.push_back(AFile("00000007-abc", "default.ring"));
  record.other_files.push_back(AFile("", "part-00001.ring"));
  record.items.push_back({kTreeItem, "state"});
  record.items.push_back({kJsonItem, "config"});
  record.metrics.push_back({"loss", 0.5});
  record.metrics.push_back({"r\xc3\xa9", std::numeric_limits<double>::quiet_NaN()});
  record.metrics_document = "{\"a\":1}";
  record.metadata = "[2]";
  return record;
}

ManifestRecord ARemoval() {
  ManifestRecord record;
  record.kind = kRemovedRecord;
  record.number = 43;
  record.step = 1200;
  record.store = Numbered(1);
  record.previous = 42;
  return record;
}

StoreRecord AStore() {
  StoreRecord store;
  store.uuid = Numbered(1);
  store.created = 1700000000000000000;
  store.metadata = "{}";
  return store;
}

Bytes Encoded(ManifestRecord record) { return EncodeManifest(&record); }

// The same bytes under a size and a hash that are right for them.
Bytes Sealed(Bytes bytes) {
  base::StoreLe64(bytes.data() + 16, bytes.size());
  codec::Hasher128 hasher;
  hasher.Update(ByteSpan(bytes.data(), bytes.size() - 16));
  base::StoreLe64(bytes.data() + bytes.size() - 16, hasher.Digest().low);
  base::StoreLe64(bytes.data() + bytes.size() - 8, hasher.Digest().high);
  return bytes;
}

bool SameAgain(const Bytes& bytes, const ManifestRecord& record) {
  return Encoded(record) == bytes && base::LoadLe64(&bytes[bytes.size() - 16]) == record.digest.low;
}

bool SameAgain(const Bytes& bytes, const StoreRecord& record) {
  return EncodeStore(record) == bytes;
}

// Every byte with every other value: counts answers that are not of class corrupt.
template <typename Decode>
int FlipsNotFound(Bytes bytes, Decode decode) {
  int missed = 0;
  for (uint8_t& byte : bytes) {
    for (int flip = 1; flip < 256; ++flip) {
      byte ^= static_cast<uint8_t>(flip);
      const auto result = decode(ByteSpan(bytes));
      missed += result.ok() || base::ClassOf(result.status().code()) != int(Code::kCorrupt);
      byte ^= static_cast<uint8_t>(flip);
    }
  }
  return missed;
}

// The same under a right hash: counts what is accepted and is not the record that it encodes to.
template <typename Decode>
int FlipsOfOneMeaning(const Bytes& bytes, Decode decode) {
  int wrong = 0;
  for (size_t i = 0; i + 16 < bytes.size(); ++i) {
    if (i == 10 || i == 11) continue;  // the minor version
    for (int flip = 1; flip < 256; flip += i < kFixed ? 1 : 37) {
      const Bytes lie = Sealed(With(bytes, i, bytes[i] ^ flip));
      const auto result = decode(ByteSpan(lie));
      wrong += result.ok() ? !SameAgain(lie, *result) : result.status().message().empty();
    }
  }
  return wrong;
}

template <typename Decode>
bool Answers(const Bytes& bytes, Decode decode, Code code) {
  const auto result = decode(ByteSpan(bytes));
  if (!result.ok() && result.status().code() == code) return true;
  print_error("%s\n", result.ok() ? "accepted" : std::string(result.status().message()).c_str());
  return false;
}

bool Lies(const Bytes& bytes, const char* field) {
  return RefusesNaming(Sealed(bytes), DecodeManifest, field);
}

bool LiesIn(const ManifestRecord& record, const char* field) {
  return RefusesNaming(Encoded(record), DecodeManifest, field);
}

void TheFixedPartHasTheBytesOfTheFormat(void**) {
  Bytes bytes = Encoded(AVersion());
  assert_int_equal(base::LoadLe64(&bytes[16]), bytes.size());
  bytes.resize(kFixed);
  assert_true(IsHex(bytes,
                    "8954524d0d0a1a0a 0100 0000 00000000 d701000000000000"
                    "0000000000000000 0000000000000000 0000000000000000"
                    "01000000 00000000 2a00000000000000 b004000000000000"
                    "0102030405060708090a0b0c0d0e0f10 8182838485868788898a8b8c8d8e8f90"
                    "0000000000000000 00002a36fe9c9717 00cac471fe9c9717 2900000000000000"
                    "03000000000000000400000000000000 01000000 02000000 02000000 02000000"
                    "0700000000000000 0300000000000000"));
}

void TheListsHaveTheBytesOfTheFormat(void**) {
  ManifestRecord record = AVersion();
  record.other_files.clear();
  record.items.pop_back();
  record.metrics.pop_back();
  const Bytes bytes = Encoded(record);
  assert_true(IsHex(Bytes(bytes.begin() + kFixed, bytes.end() - 16),
                    "0000 0c00 01 000000 e802000000000000 a0a1a2a3a4a5a6a7a8a9aaabacadaeaf"
                    "00000000000000000000000000000000 64656661756c742e72696e67"
                    "01000000 05000000 7374617465"
                    "000000000000e03f 0400000000000000 6c6f7373"
                    "7b2261223a317d 5b325d"));
}

void ARecordThatIsAcceptedEncodesToItsBytes(void**) {
  assert_true(SameAgain(Encoded(AVersion()), *DecodeManifest(ByteSpan(Encoded(AVersion())))));
  assert_true(SameAgain(Encoded(ARemoval()), *DecodeManifest(ByteSpan(Encoded(ARemoval())))));
  assert_int_equal(FlipsOfOneMeaning(Encoded(AVersion()), DecodeManifest), 0);
  assert_int_equal(FlipsOfOneMeaning(Encoded(ARemoval()), DecodeManifest), 0);
  assert_int_equal(FlipsOfOneMeaning(EncodeStore(AStore()), DecodeStore), 0);
}

void EveryFieldOfARecordComesBack(void**) {
  const Bytes bytes = Encoded(AVersion());
  const auto found = DecodeManifest(ByteSpan(bytes));
  assert_true(found.ok());
  assert_true(found->number == 42 && found->step == 1200 && found->previous == 41);
  assert_true(found->store == Numbered(1) && found->attempt == Numbered(0x81));
  assert_true(found->other_files.size() == 2 && found->other_files[0].folder == "00000007-abc");
  assert_true(found->items.size() == 2 && found->items[1].kind == kJsonItem);
  assert_true(found->metrics.size() == 2 && std::isnan(found->metrics[1].value));
  assert_true(found->metrics_document == "{\"a\":1}" && found->metadata == "[2]");
}

void EveryFieldOfAStoreComesBack(void**) {
  const Bytes bytes = EncodeStore(AStore());
  const auto found = DecodeStore(ByteSpan(bytes));
  assert_true(found.ok() && SameAgain(bytes, *found));
  assert_true(found->uuid == Numbered(1) && found->created == AStore().created);
  assert_true(found->metadata == "{}");
  StoreRecord plain;
  assert_int_equal(EncodeStore(plain).size(), 96);
  assert_true(Accepts(EncodeStore(plain), DecodeStore));
}

void EveryChangedByteIsFound(void**) {
  assert_int_equal(FlipsNotFound(Encoded(AVersion()), DecodeManifest), 0);
  assert_int_equal(FlipsNotFound(Encoded(ARemoval()), DecodeManifest), 0);
  assert_int_equal(FlipsNotFound(EncodeStore(AStore()), DecodeStore), 0);
}

template <typename Decode>
int PrefixesNotTruncated(const Bytes& bytes, Decode decode) {
  int wrong = 0;
  for (size_t n = 0; n < bytes.size(); ++n) {
    const auto result = decode(ByteSpan(bytes.data(), n));
    wrong += result.ok() || result.status().code() != Code::kCorruptTruncated;
  }
  return wrong;
}

void EveryPrefixIsCalledCutOff(void**) {
  assert_int_equal(PrefixesNotTruncated(Encoded(AVersion()), DecodeManifest), 0);
  assert_int_equal(PrefixesNotTruncated(EncodeStore(AStore()), DecodeStore), 0);
}

void BytesBehindTheEndAreRefused(void**) {
  Bytes bytes = Encoded(AVersion());
  bytes.push_back(0);
  assert_true(Answers(bytes, DecodeManifest, Code::kCorruptChecksum));
  Bytes longer = Encoded(AVersion());
  longer.insert(longer.end() - 16, 0);
  assert_true(Lies(longer, "record.size"));
  Bytes store = EncodeStore(AStore());
  store.insert(store.end() - 16, 0);
  assert_true(RefusesNaming(Sealed(store), DecodeStore, "store.metadata_size"));
}

void ZerosInPlaceOfARecordAreDamage(void**) {
  assert_true(Answers(Bytes(200), DecodeManifest, Code::kCorruptChecksum));
  assert_true(Answers(Bytes(20), DecodeManifest, Code::kCorruptTruncated));
  assert_true(Answers(Bytes(), DecodeManifest, Code::kCorruptTruncated));
}

void SomethingElseIsNoRecord(void**) {
  const Bytes text(200, 'x');
  assert_true(Answers(text, DecodeManifest, Code::kNotTreering));
  assert_true(Answers(Bytes(5, 'x'), DecodeStore, Code::kNotTreering));
  assert_true(Answers(EncodeStore(AStore()), DecodeManifest, Code::kNotTreering));
  assert_true(Answers(Encoded(AVersion()), DecodeStore, Code::kNotTreering));
}

void ANewerMajorVersionIsUnsupported(void**) {
  const Bytes newer = With(With(Encoded(AVersion()), 8, 2), 48, 99);
  assert_true(Answers(newer, DecodeManifest, Code::kCorruptChecksum));
  assert_true(Answers(Sealed(newer), DecodeManifest, Code::kUnsupportedVersion));
  const Bytes store = Sealed(With(EncodeStore(AStore()), 8, 2));
  assert_true(Answers(store, DecodeStore, Code::kUnsupportedVersion));
  assert_true(Lies(With(Encoded(AVersion()), 8, 0), "record.major"));
}

void AHigherMinorVersionMayHaveMoreBehindItsFields(void**) {
  Bytes longer = With(Encoded(AVersion()), 10, 1);
  longer.insert(longer.end() - 16, 24, 0xee);
  assert_true(Accepts(Sealed(longer), DecodeManifest));
  Bytes store = With(EncodeStore(AStore()), 10, 1);
  store.insert(store.end() - 16, 24, 0xee);
  assert_true(Accepts(Sealed(store), DecodeStore));
  assert_true(DecodeStore(ByteSpan(Sealed(store)))->metadata == "{}");
}

void OnlyIncompatibleFeaturesAreRefused(void**) {
  ManifestRecord record = AVersion();
  record.features_compat = record.features_ro_compat = UINT64_MAX;
  const auto found = DecodeManifest(ByteSpan(Encoded(record)));
  assert_true(found.ok() && found->features_compat == UINT64_MAX);
  assert_true(found->features_ro_compat == UINT64_MAX);
  record.features_incompat = uint64_t{1} << 63;
  assert_true(Answers(Encoded(record), DecodeManifest, Code::kUnsupportedFeature));
  StoreRecord store = AStore();
  store.features_compat = store.features_ro_compat = 7;
  assert_true(Accepts(EncodeStore(store), DecodeStore));
  store.features_incompat = 1;
  assert_true(Answers(EncodeStore(store), DecodeStore, Code::kUnsupportedFeature));
}

void AnUnknownKindIsNotCalledDamage(void**) {
  const Bytes bytes = Sealed(With(Encoded(AVersion()), 48, 3));
  assert_true(Answers(bytes, DecodeManifest, Code::kUnsupportedKind));
  assert_true(Lies(With(Encoded(AVersion()), 48, 0), "record.kind"));
}

void AFixedPartThatContradictsItselfIsRefused(void**) {
  const Bytes bytes = Encoded(AVersion());
  assert_true(Answers(Sealed(With(bytes, 12, 1)), DecodeManifest, Code::kCorruptStructure));
  assert_true(Answers(Sealed(With(bytes, 52, 1)), DecodeManifest, Code::kCorruptStructure));
  assert_true(Lies(With64(bytes, 56, 0), "record.number"));
  assert_true(Lies(With(bytes, 71, 0x80), "record.step"));
  assert_true(Lies(With(bytes, 104, 2), "record.flags"));
  assert_true(Lies(With64(bytes, 128, 42), "record.previous"));
  assert_true(Lies(With64(bytes, 128, 0), "record.previous_digest"));
  assert_true(Lies(With(Encoded(ARemoval()), 88, 1), "record.attempt"));
  assert_true(Lies(With(Encoded(ARemoval()), 104, 1), "record.flags"));
}

void CountsAreCheckedAgainstTheBytesThatAreLeft(void**) {
  const Bytes bytes = Encoded(AVersion());
  assert_true(Lies(With32(bytes, 152, UINT32_MAX), "record.file_count"));
  assert_true(Lies(With32(bytes, 156, UINT32_MAX), "record.other_file_count"));
  assert_true(Lies(With32(bytes, 160, UINT32_MAX), "record.item_count"));
  assert_true(Lies(With32(bytes, 164, UINT32_MAX), "record.metric_count"));
  assert_true(Lies(With64(bytes, 168, UINT64_MAX), "record.metadata_size"));
  assert_true(Lies(With64(bytes, 176, UINT64_MAX), "record.metadata_size"));
  assert_true(Lies(With64(bytes, 176, 2), "record.size"));
  const Bytes store = EncodeStore(AStore());
  assert_true(
      RefusesNaming(Sealed(With64(store, 72, UINT64_MAX)), DecodeStore, "store.metadata_size"));
}

void AVersionHasAFileAndARemovalHasNothing(void**) {
  ManifestRecord record = AVersion();
  record.files.clear();
  assert_true(LiesIn(record, "record.file_count"));
  record = ARemoval();
  record.metadata = "1";
  assert_true(LiesIn(record, "record.file_count"));
}

void AFileOutsideOfTheRulesIsRefused(void**) {
  for (const char* name : {"", ".", "..", "a/b", "A"}) {
    ManifestRecord record = AVersion();
    record.files[0].name = name;
    assert_true(LiesIn(record, "file.name_size"));
  }
  ManifestRecord record = AVersion();
  record.files[0].folder = "x";
  assert_true(LiesIn(record, "file.folder_size"));
  record = AVersion();
  record.other_files[0].folder = "..";
  assert_true(LiesIn(record, "file.folder_size"));
  record = AVersion();
  record.files.push_back(record.files[0]);
  assert_true(LiesIn(record, "record.files"));
  const Bytes bytes = Encoded(AVersion());
  assert_true(Lies(With(bytes, kFixed + 4, 0), "file.algorithm"));
  assert_true(Answers(Sealed(With(bytes, kFixed + 5, 1)), DecodeManifest, Code::kCorruptStructure));
  assert_true(Lies(With64(bytes, kFixed + 8, 0), "file.size"));
  assert_true(Lies(With64(bytes, kFixed + 8, uint64_t{1} << 63), "file.size"));
  const Bytes tail = With(bytes, kFixed + 47, 1);
  assert_true(Answers(Sealed(tail), DecodeManifest, Code::kCorruptStructure));
  assert_true(Accepts(Sealed(With(tail, kFixed + 4, 2)), DecodeManifest));
}

void NamesOfItemsAndMetricsAreTextAndDiffer(void**) {
  for (const std::string& name : {std::string(), std::string(256, 'x'), std::string("\xff")}) {
    ManifestRecord record = AVersion();
    record.items[0].name = name;
    assert_true(LiesIn(record, "item.name"));
    record = AVersion();
    record.metrics[0].name = name;
    assert_true(LiesIn(record, "metric.name"));
  }
  ManifestRecord record = AVersion();
  record.items[1].name = record.items[0].name;
  assert_true(LiesIn(record, "record.items"));
  record = AVersion();
  record.metrics[1].name = record.metrics[0].name;
  assert_true(LiesIn(record, "record.metrics"));
}

}  // namespace
}  // namespace treering::format

int main() {
  using namespace treering::format;  // NOLINT(google-build-using-namespace)
  const CMUnitTest tests[] = {
      cmocka_unit_test(TheFixedPartHasTheBytesOfTheFormat),
      cmocka_unit_test(TheListsHaveTheBytesOfTheFormat),
      cmocka_unit_test(ARecordThatIsAcceptedEncodesToItsBytes),
      cmocka_unit_test(EveryFieldOfARecordComesBack),
      cmocka_unit_test(EveryFieldOfAStoreComesBack),
      cmocka_unit_test(EveryChangedByteIsFound),
      cmocka_unit_test(EveryPrefixIsCalledCutOff),
      cmocka_unit_test(BytesBehindTheEndAreRefused),
      cmocka_unit_test(ZerosInPlaceOfARecordAreDamage),
      cmocka_unit_test(SomethingElseIsNoRecord),
      cmocka_unit_test(ANewerMajorVersionIsUnsupported),
      cmocka_unit_test(AHigherMinorVersionMayHaveMoreBehindItsFields),
      cmocka_unit_test(OnlyIncompatibleFeaturesAreRefused),
      cmocka_unit_test(AnUnknownKindIsNotCalledDamage),
      cmocka_unit_test(AFixedPartThatContradictsItselfIsRefused),
      cmocka_unit_test(CountsAreCheckedAgainstTheBytesThatAreLeft),
      cmocka_unit_test(AVersionHasAFileAndARemovalHasNothing),
      cmocka_unit_test(AFileOutsideOfTheRulesIsRefused),
      cmocka_unit_test(NamesOfItemsAndMetricsAreTextAndDiffer),
  };
  return cmocka_run_group_tests_name("manifest records", tests, nullptr, nullptr);
}
