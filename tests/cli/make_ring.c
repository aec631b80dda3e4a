/* SPDX-License-Identifier: Apache-2.0
 * Writes the containers that the tests of the tool look into: make_ring KIND FILE [COUNT]. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <treering/treering.h>

static treering_error error = {sizeof(treering_error), 0, 0, 0, 0, ""};

static void Require(treering_status status) {
  if (status == TREERING_OK) return;
  fprintf(stderr, "make_ring: %s\n", error.message);
  exit(2);
}

static treering_node Node(const char* key, int32_t kind) {
  treering_node node;
  memset(&node, 0, sizeof(node));
  node.kind = kind;
  if (key != NULL) {
    node.key.kind = TREERING_KEY_STRING;
    node.key.text = key;
    node.key.text_size = strlen(key);
  }
  return node;
}

static treering_node Indexed(int64_t index, int32_t kind) {
  treering_node node = Node(NULL, kind);
  node.key.kind = TREERING_KEY_INDEX;
  node.key.integer = index;
  return node;
}

static uint64_t Append(treering_tree* tree, uint64_t parent, const treering_node* node) {
  uint64_t id = 0;
  Require(treering_tree_append(&id, tree, parent, node, sizeof(*node), 1, NULL, &error));
  return id;
}

static treering_tree* Tree(uint64_t* root) {
  treering_tree* tree = NULL;
  Require(treering_tree_create(&tree, &error));
  treering_node dict = Node(NULL, TREERING_DICT);
  *root = Append(tree, TREERING_NO_NODE, &dict);
  return tree;
}

static treering_node Array(const char* key, uint32_t dtype, uint32_t rank, const uint64_t* shape,
                           const void* data) {
  treering_node node = Node(key, TREERING_ARRAY);
  node.dtype = dtype;
  node.rank = rank;
  node.shape = shape;
  node.data = data;
  node.one_per_byte = 1;
  return node;
}

static treering_node Sized(const char* key, int32_t kind, const void* data, uint64_t size) {
  treering_node node = Node(key, kind);
  node.data = data;
  node.data_size = size;
  return node;
}

static void Save(const char* path, treering_tree* tree, int32_t codec) {
  treering_save_options options;
  memset(&options, 0, sizeof(options));
  options.struct_size = sizeof(options);
  options.overwrite = 1;
  options.not_durable = 1;
  options.codec = codec;
  options.metadata = "{\"step\": 7, \"note\": \"a\\u001bb\"}";
  options.metadata_size = strlen(options.metadata);
  Require(treering_save(path, strlen(path), tree, &options, &error));
  treering_tree_free(tree);
}

/* Six alike layers with a float32 kernel and bias, an odd one, an embedding, an alias. */
static void Layers(const char* path, int32_t codec) {
  static float kernel[64 * 32];
  for (int i = 0; i < 64 * 32; ++i) kernel[i] = (float)i / 4;
  const uint64_t shape[2] = {64, 32};
  const treering_attribute param[2] = {
      {TREERING_ATTR_VARIABLE_TYPE, 0, "Param\0Variable", 14},
      {TREERING_ATTR_TAG, 0, "trained\033[31m", 12},
  };
  uint64_t root = 0;
  treering_tree* tree = Tree(&root);
  treering_node node = Array("embed", TREERING_FLOAT32, 2, shape, kernel);
  const uint64_t embed = Append(tree, root, &node);
  node = Node("layers", TREERING_LIST);
  const uint64_t layers = Append(tree, root, &node);
  for (int i = 0; i < 7; ++i) {
    node = Indexed(i, TREERING_DICT);
    const uint64_t layer = Append(tree, layers, &node);
    node = Node("attn", TREERING_DICT);
    const uint64_t attn = Append(tree, layer, &node);
    node = Array("kernel", TREERING_FLOAT32, i == 3 ? 1 : 2, shape, kernel);
    node.attributes = param;
    node.attribute_count = 2;
    Append(tree, attn, &node);
    node = Array("bias", TREERING_FLOAT32, 1, shape, kernel);
    Append(tree, layer, &node);
  }
  node = Node("head", TREERING_ALIAS);
  node.alias_of = embed;
  Append(tree, root, &node);
  Save(path, tree, codec);
}

