// SPDX-License-Identifier: Apache-2.0
// Options that several functions of the C ABI take.
#pragma once

#include <treering/treering.h>

#include "base/status.h"
#include "container/container.h"
#include "container/writer.h"

namespace treering::capi {

base::Status ImportOpenOptions(const treering_open_options* options, container::OpenOptions* out);
base::Status ImportReadOptions(const treering_read_options* options, container::ReadOptions* out);
// *in gets the options as the caller gave them, completed; *out those that a writer has.
base::Status ImportSaveOptions(const treering_save_options* options, treering_save_options* in,
                               container::WriterOptions* out);

}  // namespace treering::capi
