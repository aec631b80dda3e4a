// SPDX-License-Identifier: Apache-2.0
// Items, pieces, chunks and file-table entries: golden bytes, and what each decoder refuses.
#include "record_checks.h"

namespace treering::format {
namespace {

ItemRecord AnItem() {
  ItemRecord item;
  item.name = 0x1122;
  item.name_size = 7;
  item.kind = kTreeItem;
  item.root = 3;
  item.node_count = 5;
  return item;
}

PieceRecord APiece() {
  PieceRecord piece;
  piece.leaf = 2;
  piece.origin = 3;
  piece.extent = 5;
  piece.chunk_shape = 7;
  piece.first_chunk = 11;
  piece.chunk_count = 13;
  return piece;
}

ChunkRecord AChunk() {
  ChunkRecord chunk;
  chunk.offset = 4096;
  chunk.stored_size = 200;
  chunk.raw_size = 1000;
  chunk.stored_hash = 0x0102030405060708;
  chunk.raw_hash = {0x1112131415161718, 0x2122232425262728};
  chunk.file = 1;
  chunk.codec = 2;
  chunk.param = 0x84;
  return chunk;
}

FileRecord AFile() {
  FileRecord file;
  file.folder = 9;
  file.name = 17;
  file.folder_size = 4;
  file.name_size = 12;
  file.size = 123456;
  for (uint8_t i = 0; i < 16; ++i) file.digest[i] = static_cast<uint8_t>(i + 1);
  return file;
}

const Bytes kItem = EncodeToBytes(AnItem(), 32);
const Bytes kPiece = EncodeToBytes(APiece(), 32);
const Bytes kChunk = EncodeToBytes(AChunk(), 48);
const Bytes kFile = EncodeToBytes(AFile(), 72);

void RecordsHaveTheBytesOfTheFormat(void**) {
  assert_true(
      IsHex(kItem, "2211000000000000 07000000 01000000 03000000 05000000 0000000000000000"));
  assert_true(
      IsHex(kPiece, "02000000 03000000 05000000 07000000 0b000000 0d000000 0000000000000000"));
  assert_true(IsHex(kChunk,
                    "0010000000000000 c8000000 e8030000 0807060504030201 1817161514131211"
                    "2827262524232221 01000000 02 84 0000"));
  assert_true(IsHex(kFile,
                    "0900000000000000 1100000000000000 04000000 0c000000 40e2010000000000 01"
                    "00000000000000 0102030405060708090a0b0c0d0e0f10"
                    "00000000000000000000000000000000"));
}

void AnAcceptedRecordEncodesToItsBytes(void**) {
  assert_true(Accepts(kItem, DecodeItem));
  assert_true(Accepts(kPiece, DecodePiece));
  assert_true(Accepts(kChunk, DecodeChunk));
  assert_true(Accepts(kFile, DecodeFile));
  assert_int_equal(FlipViolations(kItem, DecodeItem), 0);
  assert_int_equal(FlipViolations(kPiece, DecodePiece), 0);
  assert_int_equal(FlipViolations(kChunk, DecodeChunk), 0);
  assert_int_equal(FlipViolations(kFile, DecodeFile), 0);
}

void EveryPrefixIsRefused(void**) {
  assert_int_equal(PrefixesAccepted(kItem, DecodeItem), 0);
  assert_int_equal(PrefixesAccepted(kPiece, DecodePiece), 0);
  assert_int_equal(PrefixesAccepted(kChunk, DecodeChunk), 0);
  assert_int_equal(PrefixesAccepted(kFile, DecodeFile), 0);
}

void BytesOfALaterMinorVersionAreIgnored(void**) {
  Bytes longer = kItem;
  longer.resize(40, 0xff);
  assert_true(Accepts(longer, DecodeItem));
  longer = kPiece;
  longer.resize(40, 0xff);
  assert_true(Accepts(longer, DecodePiece));
  longer = kChunk;
  longer.resize(56, 0xff);
  assert_true(Accepts(longer, DecodeChunk));
  longer = kFile;
  longer.resize(80, 0xff);
  assert_true(Accepts(longer, DecodeFile));
}

void AReservedByteThatIsSetIsRefused(void**) {
  assert_int_equal(ReservedAccepted(kItem, DecodeItem, 24, 32), 0);
  assert_int_equal(ReservedAccepted(kPiece, DecodePiece, 24, 32), 0);
  assert_int_equal(ReservedAccepted(kChunk, DecodeChunk, 46, 48), 0);
  assert_int_equal(ReservedAccepted(kFile, DecodeFile, 33, 40), 0);
  assert_int_equal(ReservedAccepted(kFile, DecodeFile, 56, 72), 0);
}

void AnItemThatContradictsItselfIsRefused(void**) {
  assert_true(RefusesNaming(With32(kItem, 8, 0), DecodeItem, "item.name_size"));
  assert_true(RefusesNaming(With32(kItem, 8, 256), DecodeItem, "item.name_size"));
  assert_true(RefusesNaming(With32(kItem, 20, 0), DecodeItem, "item.node_count"));
  assert_true(RefusesNaming(With32(kItem, 20, 0xfffffffd), DecodeItem, "item.node_count"));
  assert_true(RefusesNaming(With32(kItem, 12, kJsonItem), DecodeItem, "item.node_count"));
  assert_true(RefusesNaming(With32(kItem, 12, kBlobItem), DecodeItem, "item.node_count"));
}

void AnItemOfAnUnknownKindIsARecord(void**) {
  assert_true(Accepts(With32(kItem, 12, 99), DecodeItem));
}

void APieceThatContradictsItselfIsRefused(void**) {
  assert_true(RefusesNaming(With32(kPiece, 0, 0xffffffff), DecodePiece, "piece.leaf"));
  assert_true(RefusesNaming(With32(kPiece, 20, 0), DecodePiece, "piece.chunk_count"));
  assert_true(RefusesNaming(With32(kPiece, 20, 0xfffffff5), DecodePiece, "piece.chunk_count"));
  assert_true(Accepts(With32(kPiece, 20, 0xfffffff4), DecodePiece));
}

void AChunkThatContradictsItselfIsRefused(void**) {
  assert_true(RefusesNaming(With64(kChunk, 0, 63), DecodeChunk, "chunk.offset"));
  assert_true(RefusesNaming(With64(kChunk, 0, UINT64_MAX), DecodeChunk, "chunk.offset"));
  assert_true(RefusesNaming(With64(kChunk, 0, INT64_MAX - 199), DecodeChunk, "chunk.offset"));
  assert_true(Accepts(With64(kChunk, 0, INT64_MAX - 200), DecodeChunk));
  assert_true(RefusesNaming(With32(kChunk, 8, 0), DecodeChunk, "chunk.stored_size"));
  assert_true(RefusesNaming(With32(kChunk, 8, 1000), DecodeChunk, "chunk.stored_size"));
  assert_true(RefusesNaming(With32(kChunk, 12, 0), DecodeChunk, "chunk.raw_size"));
  assert_true(RefusesNaming(With32(kChunk, 12, (1u << 30) + 4), DecodeChunk, "chunk.raw_size"));
  assert_true(RefusesNaming(With32(kChunk, 12, 1002), DecodeChunk, "chunk.raw_size"));
  for (int param = 0; param < 256; ++param) {
    const bool fine = (param & 0x7f) == 2 || (param & 0x7f) == 4 || (param & 0x7f) == 8;
    assert_int_equal(Accepts(With(kChunk, 45, param), DecodeChunk), fine);
  }
  assert_true(RefusesNaming(With(kChunk, 44, 1), DecodeChunk, "chunk.param"));
}

ChunkRecord ARawChunk(uint32_t size) {
  ChunkRecord chunk = AChunk();
  chunk.stored_size = chunk.raw_size = size;
  chunk.codec = chunk.param = 0;
  if (size > 240) chunk.stored_hash = chunk.raw_hash.low;
  return chunk;
}

void ARawChunkHasOneSizeAndAboveTwoHundredFortyBytesOneHash(void**) {
  const Bytes small = EncodeToBytes(ARawChunk(240), 48);
  const Bytes large = EncodeToBytes(ARawChunk(241), 48);
  assert_true(Accepts(small, DecodeChunk));
  assert_true(Accepts(large, DecodeChunk));
  assert_true(Accepts(With(small, 16, 0xaa), DecodeChunk));
  assert_true(RefusesNaming(With(large, 16, 0xaa), DecodeChunk, "chunk.stored_hash"));
  assert_true(RefusesNaming(With32(small, 8, 239), DecodeChunk, "chunk.stored_size"));
  assert_true(RefusesNaming(With(small, 45, 1), DecodeChunk, "chunk.param"));
}

void AChunkOfAnUnknownCodecIsARecord(void**) {
  assert_true(Accepts(With32(With(kChunk, 44, 3), 8, 5000), DecodeChunk));
}

void AFileEntryThatContradictsItselfIsRefused(void**) {
  assert_true(RefusesNaming(With32(kFile, 16, 129), DecodeFile, "file.folder_size"));
  assert_true(RefusesNaming(With32(kFile, 16, 0), DecodeFile, "file.folder"));
  assert_true(RefusesNaming(With32(kFile, 20, 0), DecodeFile, "file.name_size"));
  assert_true(RefusesNaming(With32(kFile, 20, 129), DecodeFile, "file.name_size"));
  assert_true(RefusesNaming(With64(kFile, 24, 415), DecodeFile, "file.size"));
  assert_true(RefusesNaming(With64(kFile, 24, uint64_t{1} << 63), DecodeFile, "file.size"));
  assert_true(RefusesNaming(With(kFile, 32, 0), DecodeFile, "file.algorithm"));
}

void AnotherDigestAlgorithmMayUseAllThirtyTwoBytes(void**) {
  assert_true(Accepts(With(With(kFile, 32, 2), 71, 1), DecodeFile));
}

void OnlyPlainNamesNameFiles(void**) {
  for (const char* name : {"a", "part-00002.ring", "...", "a..b", "0", "_", "-"}) {
    assert_true(IsFileName(name));
  }
  for (const char* name : {"", ".", "..", "a/b", "/", "A", "a b", "a\\b", "caf\xc3\xa9", "a:b"}) {
    assert_false(IsFileName(name));
  }
  assert_false(IsFileName(std::string_view("a\0b", 3)));
  assert_true(IsFileName(std::string(128, 'x')));
  assert_false(IsFileName(std::string(129, 'x')));
}

}  // namespace
}  // namespace treering::format

