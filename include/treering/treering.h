/* SPDX-License-Identifier: Apache-2.0
 * The C ABI of treering: save and restore trees of arrays as checksummed checkpoint containers.
 *
 * OWNERSHIP. What a function with an `out` handle gives you, you free once with the matching
 * `*_free`, which takes NULL. Pointers that accessors give belong to the object they came from and
 * live as long as it does and is not changed. Bytes that you pass in are borrowed for the call,
 * unless a function says that it keeps them: then your `release` callback is called exactly once,
 * also when the call fails.
 *
 * THREADS. A function that takes a const handle may run concurrently with others on that handle.
 * One that takes a non-const handle needs exclusion. Different handles are independent. The
 * library keeps no global and no thread-local state and starts threads only where `threads` asks
 * for them. `read_at`, `resolve` and `release` callbacks may run on any thread, with no lock of the
 * library held, `progress` callbacks on any thread, one at a time; they must not call into the same
 * handle. `fill` and `write` callbacks run on the thread that called the library, but for an
 * asynchronous save with `borrow`, whose `fill` callbacks run on the thread of the saves.
 *
 * FAILURE. A fallible function answers a treering_status; TREERING_OK is 0. On failure every
 * output is NULL or zero, and `error`, where given, holds the status and one line that names the
 * file or leaf, what was expected, what was found and what to do. `error` may be NULL.
 *
 * STRUCTS. Set `struct_size` to sizeof the struct and zero the rest: zero means the default. A
 * larger struct of a newer caller is accepted if the part unknown here is zero; that, and a
 * `reserved` field that is set, is UNSUPPORTED otherwise. Elements of arrays carry no struct_size;
 * those calls take `element_size`, the sizeof the element as the caller knows it.
 *
 * TEXT is UTF-8 with a length in bytes; TREERING_NUL as length means "up to the NUL". Text that
 * the library gives is not NUL-terminated unless it says so.
 *
 * UNITS. Sizes, offsets and strides count bytes; shapes, origins and extents count elements.
 */
#ifndef TREERING_TREERING_H_
#define TREERING_TREERING_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---------------------------------------------------------------- status */

/* Low byte: the class, on which to decide. Next byte: the detail. New details may appear. */
typedef int32_t treering_status;

#define TREERING_OK 0
#define TREERING_INVALID_ARGUMENT 8
#define TREERING_NOT_FOUND 16
#define TREERING_NOT_FOUND_FILE 272
#define TREERING_NOT_FOUND_PATH 528
#define TREERING_NOT_FOUND_ITEM 784
#define TREERING_NOT_FOUND_GONE 1040
#define TREERING_ALREADY_EXISTS 24
#define TREERING_NOT_TREERING 32
#define TREERING_CORRUPT 40
#define TREERING_CORRUPT_CHECKSUM 296
#define TREERING_CORRUPT_TRUNCATED 552
#define TREERING_CORRUPT_STRUCTURE 808
#define TREERING_UNSUPPORTED 48
#define TREERING_UNSUPPORTED_VERSION 304
#define TREERING_UNSUPPORTED_FEATURE 560
#define TREERING_UNSUPPORTED_NO_VIEW 816
#define TREERING_UNSUPPORTED_DTYPE 1072
#define TREERING_UNSUPPORTED_CODEC 1328
#define TREERING_UNSUPPORTED_KIND 1584
#define TREERING_LIMIT 56
#define TREERING_MISMATCH 64
#define TREERING_MISMATCH_STRUCTURE 320
#define TREERING_MISMATCH_DTYPE 576
#define TREERING_MISMATCH_SHAPE 832
#define TREERING_NO_MEMORY 72
#define TREERING_IO 80
#define TREERING_IO_NO_SPACE 336
#define TREERING_IO_SYNC 592
#define TREERING_IO_PERMISSION 848
#define TREERING_IO_READ_ONLY 1104
#define TREERING_BUSY 88
#define TREERING_BUSY_CONFLICT 344
#define TREERING_WRONG_STATE 96
#define TREERING_WRONG_STATE_FORKED 352
#define TREERING_WRONG_STATE_FINISHED 608
#define TREERING_TIMEOUT 104
#define TREERING_CANCELLED 112
#define TREERING_OUTCOME_UNKNOWN 120
#define TREERING_INTERNAL 128

/* As a length of text: the text ends at its NUL. */
#define TREERING_NUL 18446744073709551615ULL
/* As a node id: no node. */
#define TREERING_NO_NODE 18446744073709551615ULL
/* As a file offset: not known. */
#define TREERING_NO_OFFSET 18446744073709551615ULL

/* What went wrong. Lives where the caller puts it. @since 0.1 */
typedef struct treering_error {
  uint32_t struct_size;
  treering_status status;
  int32_t os_error;   /* errno, 0 where the system was not the cause */
  uint32_t reserved;  /* zero */
  uint64_t offset;    /* byte offset in the file, TREERING_NO_OFFSET where none is known */
  char message[1000]; /* one line, NUL-terminated, whole code points, cut where too long */
} treering_error;

/* "0.1.0". Static, NUL-terminated. @since 0.1 */
const char* treering_version(void);

/* major << 16 | minor << 8 | patch of the library; of the newest container format it writes:
 * major << 16 | minor. @since 0.1 */
uint32_t treering_version_number(void);
uint32_t treering_format_version(void);

/* "CORRUPT_CHECKSUM" for 296; the class's name for a detail it does not know; "UNKNOWN" else.
 * Static, NUL-terminated. @since 0.1 */
const char* treering_status_name(treering_status status);

/* ---------------------------------------------------------------- dtypes */

/* A dtype is DLPack 1.1's type code << 8 | bits of one element: self-describing, and open.
 * bool and the 6-bit floats take a byte an element; 2- and 4-bit elements are packed in files, and
 * in buffers lie packed or one per byte as the call says. A byte order is no part of it: buffers
 * are in the host's. */
#define TREERING_BOOL 1544 /* 0x0608 */
#define TREERING_INT2 2    /* 0x0002 */
#define TREERING_INT4 4
#define TREERING_INT8 8
#define TREERING_INT16 16
#define TREERING_INT32 32
#define TREERING_INT64 64
#define TREERING_UINT2 258 /* 0x0102 */
#define TREERING_UINT4 260
#define TREERING_UINT8 264
#define TREERING_UINT16 272
#define TREERING_UINT32 288
#define TREERING_UINT64 320
#define TREERING_FLOAT16 528 /* 0x0210 */
#define TREERING_FLOAT32 544
#define TREERING_FLOAT64 576
#define TREERING_BFLOAT16 1040  /* 0x0410 */
#define TREERING_COMPLEX64 1344 /* 0x0540 */
#define TREERING_COMPLEX128 1408
#define TREERING_FLOAT8_E3M4 1800 /* 0x0708 */
#define TREERING_FLOAT8_E4M3 2056
#define TREERING_FLOAT8_E4M3B11FNUZ 2312
#define TREERING_FLOAT8_E4M3FN 2568
#define TREERING_FLOAT8_E4M3FNUZ 2824
#define TREERING_FLOAT8_E5M2 3080
#define TREERING_FLOAT8_E5M2FNUZ 3336
#define TREERING_FLOAT8_E8M0FNU 3592
#define TREERING_FLOAT6_E2M3FN 3846 /* 0x0f06 */
#define TREERING_FLOAT6_E3M2FN 4102
#define TREERING_FLOAT4_E2M1FN 4356 /* 0x1104 */

/* "bfloat16"; NULL for one it does not know. Static, NUL-terminated. @since 0.1 */
const char* treering_dtype_name(uint32_t dtype);

