// SPDX-License-Identifier: Apache-2.0
// Version, names of statuses and dtypes, and the proof that the ABI's numbers are the rooms'.
//
// The public header is seen by this room alone, so the lower rooms have enumerations of their own.
// They must agree number by number; the assertions below are where a drift becomes a compile error.
// Names are static text, since bindings ask for them while they report that memory is out.
#include <treering/treering.h>

#include "base/status.h"
#include "capi/import.h"
#include "format/records.h"
#include "tree/cast.h"
#include "tree/dtype.h"
#include "tree/filter.h"
#include "tree/report.h"
#include "tree/tree.h"

namespace treering::capi {
namespace {

using base::Code;

struct StatusName {
  Code code;
  treering_status number;
  const char* name;
};

#define TR_STATUS(code, name) \
  { Code::code, TREERING_##name, #name }
constexpr StatusName kStatusNames[] = {
    TR_STATUS(kOk, OK),
    TR_STATUS(kInvalidArgument, INVALID_ARGUMENT),
    TR_STATUS(kNotFound, NOT_FOUND),
    TR_STATUS(kNotFoundFile, NOT_FOUND_FILE),
    TR_STATUS(kNotFoundPath, NOT_FOUND_PATH),
    TR_STATUS(kNotFoundItem, NOT_FOUND_ITEM),
    TR_STATUS(kNotFoundGone, NOT_FOUND_GONE),
    TR_STATUS(kAlreadyExists, ALREADY_EXISTS),
    TR_STATUS(kNotTreering, NOT_TREERING),
    TR_STATUS(kCorrupt, CORRUPT),
    TR_STATUS(kCorruptChecksum, CORRUPT_CHECKSUM),
    TR_STATUS(kCorruptTruncated, CORRUPT_TRUNCATED),
    TR_STATUS(kCorruptStructure, CORRUPT_STRUCTURE),
    TR_STATUS(kUnsupported, UNSUPPORTED),
    TR_STATUS(kUnsupportedVersion, UNSUPPORTED_VERSION),
    TR_STATUS(kUnsupportedFeature, UNSUPPORTED_FEATURE),
    TR_STATUS(kUnsupportedNoView, UNSUPPORTED_NO_VIEW),
    TR_STATUS(kUnsupportedDtype, UNSUPPORTED_DTYPE),
    TR_STATUS(kUnsupportedCodec, UNSUPPORTED_CODEC),
    TR_STATUS(kUnsupportedKind, UNSUPPORTED_KIND),
    TR_STATUS(kLimit, LIMIT),
    TR_STATUS(kMismatch, MISMATCH),
    TR_STATUS(kMismatchStructure, MISMATCH_STRUCTURE),
    TR_STATUS(kMismatchDtype, MISMATCH_DTYPE),
    TR_STATUS(kMismatchShape, MISMATCH_SHAPE),
    TR_STATUS(kNoMemory, NO_MEMORY),
    TR_STATUS(kIo, IO),
    TR_STATUS(kIoNoSpace, IO_NO_SPACE),
    TR_STATUS(kIoSync, IO_SYNC),
    TR_STATUS(kIoPermission, IO_PERMISSION),
    TR_STATUS(kIoReadOnly, IO_READ_ONLY),
    TR_STATUS(kBusy, BUSY),
    TR_STATUS(kBusyConflict, BUSY_CONFLICT),
    TR_STATUS(kWrongState, WRONG_STATE),
    TR_STATUS(kWrongStateForked, WRONG_STATE_FORKED),
    TR_STATUS(kWrongStateFinished, WRONG_STATE_FINISHED),
    TR_STATUS(kTimeout, TIMEOUT),
    TR_STATUS(kCancelled, CANCELLED),
    TR_STATUS(kOutcomeUnknown, OUTCOME_UNKNOWN),
    TR_STATUS(kInternal, INTERNAL),
};
#undef TR_STATUS

constexpr bool StatusesAgree() {
  for (const StatusName& s : kStatusNames) {
    if (static_cast<treering_status>(s.code) != s.number) return false;
  }
  return true;
}
static_assert(StatusesAgree());

template <typename E>
constexpr bool Same(E ours, int32_t theirs) {
  return static_cast<int32_t>(ours) == theirs;
}
static_assert(Same(tree::Kind::kDict, TREERING_DICT) && Same(tree::Kind::kNone, TREERING_NONE));
static_assert(Same(tree::Kind::kArray, TREERING_ARRAY) &&
              Same(tree::Kind::kPrngKey, TREERING_PRNG_KEY));
static_assert(Same(tree::Kind::kAlias, TREERING_ALIAS) &&
              Same(tree::Kind::kPlaceholder, TREERING_PLACEHOLDER));
static_assert(Same(tree::KeyKind::kNone, TREERING_KEY_NONE) &&
              Same(tree::KeyKind::kBigInt, TREERING_KEY_BIGINT));
static_assert(tree::kVariableType == TREERING_ATTR_VARIABLE_TYPE &&
              tree::kTypeName == TREERING_ATTR_TYPE_NAME);
static_assert(Same(tree::FindingKind::kMissing, TREERING_FINDING_MISSING));
static_assert(Same(tree::FindingKind::kDifferentAttributes, TREERING_FINDING_DIFFERENT_ATTRIBUTES));
static_assert(Same(tree::FindingKind::kCast, TREERING_FINDING_CAST));
static_assert(Same(tree::FindingKind::kRestored, TREERING_FINDING_RESTORED));
static_assert(Same(tree::FindingKind::kDamaged, TREERING_FINDING_DAMAGED));
static_assert(Same(tree::FindingKind::kUnreadable, TREERING_FINDING_UNREADABLE));
static_assert(Same(tree::FindingKind::kSkippedVersion, TREERING_FINDING_SKIPPED_VERSION));
static_assert(Same(tree::FindingKind::kUnknownName, TREERING_FINDING_UNKNOWN_NAME));
static_assert(Same(tree::Filter::Kind::kEverything, TREERING_FILTER_EVERYTHING));
static_assert(Same(tree::Filter::Kind::kCallback, TREERING_FILTER_CALLBACK));
static_assert(Same(tree::Cast::kNever, TREERING_CAST_NEVER) &&
              Same(tree::Cast::kAny, TREERING_CAST_ANY));
static_assert(format::kTreeItem == TREERING_ITEM_TREE && format::kBlobItem == TREERING_ITEM_BLOB);

}  // namespace
}  // namespace treering::capi

extern "C" {

const char* treering_version(void) { return TREERING_BUILD_VERSION; }

uint32_t treering_version_number(void) {
  uint32_t parts[3] = {0, 0, 0};
  size_t part = 0;
  for (const char* p = TREERING_BUILD_VERSION; *p != '\0' && part < 3; ++p) {
    if (*p == '.') {
      ++part;
    } else {
      parts[part] = parts[part] * 10 + static_cast<uint32_t>(*p - '0');
    }
  }
  return parts[0] << 16 | parts[1] << 8 | parts[2];
}

uint32_t treering_format_version(void) {
  return static_cast<uint32_t>(treering::format::kMajor) << 16 | treering::format::kMinor;
}

const char* treering_status_name(treering_status status) {
  const char* class_name = "UNKNOWN";
  for (const auto& s : treering::capi::kStatusNames) {
    if (s.number == status) return s.name;
    if (s.number == (status & 0xff) && status > 0xff) class_name = s.name;
  }
  return class_name;
}

const char* treering_dtype_name(uint32_t dtype) {
  if (dtype > 0xffff) return nullptr;
  return treering::tree::DtypeName(treering::tree::Dtype::FromNumber(dtype));
}

uint32_t treering_dtype_parse(const char* name, uint64_t name_size) {
  std::string_view text;
  if (!treering::capi::ImportText(name, name_size, "name", &text).ok()) return 0;
  return treering::tree::DtypeByName(text).number();
}

}  // extern "C"
