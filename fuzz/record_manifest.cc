// SPDX-License-Identifier: Apache-2.0
// Claim: a version record that is accepted encodes to the same bytes, and names no path.
#include "format/manifest.h"
#include "sealed.h"

using namespace treering;  // NOLINT(google-build-using-namespace)

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return fuzz::CheckSealedInput(
      data, size, 'M', format::DecodeManifest, [](format::ManifestRecord* record) {
        fuzz::Claim(record->number > record->previous && record->step >= 0);
        for (const format::ManifestFile& file : record->files) {
          fuzz::Claim(file.folder.empty() && format::IsFileName(file.name));
        }
        for (const format::ManifestFile& file : record->other_files) {
          fuzz::Claim(file.folder.empty() || format::IsFileName(file.folder));
          fuzz::Claim(format::IsFileName(file.name));
        }
        return format::EncodeManifest(record);
      });
}