/* The dtype of that name (the names are those of treering_dtype_name, as NumPy and ml_dtypes
 * write them), or 0 where there is none. @since 0.1 */
uint32_t treering_dtype_parse(const char* name, uint64_t name_size);

/* ---------------------------------------------------------------- nodes */

/* Containers. */
#define TREERING_DICT 1
#define TREERING_LIST 2
#define TREERING_TUPLE 3
#define TREERING_NAMEDTUPLE 4 /* children have string keys: the fields, in order */
#define TREERING_DATACLASS 5  /* likewise */
#define TREERING_CUSTOM 6     /* likewise, or index keys */
#define TREERING_NONE 7       /* no children */
/* Leaves. */
#define TREERING_ARRAY 64
#define TREERING_BOOLEAN 65 /* one byte, 0 or 1 */
#define TREERING_INTEGER 66 /* two's complement, little-endian, 1 or more bytes */
#define TREERING_FLOAT 67   /* binary64 */
#define TREERING_COMPLEX 68 /* two binary64 */
#define TREERING_STRING 69  /* UTF-8, lone surrogates as WTF-8 */
#define TREERING_BYTES 70
#define TREERING_PRNG_KEY 71 /* an array of key words; the shape includes the trailing words */
/* In input: this leaf is the one at `alias_of`. In output, aliases show kind and value of the
 * leaf they name, and `alias_of` tells. */
#define TREERING_ALIAS 96
/* In a restore target: do not restore what is here. */
#define TREERING_PLACEHOLDER 97

#define TREERING_KEY_NONE 0  /* a root */
#define TREERING_KEY_INDEX 1 /* position in a list, tuple or custom node: `integer` */
#define TREERING_KEY_STRING 2
#define TREERING_KEY_INT 3    /* `integer` */
#define TREERING_KEY_BIGINT 4 /* beyond int64: `text`, two's complement, little-endian, minimal */

typedef struct treering_key {
  int32_t kind;
  uint32_t reserved; /* zero */
  int64_t integer;
  const char* text; /* any Unicode, NUL allowed, lone surrogates as WTF-8; at most 65535 bytes */
  uint64_t text_size;
} treering_key;

/* Attributes of nodes. Ids below 32768 are the format's; from there up they are the caller's. */
#define TREERING_ATTR_VARIABLE_TYPE 1 /* names, NUL between, most derived first */
#define TREERING_ATTR_TAG 2           /* text */
#define TREERING_ATTR_METADATA 3      /* JSON text */
#define TREERING_ATTR_SHARDING 4      /* JSON text, advice only */
#define TREERING_ATTR_PRNG_IMPL 5     /* text: "threefry2x32" */
#define TREERING_ATTR_SCALAR_KIND 6   /* text: "numpy" for a NumPy scalar, else its type's name */
#define TREERING_ATTR_ORIGIN 7        /* text: "numpy", "jax", "torch" */
#define TREERING_ATTR_TYPE_NAME 8     /* text: "module:qualified.name", a hint only */

typedef struct treering_attribute {
  uint32_t id;
  uint32_t flags; /* 1: a reader that does not know the id must not use the node */
  const void* value;
  uint64_t size;
} treering_attribute;

/* A box of an array and the memory that holds it. */
typedef struct treering_piece {
  const uint64_t* origin; /* rank elements */
  const uint64_t* extent; /* rank elements */
  const void* data;
  const int64_t* strides; /* bytes, rank elements; NULL: C order without gaps */
} treering_piece;

/* Gives the bytes [offset, offset + size) of a leaf in C order (2- and 4-bit elements packed).
 * Called with ascending, adjacent offsets. 0, or an errno-like number that fails the save. */
typedef int32_t (*treering_fill)(void* user, uint64_t offset, void* dst, uint64_t size);
typedef void (*treering_release)(void* user);
/* done and total count bytes of leaf data. Non-zero cancels: the call answers CANCELLED. */
typedef int32_t (*treering_progress)(void* user, uint64_t done, uint64_t total);

#define TREERING_CODEC_DEFAULT 0 /* what the save's options say; there: raw */
#define TREERING_CODEC_RAW 1
#define TREERING_CODEC_ZSTD 2
#define TREERING_CODEC_ZSTD_PLANES 3 /* byte planes of each element apart, then zstd */

/* One node, in input and in output. Input fields that do not apply are zero.
 * The value of a leaf is exactly one of: `data`; `fill` (+ `fill_user`); `pieces`; none of them:
 * then the leaf is abstract (dtype and shape only). `data_size` is needed for INTEGER, STRING and
 * BYTES, and is checked for the others if not 0. */
typedef struct treering_node {
  int32_t kind;
  uint32_t dtype;        /* ARRAY and PRNG_KEY */
  uint32_t rank;         /* ARRAY and PRNG_KEY; at most 32 */
  uint32_t one_per_byte; /* 1: 2- and 4-bit elements in `data` take a byte each (sign-extended or
                            zero-extended; only the low bits are read); 0: packed, element 0 low */
  treering_key key;
  uint64_t
      child_count; /* containers: how many of the following nodes in preorder are its children */
  const uint64_t* shape;  /* rank elements */
  const int64_t* strides; /* bytes, of data; NULL: C order without gaps. Unpacked only */
  const void* data;
  uint64_t data_size;
  treering_fill fill;
  void* fill_user;
  const treering_piece* pieces;
  uint64_t piece_count;
  const treering_attribute* attributes;
  uint64_t attribute_count;
  uint64_t alias_of; /* ALIAS: the id of the leaf meant. Output: TREERING_NO_NODE if no alias */
  int32_t codec;     /* TREERING_CODEC_*, for this leaf */
  int32_t level;     /* zstd: -7 to 22; 0: the default, 3 */
  const uint64_t* chunk_shape; /* rank elements: tiles; NULL: runs of rows near chunk_bytes */
  void* destination;           /* restore targets: where the value goes; NULL: new memory */
  uint64_t destination_size;   /* bytes there, checked */
  uint64_t stored_size; /* output from a checkpoint: bytes in the file, packed leaves by raw size */
  uint64_t id;          /* output */
  uint64_t parent;      /* output; TREERING_NO_NODE for a root */
} treering_node;

/* ---------------------------------------------------------------- blobs */

/* Bytes that stay: reference-counted, atomically. A blob outlives the checkpoint it came from and
 * keeps the mapping or the memory behind it. Any thread may use and free it. */
typedef struct treering_blob treering_blob;

/* 64-byte aligned where the bytes are new memory. Never NULL for a blob of size 0. @since 0.1 */
const void* treering_blob_data(const treering_blob* blob);
uint64_t treering_blob_size(const treering_blob* blob);
/* One more reference; free each. @since 0.1 */
treering_blob* treering_blob_retain(const treering_blob* blob);
void treering_blob_free(treering_blob* blob);

/* ---------------------------------------------------------------- trees */

/* A tree as a value: nodes, keys, attributes, and leaves whose data it shares with other trees
 * made from it. Node ids are stable until the node is removed; nodes of one append are numbered
 * consecutively in the order given. */
typedef struct treering_tree treering_tree;

/* An empty tree. @since 0.1 */
treering_status treering_tree_create(treering_tree** out, treering_error* error);
void treering_tree_free(treering_tree* tree);
/* The same nodes under the same ids; data are shared, not copied. @since 0.1 */
treering_status treering_tree_copy(treering_tree** out, const treering_tree* tree,
                                   treering_error* error);

/* Leaf data of an append are lent instead of copied: they must stay unchanged until `release`,
 * which is called exactly once, when the last tree, blob or writer that uses them has ended (at
 * once if the append fails). */
typedef struct treering_lend {
  uint32_t struct_size;
  uint32_t reserved; /* zero */
  treering_release release;
  void* user;
} treering_lend;

