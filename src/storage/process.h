// SPDX-License-Identifier: Apache-2.0
// Who we are among the processes: for locks' texts, and to notice a fork.
#pragma once

#include <cstdint>
#include <string>

namespace treering::storage {

int64_t ProcessId();
std::string HostName();
// Whether a process of that id is surely not running on this host.
bool ProcessIsGone(int64_t id);

}  // namespace treering::storage
