/* SPDX-License-Identifier: Apache-2.0
 * Dumps containers through the C API, once by reads and once by loading. */
#include "dump.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void text_add(struct text* text, const char* format, ...) {
  va_list args;
  va_start(args, format);
  const int n = vsnprintf(NULL, 0, format, args);
  va_end(args);
  if (n < 0) return;
  if (text->size + (size_t)n + 1 > text->capacity) {
    text->capacity = 2 * text->capacity + (size_t)n + 256;
    char* grown = realloc(text->data, text->capacity);
    if (grown == NULL) abort();
    text->data = grown;
  }
  va_start(args, format);
  vsnprintf(text->data + text->size, (size_t)n + 1, format, args);
  va_end(args);
  text->size += (size_t)n;
}

void text_free(struct text* text) {
  free(text->data);
  memset(text, 0, sizeof(*text));
}

static void add_hex(struct text* out, const void* data, uint64_t size) {
  const unsigned char* bytes = data;
  for (uint64_t i = 0; i < size; ++i) text_add(out, "%02x", bytes[i]);
}

static void add_raw(struct text* out, const void* data, uint64_t size) {
  if (size <= 64) {
    add_hex(out, data, size);
    return;
  }
  uint64_t hash = 0xcbf29ce484222325u;
  for (uint64_t i = 0; i < size; ++i) {
    hash = (hash ^ ((const unsigned char*)data)[i]) * 0x100000001b3u;
  }
  text_add(out, "fnv:%016llx:%llu", (unsigned long long)hash, (unsigned long long)size);
}

/* Numbers of the line that a node does not tell by itself. */
struct place {
  uint64_t number;
  uint64_t parent; /* TREERING_NO_NODE for a root */
  uint64_t first_child;
  uint64_t alias; /* TREERING_NO_NODE if none */
};

static void add_node(struct text* out, const treering_node* node, const struct place* place,
                     const void* data) {
  const int alias = place->alias != TREERING_NO_NODE;
  text_add(out, "%llu parent=", (unsigned long long)place->number);
  if (place->parent == TREERING_NO_NODE) {
    text_add(out, "-");
  } else {
    text_add(out, "%llu", (unsigned long long)place->parent);
  }
  text_add(out, " kind=%d key=%d:", alias ? TREERING_ALIAS : node->kind, node->key.kind);
  if (node->key.kind == TREERING_KEY_INDEX || node->key.kind == TREERING_KEY_INT) {
    text_add(out, "%llu", (unsigned long long)node->key.integer);
  } else {
    add_hex(out, node->key.text, node->key.text_size);
  }
  if (alias) {
    text_add(out, " alias=%llu\n", (unsigned long long)place->alias);
    return;
  }
  if (node->kind < TREERING_ARRAY) {
    text_add(out, " children=%llu+%llu",
             (unsigned long long)(node->child_count == 0 ? 0 : place->first_child),
             (unsigned long long)node->child_count);
  } else {
    text_add(out, " dtype=%u/%u shape=", node->dtype >> 8, node->dtype & 0xff);
    for (uint32_t i = 0; i < node->rank; ++i) {
      text_add(out, "%s%llu", i == 0 ? "" : ",", (unsigned long long)node->shape[i]);
    }
    text_add(out, " raw=");
    add_raw(out, data, node->data_size);
  }
  for (uint64_t i = 0; i < node->attribute_count; ++i) {
    const treering_attribute* a = &node->attributes[i];
    text_add(out, " attr=%u:%u:", a->id, a->flags);
    add_hex(out, a->value, a->size);
  }
  text_add(out, "\n");
}

static void add_item(struct text* out, const treering_item* item, uint64_t nodes) {
  text_add(out, "item ");
  add_hex(out, item->name, item->name_size);
  text_add(out, " kind=%d root=%llu nodes=%llu\n", item->kind, (unsigned long long)item->root,
           (unsigned long long)nodes);
}

/* Bytes that a leaf claims are believed up to 64 MiB. */
static void* room_for(uint64_t size, treering_status* status) {
  void* room = size <= 1 << 26 ? malloc(size + 1) : NULL;
  if (room == NULL) *status = TREERING_LIMIT;
  return room;
}