/* Appends `count` nodes, given in preorder, below `parent` (TREERING_NO_NODE: as the root of an
 * empty tree, one subtree). *out_first is the id of the first. Nothing is appended on failure.
 * lend NULL: data are copied (with strides resolved); fill callbacks need lend or a lifetime beyond
 * the tree's. INVALID_ARGUMENT: a key of a wrong kind or given twice, a kind or dtype not known, a
 * child count that does not add up, sizes that do not match, an alias of what is no leaf of this
 * tree (earlier nodes of the same append are meant by first id + position). LIMIT: key longer than
 * 65535 bytes, rank above 32, depth above 256. @since 0.1 */
treering_status treering_tree_append(uint64_t* out_first, treering_tree* tree, uint64_t parent,
                                     const treering_node* nodes, uint64_t element_size,
                                     uint64_t count, const treering_lend* lend,
                                     treering_error* error);

/* Replaces the value of the leaf `id` (kind, dtype, shape, data; attributes if any are given; the
 * key stays). Aliases of it follow. @since 0.1 */
treering_status treering_tree_set(treering_tree* tree, uint64_t id, const treering_node* node,
                                  uint64_t element_size, const treering_lend* lend,
                                  treering_error* error);

/* Removes the node and all below it. INVALID_ARGUMENT while an alias outside names a leaf inside.
 * Children of lists and tuples can only be removed from the end. @since 0.1 */
treering_status treering_tree_remove(treering_tree* tree, uint64_t id, treering_error* error);

/* The root's id, TREERING_NO_NODE for an empty tree; how many nodes and leaves there are. @since
 * 0.1 */
uint64_t treering_tree_root(const treering_tree* tree);
uint64_t treering_tree_node_count(const treering_tree* tree);
uint64_t treering_tree_leaf_count(const treering_tree* tree);

/* All nodes in preorder, from position `first`: at most `capacity` are written to `out`, *out_count
 * says how many. Pointers inside belong to the tree. A tree's preorder position is not its id;
 * `id` is in each. @since 0.1 */
treering_status treering_tree_nodes(const treering_tree* tree, uint64_t first, treering_node* out,
                                    uint64_t element_size, uint64_t capacity, uint64_t* out_count,
                                    treering_error* error);
/* One node by id. NOT_FOUND_PATH where there is none. @since 0.1 */
treering_status treering_tree_node(treering_node* out, uint64_t element_size,
                                   const treering_tree* tree, uint64_t id, treering_error* error);
/* The ids of a node's children, in order; as treering_tree_nodes. @since 0.1 */
treering_status treering_tree_children(const treering_tree* tree, uint64_t id, uint64_t first,
                                       uint64_t* out, uint64_t capacity, uint64_t* out_count,
                                       treering_error* error);

/* The node at a display path ("layers/0/kernel"; "" is the root). A bare decimal component finds
 * the int key or index, else the string key if it alone exists; string keys that need it are in
 * JSON quotes. NOT_FOUND_PATH names the nearest path; INVALID_ARGUMENT: bad quoting. @since 0.1 */
treering_status treering_tree_find(uint64_t* out_id, const treering_tree* tree, const char* path,
                                   uint64_t path_size, treering_error* error);
/* The node at a typed path of `count` keys. @since 0.1 */
treering_status treering_tree_find_keys(uint64_t* out_id, const treering_tree* tree,
                                        const treering_key* keys, uint64_t count,
                                        treering_error* error);
/* The display path of a node: at most `capacity` bytes are written to `out`, without a NUL;
 * *out_size is the whole length, so that a call with capacity 0 asks for it. @since 0.1 */
treering_status treering_tree_path(const treering_tree* tree, uint64_t id, char* out,
                                   uint64_t capacity, uint64_t* out_size, treering_error* error);
/* The typed path, root first; likewise in keys. @since 0.1 */
treering_status treering_tree_path_keys(const treering_tree* tree, uint64_t id, treering_key* out,
                                        uint64_t capacity, uint64_t* out_count,
                                        treering_error* error);
/* The ids, in preorder, of the nodes (leaves and containers) whose display path matches `pattern`:
 * `*` within a component,
 * `?` one character, `[a-z]` and `[!a-z]` sets, `**` any number of components. As
 * treering_tree_children; matching starts anew at each call. @since 0.1 */
treering_status treering_tree_glob(const treering_tree* tree, const char* pattern,
                                   uint64_t pattern_size, uint64_t first, uint64_t* out,
                                   uint64_t capacity, uint64_t* out_count, treering_error* error);

/* The data of a leaf as a blob that outlives the tree (C order without gaps, packed if
 * `one_per_byte` was not set). WRONG_STATE for an abstract leaf or one given by callback or pieces.
 * @since 0.1 */
treering_status treering_tree_data(treering_blob** out, const treering_tree* tree, uint64_t id,
                                   treering_error* error);

/* The same tree with every leaf abstract: dtype, shape and attributes only. @since 0.1 */
treering_status treering_tree_abstract(treering_tree** out, const treering_tree* tree,
                                       treering_error* error);

/* ---------------------------------------------------------------- filters */

/* A predicate on (path, leaf), with the semantics of Flax NNX's filters. */
typedef struct treering_filter treering_filter;

#define TREERING_FILTER_EVERYTHING 1
#define TREERING_FILTER_NOTHING 2
#define TREERING_FILTER_TYPE 3          /* `text` is the variable type or one of its base types */
#define TREERING_FILTER_TAG 4           /* `text` is the tag */
#define TREERING_FILTER_PATH_CONTAINS 5 /* `key` is in the path; `substring`: `text` in a key */
#define TREERING_FILTER_PATH_IN 6       /* the whole path is `text`, in display form */
#define TREERING_FILTER_GLOB 7          /* the display path matches `text` */
#define TREERING_FILTER_ALL 8           /* of `children` */
#define TREERING_FILTER_ANY 9
#define TREERING_FILTER_NOT 10      /* of one child */
#define TREERING_FILTER_CALLBACK 11 /* `match` says */

typedef struct treering_filter_spec {
  uint32_t struct_size;
  int32_t kind;
  const char* text;
  uint64_t text_size;
  treering_key key;
  uint32_t substring;
  uint32_t reserved;                      /* zero */
  const treering_filter* const* children; /* borrowed for the call: their content is shared */
  uint64_t child_count;
  int32_t (*match)(void* user, const treering_key* path, uint64_t path_count,
                   const treering_node* leaf); /* non-zero: yes. May not call into the tree */
  void* user;                                  /* must outlive the filter */
} treering_filter_spec;

/* @since 0.1 */
treering_status treering_filter_create(treering_filter** out, const treering_filter_spec* spec,
                                       treering_error* error);
void treering_filter_free(treering_filter* filter);

/* Sends each leaf to the first of `count` filters that accepts it; out[i] is the tree of filter i,
 * with the containers on the way to its leaves (an empty root container where there is none).
 * `exhaustive` 1: a leaf left over is MISMATCH_STRUCTURE naming it, with the advice of a last
 * EVERYTHING; 0: dropped. EVERYTHING before the last place (other than before EVERYTHING) is
 * INVALID_ARGUMENT. out has room for `count`; each is yours. List and tuple positions keep their
 * numbers by becoming int keys where a position is left out. @since 0.1 */
treering_status treering_tree_split(treering_tree** out, const treering_tree* tree,
                                    const treering_filter* const* filters, uint64_t count,
                                    uint32_t exhaustive, treering_error* error);

/* The union of the trees' leaves by typed path (an index and an int key of the same number are the
 * same place); later trees win. Leaves that share a value in a tree share it in the result as far
 * as they come from that tree: where one of them is replaced by a later tree, the others keep the
 * old value. MISMATCH_STRUCTURE where one has a leaf and another a container. @since 0.1 */
