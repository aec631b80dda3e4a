// SPDX-License-Identifier: Apache-2.0
// Display paths, globs, filters and reports.
#include "tree/path.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cstring>

#include "make.h"
#include "tree/filter.h"
#include "tree/glob.h"
#include "tree/report.h"
#include "tree/text.h"

extern "C" {
#include <cmocka.h>
}

using namespace treering::tree;  // NOLINT(google-build-using-namespace)
using treering::base::Code;

namespace {

bool ComesBack(const Key& key) {
  const std::string shown = DisplayKey(key);
  const auto parsed = ParsePath(shown);
  if (!parsed.ok() || parsed.value().size() != 1) return false;
  const std::vector<Key> keys = Candidates(parsed.value()[0]);
  const bool text = key.kind == KeyKind::kString;
  if (text) return keys.size() == 1 && keys[0] == key;  // nothing else is meant
  for (const Key& k : keys) {
    if (k == key) return true;
  }
  return false;
}

void EveryKeyIsFoundByItsDisplayForm(void**) {
  RandomTree random(7);
  bool right = true;
  for (int i = 0; i < 5000; ++i) {
    std::string text = random.NastyText() + (i % 2 == 0 ? "" : random.NastyText());
    if (!IsWtf8(text)) continue;
    const bool here = ComesBack(Key::String(text));
    if (!here) print_message("# %s\n", EscapeForTerminal(text).c_str());
    right = right && here;
  }
  for (const int64_t i : {int64_t{0}, int64_t{-1}, INT64_MAX, INT64_MIN}) {
    right = right && ComesBack(Key::Int(i)) && ComesBack(Key::Index(i));
  }
  for (size_t size = 9; size < 60; ++size) {
    for (const char top : {'\x01', '\x7f', '\xfe', '\x80'}) {
      std::string big(size, '\0');
      for (char& c : big) c = static_cast<char>(random.Below(256));
      big.back() = top;
      right = right && ComesBack({KeyKind::kBigInt, 0, big});
    }
  }
  assert_true(right);
}

void DisplayFormsAreTheFrozenOnes(void**) {
  const struct {
    const char* key;
    const char* shown;
  } cases[] = {{"kernel", "kernel"},
               {"", "\"\""},
               {"0", "\"0\""},
               {"007", "\"007\""},
               {"-0", "\"-0\""},
               {"1e3", "1e3"},
               {"a/b", "\"a/b\""},
               {"q\"", "\"q\\\"\""},
               {"a b", "a b"},
               {"x:y", "\"x:y\""},
               {"\n", "\"\\n\""},
               {"\x01", "\"\\u0001\""},
               {"\xed\xa0\x80", "\"\\ud800\""},
               {"\xc3\xa9", "\xc3\xa9"},
               {"-", "-"}};
  bool right = true;
  for (const auto& c : cases) {
    const std::string shown = DisplayKey(Key::String(c.key));
    if (shown != c.shown) print_message("# %s\n", shown.c_str());
    right = right && shown == c.shown;
  }
  right = right && DisplayKey({KeyKind::kBigInt, 0, std::string_view("\0\0\0\0\0\0\0\0\x01", 9)}) ==
                       "18446744073709551616";
  right = right && DisplayKey({KeyKind::kBigInt, 0, std::string_view("\0\0\0\0\0\0\0\0\xff", 9)}) ==
                       "-18446744073709551616";
  assert_true(right);
}

void WrongQuotingIsRefusedWithItsPlace(void**) {
  const struct {
    const char* path;
    const char* words;
  } cases[] = {{"a//b", "empty component (an empty key is written \"\") at byte 2"},
               {"a/", "at byte 2"},
               {"\"a", "not closed at byte 0"},
               {"\"a\"b", "at byte 3"},
               {"a/\"\\x\"", "unknown escape at byte 3"},
               {"\"\\u12\"", "at byte 1"},
               {"a\"b\"", "at byte 1"},
               {"\xff", "UTF-8"}};
  bool right = true;
  for (const auto& c : cases) {
    const auto parsed = ParsePath(c.path);
    const bool here = !parsed.ok() && parsed.status().code() == Code::kInvalidArgument &&
                      parsed.status().message().find(c.words) != std::string_view::npos;
    if (!here) print_message("# %s: %s\n", c.path, std::string(parsed.status().message()).c_str());
    right = right && here;
  }
  assert_true(right && ParsePath("").ok() && ParsePath("").value().empty());
}

bool Globs(const char* pattern, const std::vector<std::string>& path) {
  const auto glob = Glob::Compile(pattern);
  return glob.ok() && glob.value().Matches(path);
}

void GlobsMatchComponents(void**) {
  const std::vector<std::string> path = {"params", "layers", "10", "kernel"};
  assert_true(Globs("params/layers/*/kernel", path) && Globs("**", path) &&
              Globs("**/kernel", path));
  assert_true(Globs("params/**/**/k*l", path) && Globs("**/1?/*", path) &&
              Globs("**/[0-9]?/ker[!x-z]el", path));
  assert_false(Globs("params/*", path) || Globs("*", path) || Globs("**/[!0-9]0/**", path) ||
               Globs("", path));
  assert_true(Globs("", {}) && Globs("**", {}) && !Globs("*", {}));
  assert_true(Globs("\"a*\"", {"\"a*\""}) && !Globs("\"a*\"", {"ab"}) && Globs("\"ab\"", {"ab"}));
  assert_true(Globs("?", {"\xc3\xa9"}) && !Globs("??", {"\xc3\xa9"}));
  assert_false(Glob::Compile("[a").ok() || Glob::Compile("\"a").ok() ||
               Glob::Compile("a//b").ok() || Glob::Compile("a/").ok());
}

void HostileGlobsTakeLittleTime(void**) {
  std::string pattern, text(20000, 'a');
  for (int i = 0; i < 2000; ++i) pattern += "a*";
  const std::vector<std::string> deep(256, "a");
  std::string stars;
  for (int i = 0; i < 128; ++i) stars += "**/a/";
  assert_false(Globs((pattern + "b").c_str(), {text}));
  assert_false(Globs((stars + "b").c_str(), deep));
}

void FiltersFollowTypeTagAndPath(void**) {
  const std::string chain("Param\0Variable", 14);
  const Attribute attributes[] = {{kVariableType, 0, chain}, {kTag, 0, "dropout"}};
  Node leaf;
  leaf.attributes = attributes;
  leaf.attribute_count = 2;
  const std::vector<Key> path = {Key::String("layers"), Key::Index(3), Key::String("0")};
  const auto yes = [&](const FilterPtr& f) { return f->Matches(path, leaf); };
  const FilterPtr type = Filter::OfType("Variable");
  assert_true(yes(type) && yes(Filter::OfType("Param")) && !yes(Filter::OfType("Par")) &&
              yes(Filter::WithTag("dropout")));
  assert_true(yes(Filter::PathContains(Key::Int(3))) && !yes(Filter::PathContains(Key::Int(0))) &&
              yes(Filter::PathContains(Key::String("0"))));
  assert_true(yes(Filter::PathContainsText("aye")) && !yes(Filter::PathContainsText("x")));
  assert_true(yes(Filter::PathIn("layers/3/\"0\"").value()) &&
              !yes(Filter::PathIn("layers/3/0").value()) &&
              !yes(Filter::PathIn("layers/3").value()));
  assert_true(yes(Filter::MatchesGlob("layers/*/**").value()) && yes(Filter::All({}).value()) &&
              !yes(Filter::Any({}).value()));
  assert_false(yes(Filter::Not(type).value()) || Filter::Not(nullptr).ok());
  FilterPtr deep = type;
  for (int i = 0; i < 63; ++i) deep = Filter::Not(deep).value();
  assert_true(!yes(deep) && !Filter::Not(deep).ok());
}

void ReportsShowGroupsAndNearestNames(void**) {
  Report report;
  report.Add({FindingKind::kMissing, Code::kMismatchStructure, "params/dense/kernel",
              "float32[512,512]", "", ""});
  report.Add({FindingKind::kUnexpected, Code::kMismatchStructure, "params/dens/kernel", "",
              "float32[512,512]", ""});
  report.Add({FindingKind::kDifferentDtype, Code::kMismatchDtype, "opt/count", "float32[]",
              "int32[]", ""});
  report.FindNearest();
  report.Finish();
  assert_string_equal(
      report.text().c_str(),
      "  missing (1):\n"
      "    params/dense/kernel  wanted float32[512,512]  did you mean params/dens/kernel?\n"
      "  unexpected (1):\n"
      "    params/dens/kernel  has float32[512,512]  did you mean params/dense/kernel?\n"
      "  different (1):\n"
      "    opt/count  wanted float32[]  has int32[]\n"
      "To keep the target's value of missing leaves: allow_missing. If names changed: give "
      "renames. "
      "To ignore leaves the target lacks: allow_unexpected. To convert dtypes: cast.\n");
  assert_true(report.differences() == 3);
  assert_string_equal(report.Summary().substr(0, 63).c_str(),
                      "1 missing (params/dense/kernel wanted float32[512,512]), 1 unex");
}

void LongReportsAreCutAndCheap(void**) {
  Report report;
  for (int i = 0; i < 20000; ++i) {
    report.Add({FindingKind::kMissing, Code::kMismatchStructure,
                "a/very/long/path/to/leaf" + std::to_string(i), "int32[]", "", ""});
    report.Add({FindingKind::kUnexpected, Code::kMismatchStructure,
                "another/quite/long/path/to/leaf" + std::to_string(i), "", "int32[]", ""});
    report.Add({FindingKind::kRestored, Code::kOk, "x", "", "", ""});
  }
  report.FindNearest();
  report.Finish();
  size_t lines = 0;
  for (const char c : report.text()) lines += c == '\n' ? 1 : 0;
  assert_true(lines == 2 * 21 + 2);
  assert_non_null(strstr(report.text().c_str(), "    and 19981 more\n"));
  assert_non_null(strstr(report.text().c_str(), "  20000 restored\n"));
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(EveryKeyIsFoundByItsDisplayForm),
      cmocka_unit_test(DisplayFormsAreTheFrozenOnes),
      cmocka_unit_test(WrongQuotingIsRefusedWithItsPlace),
      cmocka_unit_test(GlobsMatchComponents),
      cmocka_unit_test(HostileGlobsTakeLittleTime),
      cmocka_unit_test(FiltersFollowTypeTagAndPath),
      cmocka_unit_test(ReportsShowGroupsAndNearestNames),
      cmocka_unit_test(LongReportsAreCutAndCheap),
  };
  return cmocka_run_group_tests_name("path", tests, nullptr, nullptr);
}