treering_status dump_node(struct text* out, const treering_checkpoint* checkpoint, uint64_t id,
                          treering_error* error) {
  treering_node node;
  treering_blob* scratch = NULL;
  uint64_t count = 0;
  struct place place = {id, 0, 0, 0};
  treering_status status =
      treering_checkpoint_nodes(checkpoint, id, &node, sizeof(node), 1, &count, &scratch, error);
  if (status != TREERING_OK) return status;
  place.parent = node.parent;
  place.alias = node.alias_of;
  void* data = NULL;
  if (node.kind < TREERING_ARRAY) {
    status = treering_checkpoint_children(checkpoint, id, &place.first_child, &count, error);
    if (status == TREERING_OK && count != node.child_count) status = TREERING_INTERNAL;
  } else if ((data = room_for(node.data_size, &status)) != NULL) {
    treering_read read;
    memset(&read, 0, sizeof(read));
    read.node = id;
    read.dst = data;
    read.dst_size = node.data_size;
    status = treering_checkpoint_read(checkpoint, &read, sizeof(read), 1, NULL, error);
  }
  if (status == TREERING_OK) add_node(out, &node, &place, data);
  free(data);
  treering_blob_free(scratch);
  return status;
}

struct all_items {
  treering_item* items;
  treering_info info;
};

static treering_status list_items(struct all_items* out, const treering_checkpoint* checkpoint,
                                  treering_error* error) {
  memset(out, 0, sizeof(*out));
  out->info.struct_size = sizeof(out->info);
  treering_status status = treering_checkpoint_info(&out->info, checkpoint, error);
  if (status != TREERING_OK) return status;
  out->items = calloc(out->info.item_count + 1, sizeof(treering_item));
  if (out->items == NULL) return TREERING_NO_MEMORY;
  uint64_t count = 0;
  status = treering_checkpoint_items(checkpoint, 0, out->items, sizeof(treering_item),
                                     out->info.item_count, &count, error);
  if (status == TREERING_OK && count != out->info.item_count) status = TREERING_INTERNAL;
  out->items[out->info.item_count].root = out->info.node_count;
  return status;
}

static void add_metadata(struct text* out, const treering_info* info) {
  text_add(out, "metadata ");
  add_hex(out, info->metadata, info->metadata_size);
  text_add(out, "\n");
}

treering_status dump_by_read(struct text* out, const treering_checkpoint* checkpoint,
                             treering_error* error) {
  struct all_items all;
  treering_status status = list_items(&all, checkpoint, error);
  for (uint64_t i = 0; status == TREERING_OK && i < all.info.item_count; ++i) {
    add_item(out, &all.items[i], all.items[i + 1].root - all.items[i].root);
    for (uint64_t id = all.items[i].root; status == TREERING_OK && id < all.items[i + 1].root;
         ++id) {
      status = dump_node(out, checkpoint, id, error);
    }
  }
  if (status == TREERING_OK) add_metadata(out, &all.info);
  free(all.items);
  return status;
}

/* ---------------------------------------------------------------- by loading */

/* The nodes of a tree breadth-first: as containers number them. */
struct walk {
  uint64_t* ids;
  uint64_t* parents;
  uint64_t* first_children;
  uint64_t count;
  uint64_t root; /* number of the first */
};

/* Of the names of one leaf, a container makes the one with the lowest number the leaf and the
 * others aliases; a tree goes by preorder. The number of the leaf, NO_NODE for that leaf itself. */
static treering_status find_leaf(uint64_t* out, const struct walk* walk, const treering_tree* tree,
                                 const treering_node* node, treering_error* error) {
  const uint64_t leaf = node->alias_of == TREERING_NO_NODE ? node->id : node->alias_of;
  *out = TREERING_NO_NODE;
  for (uint64_t i = 0; i < walk->count && walk->ids[i] != node->id; ++i) {
    treering_node other;
    const treering_status status =
        treering_tree_node(&other, sizeof(other), tree, walk->ids[i], error);
    if (status != TREERING_OK) return status;
    if (other.kind < TREERING_ARRAY || (other.id != leaf && other.alias_of != leaf)) continue;
    *out = walk->root + i;
    break;
  }
  return TREERING_OK;
}

static treering_status fill_walk(struct walk* walk, const treering_tree* tree,
                                 treering_error* error) {
  const uint64_t total = treering_tree_node_count(tree);
  uint64_t end = 1;
  walk->ids[0] = treering_tree_root(tree);
  walk->parents[0] = TREERING_NO_NODE;
  for (uint64_t i = 0; i < end; ++i) {
    uint64_t n = 0;
    const treering_status status =
        treering_tree_children(tree, walk->ids[i], 0, walk->ids + end, total - end, &n, error);
    if (status != TREERING_OK) return status;
    walk->first_children[i] = walk->root + end;
    for (uint64_t c = end; c < end + n; ++c) walk->parents[c] = walk->root + i;
    end += n;
  }
  walk->count = end;
  return end == total ? TREERING_OK : TREERING_INTERNAL;
}