treering_status treering_tree_merge(treering_tree** out, const treering_tree* const* trees,
                                    uint64_t count, treering_error* error);

/* Sets in `tree` every leaf that `with` has at the same path; new keys are added to dicts, and are
 * MISMATCH_STRUCTURE elsewhere. As with treering_tree_set, aliases of a leaf that is set follow it,
 * and an alias that is set has a value of its own from then on. Leaves that share a value in `with`
 * share it in `tree` too, except one that `tree` has aliases of, which gets the value for itself
 * and them. Nothing is changed on failure. @since 0.1 */
treering_status treering_tree_update(treering_tree* tree, const treering_tree* with,
                                     treering_error* error);

/* ---------------------------------------------------------------- reports */

/* Findings that can be walked: of a comparison, a restore, a verification. */
typedef struct treering_report treering_report;

#define TREERING_FINDING_MISSING 1    /* in the target (or first tree), not in the other */
#define TREERING_FINDING_UNEXPECTED 2 /* the other way round */
#define TREERING_FINDING_DIFFERENT_KIND 3
#define TREERING_FINDING_DIFFERENT_DTYPE 4
#define TREERING_FINDING_DIFFERENT_SHAPE 5
#define TREERING_FINDING_DIFFERENT_VALUE 6
#define TREERING_FINDING_DIFFERENT_ATTRIBUTES 7
#define TREERING_FINDING_CAST 16 /* restored, with this relaxation */
#define TREERING_FINDING_PADDED 17
#define TREERING_FINDING_TRUNCATED 18
#define TREERING_FINDING_RENAMED 19
#define TREERING_FINDING_KEPT 20    /* missing: the target's value stays */
#define TREERING_FINDING_SKIPPED 21 /* by filter or placeholder */
#define TREERING_FINDING_RESTORED 22
#define TREERING_FINDING_DAMAGED 32    /* verification: a leaf whose bytes fail their checksum */
#define TREERING_FINDING_INVALID 33    /* verification: a record or the layout breaks the format */
#define TREERING_FINDING_UNREADABLE 34 /* verification: no such file, unknown codec or kind */
#define TREERING_FINDING_SKIPPED_VERSION 48 /* a version that was passed over, and why */
#define TREERING_FINDING_BAD_RECORD 49      /* manager: a record that is damaged */
#define TREERING_FINDING_LEFTOVER 50     /* manager: what a dead save left; a writer removes it */
#define TREERING_FINDING_UNKNOWN_NAME 51 /* manager: not ours, left alone */

typedef struct treering_finding {
  int32_t kind;
  treering_status
      status;       /* of the class and detail that an attempt to read would answer; 0 if none */
  const char* path; /* display path, "item:path" where items have several names */
  uint64_t path_size;
  const char* expected; /* "float32[512,512]"; empty where it does not apply */
  uint64_t expected_size;
  const char* found;
  uint64_t found_size;
  const char* nearest; /* the nearest existing path, or empty */
  uint64_t nearest_size;
  uint64_t offset; /* in the file; TREERING_NO_OFFSET */
} treering_finding;

/* @since 0.1 */
uint64_t treering_report_count(const treering_report* report);
/* Findings from `first`; as treering_tree_nodes. @since 0.1 */
treering_status treering_report_findings(const treering_report* report, uint64_t first,
                                         treering_finding* out, uint64_t element_size,
                                         uint64_t capacity, uint64_t* out_count,
                                         treering_error* error);
/* Several lines for a person: groups, at most 20 lines each, and what to do. NUL-terminated,
 * belongs to the report. @since 0.1 */
const char* treering_report_text(const treering_report* report);
void treering_report_free(treering_report* report);

typedef struct treering_compare_options {
  uint32_t struct_size;
  uint32_t ignore_values;     /* 1: structure, kinds, dtypes and shapes only */
  uint32_t ignore_attributes; /* 1 */
  uint32_t
      ignore_kinds; /* 1: list, tuple, dict with int keys … count as equal if their children do */
} treering_compare_options;

/* Compares two trees; the report is empty if they agree. Values are compared by bits. @since 0.1 */
treering_status treering_tree_compare(treering_report** out, const treering_tree* a,
                                      const treering_tree* b,
                                      const treering_compare_options* options,
                                      treering_error* error);

/* ---------------------------------------------------------------- writing */

typedef struct treering_save_options {
  uint32_t struct_size;
  uint32_t overwrite; /* 1: an existing file is replaced, atomically; 0: ALREADY_EXISTS */
  int32_t codec;      /* TREERING_CODEC_*; default raw */
  int32_t level;      /* zstd: -7 to 22; 0: 3 */
  uint32_t threads;   /* 0: all on the calling thread. n: up to n more, for compression and disk */
  uint32_t not_durable; /* 1: no fsync (tests, tmpfs): a power loss may take the file */
  uint64_t chunk_bytes; /* target size of a chunk; 0: 1 MiB; at least 4096 */
  const char* metadata; /* JSON text of the caller's, stored outside the content digest */
  uint64_t metadata_size;
  treering_progress progress;
  void* user;
} treering_save_options;

/* The caller's place to write to. `write` gets all bytes front to back. `flush` may be NULL. Both
 * answer 0 or an errno-like number, which becomes os_error: IO_NO_SPACE where `write` answers
 * ENOSPC or EDQUOT, IO_SYNC where `flush` fails, else IO. */
typedef struct treering_sink {
  uint32_t struct_size;
  uint32_t reserved; /* zero */
  int32_t (*write)(void* user, const void* data, uint64_t size);
  int32_t (*flush)(void* user);
  void* user;
} treering_sink;

typedef struct treering_summary {
  uint32_t struct_size;
  uint32_t reserved;
  uint64_t file_size;
  uint64_t leaf_count;
  uint64_t node_count;
  uint64_t raw_bytes;  /* of leaf data, before packing and compression */
  uint8_t content[16]; /* digests, XXH3-128, big-endian as printed */
  uint8_t file[16];
} treering_summary;

/* One container being written, front to back. Items are added in order; `finish` makes it exist. */
typedef struct treering_writer treering_writer;

/* To a path: a temporary file beside it, which `finish` flushes, renames and makes durable. Until
 * then, and after any failure, what was at `path` is untouched and nothing is left beside it.
 * ALREADY_EXISTS, NOT_FOUND_FILE (the folder), IO_*. @since 0.1 */
treering_status treering_writer_create(treering_writer** out, const char* path, uint64_t path_size,
                                       const treering_save_options* options, treering_error* error);
/* To memory: finish gives a blob. @since 0.1 */
treering_status treering_writer_create_memory(treering_writer** out,
                                              const treering_save_options* options,
                                              treering_error* error);
/* To the caller's sink. @since 0.1 */
treering_status treering_writer_create_sink(treering_writer** out, const treering_sink* sink,
                                            const treering_save_options* options,
                                            treering_error* error);
/* Abandons what is not finished: the temporary file is removed. */
void treering_writer_free(treering_writer* writer);

/* Writes the leaves of `tree` now, as the item `name` (1 to 255 bytes, unique). Abstract leaves and
 * placeholders are INVALID_ARGUMENT naming the leaf. After a failure only free may follow. @since
 * 0.1 */
treering_status treering_writer_add_tree(treering_writer* writer, const char* name,
                                         uint64_t name_size, const treering_tree* tree,
                                         treering_error* error);

#define TREERING_ITEM_TREE 1
#define TREERING_ITEM_JSON 2
#define TREERING_ITEM_BLOB 3

