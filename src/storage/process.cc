// SPDX-License-Identifier: Apache-2.0
// Process and host, as the system tells them.
//
// The id is asked anew at each call: a value remembered from before a fork is what the callers
// compare it with. Whether another process runs is only known on this host, within this namespace
// of ids, and where there is a /proc; a wrong "running" only makes a message less precise.
#include "storage/process.h"

#include <sys/stat.h>
#include <unistd.h>

namespace treering::storage {

int64_t ProcessId() { return getpid(); }

std::string HostName() {
  char name[256] = {};
  return gethostname(name, sizeof(name) - 1) == 0 ? name : "unknown";
}

bool ProcessIsGone(int64_t id) {
  struct stat info;
  if (stat("/proc/self", &info) != 0) return false;
  return id > 0 && stat(("/proc/" + std::to_string(id)).c_str(), &info) != 0;
}

}  // namespace treering::storage
