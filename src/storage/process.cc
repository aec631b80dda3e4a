// SPDX-License-Identifier: Apache-2.0
// Process and host, as the system tells them.
//
// The id is asked anew at each call: a value remembered from before a fork is what the callers
// compare it with. Whether another process runs is only known on this host and within this
// namespace of ids; a wrong "running" is harmless, it only makes a message less precise.
#include "storage/process.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

namespace treering::storage {

int64_t ProcessId() { return getpid(); }

std::string HostName() {
  char name[256] = {};
  return gethostname(name, sizeof(name) - 1) == 0 ? name : "unknown";
}

bool ProcessIsGone(int64_t id) {
  return id > 0 && kill(static_cast<pid_t>(id), 0) != 0 && errno == ESRCH;
}

}  // namespace treering::storage
