// SPDX-License-Identifier: Apache-2.0
// The record of a version in a manager's directory, and its bytes. FORMAT.md, part II.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "codec/hash.h"
#include "format/records.h"

namespace treering::format {

using Uuid = std::array<uint8_t, 16>;
inline constexpr int64_t kNoTime = INT64_MIN;  // a time that is not known
inline constexpr uint64_t kMaxManifest = uint64_t{64} << 20;
inline constexpr uint64_t kMaxMetricName = 255;

struct Metric {
  std::string name;  // 1 to 255 bytes of UTF-8, unique in a record
  double value = 0;
};

struct ManifestFile {
  std::string folder;  // empty: the attempt's own
  std::string name;
  uint64_t size = 0;
  uint8_t algorithm = kDigestXxh3;
  std::array<uint8_t, 32> digest{};
};

struct ManifestItem {
  uint32_t kind = 0;
  std::string name;
};

enum ManifestKind : uint32_t { kVersionRecord = 1, kRemovedRecord = 2 };
inline constexpr uint64_t kRebuilt = 1;  // of flags

struct ManifestRecord {
  uint32_t kind = kVersionRecord;
  uint64_t number = 0;  // 1 and up; the file's name says the same
  int64_t step = 0;     // 0 … 2^63 - 1
  Uuid store{};
  Uuid attempt{};  // zero in a removed record
  uint64_t flags = 0;
  int64_t started = kNoTime;  // ns since 1970 UTC
  int64_t committed = kNoTime;
  uint64_t previous = 0;  // number of the record before; 0: none
  codec::Hash128 previous_digest{};
  uint64_t features_compat = 0;
  uint64_t features_ro_compat = 0;
  uint64_t features_incompat = 0;
  std::vector<ManifestFile> files;        // of the attempt's own folder; one or more in a version
  std::vector<ManifestFile> other_files;  // the container's file table
  std::vector<ManifestItem> items;
  std::vector<Metric> metrics;
  std::string metrics_document;  // JSON or empty
  std::string metadata;          // JSON or empty
  codec::Hash128 digest{};       // at the record's end; set by Encode and Decode
};

// Whoever calls it sees to it that names, sizes and numbers are as above.
std::vector<uint8_t> EncodeManifest(ManifestRecord* record);
// Checks, in this order: size and magic (kCorruptTruncated, kNotTreering), hash
// (kCorruptChecksum), major (kUnsupportedVersion), incompatible features (kUnsupportedFeature),
// the kind (kUnsupportedKind), then every field (kCorruptStructure). Total: what is accepted
// encodes to the same bytes, unless its minor version is higher.
base::Result<ManifestRecord> DecodeManifest(base::ByteSpan bytes);

}  // namespace treering::format
