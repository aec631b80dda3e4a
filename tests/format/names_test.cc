// SPDX-License-Identifier: Apache-2.0
// The names in a manager's directory, and the note in a container's metadata.
#include "format/names.h"

#include <limits>

#include "format/version_note.h"
#include "record_checks.h"

namespace treering::format {
namespace {

Uuid Filled(uint8_t value) {
  Uuid uuid{};
  uuid.fill(value);
  return uuid;
}

const Uuid kStore = Filled(0x11);
const Uuid kBits = Filled(0xab);
const std::string kName = AttemptName(kStore, 1200, kBits);

bool IsAttempt(std::string_view name) {
  int64_t step = 0;
  Uuid bits{};
  return ParseAttemptName(kStore, name, &step, &bits);
}

void ARecordsNameHasTwentyDigits(void**) {
  assert_string_equal(RecordName(42).c_str(), "00000000000000000042");
  assert_string_equal(RecordName(UINT64_MAX).c_str(), "18446744073709551615");
  uint64_t number = 0;
  assert_true(ParseRecordName("18446744073709551615", &number) && number == UINT64_MAX);
  for (const char* name :
       {"", "42", "0000000000000000042", "000000000000000000042", "00000000000000000000",
        "18446744073709551616", "99999999999999999999", "+0000000000000000042",
        "0000000000000000004a", "00000000000000000042 "}) {
    assert_false(ParseRecordName(name, &number));
  }
}

void AnAttemptsNameIsThatOfTheFormat(void**) {
  assert_int_equal(kName.size(), 8 + 1 + 48);
  assert_true(kName.find("00001200-abababababababababababababababab") == 0);
  // XXH3-64 of 16 bytes 11, b0 04 and six zeros, 16 bytes ab; from another implementation.
  assert_string_equal(kName.substr(41).c_str(), "4b50a4d380d15658");
}

void AnAttemptsNameComesApartAgain(void**) {
  for (const int64_t step : {int64_t{0}, int64_t{99999999}, int64_t{100000000}, INT64_MAX}) {
    int64_t found = -1;
    Uuid bits{};
    assert_true(ParseAttemptName(kStore, AttemptName(kStore, step, kBits), &found, &bits));
    assert_true(found == step && bits == kBits);
  }
}

void AChangedNameIsNobodys(void**) {
  assert_true(IsAttempt(kName));
  int taken = 0;
  for (size_t i = 0; i < kName.size(); ++i) {
    std::string name = kName;
    for (int c = 0; c < 256; ++c) {
      name[i] = static_cast<char>(c);
      taken += name != kName && IsAttempt(name);
    }
    taken += IsAttempt(std::string_view(kName).substr(0, i));
  }
  assert_int_equal(taken, 0);
  assert_false(IsAttempt("0" + kName));
  assert_false(IsAttempt(kName + "0"));
  assert_false(IsAttempt(AttemptName(Filled(0x12), 1200, kBits)));
}

void ANameHasOneSpelling(void**) {
  std::string upper = kName;
  for (char& c : upper) c = c == 'a' ? 'A' : c;
  assert_false(IsAttempt(upper));
  // One step more than there is, and one digit more than it needs.
  assert_false(IsAttempt("9223372036854775808" + kName.substr(8)));
  assert_false(IsAttempt("000001200" + kName.substr(8)));
}

void ATemporaryRecordNamesItsAttempt(void**) {
  const std::string name = TemporaryRecordName(kName);
  assert_true(name == "." + kName + ".tmp");
  assert_true(ParseTemporaryRecordName(kStore, name));
  assert_false(ParseTemporaryRecordName(Filled(0x12), name));
  for (const std::string& other : {kName, "." + kName, kName + ".tmp", std::string(".tmp"),
                                   std::string("..tmp"), "." + kName + ".tmp.tmp"}) {
    assert_false(ParseTemporaryRecordName(kStore, other));
  }
}

void OnlyFixedNamesAreOursInAnAttemptsFolder(void**) {
  for (const char* name : {"default.ring", "index.ring", "part-00000.ring", "part-99999.ring"}) {
    assert_true(IsAttemptFile(name));
  }
  for (const char* name :
       {"", "default.ring ", "other.ring", "part-0000.ring", "part-000000.ring", "part-0000a.ring",
        "part-00000.rin", "part-00000.ring2", "Part-00000.ring"}) {
    assert_false(IsAttemptFile(name));
  }
}

VersionNote ANote() {
  VersionNote note;
  note.step = 1200;
  note.metrics.push_back({"loss", 0.1});
  note.metrics.push_back({"a \"b\"\\\n\xc3\xa9", -0.0});
  note.metrics.push_back({"no", std::numeric_limits<double>::quiet_NaN()});
  note.metrics.push_back({"up", std::numeric_limits<double>::infinity()});
  note.metrics_document = "{\"a\":1}";
  note.metadata = "[\"}\"]";
  return note;
}

void ANoteIsTheTextOfTheFormat(void**) {
  assert_string_equal(
      EncodeVersionNote(ANote()).c_str(),
      "{\"treering\":{\"step\":1200,\"metrics\":[[\"loss\",\"3fb999999999999a\",0.1],"
      "[\"a \\\"b\\\"\\\\\\u000a\xc3\xa9\",\"8000000000000000\",-0],"
      "[\"no\",\"7ff8000000000000\",null],[\"up\",\"7ff0000000000000\",null]],"
      "\"metrics_document_size\":7,\"metadata_size\":5},"
      "\"metrics_document\":{\"a\":1},\"metadata\":[\"}\"]}");
  assert_string_equal(EncodeVersionNote({}).c_str(),
                      "{\"treering\":{\"step\":0,\"metrics\":[],\"metrics_document_size\":0,"
                      "\"metadata_size\":0},\"metrics_document\":null,\"metadata\":null}");
}

bool ComesBack(const VersionNote& note) {
  const std::string text = EncodeVersionNote(note);
  const auto found = DecodeVersionNote(text);
  return found.ok() && found->step == note.step && found->metrics.size() == note.metrics.size() &&
         found->metrics_document == note.metrics_document && found->metadata == note.metadata &&
         EncodeVersionNote(*found) == text;
}

void ANoteComesBack(void**) {
  assert_true(ComesBack(ANote()));
  assert_true(ComesBack({}));
  assert_true(ComesBack({INT64_MAX, {}, "null", "null"}));
  VersionNote note;
  for (const double value : {1e300, 5e-324, 1e22, 123456789.0, -1.5, 1.0 / 3}) {
    note.metrics.push_back({std::to_string(note.metrics.size()), value});
  }
  std::string controls;
  for (char c = 0; c < 0x20; ++c) controls += c;
  note.metrics.push_back({controls, 0});
  assert_true(ComesBack(note));
}

// What is accepted must be what would be written.
void AChangedNoteIsNoNote(void**) {
  const std::string text = EncodeVersionNote(ANote());
  int wrong = 0, prefixes = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    std::string changed = text;
    for (int c = 0; c < 256; ++c) {
      changed[i] = static_cast<char>(c);
      const auto found = DecodeVersionNote(changed);
      wrong += found.ok() ? EncodeVersionNote(*found) != changed
                          : found.status().code() != base::Code::kNotFound;
    }
    prefixes += DecodeVersionNote(std::string_view(text).substr(0, i)).ok();
  }
  assert_int_equal(wrong, 0);
  assert_int_equal(prefixes, 0);
}

void OtherMetadataIsNoNote(void**) {
  for (const char* text : {"", "{}", "null", "{\"treering\":{}}", "{\"step\":1200}"}) {
    assert_false(DecodeVersionNote(text).ok());
  }
  std::string negative = EncodeVersionNote({});
  negative.replace(negative.find(":0,"), 3, ":-1,");
  assert_false(DecodeVersionNote(negative).ok());
  std::string huge = EncodeVersionNote({});
  huge.replace(huge.find(":0,"), 3, ":9223372036854775808,");
  assert_false(DecodeVersionNote(huge).ok());
}

void NamesThatNoRecordMayHaveAreNoNote(void**) {
  for (const std::string& name : {std::string(), std::string(256, 'x'), std::string("\xff")}) {
    VersionNote note;
    note.metrics.push_back({name, 1});
    assert_false(DecodeVersionNote(EncodeVersionNote(note)).ok());
  }
  VersionNote twice;
  twice.metrics = {{"loss", 1}, {"loss", 2}};
  assert_false(DecodeVersionNote(EncodeVersionNote(twice)).ok());
}

}  // namespace
}  // namespace treering::format

int main() {
  using namespace treering::format;  // NOLINT(google-build-using-namespace)
  const CMUnitTest tests[] = {
      cmocka_unit_test(ARecordsNameHasTwentyDigits),
      cmocka_unit_test(AnAttemptsNameIsThatOfTheFormat),
      cmocka_unit_test(AnAttemptsNameComesApartAgain),
      cmocka_unit_test(AChangedNameIsNobodys),
      cmocka_unit_test(ANameHasOneSpelling),
      cmocka_unit_test(ATemporaryRecordNamesItsAttempt),
      cmocka_unit_test(OnlyFixedNamesAreOursInAnAttemptsFolder),
      cmocka_unit_test(ANoteIsTheTextOfTheFormat),
      cmocka_unit_test(ANoteComesBack),
      cmocka_unit_test(AChangedNoteIsNoNote),
      cmocka_unit_test(OtherMetadataIsNoNote),
      cmocka_unit_test(NamesThatNoRecordMayHaveAreNoNote),
  };
  return cmocka_run_group_tests_name("manager names", tests, nullptr, nullptr);
}
