// SPDX-License-Identifier: Apache-2.0
// Status and Result: how every room reports failure, without exceptions.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace treering::base {

// The numbers are those of the C ABI (capi/ asserts that they agree): the low byte is the class,
// the next byte the detail.
enum class Code : int32_t {
  kOk = 0,
  kInvalidArgument = 8,
  kNotFound = 16,
  kNotFoundFile = 16 | 1 << 8,
  kNotFoundPath = 16 | 2 << 8,
  kNotFoundItem = 16 | 3 << 8,
  kNotFoundGone = 16 | 4 << 8,
  kAlreadyExists = 24,
  kNotTreering = 32,
  kCorrupt = 40,
  kCorruptChecksum = 40 | 1 << 8,
  kCorruptTruncated = 40 | 2 << 8,
  kCorruptStructure = 40 | 3 << 8,
  kUnsupported = 48,
  kUnsupportedVersion = 48 | 1 << 8,
  kUnsupportedFeature = 48 | 2 << 8,
  kUnsupportedNoView = 48 | 3 << 8,
  kUnsupportedDtype = 48 | 4 << 8,
  kUnsupportedCodec = 48 | 5 << 8,
  kUnsupportedKind = 48 | 6 << 8,
  kLimit = 56,
  kMismatch = 64,
  kMismatchStructure = 64 | 1 << 8,
  kMismatchDtype = 64 | 2 << 8,
  kMismatchShape = 64 | 3 << 8,
  kNoMemory = 72,
  kIo = 80,
  kIoNoSpace = 80 | 1 << 8,
  kIoSync = 80 | 2 << 8,
  kIoPermission = 80 | 3 << 8,
  kIoReadOnly = 80 | 4 << 8,
  kBusy = 88,
  kBusyConflict = 88 | 1 << 8,
  kWrongState = 96,
  kWrongStateForked = 96 | 1 << 8,
  kWrongStateFinished = 96 | 2 << 8,
  kTimeout = 104,
  kCancelled = 112,
  kOutcomeUnknown = 120,
  kInternal = 128,
};

inline int ClassOf(Code code) { return static_cast<int32_t>(code) & 0xff; }

// A value that is OK (and then one null pointer wide) or says what failed: code, one line of
// text, errno where the system said no, and the byte offset in the file where one is known.
class [[nodiscard]] Status {
 public:
  static constexpr uint64_t kNoOffset = UINT64_MAX;

  Status() = default;
  Status(Code code, std::string message, int os_error = 0, uint64_t offset = kNoOffset)
      : detail_(new Detail{code, os_error, offset, std::move(message)}) {}

  Status(Status&&) = default;
  Status& operator=(Status&&) = default;
  Status(const Status& other) : detail_(other.detail_ ? new Detail(*other.detail_) : nullptr) {}
  Status& operator=(const Status& other) {
    if (this != &other) detail_.reset(other.detail_ ? new Detail(*other.detail_) : nullptr);
    return *this;
  }

  bool ok() const { return detail_ == nullptr; }
  Code code() const { return detail_ ? detail_->code : Code::kOk; }
  int os_error() const { return detail_ ? detail_->os_error : 0; }
  uint64_t offset() const { return detail_ ? detail_->offset : kNoOffset; }
  std::string_view message() const {
    return detail_ ? std::string_view(detail_->message) : std::string_view();
  }

  // Puts "context: " in front of the message, where the caller knows what the callee could not.
  Status WithContext(std::string_view context) && {
    if (detail_) detail_->message.insert(0, std::string(context) + ": ");
    return std::move(*this);
  }

 private:
  struct Detail {
    Code code;
    int os_error;
    uint64_t offset;
    std::string message;
  };
  std::unique_ptr<Detail> detail_;
};

// A T, or the Status that says why there is none.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}          // NOLINT(google-explicit-constructor)
  Result(Status status) : status_(std::move(status)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return value_.has_value(); }
  Status& status() { return status_; }
  const Status& status() const { return status_; }
  T& value() { return *value_; }
  const T& value() const { return *value_; }
  T* operator->() { return &*value_; }
  T& operator*() { return *value_; }
  const T* operator->() const { return &*value_; }
  const T& operator*() const { return *value_; }

 private:
  std::optional<T> value_;
  Status status_;
};

}  // namespace treering::base

// Returns the status from the enclosing function unless it is OK.
#define TR_RETURN_IF_ERROR(expr)                  \
  do {                                            \
    ::treering::base::Status tr_status_ = (expr); \
    if (!tr_status_.ok()) return tr_status_;      \
  } while (0)

#define TR_CONCAT_INNER_(a, b) a##b
#define TR_CONCAT_(a, b) TR_CONCAT_INNER_(a, b)
// `TR_ASSIGN_OR_RETURN(auto x, F())`: x becomes F's value, or its status is returned.
#define TR_ASSIGN_OR_RETURN(lhs, expr) \
  TR_ASSIGN_OR_RETURN_(TR_CONCAT_(tr_result_, __LINE__), lhs, expr)
#define TR_ASSIGN_OR_RETURN_(tmp, lhs, expr)     \
  auto tmp = (expr);                             \
  if (!tmp.ok()) return std::move(tmp.status()); \
  lhs = std::move(tmp.value())