/* A JSON document (UTF-8, stored as given, checked to be one JSON value) or a blob. @since 0.1 */
treering_status treering_writer_add_bytes(treering_writer* writer, int32_t item_kind,
                                          const char* name, uint64_t name_size, const void* data,
                                          uint64_t size, treering_error* error);

/* Writes the index, commits, and fills *out_summary (may be NULL) and, for memory, *out_blob (else
 * NULL may be passed). The writer only waits to be freed afterwards. IO_SYNC: a flush failed, and
 * nothing exists. OUTCOME_UNKNOWN: the file is in place, but flushing its folder failed; outputs
 * are filled. @since 0.1 */
treering_status treering_writer_finish(treering_summary* out_summary, treering_blob** out_blob,
                                       treering_writer* writer, treering_error* error);

/* create + add_tree "default" + finish. @since 0.1 */
treering_status treering_save(const char* path, uint64_t path_size, const treering_tree* tree,
                              const treering_save_options* options, treering_error* error);

/* ---------------------------------------------------------------- reading */

/* The caller's place to read from: exactly `size` bytes at `offset`, 0 or an errno-like number.
 * May be called concurrently. `release` (may be NULL) when nothing needs it any more. */
typedef struct treering_source {
  uint32_t struct_size;
  uint32_t reserved; /* zero */
  int32_t (*read_at)(void* user, uint64_t offset, void* dst, uint64_t size);
  treering_release release;
  void* user;
  uint64_t size; /* of the whole container */
} treering_source;

/* Finds another file of the checkpoint's file table: fills *out for base name `name` in the sibling
 * folder `folder` (may be empty). 0, or non-zero for "not there". */
typedef int32_t (*treering_resolve)(void* user, const char* folder, uint64_t folder_size,
                                    const char* name, uint64_t name_size, uint64_t file_size,
                                    treering_source* out);

typedef struct treering_open_options {
  uint32_t struct_size;
  uint32_t map; /* 1: map the file, so that views exist. A mapped file that is truncated by
                   somebody afterwards ends the process with SIGBUS; reading does not */
  uint64_t max_index_bytes; /* LIMIT beyond; 0: 1 GiB */
  uint32_t max_depth;       /* LIMIT beyond; 0: 256; at most 65534 */
  uint32_t reserved;        /* zero */
  treering_resolve
      resolve; /* NULL: for a path, the folders beside it; else other files are NOT_FOUND_FILE */
  void* user;
} treering_open_options;

/* An open container, for reading. Const functions verify what they touch and may run concurrently.
 */
typedef struct treering_checkpoint treering_checkpoint;

/* Reads the header and the last 64 KiB. NOT_FOUND_FILE, NOT_TREERING (an empty file or a foreign
 * one), CORRUPT_TRUNCATED, CORRUPT_CHECKSUM, UNSUPPORTED_VERSION, UNSUPPORTED_FEATURE, LIMIT,
 * IO_*. @since 0.1 */
treering_status treering_checkpoint_open(treering_checkpoint** out, const char* path,
                                         uint64_t path_size, const treering_open_options* options,
                                         treering_error* error);
/* From memory, which must stay unchanged until `release` (may be NULL) is called with `user`. Views
 * point into it. @since 0.1 */
treering_status treering_checkpoint_open_memory(treering_checkpoint** out, const void* data,
                                                uint64_t size, treering_release release, void* user,
                                                const treering_open_options* options,
                                                treering_error* error);
/* From the caller's source. @since 0.1 */
treering_status treering_checkpoint_open_source(treering_checkpoint** out,
                                                const treering_source* source,
                                                const treering_open_options* options,
                                                treering_error* error);
void treering_checkpoint_free(treering_checkpoint* checkpoint);

typedef struct treering_info {
  uint32_t struct_size;
  uint32_t format_version; /* major << 16 | minor */
  uint64_t file_size;
  uint64_t index_size;
  uint64_t item_count;
  uint64_t node_count;
  uint64_t leaf_count;
  uint64_t chunk_count;
  uint64_t file_count; /* of other files named */
  uint64_t raw_bytes;
  uint64_t features_compat;
  uint64_t features_ro_compat;
  uint64_t features_incompat;
  uint8_t content[16];
  uint8_t file[16];
  const char* metadata; /* the caller's JSON text, or empty; belongs to the checkpoint */
  uint64_t metadata_size;
} treering_info;

/* @since 0.1 */
treering_status treering_checkpoint_info(treering_info* out, const treering_checkpoint* checkpoint,
                                         treering_error* error);

typedef struct treering_item {
  const char* name;
  uint64_t name_size;
  int32_t kind; /* TREERING_ITEM_* */
  uint32_t reserved;
  uint64_t root; /* node id */
} treering_item;

/* As treering_tree_nodes. @since 0.1 */
treering_status treering_checkpoint_items(const treering_checkpoint* checkpoint, uint64_t first,
                                          treering_item* out, uint64_t element_size,
                                          uint64_t capacity, uint64_t* out_count,
                                          treering_error* error);

/* Where `item` is asked for below, an empty name means the only item of kind tree, or the one named
 * "default". NOT_FOUND_ITEM lists the names there are. */

/* The node at a display path in an item. Touches a few blocks of the index, however large it is.
 * @since 0.1 */
treering_status treering_checkpoint_find(uint64_t* out_id, const treering_checkpoint* checkpoint,
                                         const char* item, uint64_t item_size, const char* path,
                                         uint64_t path_size, treering_error* error);
/* The node at a typed path below the root of an item. @since 0.1 */
treering_status treering_checkpoint_find_keys(uint64_t* out_id,
                                              const treering_checkpoint* checkpoint,
                                              const char* item, uint64_t item_size,
                                              const treering_key* keys, uint64_t count,
                                              treering_error* error);
/* Nodes first … first + capacity - 1 by id (ids of a checkpoint are 0 … node_count - 1; parents
 * come before children, children of a node are adjacent and in order). Pointers belong to the
 * checkpoint, except `shape` and `attributes`, which point into *scratch: a blob that this call
 * gives, to be freed. @since 0.1 */
treering_status treering_checkpoint_nodes(const treering_checkpoint* checkpoint, uint64_t first,
                                          treering_node* out, uint64_t element_size,
                                          uint64_t capacity, uint64_t* out_count,
                                          treering_blob** scratch, treering_error* error);
/* First child's id and number of children. @since 0.1 */
treering_status treering_checkpoint_children(const treering_checkpoint* checkpoint, uint64_t id,
                                             uint64_t* out_first, uint64_t* out_count,
                                             treering_error* error);
/* The display path of a node below its item's root; as treering_tree_path. @since 0.1 */
treering_status treering_checkpoint_path(const treering_checkpoint* checkpoint, uint64_t id,
                                         char* out, uint64_t capacity, uint64_t* out_size,
                                         treering_error* error);

#define TREERING_CAST_NEVER 0
#define TREERING_CAST_SAFE 1 /* only where every value of the stored dtype is kept */
#define TREERING_CAST_ANY 2  /* as C conversions; saturating for integers, NaN becomes 0 */

/* One read: a leaf, or a box of it, into the caller's memory. */
typedef struct treering_read {
  uint64_t node;
  const uint64_t* origin; /* rank elements; NULL: 0 */
  const uint64_t* extent; /* rank elements; NULL: the whole array */
  void* dst;
  uint64_t dst_size;      /* bytes there, checked against what is written */
  const int64_t* strides; /* bytes, for the box's axes; NULL: C order without gaps */
  uint32_t dtype;         /* 0: as stored; another one needs `cast` */
  int32_t cast;           /* TREERING_CAST_* */
  uint32_t one_per_byte;  /* 1: 2- and 4-bit elements take a byte each (needed for strides) */
  uint32_t reserved;      /* zero */
} treering_read;

