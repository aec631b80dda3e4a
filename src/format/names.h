// SPDX-License-Identifier: Apache-2.0
// The names in a manager's directory. FORMAT.md, part II.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "format/manifest.h"

namespace treering::format {

inline constexpr std::string_view kStoreName = "STORE";
inline constexpr std::string_view kLockName = "LOCK";
inline constexpr std::string_view kManifestsName = "manifests";
inline constexpr std::string_view kDataName = "data";
inline constexpr std::string_view kContainerName = "default.ring";

// "00000000000000000042". Parsing is strict: 20 digits, 1 and up.
std::string RecordName(uint64_t number);
bool ParseRecordName(std::string_view name, uint64_t* number);

// "00001200-<32 hex of the bits><16 hex of the tag>": at least 8 digits of the step; the tag is the
// XXH3-64 of store, step (little-endian) and bits. Only a name whose tag is right is parsed, so the
// name alone proves that this store made it.
std::string AttemptName(const Uuid& store, int64_t step, const Uuid& bits);
bool ParseAttemptName(const Uuid& store, std::string_view name, int64_t* step, Uuid* bits);

// The form alone: a store made it, whichever.
bool LooksLikeAttempt(std::string_view name);

// ".<attempt name>.tmp": a record that was not committed yet.
std::string TemporaryRecordName(std::string_view attempt_name);
bool ParseTemporaryRecordName(const Uuid& store, std::string_view name);

// default.ring, index.ring, part-NNNNN.ring: what an attempt's folder may hold of ours.
bool IsAttemptFile(std::string_view name);

}  // namespace treering::format
