// SPDX-License-Identifier: Apache-2.0
// Opening a container through the C API, and the names of what it holds.
//
// A thin layer: handles get owners, errors become outcomes of the tool, numbers become words. What
// the file says is checked by the library; values that a newer writer may have put there (kinds,
// dtypes, attributes) are shown by their number.
#include "cli/checkpoint.h"

#include <algorithm>

#include "cli/text.h"

namespace treering::cli {

namespace {

constexpr uint64_t kItemsAtOnce = 256;
constexpr size_t kMostLevels = 257;

const char* AttributeName(uint32_t id) {
  switch (id) {
    case TREERING_ATTR_TAG:
      return "tag";
    case TREERING_ATTR_METADATA:
      return "metadata";
    case TREERING_ATTR_SHARDING:
      return "sharding";
    case TREERING_ATTR_PRNG_IMPL:
      return "prng_impl";
    case TREERING_ATTR_SCALAR_KIND:
      return "scalar_kind";
    case TREERING_ATTR_ORIGIN:
      return "origin";
    default:
      return nullptr;
  }
}

void AppendVariableTypes(std::string_view text, std::vector<std::string>* out) {
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find('\0', at), text.size());
    out->emplace_back(text.substr(at, end - at));
    at = end + 1;
  }
}

}  // namespace

Outcome Checkpoint::Open(const Address& address, const Options& options) {
  treering_error error = NewError();
  const treering_status status = OpenAddress(address, options, &opened_, &error);
  handle_.reset(opened_.handle);
  file_ = opened_.shown;
  if (status != TREERING_OK) return FromError(status, error);
  info_.struct_size = sizeof(info_);
  const Outcome known = FromError(treering_checkpoint_info(&info_, get(), &error), error);
  return known.ok() ? LoadItems() : known;
}

Outcome Checkpoint::LoadItems() {
  for (;;) {
    treering_item batch[kItemsAtOnce];
    treering_error error = NewError();
    uint64_t count = 0;
    const treering_status status = treering_checkpoint_items(
        get(), items_.size(), batch, sizeof(batch[0]), kItemsAtOnce, &count, &error);
    if (status != TREERING_OK) return FromError(status, error);
    for (uint64_t i = 0; i < count; ++i) {
      items_.push_back(
          {std::string(batch[i].name, batch[i].name_size), batch[i].kind, batch[i].root});
    }
    if (count < kItemsAtOnce) return {};
  }
}

Outcome Checkpoint::Find(const Item& item, std::string_view path, uint64_t* id) const {
  treering_error error = NewError();
  return FromError(treering_checkpoint_find(id, get(), item.name.data(), item.name.size(),
                                            path.data(), path.size(), &error),
                   error);
}

Outcome Checkpoint::Path(uint64_t id, std::string* out) const {
  std::vector<std::string> keys;
  for (;;) {
    treering_node node;
    Blob scratch;
    Outcome outcome = Node(id, &node, &scratch);
    if (!outcome.ok()) return outcome;
    if (node.parent == TREERING_NO_NODE) break;
    if (node.parent >= id || keys.size() > kMostLevels) {
      return {kDifferent,
              "'" + file_ + "': a node lies before its parent or too deep; see treering verify"};
    }
    keys.push_back(DisplayKey(node.key));
    id = node.parent;
  }
  out->clear();
  for (size_t i = keys.size(); i-- > 0;) *out += keys[i] + (i == 0 ? "" : "/");
  return {};
}

Outcome Checkpoint::Node(uint64_t id, treering_node* node, Blob* scratch) const {
  treering_error error = NewError();
  treering_blob* blob = nullptr;
  uint64_t count = 0;
  const treering_status status =
      treering_checkpoint_nodes(get(), id, node, sizeof(*node), 1, &count, &blob, &error);
  scratch->reset(blob);
  if (status == TREERING_OK && count != 1) {
    return {kDifferent, "'" + file_ + "': there is no node " + std::to_string(id)};
  }
  return FromError(status, error);
}

Leaf LeafOf(const treering_node& node) {
  Leaf leaf;
  leaf.id = node.id;
  leaf.kind = node.kind;
  leaf.dtype = node.dtype;
  if (node.rank != 0) leaf.shape.assign(node.shape, node.shape + node.rank);
  leaf.bytes = node.data_size;
  return leaf;
}

Attributes AttributesOf(const treering_node& node) {
  Attributes out;
  for (uint64_t i = 0; i < node.attribute_count; ++i) {
    const treering_attribute& a = node.attributes[i];
    const std::string_view text(static_cast<const char*>(a.value), a.size);
    if (a.id == TREERING_ATTR_VARIABLE_TYPE) {
      AppendVariableTypes(text, &out.variable_types);
    } else if (a.id == TREERING_ATTR_TYPE_NAME) {
      out.type_name = std::string(text);
    } else if (const char* name = AttributeName(a.id)) {
      out.named.emplace_back(name, text);
    } else {
      out.named.emplace_back("attribute_" + std::to_string(a.id), Hex(text.data(), text.size()));
    }
  }
  return out;
}

bool IsArray(int32_t kind) { return kind == TREERING_ARRAY || kind == TREERING_PRNG_KEY; }

bool IsLeaf(int32_t kind) { return kind >= TREERING_ARRAY; }

std::string KindName(int32_t kind) {
  switch (kind) {
    case TREERING_DICT:
      return "dict";
    case TREERING_LIST:
      return "list";
    case TREERING_TUPLE:
      return "tuple";
    case TREERING_NAMEDTUPLE:
      return "namedtuple";
    case TREERING_DATACLASS:
      return "dataclass";
    case TREERING_CUSTOM:
      return "custom";
    case TREERING_NONE:
      return "none";
    case TREERING_ARRAY:
      return "array";
    case TREERING_BOOLEAN:
      return "bool";
    case TREERING_INTEGER:
      return "int";
    case TREERING_FLOAT:
      return "float";
    case TREERING_COMPLEX:
      return "complex";
    case TREERING_STRING:
      return "str";
    case TREERING_BYTES:
      return "bytes";
    case TREERING_PRNG_KEY:
      return "prng_key";
    case TREERING_ALIAS:
      return "alias";
    default:
      return "kind " + std::to_string(kind);
  }
}

const char* ItemKindName(int32_t kind) {
  if (kind == TREERING_ITEM_TREE) return "tree";
  if (kind == TREERING_ITEM_JSON) return "json";
  return kind == TREERING_ITEM_BLOB ? "blob" : "unknown";
}

std::string DtypeName(uint32_t dtype) {
  const char* name = treering_dtype_name(dtype);
  return name != nullptr ? name : "dtype " + std::to_string(dtype);
}

std::string ShapeText(const uint64_t* shape, uint64_t rank) {
  std::string text = "[";
  for (uint64_t i = 0; i < rank; ++i) text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return text + "]";
}

std::string FormatVersion(uint32_t version) {
  return std::to_string(version >> 16) + "." + std::to_string(version & 0xffff);
}

uint64_t Elements(const uint64_t* shape, uint64_t rank) {
  uint64_t product = 1;
  for (uint64_t i = 0; i < rank; ++i) {
    if (shape[i] == 0) return 0;
    product = product > UINT64_MAX / shape[i] ? UINT64_MAX : product * shape[i];
  }
  return product;
}

}  // namespace treering::cli
