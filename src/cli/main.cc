// SPDX-License-Identifier: Apache-2.0
// The treering tool: from the command line to a verb, and from its outcome to an exit code.
//
// The tool is written on the public C API alone, so that what it can do every program can. prune,
// rm and rebuild change a directory; the other verbs change nothing but standard output. Memory
// that runs out is the one exception that is caught.
//
// Everything that can be wrong on the way is an Outcome; this file alone turns one into an exit.
#include <treering/treering.h>

#include <new>
#include <stdexcept>

#include "cli/checkpoint.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/verbs.h"

namespace treering::cli {
namespace {

Outcome Run(const Options& options, Output* out) {
  if (options.version) {
    if (!options.json) {
      out->Line(std::string("treering ") + treering_version());
      return {};
    }
    Json json(out);
    json.BeginObject();
    json.Member("version", treering_version());
    json.Member("format", FormatVersion(treering_format_version()));
    json.End();
    return {};
  }
  if (options.help) {
    out->Write(HelpText(options.verb));
    return {};
  }
  if (options.verb == "info") return RunInfo(options, out);
  if (options.verb == "ls") return RunLs(options, out);
  if (options.verb == "tree") return RunTree(options, out);
  if (options.verb == "cat") return RunCat(options, out);
  if (options.verb == "log") return RunLog(options, out);
  if (options.verb == "prune") return RunPrune(options, out);
  if (options.verb == "rm") return RunRm(options, out);
  if (options.verb == "rebuild") return RunRebuild(options, out);
  return RunVerify(options, out);
}

int Main(int argc, char** argv) {
  Output out;
  Options options;
  Outcome outcome = ParseOptions(argc, argv, &options);
  if (outcome.ok()) outcome = Run(options, &out);
  const Outcome written = out.Finish();
  if (!written.ok()) {
    PrintError(written.message);
    return written.code;
  }
  if (!outcome.message.empty()) PrintError(outcome.message);
  return outcome.code;
}

}  // namespace
}  // namespace treering::cli

int main(int argc, char** argv) {
  try {
    return treering::cli::Main(argc, argv);
  } catch (const std::bad_alloc&) {
    treering::cli::PrintError("not enough memory; choose less with a path");
    return treering::cli::kTrouble;
  } catch (const std::length_error&) {
    treering::cli::PrintError("larger than any memory; choose less with a path");
    return treering::cli::kTrouble;
  }
}
