// SPDX-License-Identifier: Apache-2.0
// Header and trailer: golden bytes, the order of checks, and a directory without freedom.
#include "record_checks.h"

namespace treering::format {
namespace {

using base::ByteSpan;
using base::Code;

Bytes AHeader() {
  Bytes bytes(kHeaderSize, 0xee);
  EncodeHeader(bytes.data());
  return bytes;
}

// Two nodes, one of them a leaf, and 10 bytes of text.
Trailer ATrailer() {
  Trailer trailer;
  trailer.header_hash = 0x1111111111111111;
  trailer.index_offset = 128;
  trailer.index_size = 256;
  trailer.block_count = 1;
  trailer.table_hash = 0x2222222222222222;
  trailer.leaf_count = 1;
  trailer.content = {0x3333333333333333, 0x4444444444444444};
  trailer.file = {0x5555555555555555, 0x6666666666666666};
  const uint64_t offsets[] = {0, 64, 192, 192, 192, 192, 256, 256, 256, 256, 0, 0};
  for (uint32_t i = 0; i < kSectionCount; ++i) {
    trailer.sections[i].offset = offsets[i];
    trailer.sections[i].stride = kStride[i];
  }
  trailer.sections[kItems].count = 1;
  trailer.sections[kNodes].count = 2;
  trailer.sections[kText].count = 10;
  trailer.raw_bytes = 8;
  trailer.file_size = 128 + 256 + 8 + 352;
  return trailer;
}

Bytes Encoded(const Trailer& trailer) {
  Bytes bytes(kTrailerSize, 0xee);
  EncodeTrailer(trailer, bytes.data());
  return bytes;
}

// Makes the hash right again after the bytes were changed.
Bytes Sealed(Bytes bytes) {
  const uint64_t size = bytes.size();
  base::StoreLe64(bytes.data() + size - 16, codec::Hash64(ByteSpan(bytes.data(), size - 16)));
  return bytes;
}

Code CodeOf(const Bytes& bytes, uint64_t file_size = 744) {
  return DecodeTrailer(ByteSpan(bytes), file_size).status().code();
}

bool Refuses(const Bytes& bytes, const char* field) {
  return RefusesNaming(
      bytes, [](ByteSpan b) { return DecodeTrailer(b, 744); }, field);
}

// Refused although its hash is right, by that field.
bool RefusesSealed(const Bytes& bytes, const char* field) { return Refuses(Sealed(bytes), field); }

const Bytes kTrailer = Encoded(ATrailer());

void TheHeaderHasTheBytesOfTheFormat(void**) {
  assert_true(IsHex(AHeader(),
                    "895452520d0a1a0a 0100 000000000000"
                    "00000000000000000000000000000000 00000000000000000000000000000000"
                    "00000000000000000000000000000000"));
}

int HeaderFlipsAccepted() {
  int accepted = 0;
  Bytes bytes = AHeader();
  for (uint8_t& byte : bytes) {
    const uint8_t before = byte;
    for (int value = 0; value < 256; ++value) {
      byte = static_cast<uint8_t>(value);
      if (value != before && DecodeHeader(ByteSpan(bytes)).ok()) ++accepted;
    }
    byte = before;
  }
  for (size_t n = 0; n < bytes.size(); ++n) {
    if (DecodeHeader(ByteSpan(bytes.data(), n)).ok()) ++accepted;
  }
  return accepted;
}

void NoFlippedByteAndNoPrefixOfTheHeaderIsAccepted(void**) {
  assert_true(DecodeHeader(ByteSpan(AHeader())).ok());
  assert_int_equal(HeaderFlipsAccepted(), 0);
}

void AHeaderOfAHigherMajorIsUnsupportedWhateverItsReservedBytesSay(void**) {
  const Bytes newer = With(With(AHeader(), 8, 2), 40, 7);
  assert_int_equal(DecodeHeader(ByteSpan(newer)).code(), Code::kUnsupportedVersion);
  const Bytes zero = With(AHeader(), 8, 0);
  assert_int_equal(DecodeHeader(ByteSpan(zero)).code(), Code::kCorruptStructure);
}

void MagicIsFoundAtBothEndsAndOnlyThere(void**) {
  assert_true(HasHeaderMagic(ByteSpan(AHeader().data(), 8)));
  assert_false(HasHeaderMagic(ByteSpan(AHeader().data(), 7)));
  assert_false(HasHeaderMagic(ByteSpan(kTrailer)));
  assert_true(HasTrailerMagic(ByteSpan(kTrailer)));
  assert_true(HasTrailerMagic(ByteSpan(kTrailer.data() + 344, 8)));
  assert_false(HasTrailerMagic(ByteSpan(kTrailer.data() + 345, 7)));
  assert_false(HasTrailerMagic(ByteSpan(AHeader())));
  assert_false(HasHeaderMagic(ByteSpan()));
  assert_false(HasTrailerMagic(ByteSpan()));
}

void TheTrailerHasTheBytesOfTheFormat(void**) {
  assert_true(
      IsHex(Bytes(kTrailer.begin(), kTrailer.begin() + 336),
            "1111111111111111 8000000000000000 0001000000000000 00400000 01000000 2222222222222222"
            "0100000000000000 33333333333333334444444444444444 55555555555555556666666666666666"
            "0000000000000000 01000000 20000000 4000000000000000 02000000 40000000"
            "c000000000000000 00000000 08000000 c000000000000000 00000000 01000000"
            "c000000000000000 00000000 08000000 c000000000000000 0a000000 01000000"
            "0001000000000000 00000000 20000000 0001000000000000 00000000 30000000"
            "0001000000000000 00000000 48000000 0001000000000000 00000000 01000000"
            "0000000000000000 00000000 00000000 0000000000000000 00000000 00000000"
            "0800000000000000 0000000000000000 e802000000000000 60010000 0100 0000"
            "0000000000000000 0000000000000000 0000000000000000 0000000000000000"));
  assert_true(IsHex(Bytes(kTrailer.begin() + 344, kTrailer.end()), "0a1a0a0d52525489"));
}

void ATrailerRoundTrips(void**) {
  const auto decoded = DecodeTrailer(ByteSpan(kTrailer), 744);
  assert_true(decoded.ok());
  assert_true(Encoded(decoded.value()) == kTrailer);
  assert_int_equal(decoded.value().table_offset(), 384);
}

void ATrailerIsFoundAtTheEndOfALongerRead(void**) {
  Bytes tail(392, 0xab);
  tail.insert(tail.end(), kTrailer.begin(), kTrailer.end());
  assert_int_equal(CodeOf(tail), Code::kOk);
}

int TrailerFlipsAccepted() {
  int accepted = 0;
  Bytes bytes = kTrailer;
  for (uint8_t& byte : bytes) {
    const uint8_t before = byte;
    for (int value = 0; value < 256; ++value) {
      byte = static_cast<uint8_t>(value);
      if (value != before && CodeOf(bytes) == Code::kOk) ++accepted;
    }
    byte = before;
  }
  return accepted;
}

void NoFlippedByteOfTheTrailerIsAccepted(void**) { assert_int_equal(TrailerFlipsAccepted(), 0); }

// With the hash repaired: refused, or a trailer that encodes to the same bytes.
int SealedFlipViolations() {
  int violations = 0;
  for (size_t i = 0; i < 336; ++i) {
    for (const int bit : {1, 2, 4, 8, 16, 32, 64, 128}) {
      const Bytes bytes = Sealed(With(kTrailer, i, kTrailer[i] ^ bit));
      const auto decoded = DecodeTrailer(ByteSpan(bytes), 744);
      if (decoded.ok() && Encoded(decoded.value()) != bytes) ++violations;
    }
  }
  return violations;
}

void AnAcceptedTrailerEncodesToItsBytes(void**) { assert_int_equal(SealedFlipViolations(), 0); }

void EveryPrefixAndEverySuffixIsTruncated(void**) {
  int other = 0;
  for (size_t n = 0; n < kTrailer.size(); ++n) {
    const Bytes prefix(kTrailer.begin(), kTrailer.begin() + static_cast<ptrdiff_t>(n));
    const Bytes suffix(kTrailer.end() - static_cast<ptrdiff_t>(n), kTrailer.end());
    if (CodeOf(prefix) != Code::kCorruptTruncated) ++other;
    if (CodeOf(suffix) != Code::kCorruptTruncated) ++other;
  }
  assert_int_equal(other, 0);
}

void TheMagicIsCheckedBeforeTheHash(void**) {
  const Bytes bytes = With(With(kTrailer, 351, 0), 0, 0);
  assert_int_equal(CodeOf(bytes), Code::kCorruptTruncated);
}

void TheHashIsCheckedBeforeTheVersion(void**) {
  assert_int_equal(CodeOf(With(kTrailer, 300, 2)), Code::kCorruptChecksum);
  assert_int_equal(CodeOf(With(kTrailer, 320, 1)), Code::kCorruptChecksum);
}

void TheVersionIsCheckedBeforeTheFeaturesAndTheRest(void**) {
  const Bytes newer = Sealed(With(With(With(kTrailer, 300, 2), 320, 1), 24, 1));
  assert_int_equal(CodeOf(newer), Code::kUnsupportedVersion);
  assert_int_equal(CodeOf(newer, 800), Code::kUnsupportedVersion);
}

void TheFeaturesAreCheckedBeforeTheRest(void**) {
  const Bytes bytes = Sealed(With(With(kTrailer, 327, 0x80), 24, 1));
  assert_int_equal(CodeOf(bytes), Code::kUnsupportedFeature);
}

void TheTrailerOfAHigherMajorMayHaveAnotherSize(void**) {
  Bytes longer(48, 0xcd);
  longer.insert(longer.end(), kTrailer.begin(), kTrailer.end());
  longer = Sealed(With32(With(longer, 48 + 300, 3), 48 + 296, 400));
  assert_int_equal(CodeOf(longer, 800), Code::kUnsupportedVersion);
  assert_true(RefusesNaming(
      Sealed(With(longer, 348, 1)), [](ByteSpan b) { return DecodeTrailer(b, 800); },
      "trailer.trailer_size"));
  assert_true(Refuses(With32(kTrailer, 296, 353), "trailer.trailer_size"));
  assert_true(Refuses(With32(kTrailer, 296, 63), "trailer.trailer_size"));
}

void AHigherMinorAndUnknownCompatibleBitsAreRead(void**) {
  assert_int_equal(CodeOf(Sealed(With(kTrailer, 302, 9))), Code::kOk);
  assert_int_equal(CodeOf(Sealed(With(kTrailer, 304, 255))), Code::kOk);
  assert_int_equal(CodeOf(Sealed(With(kTrailer, 312, 255))), Code::kOk);
}

void AnotherFileSizeIsTruncationOrDamage(void**) {
  assert_int_equal(CodeOf(kTrailer, 743), Code::kCorruptTruncated);
  assert_int_equal(CodeOf(kTrailer, 745), Code::kCorruptStructure);
}

void AReservedByteOfTheTrailerIsZero(void**) {
  for (const size_t at : {280u, 287u, 328u, 335u}) {
    assert_int_equal(CodeOf(Sealed(With(kTrailer, at, 1))), Code::kCorruptStructure);
  }
}

void SizesMustAgree(void**) {
  assert_true(RefusesSealed(With(kTrailer, 300, 0), "major"));
  assert_true(RefusesSealed(With32(kTrailer, 24, 8192), "trailer.block_size"));
  assert_true(RefusesSealed(With32(kTrailer, 28, 2), "trailer.block_count"));
  assert_true(RefusesSealed(With64(kTrailer, 8, 0), "trailer.index_offset"));
  assert_true(RefusesSealed(With64(kTrailer, 8, 129), "trailer.index_offset"));
  assert_true(RefusesSealed(With64(kTrailer, 8, 192), "trailer.index_size"));
  assert_true(RefusesSealed(With64(kTrailer, 8, UINT64_MAX - 63), "trailer.index_size"));
  assert_true(RefusesSealed(With64(kTrailer, 16, 255), "trailer.index_size"));
  assert_true(RefusesSealed(With64(kTrailer, 16, UINT64_MAX - 63), "trailer.block_count"));
  assert_true(RefusesSealed(With64(kTrailer, 40, 3), "trailer.leaf_count"));
}

void EverySectionStandsWhereTheOneBeforeItEnds(void**) {
  assert_true(RefusesSealed(With64(kTrailer, 80, 64), "trailer section items.offset"));
  assert_true(RefusesSealed(With64(kTrailer, 96, 128), "trailer section nodes.offset"));
  assert_true(RefusesSealed(With64(kTrailer, 96, 0), "trailer section nodes.offset"));
  assert_true(RefusesSealed(With32(kTrailer, 96 + 8, 1), "trailer section hash slots.offset"));
  assert_true(RefusesSealed(With32(kTrailer, 96 + 8, 5), "trailer section nodes.count"));
  assert_true(RefusesSealed(With32(kTrailer, 96 + 8, UINT32_MAX), "trailer section nodes.count"));
  assert_true(RefusesSealed(With32(kTrailer, 224 + 8, 1), "trailer section metadata.count"));
  assert_true(RefusesSealed(With32(kTrailer, 160 + 8, 0), "trailer section pieces.offset"));
  assert_true(RefusesSealed(With(kTrailer, 240, 1), "trailer section reserved 10.entry"));
  assert_true(RefusesSealed(With(kTrailer, 271, 1), "trailer section reserved 11.entry"));
}

// The index is longer than its sections.
void TheIndexEndsWithItsLastSection(void**) {
  Trailer trailer = ATrailer();
  trailer.index_size = 320;
  trailer.file_size += 64;
  assert_true(RefusesNaming(
      Encoded(trailer), [](ByteSpan b) { return DecodeTrailer(b, 808); }, "trailer.index_size"));
}

void OnlyRecordsMayGrowAndNoneMayShrink(void**) {
  Trailer grown = ATrailer();
  grown.sections[kItems].stride = 40;
  assert_int_equal(CodeOf(Encoded(grown)), Code::kOk);
  grown.sections[kItems].stride = 36;
  assert_true(Refuses(Encoded(grown), "trailer section items.stride"));
  grown.sections[kItems].stride = 24;
  assert_true(Refuses(Encoded(grown), "trailer section items.stride"));
  for (const Section section : {kHashSlots, kAttributes, kDims, kText, kMetadata}) {
    grown = ATrailer();
    grown.sections[section].stride *= 8;
    assert_int_equal(CodeOf(Encoded(grown)), Code::kCorruptStructure);
  }
}

void HashSlotsAreAPowerOfTwo(void**) {
  Trailer trailer = ATrailer();
  trailer.sections[kText].count = 0;
  for (uint32_t i = kAttributes; i <= kText; ++i) trailer.sections[i].offset = 256;
  trailer.sections[kHashSlots].count = 8;
  assert_int_equal(CodeOf(Encoded(trailer)), Code::kOk);
  trailer.sections[kHashSlots].count = 7;
  assert_true(Refuses(Encoded(trailer), "trailer section hash slots.count"));
}

void FailuresOfTheTrailerSayWhereInTheFile(void**) {
  assert_int_equal(DecodeTrailer(ByteSpan(With(kTrailer, 0, 0)), 744).status().offset(), 392);
  assert_int_equal(DecodeTrailer(ByteSpan(With(kTrailer, 351, 0)), 744).status().offset(), 744);
}

void TheFileDigestCoversAllButItselfAndTheHash(void**) {
  const Bytes header = AHeader();
  const Bytes table = {1, 2, 3, 4, 5, 6, 7, 8};
  Bytes fed = header;
  fed.insert(fed.end(), table.begin(), table.end());
  fed.insert(fed.end(), kTrailer.begin(), kTrailer.begin() + 64);
  fed.insert(fed.end(), kTrailer.begin() + 80, kTrailer.begin() + 336);
  const codec::Hash128 expected = codec::Hash128Of(ByteSpan(fed));
  Trailer trailer = ATrailer();
  assert_true(FileDigest(ByteSpan(header), ByteSpan(table), trailer) == expected);
  trailer.file = {};
  assert_true(FileDigest(ByteSpan(header), ByteSpan(table), trailer) == expected);
  trailer.minor = 1;
  assert_true(FileDigest(ByteSpan(header), ByteSpan(table), trailer) != expected);
}

}  // namespace
}  // namespace treering::format

