// SPDX-License-Identifier: Apache-2.0
// Claims: a note that is accepted encodes to the same text, and a name that is parsed is the one
// that is made.
#include "format/version_note.h"

#include "format/names.h"
#include "record.h"

using namespace treering;  // NOLINT(google-build-using-namespace)

namespace {

void CheckNames(std::string_view text) {
  uint64_t number = 0;
  if (format::ParseRecordName(text, &number)) fuzz::Claim(format::RecordName(number) == text);
  int64_t step = 0;
  format::Uuid bits{};
  if (format::ParseAttemptName({}, text, &step, &bits)) {
    fuzz::Claim(format::AttemptName({}, step, bits) == text && step >= 0);
    fuzz::Claim(format::IsFileName(text));
    const std::string temporary = format::TemporaryRecordName(text);
    fuzz::Claim(format::ParseTemporaryRecordName({}, temporary));
  }
  if (format::IsAttemptFile(text)) fuzz::Claim(format::IsFileName(text));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = base::ByteSpan(data, size).text();
  CheckNames(text);
  const auto note = format::DecodeVersionNote(text);
  if (note.ok()) {
    fuzz::Claim(note->step >= 0 && format::EncodeVersionNote(*note) == text);
  } else {
    fuzz::Claim(note.status().code() == base::Code::kNotFound);
  }
  return 0;
}
