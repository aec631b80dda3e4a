// SPDX-License-Identifier: Apache-2.0
// Damage without repair: every byte, every length, blocks. None is undetected: verification finds
// it, and no call answers with other data.
#include <algorithm>
#include <random>

#include "../golden/cases.h"
#include "../golden/growing.h"
#include "asking.h"

// The last, since cmocka has macros for words of the standard library.
#include "../container/cmocka_all.h"

namespace {

using namespace corrupt;
using Bytes = std::vector<uint8_t>;

std::string folder;
bool every = false;  // else samples

constexpr uint64_t kMostNodes = 64;  // of the files that are damaged

// What the intact file answers, in parts.
struct Intact {
  std::vector<std::string> nodes;
  std::string loaded;
};

std::string Taken(text* from) {
  std::string out(from->data == nullptr ? "" : from->data);
  from->size = 0;
  if (from->data != nullptr) from->data[0] = 0;
  return out;
}

Intact AskIntact(const Bytes& bytes) {
  Intact intact;
  treering_status status = 0;
  treering_error error = {};
  treering_checkpoint* checkpoint = Open(bytes, &status, &error);
  if (checkpoint == nullptr) return intact;
  text line = {};
  for (uint64_t id = 0; id < kMostNodes && dump_node(&line, checkpoint, id, nullptr) == 0; ++id) {
    intact.nodes.push_back(Taken(&line));
  }
  if (dump_by_load(&line, checkpoint, 0, nullptr) == 0) intact.loaded = Taken(&line);
  if (Verify(checkpoint, &error) != 0) intact.loaded.clear();
  text_free(&line);
  treering_checkpoint_free(checkpoint);
  return intact;
}

struct Counts {
  uint64_t tried = 0;
  uint64_t refused = 0;  // by opening
  uint64_t found = 0;    // by verification
  uint64_t undetected = 0;
};

// True if some call answers with other data than those of the intact file.
bool Lies(const treering_checkpoint* checkpoint, const Intact& intact, text* line) {
  bool lies = false;
  for (uint64_t id = 0; id < intact.nodes.size(); ++id) {
    line->size = 0;
    if (dump_node(line, checkpoint, id, nullptr) == 0) lies |= intact.nodes[id] != line->data;
  }
  line->size = 0;
  if (dump_by_load(line, checkpoint, 0, nullptr) == 0) lies |= intact.loaded != line->data;
  uint64_t views = 0;
  uint64_t without = 0;
  return lies || compare_views(&views, &without, checkpoint, nullptr) == TREERING_INTERNAL;
}

void Try(const Bytes& damaged, const Intact& intact, text* line, Counts* counts) {
  ++counts->tried;
  treering_status status = 0;
  treering_error error = {};
  treering_checkpoint* checkpoint = Open(damaged, &status, &error);
  if (checkpoint == nullptr) {
    ++counts->refused;
    return;
  }
  const bool found = Verify(checkpoint, &error) != TREERING_OK;
  if (found && !Lies(checkpoint, intact, line)) {
    ++counts->found;
  } else {
    ++counts->undetected;
  }
  treering_checkpoint_free(checkpoint);
}

void Print(const char* what, const Counts& counts) {
  print_message(
      "# %s: %llu tried, %llu refused by opening, %llu found by verification, %llu "
      "undetected\n",
      what, static_cast<unsigned long long>(counts.tried),
      static_cast<unsigned long long>(counts.refused),
      static_cast<unsigned long long>(counts.found),
      static_cast<unsigned long long>(counts.undetected));
}

// Each byte of a small file gets each other value, or some of them.
uint64_t UndetectedBytes(const char* name) {
  Bytes bytes = ReadFile(folder + "/" + name + "-0.1.ring");
  const Intact intact = AskIntact(bytes);
  if (intact.nodes.empty() || intact.loaded.empty() || bytes.size() > 2048) return 1;
  Counts counts;
  text line = {};
  std::minstd_rand random(1);
  for (uint8_t& byte : bytes) {
    const uint8_t right = byte;
    for (uint32_t value = 0; value < 256; ++value) {
      const bool chosen = every || (value ^ right) == 1u << value % 8 || random() % 32 == 0;
      if (value == right || !chosen) continue;
      byte = static_cast<uint8_t>(value);
      Try(bytes, intact, &line, &counts);
    }
    byte = right;
  }
  text_free(&line);
  Print(name, counts);
  return counts.undetected;
}

void NoChangedByteIsUndetected(void** /*state*/) {
  uint64_t undetected = 0;
  for (const char* name : {"tiny_packed", "tiny_pieces", "tiny_zstd", "hashed"}) {
    undetected += UndetectedBytes(name);
  }
  assert_int_equal(undetected, 0);
}

treering_status OpenStatus(const Bytes& bytes) {
  treering_status status = 0;
  treering_error error = {};
  treering_checkpoint_free(Open(bytes, &status, &error));
  return status;
}

// How many lengths of a file are answered in another way than the format says.
uint64_t WrongLengths(const std::string& name) {
  const Bytes bytes = ReadFile(folder + "/" + name + ".ring");
  uint64_t wrong = bytes.empty() ? 1 : 0;
  const size_t step = every || bytes.size() < 1600 ? 1 : 37;
  for (size_t size = 0; size < bytes.size(); size += step) {
    const Bytes cut(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(size));
    const treering_status expected = size < 8 ? TREERING_NOT_TREERING : TREERING_CORRUPT_TRUNCATED;
    wrong += OpenStatus(cut) != expected ? 1u : 0u;
  }
  Bytes longer = bytes;
  for (int i = 0; i < 100; ++i) {
    longer.push_back(0);
    wrong += OpenStatus(longer) != TREERING_CORRUPT_TRUNCATED ? 1u : 0u;
  }
  longer = bytes;
  longer.insert(longer.end(), bytes.begin(), bytes.end());
  wrong += OpenStatus(longer) != TREERING_CORRUPT_STRUCTURE ? 1u : 0u;
  longer = bytes;
  longer.insert(longer.begin(), 0);
  wrong += OpenStatus(longer) != TREERING_CORRUPT_CHECKSUM ? 1u : 0u;
  if (wrong != 0) print_message("# %s: %d lengths\n", name.c_str(), static_cast<int>(wrong));
  return wrong;
}

void NoOtherLengthOpens(void** /*state*/) {
  uint64_t wrong = 0;
  for (size_t i = 0; i < golden_case_count; ++i) wrong += WrongLengths(golden_cases[i].name);
  assert_int_equal(wrong, 0);
}

// Some 300 KiB: raw and compressed pieces, packed and inline leaves, index blocks.
Bytes Larger() {
  golden::Growing g;
  g.Container(TREERING_LIST, 40);
  const uint64_t side = 130;
  g.At(0).Array(TREERING_FLOAT32, {side, side}, golden::Noise(4 * side * side, 1));
  g.At(1).Array(TREERING_UINT16, {200, 200}, golden::Noise(80000, 2, 3)).codec =
      TREERING_CODEC_ZSTD_PLANES;
  for (int64_t i = 2; i < 40; ++i) {
    const auto size = static_cast<uint64_t>(i * i * 2);
    g.At(i).Array(TREERING_UINT8, {size}, golden::Noise(size, static_cast<uint64_t>(i)));
  }
  treering_save_options options = {};
  options.struct_size = sizeof(options);
  options.chunk_bytes = 8192;
  treering_tree* tree = g.Finish();
  treering_writer* writer = nullptr;
  treering_blob* blob = nullptr;
  Bytes bytes;
  if (tree != nullptr && treering_writer_create_memory(&writer, &options, nullptr) == 0 &&
      treering_writer_add_tree(writer, "t", 1, tree, nullptr) == 0 &&
      treering_writer_finish(nullptr, &blob, writer, nullptr) == 0) {
    const auto* data = static_cast<const uint8_t*>(treering_blob_data(blob));
    bytes.assign(data, data + treering_blob_size(blob));
  }
  treering_blob_free(blob);
  treering_writer_free(writer);
  treering_tree_free(tree);
  return bytes;
}

// Zeroes a block, swaps it with another, or puts it over another.
void Damage(Bytes* bytes, std::minstd_rand* random) {
  const size_t block = size_t{16} << (*random)() % 9;
  const size_t places = bytes->size() / block;
  const auto at = [&] {
    return bytes->begin() + static_cast<ptrdiff_t>((*random)() % places * block);
  };
  const auto a = at();
  const auto b = at();
  const auto size = static_cast<ptrdiff_t>(block);
  switch ((*random)() % 3) {
    case 0:
      std::fill_n(a, size, uint8_t{0});
      break;
    case 1:
      if (a != b) std::swap_ranges(a, a + size, b);
      break;
    default:
      std::copy_n(a, a == b ? 0 : size, b);
  }
}

void NoBlockThatIsZeroedSwappedOrRepeatedIsUndetected(void** /*state*/) {
  const uint32_t seed = 20260101;
  const Bytes bytes = Larger();
  const Intact intact = AskIntact(bytes);
  std::minstd_rand random(seed);
  Counts counts;
  text line = {};
  const int rounds = every ? 2000 : 200;
  for (int i = 0; i < rounds; ++i) {
    Bytes damaged = bytes;
    Damage(&damaged, &random);
    if (damaged != bytes) Try(damaged, intact, &line, &counts);
  }
  text_free(&line);
  print_message("# seed %u, %zu bytes\n", seed, bytes.size());
  Print("blocks", counts);
  assert_int_equal(intact.nodes.size(), 41);
  assert_true(counts.tried > 150);
  assert_int_equal(counts.undetected, 0);
}

}  // namespace

int main(int argc, char** argv) {
  folder = argc > 1 ? argv[1] : ".";
  every = argc > 2 && std::strcmp(argv[2], "every") == 0;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(NoChangedByteIsUndetected),
      cmocka_unit_test(NoOtherLengthOpens),
      cmocka_unit_test(NoBlockThatIsZeroedSwappedOrRepeatedIsUndetected),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