int main() {
  using namespace treering::format;  // NOLINT(google-build-using-namespace)
  const CMUnitTest tests[] = {
      cmocka_unit_test(TheHeaderHasTheBytesOfTheFormat),
      cmocka_unit_test(NoFlippedByteAndNoPrefixOfTheHeaderIsAccepted),
      cmocka_unit_test(AHeaderOfAHigherMajorIsUnsupportedWhateverItsReservedBytesSay),
      cmocka_unit_test(MagicIsFoundAtBothEndsAndOnlyThere),
      cmocka_unit_test(TheTrailerHasTheBytesOfTheFormat),
      cmocka_unit_test(ATrailerRoundTrips),
      cmocka_unit_test(ATrailerIsFoundAtTheEndOfALongerRead),
      cmocka_unit_test(NoFlippedByteOfTheTrailerIsAccepted),
      cmocka_unit_test(AnAcceptedTrailerEncodesToItsBytes),
      cmocka_unit_test(EveryPrefixAndEverySuffixIsTruncated),
      cmocka_unit_test(TheMagicIsCheckedBeforeTheHash),
      cmocka_unit_test(TheHashIsCheckedBeforeTheVersion),
      cmocka_unit_test(TheVersionIsCheckedBeforeTheFeaturesAndTheRest),
      cmocka_unit_test(TheFeaturesAreCheckedBeforeTheRest),
      cmocka_unit_test(TheTrailerOfAHigherMajorMayHaveAnotherSize),
      cmocka_unit_test(AHigherMinorAndUnknownCompatibleBitsAreRead),
      cmocka_unit_test(AnotherFileSizeIsTruncationOrDamage),
      cmocka_unit_test(AReservedByteOfTheTrailerIsZero),
      cmocka_unit_test(SizesMustAgree),
      cmocka_unit_test(EverySectionStandsWhereTheOneBeforeItEnds),
      cmocka_unit_test(TheIndexEndsWithItsLastSection),
      cmocka_unit_test(OnlyRecordsMayGrowAndNoneMayShrink),
      cmocka_unit_test(HashSlotsAreAPowerOfTwo),
      cmocka_unit_test(FailuresOfTheTrailerSayWhereInTheFile),
      cmocka_unit_test(TheFileDigestCoversAllButItselfAndTheHash),
  };
  return cmocka_run_group_tests_name("format trailer", tests, nullptr, nullptr);
}
