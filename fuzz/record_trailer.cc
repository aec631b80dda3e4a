// SPDX-License-Identifier: Apache-2.0
// Claim: a trailer that is accepted encodes to the same bytes, and its sections lie in its file.
//
// The first eight bytes are the size of the file; the trailer behind them is tried as it is and
// then with magic and hash made right, so that the fuzzer gets past both.
#include "base/checked.h"
#include "record.h"

using namespace treering;  // NOLINT(google-build-using-namespace)

namespace {

void Check(base::ByteSpan bytes, uint64_t file_size) {
  const auto decoded = format::DecodeTrailer(bytes, file_size);
  if (!decoded.ok()) {
    fuzz::Claim(!decoded.status().message().empty());
    return;
  }
  const format::Trailer& trailer = decoded.value();
  uint8_t encoded[format::kTrailerSize];
  format::EncodeTrailer(trailer, encoded);
  const uint8_t* last = bytes.data + (bytes.size - sizeof encoded);
  fuzz::Claim(std::memcmp(encoded, last, sizeof encoded) == 0);
  fuzz::Claim(trailer.file_size == file_size);
  fuzz::Claim(base::InBounds(trailer.index_offset, trailer.index_size, file_size));
  for (const format::SectionEntry& section : trailer.sections) {
    fuzz::Claim(base::InBounds(section.offset, section.size(), trailer.index_size));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 8) return 0;
  const uint64_t file_size = base::LoadLe64(data);
  std::vector<uint8_t> bytes(data + 8, data + size);
  Check(base::ByteSpan(bytes), file_size);
  if (bytes.size() < format::kTrailerSize) return 0;
  uint8_t model[format::kTrailerSize];
  format::EncodeTrailer(format::Trailer(), model);
  std::memcpy(bytes.data() + (bytes.size() - 8), model + (sizeof model - 8), 8);
  uint8_t* tail = bytes.data() + (bytes.size() - format::kTailSize);
  const uint64_t length = base::LoadLe32(tail + 8);
  if (length < format::kTailSize || length > bytes.size()) return 0;
  const base::ByteSpan hashed(bytes.data() + (bytes.size() - length), length - 16);
  base::StoreLe64(tail + 48, codec::Hash64(hashed));
  Check(base::ByteSpan(bytes), file_size);
  return 0;
}