static void Numbers(treering_tree* tree, uint64_t root) {
  static const uint64_t n[2] = {2, 3};
  static const uint8_t f8[3] = {0x38, 0x7e, 0x81};
  static const uint16_t bf[3] = {0x3dcd, 0x7f80, 0xc000};
  static const uint16_t f16[3] = {0x2e66, 0x7e00, 0x0001};
  static const float f32[3] = {0.1f, -1e30f, 3};
  static const double f64[3] = {0.1, 1e300, -0.0};
  static const float c64[6] = {1, -2, 0.5f, 0, 0, 1};
  static const int8_t i4[6] = {-8, 7, 0, 1, 2, 3};
  static const uint64_t u64[3] = {0, UINT64_MAX, UINT64_C(9007199254740993)};
  static const uint8_t flags[3] = {1, 0, 1};
  static const uint8_t f4[3] = {1, 2, 15};
  static const uint64_t empty[2] = {0, 4};
  static int32_t long_one[2000];
  static const uint64_t long_shape[3] = {20, 10, 10};
  for (int i = 0; i < 2000; ++i) long_one[i] = i;
  const treering_node nodes[] = {
      Array("f8", TREERING_FLOAT8_E4M3FN, 1, n + 1, f8),
      Array("bf16", TREERING_BFLOAT16, 1, n + 1, bf),
      Array("f16", TREERING_FLOAT16, 1, n + 1, f16),
      Array("f32", TREERING_FLOAT32, 1, n + 1, f32),
      Array("f64", TREERING_FLOAT64, 1, n + 1, f64),
      Array("c64", TREERING_COMPLEX64, 1, n + 1, c64),
      Array("i4", TREERING_INT4, 2, n, i4),
      Array("u64", TREERING_UINT64, 1, n + 1, u64),
      Array("flags", TREERING_BOOL, 1, n + 1, flags),
      Array("f4", TREERING_FLOAT4_E2M1FN, 1, n + 1, f4),
      Array("empty", TREERING_FLOAT32, 2, empty, f32),
      Array("point", TREERING_FLOAT32, 0, NULL, f32),
      Array("long", TREERING_INT32, 3, long_shape, long_one),
  };
  for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); ++i) Append(tree, root, &nodes[i]);
}

/* One of everything: each kind of node and key, names that bite, numbers of every width. */
static void Zoo(const char* path) {
  uint64_t root = 0;
  treering_tree* tree = Tree(&root);
  Numbers(tree, root);
  static const uint8_t big[9] = {0, 0, 0, 0, 0, 0, 0, 0, 1};
  static const uint8_t one = 1;
  static const double two[2] = {2.5, -1};
  static const uint8_t text[] = "line\nwith \"quotes\" \033[31m and \xed\xa0\x80";
  treering_node node = Sized("big", TREERING_INTEGER, big, sizeof(big));
  Append(tree, root, &node);
  node = Sized("yes", TREERING_BOOLEAN, &one, 1);
  Append(tree, root, &node);
  node = Sized("float", TREERING_FLOAT, two, 8);
  Append(tree, root, &node);
  node = Sized("complex", TREERING_COMPLEX, two, 16);
  Append(tree, root, &node);
  node = Sized("text", TREERING_STRING, text, sizeof(text) - 1);
  Append(tree, root, &node);
  node = Sized("bytes", TREERING_BYTES, "\x00\xff\x10", 3);
  Append(tree, root, &node);
  node = Node("none", TREERING_NONE);
  Append(tree, root, &node);
  const treering_attribute type = {TREERING_ATTR_TYPE_NAME, 0, "optax:AdamState", 15};
  node = Node("pair", TREERING_NAMEDTUPLE);
  node.attributes = &type;
  node.attribute_count = 1;
  const uint64_t pair = Append(tree, root, &node);
  node = Sized("mu", TREERING_BOOLEAN, &one, 1);
  Append(tree, pair, &node);
  node = Node("tuple", TREERING_TUPLE);
  Append(tree, root, &node);
  static const char* const names[] = {"",
                                      "7",
                                      "a/b",
                                      "c:d",
                                      "\033[2J",
                                      "\xed\xa0\x80",
                                      "*",
                                      "naïve",
                                      ("\xe2\x80\xae"
                                       "drawkcab")};
  node = Node("names", TREERING_DICT);
  const uint64_t holder = Append(tree, root, &node);
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); ++i) {
    node = Sized(names[i], TREERING_BOOLEAN, &one, 1);
    Append(tree, holder, &node);
  }
  node = Sized(NULL, TREERING_BOOLEAN, &one, 1);
  node.key.kind = TREERING_KEY_INT;
  node.key.integer = 7;
  Append(tree, holder, &node);
  Save(path, tree, TREERING_CODEC_RAW);
}

