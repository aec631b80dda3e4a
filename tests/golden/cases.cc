// SPDX-License-Identifier: Apache-2.0
// Makes the golden containers, each for one property, small enough to look at in hex.
//
// A case must never change: its file is committed, and what every later version writes for it must
// be the same bytes. For another property there is another case.

#include "cases.h"

#include "growing.h"

namespace golden {
namespace {

Bytes Text(const char* data, size_t size) { return Bytes(data, size); }
#define TEXT(literal) Text(literal, sizeof(literal) - 1)

treering_blob* Save(Growing* growing, const treering_save_options* options) {
  treering_error error = {};
  error.struct_size = sizeof(error);
  treering_writer* writer = nullptr;
  treering_blob* blob = nullptr;
  treering_tree* tree = growing->Finish();
  if (tree == nullptr || treering_writer_create_memory(&writer, options, &error) != 0 ||
      treering_writer_add_tree(writer, "default", TREERING_NUL, tree, &error) != 0 ||
      treering_writer_finish(nullptr, &blob, writer, &error) != 0) {
    std::fprintf(stderr, "%s\n", error.message);
  }
  treering_tree_free(tree);
  treering_writer_free(writer);
  return blob;
}

treering_save_options With(int32_t codec) {
  treering_save_options options = {};
  options.struct_size = sizeof(options);
  options.codec = codec;
  return options;
}

treering_blob* Smallest() {
  Growing g;
  g.Container(TREERING_DICT, 1);
  g.Key("a").Array(TREERING_INT32, {2}, Words({1, 0xfffffffe}));
  return Save(&g, nullptr);
}

void Containers(Growing* g) {
  g->Key("dict").Container(TREERING_DICT, 2);
  g->Key("in order").Leaf(TREERING_BOOLEAN, TEXT("\1"));
  g->Key("before").Leaf(TREERING_BOOLEAN, TEXT("\0"));
  g->Key("empty dict").Container(TREERING_DICT, 0);
  g->Key("list").Container(TREERING_LIST, 2);
  g->At(0).Container(TREERING_LIST, 1);
  g->At(0).Container(TREERING_LIST, 0);
  g->At(1).Container(TREERING_NONE, 0);
  g->Key("empty list").Container(TREERING_LIST, 0);
  g->Key("tuple").Container(TREERING_TUPLE, 1);
  g->At(0).Container(TREERING_TUPLE, 0);
  g->Key("namedtuple").Container(TREERING_NAMEDTUPLE, 2);
  g->Key("mu").Leaf(TREERING_FLOAT, TEXT("\x18\x2d\x44\x54\xfb\x21\x09\x40"));
  g->Key("nu").Container(TREERING_NONE, 0);
  g->Key("empty namedtuple").Container(TREERING_NAMEDTUPLE, 0);
  g->Key("dataclass").Container(TREERING_DATACLASS, 1);
  g->Key("field").Container(TREERING_DATACLASS, 0);
  g->Key("custom").Container(TREERING_CUSTOM, 1);
  g->Key("x").Container(TREERING_CUSTOM, 1);
  g->At(0).Container(TREERING_CUSTOM, 0);
  g->Key("none").Container(TREERING_NONE, 0);
}

void Leaves(Growing* g) {
  g->Key("scalars").Container(TREERING_LIST, 26);
  int64_t at = 0;
  g->At(at++).Leaf(TREERING_BOOLEAN, TEXT("\1"));
  for (const Bytes& value : {TEXT("\0"), TEXT("\xff"), TEXT("\x7f"), TEXT("\x80\0"), TEXT("\x80"),
                             TEXT("\x7f\xff"), TEXT("\xff\xff\xff\xff\xff\xff\xff\x7f"),
                             TEXT("\0\0\0\0\0\0\0\x80"), TEXT("\0\0\0\0\0\0\0\x80\0")}) {
    g->At(at++).Leaf(TREERING_INTEGER, value);
  }
  g->At(at++).Leaf(TREERING_INTEGER, Bytes(25, '\xff') + "\x7f");  // 2^207 - 1
  g->At(at++).Leaf(TREERING_INTEGER, Bytes(25, '\0') + "\x81");    // -127 * 2^200
  for (const Bytes& value : {TEXT("\0\0\0\0\0\0\xf8\x7f"), TEXT("\1\0\0\0\0\0\xf0\xff"),
                             TEXT("\0\0\0\0\0\0\0\x80"), TEXT("\1\0\0\0\0\0\0\0")}) {
    g->At(at++).Leaf(TREERING_FLOAT, value);  // NaN, a signalling one, -0, the least positive
  }
  g->At(at++).Leaf(TREERING_COMPLEX, TEXT("\0\0\0\0\0\0\xf0\x3f\0\0\0\0\0\0\xf0\xbf"));
  for (const Bytes& value :
       {TEXT(""), TEXT("a"), TEXT("\xc3\xa9\xe2\x82\xac\xf0\x9f\x8c\xb2"), TEXT("nul\0inside"),
        TEXT("\xed\xa0\x80 alone"), TEXT("a text of more than sixteen bytes \xe2\x9c\x93")}) {
    g->At(at++).Leaf(TREERING_STRING, value);
  }
  g->At(at++).Leaf(TREERING_BYTES, TEXT(""));
  g->At(at++).Leaf(TREERING_BYTES, TEXT("\0\xff\x80"));
  treering_node& key = g->At(at++).Array(TREERING_UINT32, {2, 2}, Words({0, 1, 2, 0xffffffff}));
  key.kind = TREERING_PRNG_KEY;
  g->Attributes(&key, {{{TREERING_ATTR_PRNG_IMPL, 0}, "threefry2x32"}});
}

void Keys(Growing* g) {
  g->Key("keys").Container(TREERING_DICT, 20);
  uint32_t n = 0;
  const auto leaf = [&](Growing& with) { with.Array(TREERING_UINT8, {}, Bytes(1, char(n++))); };
  for (const int64_t value : {int64_t{0}, int64_t{-1}, INT64_MAX, INT64_MIN}) leaf(g->Int(value));
  for (const Bytes& text : {TEXT("0"), TEXT("-1"), TEXT(""), TEXT("a/b"), TEXT("\"quoted\""),
                            TEXT("nul\0inside"), TEXT("nul"), TEXT("\xed\xb3\xbf"), TEXT("*"),
                            TEXT("\xf0\x9f\x8c\xb2"), TEXT(".."), TEXT("line\nbreak")}) {
    leaf(g->Key(text));
  }
  for (const Bytes& value :
       {TEXT("\0\0\0\0\0\0\0\x80\0"), TEXT("\xff\xff\xff\xff\xff\xff\xff\x7f\xff"),
        TEXT("\0\0\0\0\0\0\0\0\0\0\0\0\x01"), TEXT("\1\2\3\4\5\6\7\x08\x09\x0a\xf0")}) {
    leaf(g->Key(value, TREERING_KEY_BIGINT));
  }
}

treering_blob* Kinds() {
  Growing g;
  g.Container(TREERING_DICT, 12);
  Containers(&g);
  Leaves(&g);
  Keys(&g);
  return Save(&g, nullptr);
}

constexpr uint32_t kDtypes[] = {
    TREERING_BOOL,           TREERING_INT2,
    TREERING_INT4,           TREERING_INT8,
    TREERING_INT16,          TREERING_INT32,
    TREERING_INT64,          TREERING_UINT2,
    TREERING_UINT4,          TREERING_UINT8,
    TREERING_UINT16,         TREERING_UINT32,
    TREERING_UINT64,         TREERING_FLOAT16,
    TREERING_FLOAT32,        TREERING_FLOAT64,
    TREERING_BFLOAT16,       TREERING_COMPLEX64,
    TREERING_COMPLEX128,     TREERING_FLOAT8_E3M4,
    TREERING_FLOAT8_E4M3,    TREERING_FLOAT8_E4M3B11FNUZ,
    TREERING_FLOAT8_E4M3FN,  TREERING_FLOAT8_E4M3FNUZ,
    TREERING_FLOAT8_E5M2,    TREERING_FLOAT8_E5M2FNUZ,
    TREERING_FLOAT8_E8M0FNU, TREERING_FLOAT6_E2M3FN,
    TREERING_FLOAT6_E3M2FN,  TREERING_FLOAT4_E2M1FN,
};

// Elements that are allowed in the dtype, with zero bits behind the last.
Bytes Elements(uint32_t dtype, uint64_t count, uint64_t seed) {
  const uint32_t bits = dtype & 0xff;
  const uint64_t size = bits == 6 ? count : (count * bits + 7) / 8;
  Bytes out = Noise(size, seed, dtype == TREERING_BOOL ? 2 : bits == 6 ? 64 : 256);
  const uint64_t last = count * bits % 8;
  if (bits < 6 && last != 0) out.back() = static_cast<char>(out.back() & ((1 << last) - 1));
  return out;
}

treering_blob* Dtypes() {
  Growing g;
  g.Container(TREERING_DICT, sizeof(kDtypes) / sizeof(kDtypes[0]));
  for (const uint32_t dtype : kDtypes) {
    g.Key(treering_dtype_name(dtype)).Container(TREERING_LIST, 5);
    g.At(0).Array(dtype, {}, Elements(dtype, 1, dtype));
    g.At(1).Array(dtype, {0, 3}, "");
    g.At(2).Array(dtype, {7}, Elements(dtype, 7, dtype + 1));
    g.At(3).Array(dtype, {3, 1, 5}, Elements(dtype, 15, dtype + 2));
    g.At(4).Tiled(dtype, {5, 9}, {5, 8}, Elements(dtype, 45, dtype + 3));
  }
  return Save(&g, nullptr);
}

treering_blob* Attributes() {
  Growing g;
  treering_node& root = g.Container(TREERING_DICT, 5);
  g.Attributes(&root, {{{TREERING_ATTR_TYPE_NAME, 0}, "flax.nnx.statelib:State"}});
  for (const char* name : {"a", "b"}) {
    treering_node& leaf = g.Key(name).Array(TREERING_FLOAT32, {1}, Words({0x3f800000}));
    g.Attributes(&leaf, {{{TREERING_ATTR_VARIABLE_TYPE, 0}, TEXT("Param\0Variable")},
                         {{TREERING_ATTR_TAG, 1}, "encoder"},
                         {{TREERING_ATTR_METADATA, 0}, "{\"lr\":0.5}"},
                         {{TREERING_ATTR_SHARDING, 0}, "[[\"data\",null]]"},
                         {{TREERING_ATTR_SCALAR_KIND, 0}, "numpy"},
                         {{TREERING_ATTR_ORIGIN, 0}, "jax"},
                         {{40000, 0}, TEXT("\0\1\2\3\4\5\6\7")},
                         {{65535, 0}, ""}});
  }
  treering_node& key = g.Key("key").Array(TREERING_UINT32, {4}, Words({1, 2, 3, 4}));
  key.kind = TREERING_PRNG_KEY;
  g.Attributes(&key, {{{TREERING_ATTR_PRNG_IMPL, 0}, "rbg"}});
  treering_node& none = g.Key("none").Container(TREERING_NONE, 0);
  g.Attributes(&none, {{{TREERING_ATTR_TAG, 0}, ""}});
  g.Key("without").Leaf(TREERING_STRING, "x");
  return Save(&g, nullptr);
}

// Smooth numbers, so that codecs have something to do.
Bytes Smooth(uint32_t dtype, uint64_t count) {
  Bytes out;
  const uint32_t width = (dtype & 0xff) / 8;
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t x = 0x3f80000000000000ull + (i * i % 61) * 0x0001300000000000ull;
    for (uint32_t b = 8 - width; b < 8; ++b) out.push_back(static_cast<char>(x >> 8 * b & 0xff));
  }
  return out;
}

treering_blob* Coded(int32_t codec) {
  Growing g;
  g.Container(TREERING_DICT, 7);
  g.Key("float32").Tiled(TREERING_FLOAT32, {16, 24}, {7, 24}, Smooth(TREERING_FLOAT32, 384));
  g.Key("bfloat16").Tiled(TREERING_BFLOAT16, {30, 20}, {16, 16}, Smooth(TREERING_BFLOAT16, 600));
  g.Key("float64").Tiled(TREERING_FLOAT64, {200}, {150}, Smooth(TREERING_FLOAT64, 200));
  g.Key("uint16").Tiled(TREERING_UINT16, {300}, {300}, Smooth(TREERING_UINT16, 300));
  g.Key("noise").Tiled(TREERING_UINT64, {32}, {32}, Noise(256, 7));
  g.Key("packed").Array(TREERING_INT16, {120}, Smooth(TREERING_INT16, 120));
  g.Key("text").Leaf(TREERING_STRING, Bytes(200, 'x'));
  const treering_save_options options = With(codec);
  return Save(&g, &options);
}

treering_blob* Raw() { return Coded(TREERING_CODEC_RAW); }
treering_blob* Zstd() { return Coded(TREERING_CODEC_ZSTD); }
treering_blob* Planes() { return Coded(TREERING_CODEC_ZSTD_PLANES); }

treering_blob* Pieces() {
  Growing g;
  g.Container(TREERING_LIST, 4);
  treering_node& halves = g.At(0).Array(TREERING_INT32, {6, 5}, "");
  g.Pieces(&halves, {{{3, 0}, {3, 5}}, {{0, 0}, {3, 5}}}, {Noise(60, 1), Noise(60, 2)});
  treering_node& quarters = g.At(1).Tiled(TREERING_UINT16, {5, 7}, {2, 3}, "");
  g.Pieces(&quarters, {{{0, 0}, {2, 3}}, {{0, 3}, {2, 4}}, {{2, 0}, {3, 3}}, {{2, 3}, {3, 4}}},
           {Noise(12, 3), Noise(16, 4), Noise(18, 5), Noise(24, 6)});
  g.At(2).Tiled(TREERING_UINT4, {5, 6, 2}, {2, 4, 2}, Elements(TREERING_UINT4, 60, 9));
  g.At(3).Tiled(TREERING_UINT8, {10, 1, 6}, {3, 1, 6}, Noise(60, 8));
  return Save(&g, nullptr);
}

treering_blob* Packed() {
  Growing g;
  g.Container(TREERING_TUPLE, 40);
  for (int64_t i = 0; i < 40; ++i) {
    const uint64_t count = 17 + static_cast<uint64_t>(i * i) % 60;
    const uint32_t dtype = kDtypes[9 + i % 17];
    g.At(i).Array(dtype, {count}, Noise(count * (dtype & 0xff) / 8, static_cast<uint64_t>(i)));
  }
  return Save(&g, nullptr);
}

treering_blob* Aliases() {
  Growing g;
  g.Container(TREERING_DICT, 4);
  g.Key("first").Container(TREERING_DICT, 1);
  const uint64_t kernel = g.next();
  g.Key("kernel").Array(TREERING_FLOAT32, {3, 3}, Noise(36, 1));
  g.Key("second").Container(TREERING_LIST, 2);
  g.At(0).Alias(kernel);
  const uint64_t step = g.next();
  g.At(1).Leaf(TREERING_INTEGER, TEXT("\x05"));
  g.Key("third").Alias(kernel);
  g.Key("step").Alias(step);
  return Save(&g, nullptr);
}

bool AddItems(treering_writer* writer, treering_error* error) {
  Growing a;
  a.Container(TREERING_DICT, 1);
  a.Key("w").Array(TREERING_FLOAT64, {4}, Noise(32, 3));
  Growing b;
  b.Leaf(TREERING_BOOLEAN, TEXT("\1"));
  treering_tree* params = a.Finish();
  treering_tree* bare = b.Finish();
  const Bytes blob = Noise(100, 5);
  const Bytes json = "{\"step\": 1200, \"names\": [\"\\u00e9\", null, true, -1.5e3]}";
  const bool fine = params != nullptr && bare != nullptr &&
                    treering_writer_add_tree(writer, "params", TREERING_NUL, params, error) == 0 &&
                    treering_writer_add_bytes(writer, TREERING_ITEM_JSON, "config", TREERING_NUL,
                                              json.data(), json.size(), error) == 0 &&
                    treering_writer_add_bytes(writer, TREERING_ITEM_BLOB, "\xc3\xa9/blob",
                                              TREERING_NUL, blob.data(), blob.size(), error) == 0 &&
                    treering_writer_add_bytes(writer, TREERING_ITEM_BLOB, "empty", TREERING_NUL, "",
                                              0, error) == 0 &&
                    treering_writer_add_tree(writer, "bare leaf", TREERING_NUL, bare, error) == 0;
  treering_tree_free(params);
  treering_tree_free(bare);
  return fine;
}

treering_blob* Items() {
  treering_error error = {};
  error.struct_size = sizeof(error);
  treering_save_options options = With(0);
  options.metadata = "{\"step\": 1200}";
  options.metadata_size = TREERING_NUL;
  treering_writer* writer = nullptr;
  treering_blob* blob = nullptr;
  if (treering_writer_create_memory(&writer, &options, &error) != 0 || !AddItems(writer, &error) ||
      treering_writer_finish(nullptr, &blob, writer, &error) != 0) {
    std::fprintf(stderr, "%s\n", error.message);
  }
  treering_writer_free(writer);
  return blob;
}

treering_blob* Hashed() {
  Growing g;
  g.Container(TREERING_DICT, 18);
  for (int i = 0; i < 16; ++i) {
    g.Key("k" + std::to_string(i)).Leaf(TREERING_BYTES, Bytes(1, static_cast<char>(i)));
  }
  g.Int(0).Leaf(TREERING_BOOLEAN, TEXT("\1"));
  g.Key(TEXT("\0\0\0\0\0\0\0\x80\0"), TREERING_KEY_BIGINT).Leaf(TREERING_BOOLEAN, TEXT("\0"));
  return Save(&g, nullptr);
}

// Three that are small enough to be damaged in every possible way.
treering_blob* TinyPacked() {
  Growing g;
  g.Container(TREERING_DICT, 3);
  g.Key("a").Array(TREERING_UINT8, {20}, Noise(20, 1));
  g.Key("b").Leaf(TREERING_STRING, "a string, packed");
  treering_node& c = g.Key("c").Leaf(TREERING_BYTES, Noise(30, 2));
  g.Attributes(&c, {{{TREERING_ATTR_TAG, 0}, "t"}});
  return Save(&g, nullptr);
}

treering_blob* TinyPieces() {
  Growing g;
  g.Tiled(TREERING_UINT16, {5, 6}, {3, 6}, Noise(60, 3));
  return Save(&g, nullptr);
}

treering_blob* TinyZstd() {
  Growing g;
  g.Container(TREERING_LIST, 2);
  const uint64_t first = g.next();
  g.At(0).Tiled(TREERING_FLOAT32, {40}, {40}, Smooth(TREERING_FLOAT32, 40));
  g.At(1).Alias(first);
  treering_save_options options = With(TREERING_CODEC_ZSTD_PLANES);
  options.metadata = "{}";
  options.metadata_size = 2;
  return Save(&g, &options);
}

}  // namespace
}  // namespace golden

extern "C" {

const struct golden_case golden_cases[] = {
    {"smallest-0.1", 0, golden::Smallest},
    {"kinds-0.1", 0, golden::Kinds},
    {"dtypes-0.1", 0, golden::Dtypes},
    {"attributes-0.1", 0, golden::Attributes},
    {"raw-0.1", 0, golden::Raw},
    {"zstd-0.1", 1, golden::Zstd},
    {"planes-0.1", 1, golden::Planes},
    {"pieces-0.1", 0, golden::Pieces},
    {"packed-0.1", 0, golden::Packed},
    {"aliases-0.1", 0, golden::Aliases},
    {"items-0.1", 0, golden::Items},
    {"hashed-0.1", 0, golden::Hashed},
    {"tiny_packed-0.1", 0, golden::TinyPacked},
    {"tiny_pieces-0.1", 0, golden::TinyPieces},
    {"tiny_zstd-0.1", 1, golden::TinyZstd},
};
const size_t golden_case_count = sizeof(golden_cases) / sizeof(golden_cases[0]);
}