typedef struct treering_read_options {
  uint32_t struct_size;
  uint32_t threads; /* 0: on the calling thread. n: up to n more */
  treering_progress progress;
  void* user;
} treering_read_options;

/* Carries out `count` reads; every byte is verified before it is used. On failure the contents of
 * the destinations are undefined, and the error names the leaf. MISMATCH_DTYPE, MISMATCH_SHAPE (a
 * box outside), CORRUPT_*, UNSUPPORTED_*, NOT_FOUND_FILE. @since 0.1 */
treering_status treering_checkpoint_read(const treering_checkpoint* checkpoint,
                                         const treering_read* reads, uint64_t element_size,
                                         uint64_t count, const treering_read_options* options,
                                         treering_error* error);

/* The bytes of a leaf, or of a box of it, where they lie: no copy, verified now. The box's bytes
 * are in C order without gaps, 2- and 4-bit elements packed. origin and extent NULL: whole.
 * UNSUPPORTED_NO_VIEW where the file is not mapped or in memory, or the bytes are compressed or not
 * adjacent. @since 0.1 */
treering_status treering_checkpoint_view(treering_blob** out, const treering_checkpoint* checkpoint,
                                         uint64_t node, const uint64_t* origin,
                                         const uint64_t* extent, treering_error* error);

typedef struct treering_load_options {
  uint32_t struct_size;
  uint32_t abstract;             /* 1: metadata only, no data are read */
  uint32_t views;                /* 1: leaves are views where they exist, else copies */
  uint32_t threads;              /* as treering_read_options */
  const treering_filter* filter; /* NULL: everything. Only what it selects is read */
  treering_progress progress;
  void* user;
} treering_load_options;

/* A whole item as a tree, data in new memory. JSON and blob items are a tree of one leaf. @since
 * 0.1 */
treering_status treering_checkpoint_load(treering_tree** out, const treering_checkpoint* checkpoint,
                                         const char* item, uint64_t item_size,
                                         const treering_load_options* options,
                                         treering_error* error);

/* Where the checkpoint's name of a subtree or leaf differs from the target's. */
typedef struct treering_rename {
  const char* target; /* display path in the target */
  uint64_t target_size;
  const char* stored; /* display path in the checkpoint */
  uint64_t stored_size;
} treering_rename;

typedef struct treering_restore_options {
  uint32_t struct_size;
  int32_t cast;              /* TREERING_CAST_* */
  uint32_t allow_missing;    /* 1: leaves not in the checkpoint keep the target's value */
  uint32_t allow_unexpected; /* 1: leaves not in the target are ignored */
  uint32_t pad_or_truncate;  /* 1: another shape of the same rank is cut or padded with zeros at the
                                end */
  uint32_t ignore_kinds;     /* 1: containers may differ in kind as long as the paths agree */
  uint32_t threads;
  uint32_t reserved;             /* zero */
  const treering_filter* filter; /* on the target; leaves not selected are left alone */
  const treering_rename* renames;
  uint64_t rename_size; /* sizeof(treering_rename) */
  uint64_t rename_count;
  treering_progress progress;
  void* user;
} treering_restore_options;

/* Restores an item into the shape of `target` (usually abstract). *out: the target's tree with the
 * stored values, in the leaves' `destination` where given, else in new memory. *out_report (may be
 * NULL) says what was done; on MISMATCH_* it is filled as well, with all that is missing,
 * unexpected and different: the one failure besides OUTCOME_UNKNOWN that fills an output. No data
 * are read in that case. An alias in the target has the value of its leaf; another value stored at
 * the alias's own path is a DIFFERENT_VALUE. @since 0.1 */
treering_status treering_checkpoint_restore(treering_tree** out, treering_report** out_report,
                                            const treering_checkpoint* checkpoint, const char* item,
                                            uint64_t item_size, const treering_tree* target,
                                            const treering_restore_options* options,
                                            treering_error* error);

/* Checks everything: every byte, every record, order, overlaps, totals, padding. OK: the container
 * is intact and the report empty. Else the worst finding's status, and *out_report names each
 * damaged leaf: it is filled on CORRUPT_*, UNSUPPORTED_*, NOT_FOUND_FILE and LIMIT too, and on IO_*
 * where the bytes of leaves could not be read. @since 0.1 */
treering_status treering_checkpoint_verify(treering_report** out_report,
                                           const treering_checkpoint* checkpoint,
                                           const treering_read_options* options,
                                           treering_error* error);

/* ---------------------------------------------------------------- managers */

/* A directory of checkpoints, one for each step of a training run. A version exists if and only if
 * it was committed whole: whatever happens during a save, and at whatever instant, the versions
 * that were there stay. src/manager/DURABILITY.md states this in numbered invariants.
 *
 * One manager at a time writes; it holds the directory's lock from open to close. Any number read,
 * here and in other processes, without a lock.
 *
 * A manager's functions may be called from several threads, one at a time for those that take a
 * non-const handle; a running asynchronous save needs no exclusion. In a child that was forked,
 * every function answers WRONG_STATE_FORKED, and free neither unlocks nor waits. */
typedef struct treering_manager treering_manager;

/* As a time: not known. */
#define TREERING_NO_TIME (-9223372036854775807LL - 1)

typedef struct treering_metric {
  const char* name; /* 1 to 255 bytes */
  uint64_t name_size;
  double value;
} treering_metric;

/* What policies are told of a version. */
typedef struct treering_candidate {
  int64_t step;
  int64_t time; /* of the commit, ns since 1970 UTC; TREERING_NO_TIME if not known */
  const treering_metric* metrics;
  uint64_t metric_count;
} treering_candidate;

/* When to save. Several policies of a list are joined by "or". */
#define TREERING_SAVE_INTERVAL 1   /* every `interval` steps: step % interval == 0 */
#define TREERING_SAVE_STEPS 2      /* the steps listed */
#define TREERING_SAVE_CONTINUOUS 3 /* no save is running and the last is `interval` ns old */
#define TREERING_SAVE_PREEMPTION 4 /* treering_manager_request_save was called */
#define TREERING_SAVE_INITIAL 5    /* there is no version yet */
#define TREERING_SAVE_CALLBACK 6   /* `decide` answers non-zero */

typedef struct treering_save_policy {
  int32_t kind; /* TREERING_SAVE_* */
  uint32_t reserved;
  int64_t interval;     /* INTERVAL: steps, at least 1; CONTINUOUS: ns, 0 or more */
  const int64_t* steps; /* STEPS */
  uint64_t step_count;
  /* `candidates` are the versions, ascending by step; element size is sizeof(treering_candidate) of
   * the library. Called on the thread that asks, must not call into the manager. */
  int32_t (*decide)(void* user, int64_t step, const treering_candidate* candidates, uint64_t count);
  void* user;
} treering_save_policy;

/* Which versions to keep. Several policies of a list are joined by "or"; an empty list keeps all.
 */
#define TREERING_KEEP_ALL 1
#define TREERING_KEEP_LATEST 2        /* the last `count` steps */
#define TREERING_KEEP_EVERY_STEPS 3   /* `interval` divides the step */
#define TREERING_KEEP_CLOSEST 4       /* for each multiple of `interval` the nearest step */
#define TREERING_KEEP_EVERY_SECONDS 5 /* at least `interval` ns after the last kept one */
#define TREERING_KEEP_YOUNGER 6       /* committed at most `interval` ns ago, and all after it */
#define TREERING_KEEP_BEST 7          /* the `count` best by `metric` */
#define TREERING_KEEP_STEPS 8         /* the steps listed */
#define TREERING_KEEP_CALLBACK 9      /* `preserve` sets keep[i] to 1 */