/* Two trees, a JSON document and a blob. */
static void Items(const char* path) {
  treering_writer* writer = NULL;
  treering_save_options options;
  memset(&options, 0, sizeof(options));
  options.struct_size = sizeof(options);
  options.overwrite = 1;
  options.not_durable = 1;
  Require(treering_writer_create(&writer, path, strlen(path), &options, &error));
  static const char* const names[] = {"params", "opt"};
  for (int i = 0; i < 2; ++i) {
    const float value[2] = {1.5f, (float)i};
    const uint64_t shape = 2;
    uint64_t root = 0;
    treering_tree* tree = Tree(&root);
    treering_node node = Array(i == 0 ? "w" : "mu", TREERING_FLOAT32, 1, &shape, value);
    Append(tree, root, &node);
    Require(treering_writer_add_tree(writer, names[i], TREERING_NUL, tree, &error));
    treering_tree_free(tree);
  }
  static const char json[] = "{\n  \"lr\": 0.1,\n  \"name\": \"x\"\n}";
  Require(treering_writer_add_bytes(writer, TREERING_ITEM_JSON, "config", 6, json, sizeof(json) - 1,
                                    &error));
  static char blob[3000];
  Require(
      treering_writer_add_bytes(writer, TREERING_ITEM_BLOB, "blob", 4, blob, sizeof(blob), &error));
  Require(treering_writer_finish(NULL, NULL, writer, &error));
  treering_writer_free(writer);
}

/* `count` leaves of 16 bytes in dicts of a thousand. */
static void Many(const char* path, long count) {
  static const float value[4] = {1, 2, 3, 4};
  const uint64_t shape = 4;
  uint64_t root = 0;
  treering_tree* tree = Tree(&root);
  static char keys[1000][16];
  static treering_node nodes[1001];
  for (long block = 0; block * 1000 < count; ++block) {
    char key[32];
    snprintf(key, sizeof(key), "block_%03ld", block);
    nodes[0] = Node(key, TREERING_DICT);
    long n = count - block * 1000 < 1000 ? count - block * 1000 : 1000;
    nodes[0].child_count = (uint64_t)n;
    for (long i = 0; i < n; ++i) {
      snprintf(keys[i], sizeof(keys[i]), "leaf%ld", i * 7);
      nodes[i + 1] = Array(keys[i], TREERING_FLOAT32, 1, &shape, value);
    }
    uint64_t id = 0;
    Require(treering_tree_append(&id, tree, root, nodes, sizeof(nodes[0]), (uint64_t)n + 1, NULL,
                                 &error));
  }
  Save(path, tree, TREERING_CODEC_RAW);
}

int main(int argc, char** argv) {
  if (argc < 3) {
    fputs("usage: make_ring layers|zstd|zoo|items|leaf|many FILE [COUNT]\n", stderr);
    return 2;
  }
  if (strcmp(argv[1], "layers") == 0) {
    Layers(argv[2], TREERING_CODEC_RAW);
  } else if (strcmp(argv[1], "zstd") == 0) {
    Layers(argv[2], TREERING_CODEC_ZSTD);
  } else if (strcmp(argv[1], "zoo") == 0) {
    Zoo(argv[2]);
  } else if (strcmp(argv[1], "items") == 0) {
    Items(argv[2]);
  } else if (strcmp(argv[1], "many") == 0) {
    Many(argv[2], argc > 3 ? atol(argv[3]) : 1000);
  } else if (strcmp(argv[1], "leaf") == 0) {
    treering_tree* tree = NULL;
    Require(treering_tree_create(&tree, &error));
    const uint64_t shape = 12;
    static const uint8_t data[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    treering_node node = Array(NULL, TREERING_UINT8, 1, &shape, data);
    Append(tree, TREERING_NO_NODE, &node);
    Save(argv[2], tree, TREERING_CODEC_RAW);
  } else {
    return 2;
  }
  return 0;
}
