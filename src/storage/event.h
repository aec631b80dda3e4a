// SPDX-License-Identifier: Apache-2.0
// A descriptor that becomes readable, for event loops.
#pragma once

#include "base/status.h"
#include "storage/fd.h"

namespace treering::storage {

// Not thread-safe. Closed on exec and with the object.
class Event {
 public:
  // Makes the descriptor, once; it is not readable yet.
  base::Status Open();
  bool open() const { return read_.open(); }
  int descriptor() const { return read_.get(); }
  // From now on it is readable. Only if open.
  void Set();

 private:
  Fd read_;
  Fd write_;  // the other end, where the system has pipes only
};

}  // namespace treering::storage
