// SPDX-License-Identifier: Apache-2.0
// IsJson takes what RFC 8259 takes, and nothing else.
#include <string>
#include <string_view>

#include "cmocka_all.h"
#include "container/writer.h"

namespace {

using treering::container::IsJson;

bool Json(std::string_view text) {
  uint64_t offset = 0;
  return IsJson(text, &offset);
}

void EveryFormOfValueIsTaken(void** /*state*/) {
  for (const char* text :
       {"0", "-0", "12.5e-3", "1E+9", "true", "false", "null", "\"\"", "[]", "{}", " [ 1 , 2 ] ",
        "{\"a\":1,\"a\":2}", "{\"\":{\"b\":[null,{}]}}", "\"\\u00e9\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
        "\"\\ud800\"", "\"\xc3\xa9\xf0\x9f\x98\x80\"", "\t\r\n1", "\"\x7f\""}) {
    assert_true(Json(text));
  }
}

void WhatIsNoJsonIsRefused(void** /*state*/) {
  for (const char* text : {"",
                           " ",
                           "01",
                           "1.",
                           ".5",
                           "+1",
                           "-",
                           "1e",
                           "1e+",
                           "0x1",
                           "tru",
                           "nul",
                           "True",
                           "NaN",
                           "Infinity",
                           "'a'",
                           "\"",
                           "\"a",
                           "\"\\x\"",
                           "\"\\u12g4\"",
                           "\"\\u12",
                           "\"\\",
                           "[",
                           "]",
                           "[1",
                           "[1,]",
                           "[,1]",
                           "[1 2]",
                           "{",
                           "}",
                           "{1:2}",
                           "{\"a\"}",
                           "{\"a\":}",
                           "{\"a\":1,}",
                           "{\"a\":1,2}",
                           "{\"a\":1]",
                           "[1}",
                           "1 2",
                           "[] []",
                           "\xef\xbb\xbf[]",
                           "\"\xff\"",
                           "\"\xc3\"",
                           "\"\xc0\xaf\"",
                           "\"\xed\xa0\x80\"",
                           "\"\xf4\x90\x80\x80\"",
                           "\"\n\"",
                           "//x\n1",
                           "1,",
                           ",",
                           ":",
                           "{\"a\" 1}",
                           "{\"a\"::1}",
                           "\xc3\xa9"}) {
    assert_false(Json(text));
  }
  assert_false(Json(std::string_view("\"\0\"", 3)));
  assert_false(Json(std::string_view("1\0", 2)));
}

bool Nested(size_t depth, char open, char close) {
  return Json(std::string(depth, open) + std::string(depth, close));
}

void TheDepthLimitIs128(void** /*state*/) {
  assert_true(Nested(128, '[', ']'));
  assert_false(Nested(129, '[', ']'));
  assert_false(Nested(1000000, '[', ']'));
}

uint64_t OffsetOf(std::string_view text) {
  uint64_t offset = 999;
  return IsJson(text, &offset) ? 999 : offset;
}

void TheOffsetTellsWhereItIsWrong(void** /*state*/) {
  assert_int_equal(OffsetOf("[1,x]"), 3);
  assert_int_equal(OffsetOf("{} 1"), 3);
  assert_int_equal(OffsetOf("[1"), 2);
}

// Every prefix of a value that is an array is refused, and nothing is read behind it.
bool AllPrefixesRefused(std::string_view text) {
  for (size_t size = 0; size < text.size(); ++size) {
    const std::string exact(text.substr(0, size));
    if (Json(exact)) return false;
  }
  return Json(text);
}

void EveryPrefixOfAnArrayIsRefused(void** /*state*/) {
  assert_true(AllPrefixesRefused("[{\"k\\u0041\": [-1.5e3, true, null]}, \"\xe2\x82\xac\"]"));
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(EveryFormOfValueIsTaken),
      cmocka_unit_test(WhatIsNoJsonIsRefused),
      cmocka_unit_test(TheDepthLimitIs128),
      cmocka_unit_test(TheOffsetTellsWhereItIsWrong),
      cmocka_unit_test(EveryPrefixOfAnArrayIsRefused),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
