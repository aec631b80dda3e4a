// SPDX-License-Identifier: Apache-2.0
// The structure of written files: header, hashes, sections, numbering, chunks, hash table, digests.
#include <algorithm>
#include <map>
#include <set>

#include "cmocka_all.h"
#include "written.h"

namespace {

using namespace written;

// Two dicts of layers with shared keys, a list, small and large leaves, empty containers.
Build Sample(uint64_t layers) {
  Build b;
  b.Container(Kind::kDict, Key(), 4);
  for (const char* part : {"params", "moments"}) {
    b.Container(Kind::kDict, Key::String(part), layers);
    for (uint64_t i = 0; i < layers; ++i) {
      b.Container(Kind::kDict, Key::Int(static_cast<int64_t>(i)), 3);
      b.Array(Key::String("kernel"), kFloat32, {8 + i % 3, 16}, i, 15);
      b.Array(Key::String("bias"), kBfloat16, {i % 40}, i + 100);
      b.Leaf(Kind::kInt, Key::String("count"), std::string(1, static_cast<char>(i)));
    }
  }
  b.Container(Kind::kList, Key::String("rest"), 3);
  b.Array(Key::Index(0), kFloat32, {300, 1024}, 5, 63);
  b.Leaf(Kind::kString, Key::Index(1), std::string(70000, 'x'));
  b.Container(Kind::kDict, Key::Index(2), 0);
  b.Container(Kind::kNone, Key::String("none"), 0);
  return b;
}

File WriteSample(WriterOptions options) { return Write(Sample(30).Make(), std::move(options)); }

bool EveryHashIsRight(const Bytes& bytes) {
  const Ring ring(bytes);
  if (!ring.valid()) return false;
  const format::Trailer& t = ring.trailer();
  const ByteSpan all(bytes);
  const ByteSpan table = all.Sub(t.table_offset(), uint64_t{8} * t.block_count);
  bool ok = t.header_hash == codec::Hash64(all.Sub(0, 64)) &&
            t.table_hash == codec::Hash64(table) &&
            t.file == format::FileDigest(all.Sub(0, 64), table, t) && t.index_offset % 64 == 0 &&
            t.table_offset() + table.size + format::kTrailerSize == bytes.size();
  for (uint32_t i = 0; i < t.block_count; ++i) {
    const uint64_t at = i * format::kBlockSize;
    const ByteSpan block =
        all.Sub(t.index_offset + at, std::min(format::kBlockSize, t.index_size - at));
    ok = ok && base::LoadLe64(table.data + 8 * i) == codec::Hash64(block);
  }
  return ok && format::DecodeHeader(all.Sub(0, 64)).ok();
}

void EveryHashOfAFileIsRight(void** /*state*/) {
  WriterOptions packed;
  packed.codec = 3;
  assert_true(EveryHashIsRight(WriteSample(WriterOptions()).bytes));
  assert_true(EveryHashIsRight(WriteSample(packed).bytes));
}

// Parents, first children and sizes are those of breadth-first order.
bool IsBreadthFirst(const Ring& ring) {
  uint32_t next = 1;
  for (uint32_t id = 0; id < ring.count(format::kNodes); ++id) {
    const format::NodeRecord r = ring.node(id);
    if (!format::IsContainerKind(r.kind)) continue;
    if (r.size == 0 ? r.a != 0 : r.a != next) return false;
    for (uint32_t child = next; child < next + r.size; ++child) {
      if (ring.node(child).parent != id) return false;
    }
    next += static_cast<uint32_t>(r.size);
  }
  return next == ring.count(format::kNodes) && ring.node(0).parent == format::kNoParent;
}

void NodesAreNumberedBreadthFirst(void** /*state*/) {
  const Bytes bytes = WriteSample(WriterOptions()).bytes;
  const bool breadth_first = IsBreadthFirst(Ring(bytes));
  const uint32_t nodes = Ring(bytes).count(format::kNodes);
  assert_true(breadth_first);
  assert_int_equal(nodes, 1 + 4 + 2 * 30 + 3 + 2 * 30 * 3);
}

// Chunks ascend without overlap, aligned as the format says, with zeros between.
bool ChunksLieWell(const Bytes& bytes) {
  const Ring ring(bytes);
  std::set<uint32_t> piece_starts, large_starts;
  for (uint32_t i = 0; i < ring.count(format::kPieces); ++i) {
    const format::PieceRecord p = ring.piece(i);
    piece_starts.insert(p.first_chunk);
    if (ring.node(p.leaf).size >= 65536) large_starts.insert(p.first_chunk);
  }
  std::set<uint32_t> packed;
  for (uint32_t i = 0; i < ring.count(format::kNodes); ++i) {
    if (ring.node(i).storage == format::kPacked) packed.insert(ring.node(i).a);
  }
  uint64_t end = 64;
  for (uint32_t i = 0; i < ring.count(format::kChunks); ++i) {
    const format::ChunkRecord c = ring.chunk(i);
    uint64_t alignment = packed.count(i) + piece_starts.count(i) != 0 ? 64 : 1;
    if (large_starts.count(i) != 0) alignment = 4096;
    const uint64_t expected = (end + alignment - 1) / alignment * alignment;
    if (c.offset != expected || c.raw_size > (1u << 20)) return false;
    for (uint64_t at = end; at < c.offset; ++at) {
      if (bytes[at] != 0) return false;
    }
    end = c.offset + c.stored_size;
  }
  return end <= ring.trailer().index_offset;
}

void ChunksAscendAlignedWithZerosBetween(void** /*state*/) {
  WriterOptions zstd;
  zstd.codec = 2;
  assert_true(ChunksLieWell(WriteSample(WriterOptions()).bytes));
  assert_true(ChunksLieWell(WriteSample(zstd).bytes));
}

// Follows section 7.3.
uint32_t LookUp(const Ring& ring, uint32_t parent, uint8_t kind, uint64_t key, ByteSpan text) {
  const uint64_t count = ring.count(format::kHashSlots);
  const uint64_t hash = format::ChildHash(parent, kind, key, text);
  for (uint64_t step = 0; step < count; ++step) {
    const uint8_t* slot = ring.section(format::kHashSlots).data + (hash + step) % count * 8;
    const uint32_t node = base::LoadLe32(slot + 4);
    if (node == 0) return UINT32_MAX;
    const format::NodeRecord r = ring.node(node - 1);
    const bool same = kind == 2 ? ring.text(r.key, r.key_size).text() == text.text() : r.key == key;
    if (base::LoadLe32(slot) == hash >> 32 && r.parent == parent && r.key_kind == kind && same) {
      return node - 1;
    }
  }
  return UINT32_MAX;
}

uint64_t HashedChildrenFound(const Bytes& bytes, uint64_t* flagged) {
  const Ring ring(bytes);
  uint64_t found = 0;
  for (uint32_t id = 1; id < ring.count(format::kNodes); ++id) {
    const format::NodeRecord r = ring.node(id);
    if ((ring.node(r.parent).flags & format::kChildrenHashed) == 0) continue;
    ++*flagged;
    const ByteSpan text = r.key_kind == 2 ? ring.text(r.key, r.key_size) : ByteSpan();
    if (LookUp(ring, r.parent, r.key_kind, r.key, text) == id) ++found;
  }
  return found;
}

void ChildrenOfDictsFrom17OnAreInTheHashTable(void** /*state*/) {
  uint64_t none = 0, both = 0;
  const uint64_t found_none = HashedChildrenFound(Write(Sample(16).Make()).bytes, &none);
  const uint64_t found_both = HashedChildrenFound(Write(Sample(17).Make()).bytes, &both);
  assert_int_equal(none, 0);
  assert_int_equal(found_none, 0);
  assert_int_equal(both, 34);
  assert_int_equal(found_both, 34);
}

struct Shared {
  size_t texts;
  uint32_t dims;
  uint64_t attribute_bytes;
};

Shared SharedParts() {
  const tree::Attribute type{1, 0, std::string_view("Param\0Variable", 14)};
  Build b;
  b.Container(Kind::kList, Key(), 50);
  for (uint64_t i = 0; i < 50; ++i) {
    b.Container(Kind::kDict, Key::Index(static_cast<int64_t>(i)), 1);
    b.Array(Key::String("kernel"), kFloat32, {2, 3}, i);
    b.last().attributes = &type;
    b.last().attribute_count = 1;
  }
  const Bytes bytes = Write(b.Make()).bytes;
  const Ring ring(bytes);
  return {ring.section(format::kText).size, ring.count(format::kDims),
          ring.section(format::kAttributes).size};
}

void EqualKeysShapesAndAttributesAreStoredOnce(void** /*state*/) {
  const Shared shared = SharedParts();
  assert_int_equal(shared.texts, 6 + 7);  // "kernel", "default"
  assert_int_equal(shared.dims, 2);
  assert_int_equal(shared.attribute_bytes, 8 + 8 + 16);
}

bool SameBytesFor(uint32_t threads, int32_t codec) {
  WriterOptions options;
  options.codec = codec;
  options.chunk_bytes = 8192;
  const File one = WriteSample(options);
  options.threads = threads;
  return one.status.ok() && one.bytes.size() > 1000 && WriteSample(options).bytes == one.bytes;
}

void TheBytesDoNotDependOnThreadsOrRuns(void** /*state*/) {
  for (const int32_t codec : {1, 2, 3}) {
    for (const uint32_t threads : {0u, 1u, 3u, 8u}) assert_true(SameBytesFor(threads, codec));
  }
}

bool ContentIsTheSameForAllCodecs() {
  WriterOptions options;
  options.metadata = "{\"step\": 1}";
  const File raw = WriteSample(options);
  options.metadata.clear();
  bool same = true;
  for (const int32_t codec : {2, 3}) {
    options.codec = codec;
    const File file = WriteSample(options);
    same = same && file.summary.content == raw.summary.content && file.bytes != raw.bytes &&
           file.summary.raw_bytes == raw.summary.raw_bytes;
  }
  return same;
}

void TheContentDigestDoesNotDependOnCodecsOrMetadata(void** /*state*/) {
  assert_true(ContentIsTheSameForAllCodecs());
}

struct Ends {
  Code add, again, unfinished;
  bool state;
};

Ends UseAfterTheEnd() {
  const Build b = Sample(1);  // lends its data to the tree
  const Tree tree = b.Make();
  Bytes bytes;
  const auto out = storage::WriteToVector(&bytes);
  auto writer = std::move(Writer::Create(out.get(), WriterOptions()).value());
  Ends ends{};
  ends.add = writer->AddTree("a", tree).code();
  ends.again = writer->AddTree("a", tree).code();
  ends.unfinished = writer->Finish().status().code();
  ends.state = writer->AddTree("b", tree).code() == Code::kWrongState;
  return ends;
}

void AfterAFailureNothingGoesOn(void** /*state*/) {
  const Ends ends = UseAfterTheEnd();
  assert_true(ends.add == Code::kOk);
  assert_true(ends.again == Code::kInvalidArgument);
  assert_true(ends.unfinished == Code::kWrongState);
  assert_true(ends.state);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(EveryHashOfAFileIsRight),
      cmocka_unit_test(NodesAreNumberedBreadthFirst),
      cmocka_unit_test(ChunksAscendAlignedWithZerosBetween),
      cmocka_unit_test(ChildrenOfDictsFrom17OnAreInTheHashTable),
      cmocka_unit_test(EqualKeysShapesAndAttributesAreStoredOnce),
      cmocka_unit_test(TheBytesDoNotDependOnThreadsOrRuns),
      cmocka_unit_test(TheContentDigestDoesNotDependOnCodecsOrMetadata),
      cmocka_unit_test(AfterAFailureNothingGoesOn),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
