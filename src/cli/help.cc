// SPDX-License-Identifier: Apache-2.0
// What --help prints.
//
// The texts are the tool's reference: what each verb answers, the schema of its JSON, and the exit
// codes, which scripts rely on.
//
// Invariant: fields of the schemas are only ever added.
#include <cstring>

#include "cli/options.h"

namespace treering::cli {

namespace {

constexpr char kTool[] =
    R"(treering looks into checkpoint containers (.ring files) and directories of them.

  treering info FILE                  a summary on one screen
  treering ls FILE[:PATH]             the leaves: dtype, shape, size, attributes
  treering tree FILE[:PATH]           the hierarchy with sizes
  treering cat FILE:PATH[BOX]         the values of a leaf or of a box of it
  treering verify FILE|DIR...         checks every byte and names each damaged leaf
  treering log DIR                    the versions: step, time, size, metrics
  treering prune --dry-run DIR ...    which versions rules would keep; without --dry-run: drops
  treering rm DIR STEP...             deletes versions
  treering rebuild DIR                brings back versions whose records are lost
  treering help VERB, treering VERB --help, treering --version

DIR is a manager's directory. A version of it is used as a FILE: DIR@1200, DIR@latest, DIR@best
(the best by --metric NAME, which is not needed where there is only one; --lowest if less is
better), with a path: DIR@1200:params/**. Versions that are damaged are passed over, and told.

PATH is a display path like params/layers/0/kernel, or a glob: * and ? within a component,
[a-z] and [!a-z], ** for any number of components. A container stands for all below it. A key
that needs it is in JSON quotes. With several items write FILE:ITEM:PATH, or --item ITEM. A file
whose name has a colon is found under its whole name. "--" ends the options.

  --json         the answer as JSON on standard output; schema in the help of each verb
  --bytes        sizes as exact numbers of bytes (info, ls, tree, verify, log)

Exit code: 0 fine; 1 damaged, different or not found; 2 wrong usage, or the machine failed.
Colours and progress are for terminals only; NO_COLOR turns the colours off.
)";

constexpr char kInfo[] =
    R"(treering info [--bytes] [--json] FILE

Format, size, items, leaves, parameters (elements of arrays), the dtypes' shares of the bytes,
size as stored, digests, metadata. Reads metadata only.

JSON: {"file", "format", "file_size", "index_size", "nodes", "leaves", "aliases", "chunks",
"other_files", "parameters", "raw_bytes", "stored_bytes",
"features": {"compat", "ro_compat", "incompat"}, "digests": {"content", "file"},
"metadata": text or null, "items": [{"name", "kind": "tree"|"json"|"blob", "leaves", "bytes"}],
"dtypes": [{"name", "bytes", "leaves", "elements"}]}
)";

constexpr char kLs[] =
    R"(treering ls [-l] [--no-collapse] [--bytes] [--item ITEM] [--json] FILE[:PATH]

The leaves with dtype, shape, size and attributes. Siblings whose names differ only in a number
and that agree in everything shown become one line: layers/[0-31]/kernel ×32; its size is that
of all together. Reads metadata only.

  -l, --long     also variable type, tag, bytes stored and how
  --no-collapse  one line for each leaf

JSON (never collapsed): {"file", "leaves": [{"path", "item", "kind", "dtype": name or null,
"shape": list or null, "bytes", "stored_bytes", "alias_of": path or null, "attributes": {name:
text, "variable_type": [most derived, ..., base]}}], "total": {"leaves", "bytes", "stored_bytes"}}
)";

constexpr char kTree[] =
    R"(treering tree [--depth N] [--no-collapse] [--bytes] [--item ITEM] [--json] FILE[:PATH]

The hierarchy: kinds, sizes and numbers of leaves; repeated siblings become one line with ×N, and
their sizes and leaves are those of all together. Reads metadata only.

  --depth N      at most N levels below the root
  --no-collapse  one line for each node

JSON (never collapsed): {"file", "nodes": [{"path", "item", "depth", "kind", "type_name": text or
null, "children", "leaves", "bytes", "stored_bytes", "dtype", "shape"}]}, parents before children
)";

constexpr char kCat[] =
    R"(treering cat [--full] [--raw] [--json] [--item ITEM] [-j N] FILE:PATH[BOX]

The values of a leaf, or of a box of an array: [0:2, :, -1] as in NumPy, without steps. Long
arrays are shortened to their edges. Several leaves each get a line with their name in front.
JSON items are printed as stored. Every byte read is verified.

  --full         all values
  --raw          the bytes, in C order, to standard output (not to a terminal); one leaf only
  -j, --threads N  up to N threads more

JSON: {"file", "leaves": [{"path", "item", "kind", "dtype", "shape", "origin", "extent",
"value"}]}: arrays as nested lists of all values; complex as [real, imaginary]; "NaN",
"Infinity", "-Infinity" as text; integers exact, of any size; bytes as hex text
)";

constexpr char kVerify[] =
    R"(treering verify [-j N] [--bytes] [--json] FILE|DIR...

Checks everything: each byte, each record, order, overlaps, totals, padding. One line for each
finding, with the leaf, the offset in the file, what was expected and found. Of a directory every
version and every record; leftovers of dead saves and unknown names are told and are no damage.

  -j, --threads N  up to N threads more

JSON: one file: {"file", "ok", "status", "message", "bytes", "leaves", "leaves_affected",
"seconds", "findings": [{"kind": "damaged"|"invalid"|"unreadable", "path", "status", "expected",
"found", "offset": number or null}]}; several files: a list of those. status is "OK" or the name
of the library's status; bytes and leaves are null where the file is too damaged to say. Of a
directory "leaves" is null, there is "versions", paths begin with "step N", and kinds are also
"record" (damaged), "leftover", "unknown"
)";

constexpr char kLog[] =
    R"(treering log [--metric NAME [--lowest]] [--bytes] [--json] DIR

The versions, ascending by step: time of the commit (UTC), size, metrics, and which is the latest
and the best. From the records alone: no checkpoint is opened, see verify for that.

  --metric NAME  ranks by this metric; without it by the only one there is
  --lowest       the lowest value is the best, not the highest

JSON: {"directory", "uuid", "created", "metadata", "size", "metric": name or null, "versions":
[{"step", "number", "attempt", "started", "committed": ns since 1970 UTC or null, "size",
"metrics": {name: number}, "metrics_document", "metadata": text or null, "file", "latest", "best",
"rebuilt"}]}
)";

constexpr char kPrune[] =
    R"(treering prune [--dry-run] [--keep-latest N] [--keep-every N]
               [--keep-best N --metric NAME [--lowest]] [--json] DIR

Drops the versions that none of the rules keeps, and says for each which rule it was. The greatest
step always stays, and so do versions without the metric.

  --dry-run        changes nothing, and needs no lock
  --keep-latest N  the last N steps
  --keep-every N   the steps that N divides
  --keep-best N    the N best by --metric; the highest, or with --lowest the lowest

JSON: {"directory", "dry_run", "decisions": [{"step", "keep", "rule"}], "kept", "dropped"}
)";

constexpr char kRm[] =
    R"(treering rm [--json] DIR STEP...
treering rm [--json] DIR@STEP...

Deletes versions, for good when it says so. Steps are given by number. Where one of them does not
exist, none is deleted.

JSON: {"directory", "removed": [step]}
)";

constexpr char kRebuild[] =
    R"(treering rebuild [--json] DIR

Makes records again for whole checkpoints in DIR/data that have none, from what they say of
themselves; their times stay unknown. Do this before anything else opens the directory for
writing, which removes what has no record. Exit code 1 if something could not be taken.

JSON: {"directory", "rebuilt", "not_taken": [{"path", "why"}]}
)";

}  // namespace

const char* HelpText(const std::string& verb) {
  if (verb == "info") return kInfo;
  if (verb == "ls") return kLs;
  if (verb == "tree") return kTree;
  if (verb == "cat") return kCat;
  if (verb == "verify") return kVerify;
  if (verb == "log") return kLog;
  if (verb == "prune") return kPrune;
  if (verb == "rm") return kRm;
  if (verb == "rebuild") return kRebuild;
  return kTool;
}

}  // namespace treering::cli
