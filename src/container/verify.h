// SPDX-License-Identifier: Apache-2.0
// Checking everything: every byte, every record, order, overlaps, totals, padding.
#pragma once

#include "container/container.h"
#include "tree/report.h"

namespace treering::container {

// OK and an empty report, or the worst finding's status with a report that names each damaged leaf.
// Goes on after a finding as far as memory safety allows. Memory: bits and words per record, never
// per byte of data.
base::Status Verify(const Container& container, const ReadOptions& options, tree::Report* report);

}  // namespace treering::container