typedef struct treering_keep_policy {
  int32_t kind;    /* TREERING_KEEP_* */
  uint32_t greedy; /* EVERY_STEPS: 1: at least `interval` after the last kept; keeps the first */
  uint64_t count;  /* LATEST, BEST: how many, at least 1 unless `allow_zero`; EVERY_STEPS and
                      CLOSEST: keep only the newest `count` of them, 0: all */
  int64_t interval;
  const int64_t* steps; /* STEPS */
  uint64_t step_count;
  const char* metric; /* BEST */
  uint64_t metric_size;
  uint32_t lowest; /* BEST: 1: the lowest value is the best */
  uint32_t
      drop_without_metrics; /* BEST: 1: those without the metric (or NaN) go once there are more */
  uint32_t allow_zero;      /* LATEST, BEST: 1: a count of 0 keeps none */
  uint32_t reserved;        /* zero */
  /* Sets keep[0 … count), zeros at first. 0, or a non-zero number: nothing is dropped. */
  int32_t (*preserve)(void* user, const treering_candidate* candidates, uint64_t count,
                      uint8_t* keep);
  void* user;
} treering_keep_policy;

#define TREERING_OPEN_OR_CREATE 0
#define TREERING_OPEN_EXISTING 1
#define TREERING_CREATE_NEW 2
#define TREERING_READ_ONLY 3 /* changes nothing, ever; takes no lock */

typedef struct treering_manager_options {
  uint32_t struct_size;
  int32_t mode;            /* TREERING_OPEN_OR_CREATE … TREERING_READ_ONLY */
  int64_t lock_timeout_ms; /* how long to wait for another writer; 0: not at all */
  uint32_t no_lock;        /* 1: for mounts without locks: two writers then lose work, not versions;
                              only one may create the directory */
  uint32_t drop_newest; /* 1: retention may drop the greatest step, and the one just saved, too */
  const treering_save_policy* save_policies; /* none: every step */
  uint64_t save_policy_size;                 /* sizeof(treering_save_policy) */
  uint64_t save_policy_count;
  const treering_keep_policy* keep_policies; /* none: all versions stay */
  uint64_t keep_policy_size;                 /* sizeof(treering_keep_policy) */
  uint64_t keep_policy_count;
  uint32_t verify_before_prune; /* 1: read back the new version before old ones are dropped */
  uint32_t save_queue;          /* asynchronous saves in flight at most; 0: 1 */
  uint64_t staging_bytes; /* budget of copies of leaves for each asynchronous save, beside which
                             documents and blobs are copied whole; 0: 1 GiB */
  const char* metadata;   /* JSON, stored once, when the directory is created */
  uint64_t metadata_size;
  uint32_t keep_leftovers; /* 1: what dead saves left stays, for treering_manager_rebuild */
  uint32_t reserved;       /* zero */
} treering_manager_options;

/* Opens or creates the directory `path` (its parent must exist; it may be a link, or end in "." or
 * ".."). A writer then removes what dead saves left, unless `keep_leftovers`. CORRUPT: STORE or
 * manifests/ is missing beside checkpoints. NOT_FOUND_FILE: no such store. NOT_TREERING: STORE is
 * something else. ALREADY_EXISTS (CREATE_NEW). BUSY: another writer; the message names its process
 * and host. UNSUPPORTED_FEATURE: the mount has no locks. INVALID_ARGUMENT: policies. CORRUPT_*,
 * IO_*. @since 0.1 */
treering_status treering_manager_open(treering_manager** out, const char* path, uint64_t path_size,
                                      const treering_manager_options* options,
                                      treering_error* error);
/* Waits for the saves in flight, up to the timeout (ms; negative: as long as it takes); what has
 * not been committed by then is cancelled, never committed half. Unlocks. Answers the failure that
 * no call has told yet, TIMEOUT if a save was cancelled for lack of time; with several, calling
 * again tells the next, until OK. The manager then only waits to be freed. @since 0.1 */
treering_status treering_manager_close(treering_manager* manager, int64_t timeout_ms,
                                       treering_error* error);
/* Closes without waiting if it was not closed, and frees. */
void treering_manager_free(treering_manager* manager);

/* One item of a checkpoint to save: a tree, or bytes. */
typedef struct treering_save_item {
  const char* name; /* 1 to 255 bytes, unique; NULL: "default" */
  uint64_t name_size;
  int32_t kind; /* TREERING_ITEM_* */
  uint32_t reserved;
  const treering_tree* tree; /* TREE */
  const void* data;          /* JSON, BLOB */
  uint64_t size;
} treering_save_item;

typedef struct treering_step_options {
  uint32_t struct_size;
  uint32_t force;     /* 1: save whatever the policies say */
  uint32_t overwrite; /* 1: an existing step is replaced, atomically; 0: ALREADY_EXISTS */
  uint32_t borrow;    /* 1, asynchronous: lent leaves are not copied; they must stay unchanged until
                         their release callback */
  const treering_metric* metrics;
  uint64_t metric_size; /* sizeof(treering_metric) */
  uint64_t metric_count;
  const char* metrics_document; /* JSON, opaque */
  uint64_t metrics_document_size;
  const char* metadata; /* JSON, the caller's */
  uint64_t metadata_size;
  /* Codec, level, threads, chunk_bytes, not_durable, progress; its overwrite and metadata are
   * ignored. A version saved not durable counts as kept, also after opening again, and older ones
   * may be dropped for it: only for stores that a power loss may take as a whole. */
  const treering_save_options* save;
  /* Asynchronous: called once, on the library's thread, when a save that was begun has ended. It
   * must not free the manager; what waits for saves answers WRONG_STATE there. */
  void (*finished)(void* user, treering_status status);
  void* user;
} treering_step_options;

typedef struct treering_saved {
  uint32_t struct_size;
  uint32_t skipped; /* 1: the policies said no, nothing was done */
  int64_t step;
  uint64_t number;     /* of the record in manifests/ */
  uint8_t attempt[16]; /* random bits of the folder's name */
  uint64_t file_size;
  uint8_t content[16];
  /* Retention after the commit, which never fails the save: what went wrong there. */
  treering_status retention_status;
  uint32_t dropped; /* versions that retention removed */
} treering_saved;

/* Whether a save of `step` would be made: *out is 1 or 0. 0 for a read-only manager and for a step
 * not greater than the latest. @since 0.1 */
treering_status treering_manager_should_save(uint32_t* out, const treering_manager* manager,
                                             int64_t step, treering_error* error);
/* The next should_save answers 1 (with no policy, or one of kind PREEMPTION), until a save has
 * begun. May be called from a signal handler. @since 0.1 */
void treering_manager_request_save(treering_manager* manager);

/* Saves a step and returns when it is durable. First waits for saves in flight; tells, and does
 * nothing else, if one of them failed and no call has told it yet. *out_saved may be NULL.
 * ALREADY_EXISTS before any work; INVALID_ARGUMENT for a negative step, an item given twice, text
 * that is no JSON. On a failure nothing of the step exists, and the manager stays usable.
 * OUTCOME_UNKNOWN: committed, but the last flush failed; *out_saved is filled. @since 0.1 */
treering_status treering_manager_save(treering_saved* out_saved, treering_manager* manager,
                                      int64_t step, const treering_save_item* items,
                                      uint64_t element_size, uint64_t count,
                                      const treering_step_options* options, treering_error* error);

/* One asynchronous save. Its functions may be called from any thread, also after the manager was
 * freed. */
typedef struct treering_pending treering_pending;

#define TREERING_STATE_SNAPSHOT 1 /* data are being copied; nothing may change yet */
#define TREERING_STATE_WRITING 2
#define TREERING_STATE_COMMITTED 3
#define TREERING_STATE_FAILED 4
#define TREERING_STATE_CANCELLED 5
#define TREERING_STATE_UNKNOWN 6 /* as OUTCOME_UNKNOWN */

