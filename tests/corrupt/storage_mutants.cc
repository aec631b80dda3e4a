// SPDX-License-Identifier: Apache-2.0
// Changes of values, shapes, pieces and chunks.

#include "mutants.h"

namespace corrupt {
namespace {

namespace base = treering::base;
constexpr uint64_t kHuge = uint64_t{1} << 63;

void Dim(Editor* e, uint32_t at, uint64_t value) {
  base::StoreLe64(e->sections[format::kDims].data() + size_t{8} * at, value);
}

std::function<void(Editor*)> PieceDims(uint32_t piece, std::vector<uint64_t> origin,
                                       std::vector<uint64_t> extent) {
  return [=](Editor* e) {
    PieceRecord r = e->piece(piece);
    if (!origin.empty()) r.origin = static_cast<uint32_t>(e->AddDims(origin));
    if (!extent.empty()) r.extent = static_cast<uint32_t>(e->AddDims(extent));
    e->SetPiece(piece, r);
  };
}

void SwapRecords(Editor* e, format::Section section, uint32_t a, uint32_t b) {
  std::swap_ranges(e->At(section, a), e->At(section, a) + format::kStride[section],
                   e->At(section, b));
}

// Changes the first byte (`last`: the last) of a leaf's last chunk, or of a packed leaf.
std::function<void(Editor*)> Byte(uint32_t id, bool last, uint8_t value) {
  return [=](Editor* e) {
    const NodeRecord node = e->node(id);
    const bool packed = node.storage == format::kPacked;
    const PieceRecord piece = packed ? PieceRecord() : e->piece(node.a);
    const ChunkRecord chunk = e->chunk(packed ? node.a : piece.first_chunk + piece.chunk_count - 1);
    const uint64_t at = packed ? node.b + (last ? node.size - 1 : 0)
                        : last ? chunk.raw_size - 1
                               : 0;
    e->front[static_cast<size_t>(chunk.offset + at)] = value;
  };
}

// dtypes: of each dtype five arrays, the third of 7 elements, the fifth in two tiles; node 33 and
// 35 are bools, 38 and 40 int2, 168 and 170 float6_e2m3fn. kinds: 33 an int, 44 a string, packed.
std::vector<Mutant> NoValues() {
  return {
      {"array_of_no_bools", "dtypes", kMeaning, Node(33, [](auto* r) { r->value[1] = 2; }), kOk,
       kOk, kStructure},
      {"bits_behind_the_last", "dtypes", kMeaning, Node(38, [](auto* r) { r->value[1] |= 0xc0; }),
       kOk, kOk, kStructure},
      {"six_bits_of_eight", "dtypes", kMeaning, Node(168, [](auto* r) { r->value[0] = 64; }), kOk,
       kOk, kStructure},
      {"tile_of_no_bools", "dtypes", kMeaning, Byte(35, false, 2), kOk, kOk, kStructure},
      {"tile_with_bits_behind_the_last", "dtypes", kMeaning, Byte(40, true, 0x80), kOk, kOk,
       kStructure},
      {"tile_of_more_than_six_bits", "dtypes", kMeaning, Byte(170, true, 0x40), kOk, kOk,
       kStructure},
      {"packed_string_no_utf8", "kinds", kMeaning, Byte(44, true, 0xff), kOk, kStructure,
       kStructure},
      {"packed_int_not_minimal", "kinds", kMeaning, Byte(33, true, 0), kOk, kOk, kStructure},
  };
}

// kinds: 13 and 14 bools, 27 the int -128, 34 a float, 47 a PRNG key, 32 a packed int.
std::vector<Mutant> Values() {
  return {
      {"bool_of_2", "kinds", kMeaning, Node(13, [](auto* r) { r->value[0] = 2; }), kOk, kStructure,
       kStructure},
      {"bool_of_two_bytes", "kinds", kMeaning, Node(13, [](auto* r) { r->size = 2; }), kOk,
       kStructure, kStructure},
      {"float_of_four_bytes", "kinds", kMeaning,
       Node(34, [](auto* r) { r->size = 4, r->value = {}; }), kOk, kStructure, kStructure},
      {"int_not_minimal", "kinds", kMeaning,
       Node(27, [](auto* r) { r->size = 2, r->value[1] = 0xff; }), kOk, kStructure, kStructure},
      {"int_without_bytes", "kinds", kMeaning,
       Node(27, [](auto* r) { r->size = 0, r->value = {}; }), kOk, kStructure, kStructure},
      {"inline_bytes_behind", "kinds", kMeaning, Node(13, [](auto* r) { r->value[15] = 1; }), kOk,
       kStructure, kStructure},
      {"inline_of_17", "tiny_packed", kMeaning, Node(2, [](auto* r) { r->size = 17; }), kOk,
       kStructure, kStructure},
      {"inline_with_a_chunk", "tiny_packed", kMeaning, Node(2, [](auto* r) { r->a = 1; }), kOk,
       kStructure, kStructure},
      {"string_no_utf8", "tiny_packed", kMeaning, Node(2, [](auto* r) { r->value[0] = 0xff; }), kOk,
       kStructure, kStructure},
      {"string_with_a_dtype", "tiny_packed", kMeaning,
       Node(2, [](auto* r) { r->dtype_code = 1, r->dtype_bits = 8; }), kOk, kStructure, kStructure},
      {"storage_5", "tiny_packed", kMeaning, Node(1, [](auto* r) { r->storage = 5; }), kOk,
       kStructure, kStructure},
      {"storage_0", "tiny_packed", kMeaning, Node(1, [](auto* r) { r->storage = 0; }), kOk,
       kStructure, kStructure},
      {"dtype_unknown", "tiny_packed", kMeaning, Node(1, [](auto* r) { r->dtype_code = 99; }), kOk,
       kDtype, kDtype},
      {"dtype_of_0_bits", "tiny_packed", kMeaning, Node(1, [](auto* r) { r->dtype_bits = 0; }), kOk,
       kStructure, kStructure},
      {"prng_key_of_floats", "kinds", kMeaning, Node(47, [](auto* r) { r->dtype_code = 2; }), kOk,
       kStructure, kStructure},
      {"prng_key_of_rank_0", "kinds", kMeaning,
       Node(47, [](auto* r) { r->rank = 0, r->shape = 0, r->size = 4, r->value = {}; }), kOk,
       kStructure, kStructure},
      {"shape_outside", "tiny_packed", kMeaning, Node(1, [](auto* r) { r->shape = 1000000; }), kOk,
       kStructure, kStructure},
      {"shape_of_a_scalar", "kinds", kMeaning, Node(48, [](auto* r) { r->shape = 1; }), kOk,
       kStructure, kStructure},
      {"size_is_no_product", "tiny_packed", kMeaning, Shaped(1, {21}, 20), kOk, kStructure,
       kStructure},
      {"shape_overflows", "tiny_packed", kMeaning, Shaped(1, {kHuge - 1, 2}, 20), kOk, kStructure,
       kStructure},
      {"shape_overflows_beside_0", "tiny_packed", kMeaning,
       [](Editor* e) {
         Shaped(1, {0, kHuge, 2}, 0)(e);
         Node(1, [](auto* r) { r->storage = 1, r->a = 0, r->b = 0, r->value = {}; })(e);
       },
       kOk, kStructure, kStructure},
      {"shape_of_a_dimension_2_63", "tiny_packed", kMeaning,
       [](Editor* e) {
         Shaped(1, {0, kHuge}, 0)(e);
         Node(1, [](auto* r) { r->storage = 1, r->a = 0, r->b = 0, r->value = {}; })(e);
       },
       kOk, kStructure, kStructure},
      {"shape_larger_than_its_pieces", "tiny_pieces", kMeaning,
       Shaped(0, {uint64_t{1} << 40, 6}, uint64_t{12} << 40), kOk, kStructure, kStructure},
      {"packed_of_16", "tiny_packed", kMeaning, Node(3, [](auto* r) { r->size = 16; }), kOk,
       kStructure, kStructure},
      {"packed_outside_its_chunk", "tiny_packed", kMeaning, Node(3, [](auto* r) { r->b = 60; }),
       kOk, kStructure, kStructure},
      {"packed_wraps", "tiny_packed", kMeaning, Node(3, [](auto* r) { r->b = UINT32_MAX; }), kOk,
       kStructure, kStructure},
      {"packed_in_no_chunk", "tiny_packed", kMeaning, Node(3, [](auto* r) { r->a = 7; }), kOk,
       kStructure, kStructure},
      {"packed_over_another", "tiny_packed", kMeaning, Node(3, [](auto* r) { r->b = 3; }), kOk, kOk,
       kStructure},
      {"packed_out_of_step", "aliases", kMeaning,
       [](Editor* e) {
         Chunk(0, [](auto* r) { r->raw_size = r->stored_size = 37; })(e);
         Node(3, [](auto* r) { r->b = 1; })(e);
       },
       kOk, kStructure, kStructure},
      {"packed_identity", "tiny_packed", kChecksums, Node(3, [](auto* r) { r->value[0] ^= 1; }),
       kOk, kOk, kStructure},
      {"pieces_identity", "tiny_pieces", kChecksums, Node(0, [](auto* r) { r->value[0] ^= 1; }),
       kOk, kOk, kStructure},
  };
}

// pieces: 1 int32[6,5] of pieces 0, 1 (rows 0-2, 3-5), 2 uint16[5,7] of pieces 2-5 in tiles 2x3.
std::vector<Mutant> Pieces() {
  return {
      {"piece_of_another_leaf", "pieces", kMeaning, Piece(0, [](auto* r) { r->leaf = 2; }), kOk,
       kStructure, kStructure},
      {"piece_beyond_the_shape", "pieces", kMeaning, PieceDims(1, {4, 0}, {}), kOk, kStructure,
       kStructure},
      {"piece_wraps", "pieces", kMeaning, PieceDims(1, {UINT64_MAX - 1, 0}, {}), kOk, kStructure,
       kStructure},
      {"piece_of_nothing", "pieces", kMeaning, PieceDims(1, {}, {0, 5}), kOk, kStructure,
       kStructure},
      {"pieces_overlap", "pieces", kMeaning, PieceDims(1, {2, 0}, {}), kOk, kStructure, kStructure},
      {"piece_twice", "pieces", kMeaning, PieceDims(1, {0, 0}, {}), kOk, kStructure, kStructure},
      {"piece_missing", "pieces", kMeaning, Node(1, [](auto* r) { r->b = 1; }), kOk, kStructure,
       kStructure},
      {"pieces_none", "pieces", kMeaning, Node(1, [](auto* r) { r->b = 0; }), kOk, kStructure,
       kStructure},
      {"pieces_beyond_the_table", "pieces", kMeaning, Node(1, [](auto* r) { r->a = 100; }), kOk,
       kStructure, kStructure},
      {"pieces_wrap", "pieces", kMeaning, Node(1, [](auto* r) { r->a = UINT32_MAX; }), kOk,
       kStructure, kStructure},
      {"pieces_countless", "pieces", kMeaning, Node(1, [](auto* r) { r->b = UINT32_MAX - 10; }),
       kOk, kStructure, kStructure},
      {"pieces_out_of_order", "pieces", kMeaning,
       [](Editor* e) { SwapRecords(e, format::kPieces, 0, 1); }, kOk, kOk, kStructure},
      {"piece_with_reserved_bytes", "pieces", kMeaning,
       [](Editor* e) { e->At(format::kPieces, 0)[24] = 1; }, kOk, kStructure, kStructure},
      {"tile_of_0", "pieces", kMeaning,
       [](Editor* e) {
         Piece(2, [e](auto* r) { r->chunk_shape = static_cast<uint32_t>(e->AddDims({0, 3})); })(e);
       },
       kOk, kStructure, kStructure},
      {"tile_larger_than_its_piece", "pieces", kMeaning,
       [](Editor* e) {
         Piece(2, [e](auto* r) { r->chunk_shape = static_cast<uint32_t>(e->AddDims({9, 9})); })(e);
       },
       kOk, kStructure, kStructure},
      {"tiles_of_another_shape", "pieces", kMeaning,
       [](Editor* e) {
         Piece(2, [e](auto* r) { r->chunk_shape = static_cast<uint32_t>(e->AddDims({1, 3})); })(e);
       },
       kOk, kStructure, kStructure},
      {"chunks_miscounted", "pieces", kMeaning, Piece(2, [](auto* r) { ++r->chunk_count; }), kOk,
       kStructure, kStructure},
      {"chunks_beyond_the_table", "pieces", kMeaning,
       Piece(2, [](auto* r) { r->first_chunk = 99; }), kOk, kStructure, kStructure},
      {"chunks_of_another_piece", "pieces", kMeaning, Piece(1, [](auto* r) { r->first_chunk = 0; }),
       kOk, kOk, kStructure},
      {"piece_dims_outside", "pieces", kMeaning, Piece(0, [](auto* r) { r->extent = 1u << 30; }),
       kOk, kStructure, kStructure},
      {"shape_smaller_than_its_piece", "tiny_pieces", kMeaning,
       [](Editor* e) { Dim(e, e->node(0).shape, 4); }, kOk, kStructure, kStructure},
  };
}

// tiny_pieces has two raw chunks of 36 and 24 bytes at 64; tiny_zstd one of 160 decoded bytes.
std::vector<Mutant> Chunks() {
  return {
      {"chunk_in_the_header", "tiny_pieces", kMeaning, Chunk(0, [](auto* r) { r->offset = 0; }),
       kOk, kStructure, kStructure},
      {"chunk_behind_the_file", "tiny_pieces", kMeaning,
       Chunk(1, [](auto* r) { r->offset = 1u << 20; }), kOk, kStructure, kStructure},
      {"chunk_wraps", "tiny_pieces", kMeaning,
       Chunk(1, [](auto* r) { r->offset = UINT64_MAX - 7; }), kOk, kStructure, kStructure},
      {"chunk_in_the_index", "tiny_pieces", kMeaning, Chunk(1, [](auto* r) { r->offset = 128; }),
       kOk, kStructure, kStructure},
      {"chunk_of_nothing", "tiny_pieces", kMeaning, Chunk(1, [](auto* r) { r->stored_size = 0; }),
       kOk, kStructure, kStructure},
      {"chunk_of_nothing_decoded", "tiny_zstd", kMeaning,
       Chunk(0, [](auto* r) { r->raw_size = 0; }), kOk, kStructure, kStructure},
      {"chunk_larger_than_allowed", "tiny_zstd", kMeaning,
       Chunk(0, [](auto* r) { r->raw_size = (1u << 30) + 1; }), kOk, kStructure, kStructure},
      {"chunk_as_large_as_allowed", "tiny_zstd", kMeaning,
       Chunk(0, [](auto* r) { r->raw_size = 1u << 30; }), kOk, kStructure, kStructure},
      {"chunk_raw_and_smaller", "tiny_pieces", kMeaning,
       Chunk(1, [](auto* r) { r->stored_size = 23; }), kOk, kStructure, kStructure},
      {"chunk_coded_and_not_smaller", "tiny_pieces", kMeaning,
       Chunk(1, [](auto* r) { r->codec = 1; }), kOk, kStructure, kStructure},
      {"chunk_of_unknown_codec", "tiny_zstd", kMeaning, Chunk(0, [](auto* r) { r->codec = 77; }),
       kOk, kCodec, kCodec},
      {"chunk_raw_with_a_parameter", "tiny_pieces", kMeaning,
       Chunk(1, [](auto* r) { r->param = 1; }), kOk, kStructure, kStructure},
      {"chunk_with_reserved_bytes", "tiny_pieces", kMeaning,
       [](Editor* e) { e->At(format::kChunks, 0)[47] = 1; }, kOk, kStructure, kStructure},
      {"chunk_in_no_file", "tiny_pieces", kMeaning, Chunk(0, [](auto* r) { r->file = 1; }), kOk,
       kStructure, kStructure},
      {"chunk_planes_of_3_bytes", "tiny_zstd", kMeaning, Chunk(0, [](auto* r) { r->param = 0x83; }),
       kOk, kStructure, kStructure},
      {"chunk_planes_with_other_bits", "tiny_zstd", kMeaning,
       Chunk(0, [](auto* r) { r->param |= 0x40; }), kOk, kStructure, kStructure},
      {"chunk_planes_as_zstd", "tiny_zstd", kMeaning,
       Chunk(0, [](auto* r) { r->codec = 1, r->param = 0; }), kOk, kStructure, kStructure},
      {"chunk_decodes_to_less", "tiny_zstd", kMeaning, Chunk(0, [](auto* r) { r->raw_size = 168; }),
       kOk, kStructure, kStructure},
      {"chunk_cut", "tiny_zstd", kMeaning, Chunk(0, [](auto* r) { --r->stored_size; }), kOk,
       kStructure, kStructure},
      {"chunk_plane_longer", "tiny_zstd", kMeaning,
       [](Editor* e) { e->front[e->chunk(0).offset] ^= 1; }, kOk, kStructure, kStructure},
      {"chunks_overlap", "tiny_pieces", kMeaning, Chunk(1, [](auto* r) { r->offset -= 4; }), kOk,
       kOk, kStructure},
      {"chunks_swapped", "tiny_pieces", kMeaning,
       [](Editor* e) {
         const ChunkRecord a = e->chunk(0);
         Chunk(0, [](auto* r) { r->offset += 24; })(e);
         Chunk(1, [a](auto* r) { r->offset = a.offset; })(e);
       },
       kOk, kOk, kStructure},
      {"chunk_unaligned", "tiny_packed", kMeaning,
       [](Editor* e) {
         Chunk(0, [](auto* r) { ++r->offset; })(e);
         e->front.insert(e->front.begin() + 64, 0);
         e->front.resize((e->front.size() + 63) / 64 * 64);
       },
       kOk, kOk, kStructure},
      {"chunk_padding", "tiny_pieces", kMeaning, [](Editor* e) { e->front.back() = 1; }, kOk, kOk,
       kStructure},
      {"chunk_area_with_a_hole", "tiny_pieces", kMeaning,
       [](Editor* e) { e->front.resize(e->front.size() + 64); }, kOk, kOk, kStructure},
      {"chunk_stored_hash", "tiny_pieces", kLies, Chunk(1, [](auto* r) { ++r->stored_hash; }), kOk,
       kChecksum, kChecksum},
      {"chunk_raw_hash", "tiny_pieces", kChecksums, Chunk(1, [](auto* r) { ++r->raw_hash.high; }),
       kOk, kOk, kStructure},
      {"chunk_bytes", "tiny_pieces", kLies, [](Editor* e) { e->front[70] ^= 1; }, kOk, kChecksum,
       kChecksum},
  };
}

}  // namespace

std::vector<Mutant> StorageMutants() {
  std::vector<Mutant> all = Values();
  for (Mutant& m : NoValues()) all.push_back(std::move(m));
  for (Mutant& m : Pieces()) all.push_back(std::move(m));
  for (Mutant& m : Chunks()) all.push_back(std::move(m));
  return all;
}

}  // namespace corrupt
