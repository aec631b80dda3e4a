// SPDX-License-Identifier: Apache-2.0
// The command line: getopt_long once over all of it, then what each verb takes is checked.
//
// One table names every option with the verbs that take it, so that an option given to a verb that
// would ignore it is refused instead. What the targets mean is left to the verbs.
//
// Invariant: what ParseOptions lets through names a verb that exists and its targets.
#include "cli/options.h"

#include <errno.h>
#include <getopt.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "cli/text.h"

namespace treering::cli {

namespace {

enum Choice : int {
  kBytes = 256,
  kDepth,
  kDryRun,
  kFull,
  kHelp,
  kItem,
  kJson,
  kKeepBest,
  kKeepEvery,
  kKeepLatest,
  kLowest,
  kMetric,
  kNoCollapse,
  kRaw,
  kVersion,
};

const option kLongOptions[] = {
    {"bytes", no_argument, nullptr, kBytes},
    {"depth", required_argument, nullptr, kDepth},
    {"dry-run", no_argument, nullptr, kDryRun},
    {"full", no_argument, nullptr, kFull},
    {"help", no_argument, nullptr, kHelp},
    {"item", required_argument, nullptr, kItem},
    {"json", no_argument, nullptr, kJson},
    {"keep-best", required_argument, nullptr, kKeepBest},
    {"keep-every", required_argument, nullptr, kKeepEvery},
    {"keep-latest", required_argument, nullptr, kKeepLatest},
    {"long", no_argument, nullptr, 'l'},
    {"lowest", no_argument, nullptr, kLowest},
    {"metric", required_argument, nullptr, kMetric},
    {"no-collapse", no_argument, nullptr, kNoCollapse},
    {"raw", no_argument, nullptr, kRaw},
    {"threads", required_argument, nullptr, 'j'},
    {"version", no_argument, nullptr, kVersion},
    {nullptr, 0, nullptr, 0},
};

struct Taken {
  int choice;
  const char* name;
  const char* verbs;  // that take it, each between blanks
};

constexpr Taken kTaken[] = {
    {kBytes, "--bytes", " info ls tree verify log "},
    {kDepth, "--depth", " tree "},
    {kDryRun, "--dry-run", " prune "},
    {kFull, "--full", " cat "},
    {kItem, "--item", " ls tree cat "},
    {kKeepBest, "--keep-best", " prune "},
    {kKeepEvery, "--keep-every", " prune "},
    {kKeepLatest, "--keep-latest", " prune "},
    {kLowest, "--lowest", " info ls tree cat verify log prune "},
    {kMetric, "--metric", " info ls tree cat verify log prune "},
    {'l', "--long", " ls "},
    {kNoCollapse, "--no-collapse", " ls tree "},
    {kRaw, "--raw", " cat "},
    {'j', "--threads", " cat verify "},
};

constexpr const char* kVerbs[] = {"info", "ls",    "tree", "cat",    "verify",
                                  "log",  "prune", "rm",   "rebuild"};
constexpr char kVerbList[] = "info, ls, tree, cat, verify, log, prune, rm or rebuild";
constexpr uint64_t kMostThreads = 256;
constexpr long kMostThreadsUnasked = 8;

Outcome Number(const char* option, const char* text, uint64_t least, uint64_t limit,
               uint64_t* out) {
  char* end = nullptr;
  errno = 0;
  const unsigned long long value = std::strtoull(text, &end, 10);
  const bool digit = text[0] >= '0' && text[0] <= '9';
  if (!digit || *end != '\0' || errno != 0 || value < least || value > limit) {
    return Usage(std::string(option) + " takes a number from " + std::to_string(least) + " to " +
                 std::to_string(limit) + ", not '" + text + "'");
  }
  *out = value;
  return {};
}

Outcome Apply(int choice, Options* out) {
  uint64_t number = 0;
  Outcome outcome;
  switch (choice) {
    case kBytes:
      out->exact_bytes = true;
      break;
    case kFull:
      out->full = true;
      break;
    case kHelp:
      out->help = true;
      break;
    case kJson:
      out->json = true;
      break;
    case 'l':
      out->details = true;
      break;
    case kNoCollapse:
      out->collapse = false;
      break;
    case kRaw:
      out->raw = true;
      break;
    case kVersion:
      out->version = true;
      break;
    case kItem:
      out->item = optarg;
      out->item_given = true;
      break;
    case kDryRun:
      out->dry_run = true;
      break;
    case kLowest:
      out->lowest = true;
      break;
    case kMetric:
      out->metric = optarg;
      if (out->metric.empty()) return Usage("--metric takes the name of a metric");
      break;
    case kKeepBest:
      return Number("--keep-best", optarg, 1, INT64_MAX, &out->keep_best);
    case kKeepEvery:
      return Number("--keep-every", optarg, 1, INT64_MAX, &out->keep_every);
    case kKeepLatest:
      return Number("--keep-latest", optarg, 1, INT64_MAX, &out->keep_latest);
    case kDepth:
      return Number("--depth", optarg, 0, 1000000, &out->depth);
    case 'j':
      outcome = Number("--threads", optarg, 0, kMostThreads, &number);
      out->threads = static_cast<uint32_t>(number);
      return outcome;
    default:
      return Usage("internal: an option without a meaning");
  }
  return {};
}

Outcome CheckTaken(const std::vector<int>& given, const Options& options) {
  for (const Taken& taken : kTaken) {
    if (std::find(given.begin(), given.end(), taken.choice) == given.end()) continue;
    if (std::strstr(taken.verbs, (" " + options.verb + " ").c_str()) != nullptr) continue;
    return Usage(options.verb + " takes no " + taken.name + "; see treering " + options.verb +
                 " --help");
  }
  return {};
}

Outcome TakeVerb(std::vector<std::string> words, Options* out) {
  if (!words.empty() && words[0] == "help") {
    out->help = true;
    words.erase(words.begin());
    if (words.empty()) return {};
  }
  if (!words.empty() && words[0] == "version") {
    out->version = true;
    return {};
  }
  if (words.empty()) {
    if (out->help || out->version) return {};
    return Usage(std::string("no verb given; try ") + kVerbList + ", or treering --help");
  }
  out->verb = words[0];
  out->targets.assign(words.begin() + 1, words.end());
  for (const char* verb : kVerbs) {
    if (out->verb == verb) return {};
  }
  return Usage("no verb '" + out->verb + "'; try " + kVerbList + ", or treering --help");
}

}  // namespace

Outcome ParseOptions(int argc, char** argv, Options* out) {
  if (argc < 1) return Usage("no verb given; see treering --help");
  std::vector<int> given;
  opterr = 0;
  const long processors = ::sysconf(_SC_NPROCESSORS_ONLN);
  out->threads = static_cast<uint32_t>(std::clamp(processors - 1, 0L, kMostThreadsUnasked));
  for (;;) {
    const int choice = ::getopt_long(argc, argv, ":hj:l", kLongOptions, nullptr);
    if (choice == -1) break;
    if (choice == '?' || choice == ':') {
      const std::string text = argv[optind - 1];
      return Usage(
          (choice == ':' ? "option '" + text + "' needs a value" : "no option '" + text + "'") +
          "; see treering --help");
    }
    given.push_back(choice == 'h' ? kHelp : choice);
    Outcome outcome = Apply(given.back(), out);
    if (!outcome.ok()) return outcome;
  }
  Outcome verb = TakeVerb(std::vector<std::string>(argv + optind, argv + argc), out);
  if (!verb.ok() || out->help || out->version) return verb;
  Outcome taken = CheckTaken(given, *out);
  if (!taken.ok()) return taken;
  const bool run =
      out->verb == "log" || out->verb == "prune" || out->verb == "rm" || out->verb == "rebuild";
  if (out->targets.empty()) {
    return Usage(out->verb + " needs a " + (run ? "directory" : "file") + "; see treering " +
                 out->verb + " --help");
  }
  if (out->targets.size() > 1 && out->verb != "verify" && out->verb != "rm") {
    return Usage(out->verb + " takes one " + (run ? "directory" : "file") + ", not " +
                 std::to_string(out->targets.size()));
  }
  return {};
}

}  // namespace treering::cli
