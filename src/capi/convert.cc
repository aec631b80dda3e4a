// SPDX-License-Identifier: Apache-2.0
// Conversion of nodes between the C ABI and the tree room.
//
// A batch of 100,000 nodes crosses in one call: the conversion makes three flat vectors and no
// allocation per node. What only the tree can judge (keys, shapes, sizes) is left to it; here only
// what has no form there is refused.
#include "capi/convert.h"

#include <string>

namespace treering::capi {
namespace {

base::Status AtNode(uint64_t position, const std::string& what) {
  return InvalidArgument("nodes[" + std::to_string(position) + "]: " + what);
}

tree::Value ImportValue(const treering_node& in) {
  tree::Value value;
  value.one_per_byte = in.one_per_byte != 0;
  value.strides = in.strides;
  if (in.data != nullptr) {
    value.form = tree::ValueForm::kData;
    value.data = in.data;
  } else if (in.fill != nullptr) {
    value.form = tree::ValueForm::kFill;
    value.fill = in.fill;
    value.fill_user = in.fill_user;
  } else if (in.piece_count != 0) {
    value.form = tree::ValueForm::kPieces;
    value.piece_count = in.piece_count;
  }
  value.size = in.data_size;
  return value;
}

bool IsEmptyBytes(const treering_node& in) {
  return (in.kind == TREERING_STRING || in.kind == TREERING_BYTES) && in.data == nullptr &&
         in.fill == nullptr && in.piece_count == 0 && in.data_size == 0;
}

}  // namespace

base::Status ImportKey(const treering_key& in, tree::Key* out) {
  if (in.kind < TREERING_KEY_NONE || in.kind > TREERING_KEY_BIGINT) {
    return InvalidArgument("key kind " + std::to_string(in.kind) + " is not one of 0 to 4");
  }
  if (SetsReserved(in, 0)) {
    return base::Status(base::Code::kUnsupported,
                        "key.reserved is set, which this version does not know; leave it zero");
  }
  out->kind = static_cast<tree::KeyKind>(in.kind);
  out->integer = 0;
  out->text = {};
  if (in.kind == TREERING_KEY_INDEX || in.kind == TREERING_KEY_INT) out->integer = in.integer;
  if (in.kind != TREERING_KEY_STRING && in.kind != TREERING_KEY_BIGINT) return {};
  return ImportText(in.text, in.text_size, "key.text", &out->text);
}

base::Status ImportKeys(const treering_key* keys, uint64_t count, std::vector<tree::Key>* out) {
  if (count != 0 && keys == nullptr) return NullArgument("keys");
  for (uint64_t i = 0; i < count; ++i) {
    tree::Key key;
    TR_RETURN_IF_ERROR(ImportKey(keys[i], &key));
    out->push_back(key);
  }
  return {};
}

base::Status ImportedNodes::Import(const treering_node* nodes, uint64_t element_size,
                                   uint64_t count) {
  const InputArray<treering_node> in(nodes, element_size, count);
  TR_RETURN_IF_ERROR(in.Check("nodes", kNodeFirstSize));
  TR_RETURN_IF_ERROR(Measure(in, count));
  for (uint64_t i = 0; i < count; ++i) {
    treering_node node;
    in.Get(i, &node);
    TR_RETURN_IF_ERROR(Convert(node, i));
  }
  return {};
}

// Reserves all three vectors, so that pointers into them stay.
base::Status ImportedNodes::Measure(const InputArray<treering_node>& in, uint64_t count) {
  uint64_t attributes = 0;
  uint64_t pieces = 0;
  for (uint64_t i = 0; i < count; ++i) {
    treering_node node;
    if (!in.Get(i, &node)) return InputArray<treering_node>::UnknownField("nodes", i);
    if (node.attribute_count > 65536) return AtNode(i, "more than 65536 attributes");
    if (node.attribute_count != 0 && node.attributes == nullptr) return NullArgument("attributes");
    if (node.piece_count != 0 && node.pieces == nullptr) return NullArgument("pieces");
    attributes += node.attribute_count;
    pieces += node.piece_count;
  }
  nodes_.reserve(count);
  attributes_.reserve(attributes);
  pieces_.reserve(pieces);
  return {};
}

base::Status ImportedNodes::Convert(const treering_node& in, uint64_t position) {
  if ((in.data != nullptr) + (in.fill != nullptr) + (in.piece_count != 0) > 1) {
    return AtNode(position, "give one of data, fill and pieces, not several");
  }
  if (in.kind < 0 || in.kind > 255)
    return AtNode(position, "kind " + std::to_string(in.kind) + " is not known");
  if (in.dtype > 0xffff)
    return AtNode(position, "dtype " + std::to_string(in.dtype) + " is not known");
  tree::Node node;
  node.kind = static_cast<tree::Kind>(in.kind);
  TR_RETURN_IF_ERROR(
      ImportKey(in.key, &node.key).WithContext("nodes[" + std::to_string(position) + "]"));
  node.dtype = tree::Dtype::FromNumber(in.dtype);
  node.rank = in.rank;
  node.shape = in.shape;
  node.child_count = in.child_count;
  node.value = ImportValue(in);
  if (IsEmptyBytes(in)) {
    node.value.form = tree::ValueForm::kData;
    node.value.data = "";
  }
  node.attributes = attributes_.data() + attributes_.size();
  node.attribute_count = in.attribute_count;
  for (uint64_t i = 0; i < in.attribute_count; ++i) {
    const treering_attribute& a = in.attributes[i];
    std::string_view text;
    TR_RETURN_IF_ERROR(
        ImportText(static_cast<const char*>(a.value), a.size, "attribute.value", &text));
    attributes_.push_back({a.id, a.flags, text});
  }
  node.value.pieces = pieces_.data() + pieces_.size();
  for (uint64_t i = 0; i < in.piece_count; ++i) {
    const treering_piece& p = in.pieces[i];
    pieces_.push_back({p.origin, p.extent, p.data, p.strides});
  }
  if (in.kind == TREERING_ALIAS) node.alias_of = in.alias_of;
  node.hints = {in.codec, in.level, in.chunk_shape};
  node.destination = in.destination;
  node.destination_size = in.destination_size;
  nodes_.push_back(node);
  return {};
}

base::Status RequireId(const container::Container& container, uint64_t id) {
  const uint64_t count = container.index().count(format::kNodes);
  if (id < count) return {};
  const std::string range =
      count == 0 ? "it has none" : "ids go from 0 to " + std::to_string(count - 1);
  return base::Status(base::Code::kNotFoundPath, "'" + container.name() + "': there is no node " +
                                                     std::to_string(id) + "; " + range);
}

void CopyDigest(const codec::Hash128& hash, uint8_t out[16]) {
  for (int i = 0; i < 8; ++i) {
    out[i] = static_cast<uint8_t>(hash.high >> (56 - 8 * i));
    out[8 + i] = static_cast<uint8_t>(hash.low >> (56 - 8 * i));
  }
}

treering_key ExportKey(const tree::Key& key) {
  treering_key out = {};
  out.kind = static_cast<int32_t>(key.kind);
  out.integer = key.integer;
  out.text = key.text.data();
  out.text_size = key.text.size();
  return out;
}

treering_node ExportNode(const treering_tree& tree, tree::NodeId id) {
  const tree::Node in = tree.value.Get(id);
  treering_node out = {};
  out.kind = static_cast<int32_t>(in.kind);
  out.dtype = in.dtype.number();
  out.rank = in.rank;
  out.one_per_byte = in.value.one_per_byte ? 1 : 0;
  out.key = ExportKey(in.key);
  out.child_count = in.child_count;
  out.shape = in.shape;
  out.strides = in.value.strides;
  if (in.value.form == tree::ValueForm::kData) out.data = in.value.data;
  out.data_size = in.value.size;
  out.fill = in.value.fill;
  out.fill_user = in.value.fill_user;
  out.alias_of = in.alias_of;
  out.codec = in.hints.codec;
  out.level = in.hints.level;
  out.chunk_shape = in.hints.chunk_shape;
  out.destination = in.destination;
  out.destination_size = in.destination_size;
  out.id = in.id;
  out.parent = in.parent;
  if (in.attribute_set != nullptr) {
    const std::lock_guard<std::mutex> lock(tree.mutex);
    std::vector<treering_attribute>& list = tree.attributes[in.attribute_set];
    if (list.empty()) {
      for (const tree::Attribute& a : in.attribute_set->list()) {
        list.push_back({a.id, a.flags, a.value.data(), a.value.size()});
      }
    }
    out.attributes = list.data();
    out.attribute_count = list.size();
  }
  if (in.value.form == tree::ValueForm::kPieces) {
    const std::lock_guard<std::mutex> lock(tree.mutex);
    std::vector<treering_piece>& list = tree.pieces[in.value.pieces];
    for (uint64_t i = list.size(); i < in.value.piece_count; ++i) {
      const tree::Piece& p = in.value.pieces[i];
      list.push_back({p.origin, p.extent, p.data, p.strides});
    }
    out.pieces = list.data();
    out.piece_count = list.size();
  }
  return out;
}

}  // namespace treering::capi
