// SPDX-License-Identifier: Apache-2.0
// Writes golden files that no writer makes: a container whose chunks lie in two other files, and
// mutants that every reader must refuse. Never touches a file that is there.

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "../golden/growing.h"
#include "asking.h"
#include "mutants.h"

namespace {

using namespace corrupt;
namespace fs = std::filesystem;

void WriteFile(const fs::path& path, const Bytes& bytes) {
  if (fs::exists(path)) return;
  fs::create_directories(path.parent_path());
  const std::string text(bytes.begin(), bytes.end());
  std::ofstream(path, std::ios::binary)
      .write(text.data(), static_cast<std::streamsize>(text.size()));
  std::printf("%s: %zu bytes\n", path.c_str(), bytes.size());
}

Bytes Save(golden::Growing* growing) {
  treering_tree* tree = growing->Finish();
  treering_writer* writer = nullptr;
  treering_blob* blob = nullptr;
  Bytes bytes;
  if (tree != nullptr && treering_writer_create_memory(&writer, nullptr, nullptr) == 0 &&
      treering_writer_add_tree(writer, "default", TREERING_NUL, tree, nullptr) == 0 &&
      treering_writer_finish(nullptr, &blob, writer, nullptr) == 0) {
    const auto* data = static_cast<const uint8_t*>(treering_blob_data(blob));
    bytes.assign(data, data + treering_blob_size(blob));
  }
  treering_blob_free(blob);
  treering_writer_free(writer);
  treering_tree_free(tree);
  return bytes;
}

// Rows of int32[.,20], as a piece of one chunk of its own.
Bytes Part(uint64_t rows, uint64_t seed) {
  golden::Growing g;
  g.Container(TREERING_DICT, 1);
  g.Key("w").Tiled(TREERING_INT32, {rows, 20}, {rows, 20}, golden::Noise(80 * rows, seed));
  return Save(&g);
}

Bytes Whole() {
  golden::Growing g;
  g.Container(TREERING_DICT, 2);
  treering_node& w = g.Key("w").Array(TREERING_INT32, {5, 20}, "");
  g.Pieces(&w, {{{0, 0}, {2, 20}}, {{2, 0}, {3, 20}}},
           {golden::Noise(160, 1), golden::Noise(240, 2)});
  g.Key("own").Array(TREERING_UINT8, {30}, golden::Noise(30, 3));
  return Save(&g);
}

// The chunks of `w` are those of the parts; the packed chunk of `own` stays and moves up.
Bytes Index(const Bytes& whole, const Bytes& first, const Bytes& second) {
  Editor e(whole);
  e.AddFile("", "part-00001.ring", first);
  e.AddFile("earlier", "part-00002.ring", second);
  const Bytes* const parts[] = {&first, &second};
  for (uint32_t i = 0; i < 2; ++i) {
    ChunkRecord chunk = e.chunk(i);
    chunk.offset = Editor(*parts[i]).chunk(0).offset;
    chunk.file = i + 1;
    e.SetChunk(i, chunk);
  }
  ChunkRecord own = e.chunk(2);
  const auto from = e.front.begin() + static_cast<ptrdiff_t>(own.offset);
  Bytes front(e.front.begin(), e.front.begin() + 64);
  front.insert(front.end(), from, from + own.stored_size);
  front.resize((front.size() + 63) / 64 * 64);
  own.offset = 64;
  e.SetChunk(2, own);
  e.front = front;
  return e.Make(false);
}

template <typename AnyMutant>
void WriteBad(const fs::path& folder, const std::vector<AnyMutant>& mutants,
              const std::vector<std::string>& names, std::ofstream* list) {
  for (const AnyMutant& mutant : mutants) {
    if (std::find(names.begin(), names.end(), mutant.name) == names.end()) continue;
    const Bytes base = ReadFile((folder / (std::string(mutant.base) + "-0.1.ring")).string());
    const std::string name = std::string("bad-") + mutant.name;
    WriteFile(folder / (name + ".ring"), Mutate(mutant, base));
    *list << name << (mutant.open != 0 ? " open " : " verify ")
          << treering_status_name(mutant.open != 0 ? mutant.open : mutant.verify) << "\n";
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: write_files FOLDER, that of the golden files\n");
    return 2;
  }
  const fs::path folder = argv[1];
  const Bytes first = Part(2, 1), second = Part(3, 2);
  WriteFile(folder / "merged/part-00001.ring", first);
  WriteFile(folder / "earlier/part-00002.ring", second);
  WriteFile(folder / "merged/index.ring", Index(Whole(), first, second));
  std::ofstream list(folder / "bad.txt.new");
  WriteBad(folder, NodeMutants(),
           {"children_shared", "parent_is_a_child", "alias_of_an_alias", "key_twice", "kind_0",
            "list_out_of_order", "bigint_not_minimal"},
           &list);
  WriteBad(folder, StorageMutants(),
           {"shape_overflows", "shape_larger_than_its_pieces", "pieces_overlap", "piece_missing",
            "chunk_wraps", "chunks_overlap", "chunk_bytes", "packed_identity", "storage_5"},
           &list);
  WriteBad(folder, TableMutants(),
           {"content_digest", "attribute_padding", "file_folder_above", "item_beyond_the_nodes",
            "leaf_count"},
           &list);
  WriteBad(folder, TrailerMutants(),
           {"major_2", "feature_incompatible", "header_reserved", "section_overlaps",
            "file_size_larger", "trailer_magic"},
           &list);
  return 0;
}