int main() {
  using namespace treering::format;  // NOLINT(google-build-using-namespace)
  const CMUnitTest tests[] = {
      cmocka_unit_test(RecordsHaveTheBytesOfTheFormat),
      cmocka_unit_test(AnAcceptedRecordEncodesToItsBytes),
      cmocka_unit_test(EveryPrefixIsRefused),
      cmocka_unit_test(BytesOfALaterMinorVersionAreIgnored),
      cmocka_unit_test(AReservedByteThatIsSetIsRefused),
      cmocka_unit_test(AnItemThatContradictsItselfIsRefused),
      cmocka_unit_test(AnItemOfAnUnknownKindIsARecord),
      cmocka_unit_test(APieceThatContradictsItselfIsRefused),
      cmocka_unit_test(AChunkThatContradictsItselfIsRefused),
      cmocka_unit_test(ARawChunkHasOneSizeAndAboveTwoHundredFortyBytesOneHash),
      cmocka_unit_test(AChunkOfAnUnknownCodecIsARecord),
      cmocka_unit_test(AFileEntryThatContradictsItselfIsRefused),
      cmocka_unit_test(AnotherDigestAlgorithmMayUseAllThirtyTwoBytes),
      cmocka_unit_test(OnlyPlainNamesNameFiles),
  };
  return cmocka_run_group_tests_name("format records", tests, nullptr, nullptr);
}
