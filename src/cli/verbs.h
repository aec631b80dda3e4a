// SPDX-License-Identifier: Apache-2.0
// The verbs of the tool. Each prints to `out` and answers how it went.
#pragma once

#include "cli/json.h"
#include "cli/model.h"
#include "cli/options.h"
#include "cli/output.h"

namespace treering::cli {

// "dtype" and "shape" of a node, null where it is no array.
void PrintType(const Model& model, uint32_t node, Json* json);

Outcome RunInfo(const Options& options, Output* out);
Outcome RunLs(const Options& options, Output* out);
Outcome RunTree(const Options& options, Output* out);
Outcome RunCat(const Options& options, Output* out);
Outcome RunVerify(const Options& options, Output* out);
Outcome RunLog(const Options& options, Output* out);
Outcome RunPrune(const Options& options, Output* out);
Outcome RunRm(const Options& options, Output* out);
Outcome RunRebuild(const Options& options, Output* out);

}  // namespace treering::cli