/* Saves a step in the background: returns when the data are safe from the caller's hands. `*out` is
 * NULL if the policies said no. Waits while `save_queue` saves are in flight. A failure of an
 * earlier save that no call has told yet is told here, and nothing is done. Its own failure is told
 * by the first of the next save that is begun, wait, delete, prune, rebuild and close, exactly once
 * there; the handle and the callback keep it. @since 0.1 */
treering_status treering_manager_save_async(treering_pending** out, treering_manager* manager,
                                            int64_t step, const treering_save_item* items,
                                            uint64_t element_size, uint64_t count,
                                            const treering_step_options* options,
                                            treering_error* error);
/* Waits until no save is in flight, up to the timeout (ms; negative: no limit), and tells the
 * failure that no call has told yet. TIMEOUT. @since 0.1 */
treering_status treering_manager_wait(treering_manager* manager, int64_t timeout_ms,
                                      treering_error* error);

typedef struct treering_save_state {
  uint32_t struct_size;
  int32_t state;          /* TREERING_STATE_* */
  uint64_t done;          /* bytes of leaf data written */
  uint64_t total;         /* of all leaf data */
  treering_status status; /* of a save that has ended */
  uint32_t reserved;
} treering_save_state;

/* @since 0.1 */
treering_status treering_pending_state(treering_save_state* out, const treering_pending* pending,
                                       treering_error* error);
/* Waits for the end, up to the timeout (ms; negative: no limit), and answers how the save ended;
 * *out_saved (may be NULL) is filled on OK and OUTCOME_UNKNOWN, with what retention did.
 * TIMEOUT. @since 0.1 */
treering_status treering_pending_wait(treering_saved* out_saved, const treering_pending* pending,
                                      int64_t timeout_ms, treering_error* error);
/* Asks the save to end early; it ends CANCELLED, with nothing left behind, unless it was committed
 * already. @since 0.1 */
void treering_pending_cancel(treering_pending* pending);
/* A descriptor that becomes readable when the save has ended; it belongs to the handle. @since 0.1
 */
treering_status treering_pending_descriptor(int32_t* out, treering_pending* pending,
                                            treering_error* error);
/* Frees the handle; the save goes on. */
void treering_pending_free(treering_pending* pending);

/* A committed version, as its record tells. Pointers belong to the manager and live as long as it
 * does. */
typedef struct treering_version_info {
  int64_t step;
  uint64_t number;
  uint8_t attempt[16];
  int64_t started; /* ns since 1970 UTC, TREERING_NO_TIME where not known */
  int64_t committed;
  uint64_t size; /* bytes of its files */
  const treering_metric* metrics;
  uint64_t metric_count;
  const char* metrics_document;
  uint64_t metrics_document_size;
  const char* metadata;
  uint64_t metadata_size;
  const char* file; /* path of the container below the manager's directory */
  uint64_t file_size;
  uint32_t rebuilt; /* 1: the record was rebuilt from the container */
  uint32_t reserved;
} treering_version_info;

/* The versions, ascending by step; as treering_tree_nodes. From the records alone: no container is
 * touched. @since 0.1 */
treering_status treering_manager_versions(const treering_manager* manager, uint64_t first,
                                          treering_version_info* out, uint64_t element_size,
                                          uint64_t capacity, uint64_t* out_count,
                                          treering_error* error);

typedef struct treering_store_info {
  uint32_t struct_size;
  uint32_t read_only;
  uint8_t uuid[16];
  int64_t created;
  uint64_t version_count;
  uint64_t size;   /* bytes of all versions' files */
  uint32_t saving; /* 1 while asynchronous saves are in flight */
  uint32_t reserved;
  const char* directory; /* as given to open */
  uint64_t directory_size;
  const char* metadata; /* of the directory, as given when it was created */
  uint64_t metadata_size;
} treering_store_info;

/* @since 0.1 */
treering_status treering_manager_info(treering_store_info* out, const treering_manager* manager,
                                      treering_error* error);

/* As `step`. */
#define TREERING_LATEST (-1) /* the greatest step whose checkpoint is intact */
#define TREERING_BEST (-2)   /* the best by `metric` among those that are intact */

typedef struct treering_find_options {
  uint32_t struct_size;
  uint32_t strict;    /* 1: a damaged latest or best is an error, and no other is taken for it */
  const char* metric; /* BEST; NULL: that of the first KEEP_BEST policy */
  uint64_t metric_size;
  uint32_t lowest; /* BEST with `metric`: 1: the lowest value is the best */
  uint32_t full; /* 1: intact means every byte was read and verified; 0: the files are there in the
                    right size, and header, trailer and digest agree with the record */
} treering_find_options;

/* Opens the checkpoint of a step (or TREERING_LATEST, TREERING_BEST): then read it with the
 * functions of treering_checkpoint. *out_step (may be NULL) says which. *out_report (may be NULL)
 * lists the versions that were skipped and why: filled on success too. NOT_FOUND: no such step, the
 * message lists the nearest; no version at all. NOT_FOUND_GONE: deleted meanwhile by its writer.
 * @since 0.1 */
treering_status treering_manager_checkpoint(treering_checkpoint** out, int64_t* out_step,
                                            treering_report** out_report,
                                            const treering_manager* manager, int64_t step,
                                            const treering_find_options* find,
                                            const treering_open_options* options,
                                            treering_error* error);

/* Deletes a version: for good when it answers OK. NOT_FOUND. @since 0.1 */
treering_status treering_manager_delete(treering_manager* manager, int64_t step,
                                        treering_error* error);
/* Lists the directory again: what other processes have committed and deleted. @since 0.1 */
treering_status treering_manager_reload(treering_manager* manager, treering_error* error);

typedef struct treering_decision {
  int64_t step;
  uint32_t keep; /* 1 or 0 */
  uint32_t reserved;
  const char* rule; /* for people: which rule keeps it, or why none does; belongs to the manager,
                       until its next change or prune */
  uint64_t rule_size;
} treering_decision;

/* Applies the keep policies now; `dry_run` 1: only says what it would do. One decision for each
 * version, ascending by step; as treering_tree_nodes. With `dry_run` 0 versions are dropped
 * whatever `capacity` holds. `policies` NULL: those of the manager.
 * @since 0.1 */
treering_status treering_manager_prune(treering_manager* manager,
                                       const treering_keep_policy* policies, uint64_t policy_size,
                                       uint64_t policy_count, uint32_t dry_run,
                                       treering_decision* out, uint64_t element_size,
                                       uint64_t capacity, uint64_t* out_count,
                                       treering_error* error);

/* What is in the directory that should not be: damaged records, versions whose files are missing or
 * of a wrong size (`full` 1: or whose bytes are damaged), leftovers of dead saves, unknown names.
 * OK and an empty report: all is well; leftovers and unknown names alone are OK too. @since 0.1 */
treering_status treering_manager_verify(treering_report** out_report,
                                        const treering_manager* manager, uint32_t full,
                                        const treering_read_options* options,
                                        treering_error* error);

/* Makes records for the containers in data/ that are whole and that no record names, from what they
 * say of themselves. Needs a manager for writing, opened with `keep_leftovers`, since opening
 * removes such containers otherwise. *out_count: how many versions came back; *out_report (may be
 * NULL): what could not be taken, and why. Damaged records go only if every container that can be
 * opened has a record by then.
 * @since 0.1 */
treering_status treering_manager_rebuild(uint64_t* out_count, treering_report** out_report,
                                         treering_manager* manager, treering_error* error);

#ifdef __cplusplus
}
#endif

#endif /* TREERING_TREERING_H_ */
