// SPDX-License-Identifier: Apache-2.0
// Little-endian loads and stores, the sticky reader and the growing writer.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <vector>

#include "base/bytes.h"

extern "C" {
#include <cmocka.h>
}

using treering::base::ByteReader;
using treering::base::ByteSpan;
using treering::base::ByteWriter;

namespace {

const uint8_t kBytes[] = {0x81, 0x92, 0xa3, 0xb4, 0xc5, 0xd6, 0xe7, 0xf8};

void LoadsAreLittleEndian(void**) {
  assert_int_equal(treering::base::LoadLe16(kBytes), 0x9281);
  assert_int_equal(treering::base::LoadLe32(kBytes), 0xb4a39281u);
  assert_true(treering::base::LoadLe64(kBytes) == 0xf8e7d6c5b4a39281u);
  assert_true(treering::base::LoadLe<uint64_t>(kBytes) == 0xf8e7d6c5b4a39281u);
  assert_true(treering::base::LoadLe<int64_t>(kBytes) == INT64_C(-0x718293a4b5c6d7f));
  assert_int_equal(treering::base::LoadLe<int16_t>(kBytes), -0x6d7f);
  assert_int_equal(treering::base::LoadLe<uint8_t>(kBytes), 0x81);
}

void StoresAreTheInverseOfLoads(void**) {
  uint8_t out[9] = {};
  treering::base::StoreLe64(out + 1, 0xf8e7d6c5b4a39281u);
  assert_memory_equal(out + 1, kBytes, 8);
  treering::base::StoreLe32(out + 1, 0x01020304);
  assert_int_equal(out[1], 4);
  assert_int_equal(out[4], 1);
  assert_int_equal(out[5], 0xc5);
  treering::base::StoreLe16(out + 1, 0x0506);
  assert_int_equal(out[1], 6);
  assert_int_equal(out[2], 5);
  assert_int_equal(out[0], 0);
}

void AReaderTakesEveryFieldInOrder(void**) {
  ByteReader reader(ByteSpan(kBytes, 8));
  assert_int_equal(reader.U8(), 0x81);
  assert_int_equal(reader.U16(), 0xa392);
  assert_int_equal(reader.U32(), 0xe7d6c5b4u);
  assert_false(reader.done());
  assert_int_equal(reader.left(), 1);
  assert_int_equal(reader.Bytes(1).data[0], 0xf8);
  assert_true(reader.done());
}

void AReadPastTheEndGivesZeroAndSticks(void**) {
  ByteReader reader(ByteSpan(kBytes, 3));
  assert_int_equal(reader.U32(), 0);
  assert_false(reader.ok());
  assert_int_equal(reader.U8(), 0);  // a byte is left, but the reader has failed
  assert_int_equal(reader.Bytes(1).size, 0);
  assert_false(reader.done());
  ByteReader huge(ByteSpan(kBytes, 8));
  assert_int_equal(huge.Bytes(UINT64_MAX).size, 0);
  assert_false(huge.ok());
  ByteReader empty{ByteSpan()};
  assert_true(empty.done());
  assert_true(empty.U64() == 0);
  assert_false(empty.ok());
}

void PaddingMustBeZero(void**) {
  const uint8_t padded[] = {0, 0, 0, 7};
  ByteReader good(ByteSpan(padded, 3));
  assert_true(good.Zeros(3));
  assert_true(good.done());
  ByteReader bad(ByteSpan(padded, 4));
  assert_false(bad.Zeros(4));
  assert_false(bad.ok());
  ByteReader short_one(ByteSpan(padded, 2));
  assert_false(short_one.Zeros(3));
}

void AWriterAppendsWhatAReaderReads(void**) {
  std::vector<uint8_t> out;
  ByteWriter writer(&out);
  writer.U8(1);
  writer.U16(0x0203);
  writer.U32(0x04050607);
  writer.U64(0x08090a0b0c0d0e0f);
  writer.Bytes(ByteSpan(kBytes, 2));
  writer.Bytes(ByteSpan());
  writer.Zeros(2);
  writer.AlignTo(16);
  ByteReader reader{ByteSpan(out)};
  const bool same = reader.U8() == 1 && reader.U16() == 0x0203 && reader.U32() == 0x04050607 &&
                    reader.U64() == 0x08090a0b0c0d0e0f && reader.Bytes(2).data[1] == 0x92 &&
                    reader.Zeros(15) && reader.done();
  const uint64_t size = out.size();
  assert_true(same);
  assert_int_equal(size, 32);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(LoadsAreLittleEndian),
      cmocka_unit_test(StoresAreTheInverseOfLoads),
      cmocka_unit_test(AReaderTakesEveryFieldInOrder),
      cmocka_unit_test(AReadPastTheEndGivesZeroAndSticks),
      cmocka_unit_test(PaddingMustBeZero),
      cmocka_unit_test(AWriterAppendsWhatAReaderReads),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