static treering_status dump_tree(struct text* out, const treering_tree* tree, uint64_t root,
                                 treering_error* error) {
  const uint64_t total = treering_tree_node_count(tree);
  uint64_t* memory = calloc(3 * total + 1, sizeof(uint64_t));
  if (memory == NULL) return TREERING_NO_MEMORY;
  struct walk walk = {memory, memory + total, memory + 2 * total, 0, root};
  treering_status status = fill_walk(&walk, tree, error);
  for (uint64_t i = 0; status == TREERING_OK && i < walk.count; ++i) {
    treering_node node;
    status = treering_tree_node(&node, sizeof(node), tree, walk.ids[i], error);
    struct place place = {root + i, walk.parents[i], walk.first_children[i], TREERING_NO_NODE};
    if (status == TREERING_OK && node.kind >= TREERING_ARRAY) {
      status = find_leaf(&place.alias, &walk, tree, &node, error);
    }
    if (status == TREERING_OK) add_node(out, &node, &place, node.data);
  }
  free(memory);
  return status;
}

treering_status dump_by_load(struct text* out, const treering_checkpoint* checkpoint,
                             uint32_t views, treering_error* error) {
  struct all_items all;
  treering_status status = list_items(&all, checkpoint, error);
  treering_load_options options;
  memset(&options, 0, sizeof(options));
  options.struct_size = sizeof(options);
  options.views = views;
  for (uint64_t i = 0; status == TREERING_OK && i < all.info.item_count; ++i) {
    const treering_item* item = &all.items[i];
    treering_tree* tree = NULL;
    status =
        treering_checkpoint_load(&tree, checkpoint, item->name, item->name_size, &options, error);
    if (status != TREERING_OK) break;
    add_item(out, item, treering_tree_node_count(tree));
    status = dump_tree(out, tree, item->root, error);
    treering_tree_free(tree);
  }
  if (status == TREERING_OK) add_metadata(out, &all.info);
  free(all.items);
  return status;
}

/* ---------------------------------------------------------------- views */

static treering_status compare_view(uint64_t* views, uint64_t* without,
                                    const treering_checkpoint* checkpoint,
                                    const treering_node* node, treering_error* error) {
  treering_blob* view = NULL;
  treering_status status = treering_checkpoint_view(&view, checkpoint, node->id, NULL, NULL, error);
  if (status == TREERING_UNSUPPORTED_NO_VIEW) {
    ++*without;
    return TREERING_OK;
  }
  if (status != TREERING_OK) return status;
  void* data = room_for(node->data_size, &status);
  if (data != NULL) {
    treering_read read;
    memset(&read, 0, sizeof(read));
    read.node = node->id;
    read.dst = data;
    read.dst_size = node->data_size;
    status = treering_checkpoint_read(checkpoint, &read, sizeof(read), 1, NULL, error);
    if (status == TREERING_OK && (treering_blob_size(view) != node->data_size ||
                                  memcmp(treering_blob_data(view), data, node->data_size) != 0)) {
      status = TREERING_INTERNAL;
    }
  }
  free(data);
  treering_blob_free(view);
  ++*views;
  return status;
}

treering_status compare_views(uint64_t* views, uint64_t* without,
                              const treering_checkpoint* checkpoint, treering_error* error) {
  *views = *without = 0;
  for (uint64_t id = 0;; ++id) {
    treering_node node;
    treering_blob* scratch = NULL;
    uint64_t count = 0;
    treering_status status =
        treering_checkpoint_nodes(checkpoint, id, &node, sizeof(node), 1, &count, &scratch, error);
    if (status != TREERING_OK || count == 0) {
      treering_blob_free(scratch);
      return status;
    }
    if (node.kind >= TREERING_ARRAY) {
      status = compare_view(views, without, checkpoint, &node, error);
    }
    treering_blob_free(scratch);
    if (status != TREERING_OK) return status;
  }
}

char* read_whole(const char* path, size_t* size) {
  *size = 0;
  FILE* file = fopen(path, "rb");
  if (file == NULL) return NULL;
  size_t capacity = 1 << 16;
  size_t n = 0;
  char* data = malloc(capacity);
  while (data != NULL && (n = fread(data + *size, 1, capacity - *size - 1, file)) > 0) {
    *size += n;
    if (*size + 1 < capacity) continue;
    capacity *= 2;
    char* grown = realloc(data, capacity);
    if (grown == NULL) free(data);
    data = grown;
  }
  fclose(file);
  if (data != NULL) data[*size] = 0;
  return data;
}
