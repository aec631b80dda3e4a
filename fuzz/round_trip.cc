// SPDX-License-Identifier: Apache-2.0
// A tree told by the input, saved with options from its tail and loaded: the same bits, and the
// same bytes for any number of threads.

#include <deque>
#include <set>
#include <string_view>

#include "walk.h"

namespace {

using fuzz::Claim;

constexpr uint32_t kDtypes[] = {
    TREERING_BOOL,        TREERING_INT2,          TREERING_UINT2,         TREERING_INT4,
    TREERING_UINT4,       TREERING_INT8,          TREERING_UINT8,         TREERING_INT16,
    TREERING_FLOAT16,     TREERING_BFLOAT16,      TREERING_UINT32,        TREERING_FLOAT32,
    TREERING_FLOAT64,     TREERING_COMPLEX64,     TREERING_INT64,         TREERING_UINT64,
    TREERING_FLOAT8_E5M2, TREERING_FLOAT6_E2M3FN, TREERING_FLOAT4_E2M1FN, TREERING_COMPLEX128,
};

// The input, byte for byte; zeros behind its end.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : data_(data), size_(size) {}
  uint8_t Front() { return at_ < size_ ? data_[at_++] : uint8_t{0}; }
  uint8_t Back() { return at_ < size_ ? data_[--size_] : uint8_t{0}; }
  bool empty() const { return at_ >= size_; }

 private:
  const uint8_t* data_;
  size_t at_ = 0;
  size_t size_;
};

// Nodes in preorder with what they point to, and the bytes that loading must give.
class Forest {
 public:
  explicit Forest(Input* in) : in_(in) { Node(0); }

  std::vector<treering_node> nodes() const { return {nodes_.begin(), nodes_.end()}; }
  const std::vector<std::string>& expected() const { return expected_; }

 private:
  using Dims = std::vector<uint64_t>;

  // Appends a node and everything below it.
  void Node(int depth, treering_key key = {}) {
    const uint8_t what = in_->empty() ? uint8_t{200} : in_->Front();
    treering_node node = {};
    node.key = key;
    if (what < 100 && depth < 20 && nodes_.size() < 200) return Container(depth, what, node);
    if (what < 190) {
      Array(what, &node);
    } else {
      Scalar(what, &node);
    }
    nodes_.push_back(node);
  }

  void Container(int depth, uint8_t what, treering_node node) {
    node.kind = 1 + what % 7;
    const uint8_t wanted = node.kind == TREERING_NONE ? uint8_t{0} : in_->Front();
    uint64_t count = wanted > 240 ? wanted - 200u : wanted % 6;
    const bool by_index = node.kind == TREERING_LIST || node.kind == TREERING_TUPLE;
    const bool by_field = node.kind != TREERING_DICT && !by_index;
    node.child_count = count;
    nodes_.push_back(node);
    expected_.emplace_back();
    for (uint64_t i = 0; i < count; ++i) {
      treering_key key = {};
      if (by_index) {
        key.kind = TREERING_KEY_INDEX;
        key.integer = static_cast<int64_t>(i);
      } else {
        key = Key(i, !by_field);
      }
      Node(depth + 1, key);
    }
  }

  // The position makes it unique among its siblings.
  treering_key Key(uint64_t i, bool any) {
    const uint8_t form = any ? in_->Front() : uint8_t{0};
    treering_key key = {};
    std::string text(1, static_cast<char>(i));
    if (form % 4 == 1) {
      key.kind = TREERING_KEY_INT;
      key.integer = static_cast<int64_t>(i) * (form > 127 ? -1 : 1) * (int64_t{1} << form % 50);
      if (form > 127) key.integer -= 1;
      // Two ints may agree: then both are texts.
      if (form % 50 != 1) key.integer = static_cast<int64_t>(i) - 3;
      return key;
    }
    if (form % 4 == 2) {
      key.kind = TREERING_KEY_BIGINT;
      text = std::string(8 + form % 5, '\1') + text + std::string(1, form > 127 ? '\x81' : '\1');
    } else {
      key.kind = TREERING_KEY_STRING;
      for (int n = form % 3; n > 0; --n) text += static_cast<char>(in_->Front() & 0x7f);
    }
    const std::string& kept = Keep(text);
    key.text = kept.data();
    key.text_size = kept.size();
    return key;
  }

  std::string Data(uint64_t size, uint32_t spread) {
    std::string out(static_cast<size_t>(size), '\0');
    uint32_t x = in_->Front();
    for (char& c : out) {
      x = in_->empty() ? x * 1664525u + 1013904223u : in_->Front() * 0x01010101u;
      c = static_cast<char>((x >> 24) % spread);
    }
    return out;
  }

  void Scalar(uint8_t what, treering_node* node) {
    constexpr int32_t kKinds[] = {TREERING_BOOLEAN, TREERING_INTEGER, TREERING_FLOAT,
                                  TREERING_COMPLEX, TREERING_STRING,  TREERING_BYTES};
    node->kind = kKinds[what % 6];
    std::string value;
    switch (node->kind) {
      case TREERING_BOOLEAN:
        value = std::string(1, static_cast<char>(what / 6 % 2));
        break;
      case TREERING_INTEGER:
        value = Data(what == 255 ? 70000 : what % 40, 256) + "\x2a";
        break;
      case TREERING_FLOAT:
        value = Data(8, 256);
        break;
      case TREERING_COMPLEX:
        value = Data(16, 256);
        break;
      case TREERING_STRING:
        value = Data(what == 250 ? 70000 : what % 64, 128);
        break;
      default:
        value = Data(in_->Front() == 255 ? 70000 : what % 64, 256);
        break;
    }
    const std::string& kept = Keep(value);
    node->data = kept.data();
    node->data_size = kept.size();
    expected_.push_back(value);
  }

  void Array(uint8_t what, treering_node* node) {
    node->kind = TREERING_ARRAY;
    node->dtype = kDtypes[what % 20];
    node->rank = in_->Front() % 4;
    Dims shape(node->rank);
    const bool large = what > 187;
    uint64_t count = 1;
    for (uint64_t& n : shape) {
      n = in_->Front() % (large && node->rank < 3 ? 180u : 14u);
      count *= n;
    }
    dims_.push_back(shape);
    node->shape = dims_.back().data();
    const uint32_t bits = node->dtype & 0xff;
    const bool sub = bits < 6;
    // One byte for each element of less than a byte, packed by hand for comparison.
    const uint64_t width = bits < 8 ? 1 : bits / 8;
    const std::string data = Data(count * width, node->dtype == TREERING_BOOL ? 2
                                                 : bits < 8                   ? 1u << bits
                                                                              : 256);
    expected_.push_back(sub ? Packed(data, bits) : data);
    Give(node, data, width, sub);
    node->codec = in_->Front() % 4;
    if (in_->Front() % 3 == 0) {
      Dims tile(node->rank);
      for (uint64_t& n : tile) n = (1 + in_->Front() % 9u) * (large ? 20u : 1u);
      dims_.push_back(tile);
      node->chunk_shape = dims_.back().data();
    }
  }

  static std::string Packed(const std::string& data, uint32_t bits) {
    std::string out((data.size() * bits + 7) / 8, '\0');
    for (size_t i = 0; i < data.size(); ++i) {
      const size_t bit = i * bits;
      out[bit / 8] = static_cast<char>(out[bit / 8] | data[i] << bit % 8);
    }
    return out;
  }

  // As plain data, with strides, or as two pieces.
  void Give(treering_node* node, const std::string& data, uint64_t width, bool sub) {
    const uint8_t way = in_->Front() % 4;
    const uint64_t* shape = node->shape;
    if (way == 1 && node->rank != 0 && shape[0] > 1 && !sub && !data.empty()) {
      return Halves(node, data);
    }
    if (way == 2 && node->rank != 0 && !data.empty()) return Strided(node, data, width, sub);
    const std::string& kept = Keep(sub && way == 3 ? data : expected_.back());
    node->one_per_byte = sub && way == 3 ? 1 : 0;
    node->data = kept.data();
  }

  // Fortran order, the last axis first, with a gap behind each element.
  void Strided(treering_node* node, const std::string& data, uint64_t width, bool sub) {
    std::vector<int64_t> strides(node->rank);
    uint64_t step = width + 1;
    for (uint32_t i = 0; i < node->rank; ++i) {
      strides[i] = static_cast<int64_t>(step);
      step *= node->shape[i];
    }
    std::string out(static_cast<size_t>(step), '\x55');
    for (uint64_t e = 0; e < data.size() / width; ++e) {
      uint64_t rest = e, at = 0;
      for (uint32_t i = node->rank; i > 0; --i) {
        at += rest % node->shape[i - 1] * static_cast<uint64_t>(strides[i - 1]);
        rest /= node->shape[i - 1];
      }
      out.replace(at, width, data, e * width, width);
    }
    strides_.push_back(strides);
    node->strides = strides_.back().data();
    node->one_per_byte = sub ? 1 : 0;
    node->data = Keep(out).data();
  }

  void Halves(treering_node* node, const std::string& data) {
    const uint64_t first = 1 + in_->Front() % (node->shape[0] - 1);
    const uint64_t row = data.size() / node->shape[0];
    Dims extent(node->shape, node->shape + node->rank);
    pieces_.emplace_back();
    for (const bool second : {true, false}) {
      Dims origin(node->rank);
      origin[0] = second ? first : 0;
      extent[0] = second ? node->shape[0] - first : first;
      dims_.push_back(origin);
      const uint64_t* kept = dims_.back().data();
      dims_.push_back(extent);
      const std::string& bytes = Keep(data.substr(origin[0] * row, extent[0] * row));
      pieces_.back().push_back({kept, dims_.back().data(), bytes.data(), nullptr});
    }
    node->pieces = pieces_.back().data();
    node->piece_count = 2;
  }

  const std::string& Keep(std::string text) {
    texts_.push_back(std::move(text));
    return texts_.back();
  }

  Input* in_;
  std::deque<treering_node> nodes_;
  std::vector<std::string> expected_;  // per node; containers: empty
  std::deque<std::string> texts_;
  std::deque<Dims> dims_;
  std::deque<std::vector<int64_t>> strides_;
  std::deque<std::vector<treering_piece>> pieces_;
};

treering_blob* Save(const treering_tree* tree, const treering_save_options& options) {
  treering_error error = {};
  error.struct_size = sizeof(error);
  treering_writer* writer = nullptr;
  treering_blob* blob = nullptr;
  treering_status status = treering_writer_create_memory(&writer, &options, &error);
  if (status == 0) status = treering_writer_add_tree(writer, "t", 1, tree, &error);
  if (status == 0) status = treering_writer_finish(nullptr, &blob, writer, &error);
  if (status != 0) std::fprintf(stderr, "%s\n", error.message);
  Claim(status == 0, "a tree can be saved");
  treering_writer_free(writer);
  return blob;
}

std::string_view Bytes(const treering_blob* blob) {
  return {static_cast<const char*>(treering_blob_data(blob)), treering_blob_size(blob)};
}

void CheckLoaded(const treering_blob* blob, const treering_tree* tree, const Forest& forest) {
  treering_checkpoint* checkpoint =
      fuzz::Open(static_cast<const uint8_t*>(treering_blob_data(blob)), treering_blob_size(blob));
  Claim(checkpoint != nullptr, "what was saved opens");
  Claim(fuzz::Verify(checkpoint) == TREERING_OK, "what was saved is intact");
  std::string said;
  treering_tree* loaded = fuzz::Load(checkpoint, fuzz::Items(checkpoint)[0], false, &said);
  Claim(loaded != nullptr, "what was saved loads", said);
  const std::vector<std::string>& expected = forest.expected();
  std::vector<treering_node> nodes(expected.size() + 1);
  uint64_t count = 0;
  Claim(treering_tree_nodes(loaded, 0, nodes.data(), sizeof(nodes[0]), nodes.size(), &count,
                            nullptr) == 0 &&
            count == expected.size(),
        "as many nodes are loaded as were saved");
  for (size_t i = 0; i < expected.size(); ++i) {
    if (nodes[i].kind < TREERING_ARRAY) continue;
    const std::string_view found(static_cast<const char*>(nodes[i].data), nodes[i].data_size);
    Claim(found == expected[i], "a leaf has the bits that were saved");
  }
  treering_report* report = nullptr;
  Claim(treering_tree_compare(&report, tree, loaded, nullptr, nullptr) == 0, "trees compare");
  if (treering_report_count(report) != 0) std::fprintf(stderr, "%s", treering_report_text(report));
  Claim(treering_report_count(report) == 0, "the loaded tree is that which was saved");
  treering_report_free(report);
  treering_tree_free(loaded);
  treering_checkpoint_free(checkpoint);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input in(data, size);
  treering_save_options options = {};
  options.struct_size = sizeof(options);
  options.codec = in.Back() % 4;
  options.level = in.Back() % 6;
  options.chunk_bytes = in.Back() % 2 == 0 ? 0 : 4096 + 1000 * uint64_t{in.Back()};
  const uint32_t threads = in.Back() % 3;
  const Forest forest(&in);
  const std::vector<treering_node> nodes = forest.nodes();
  treering_tree* tree = nullptr;
  treering_error error = {};
  error.struct_size = sizeof(error);
  uint64_t first = 0;
  Claim(treering_tree_create(&tree, nullptr) == 0, "a tree is made");
  if (treering_tree_append(&first, tree, TREERING_NO_NODE, nodes.data(), sizeof(nodes[0]),
                           nodes.size(), nullptr, &error) == 0) {
    treering_blob* blob = Save(tree, options);
    CheckLoaded(blob, tree, forest);
    if (threads != 0) {
      options.threads = threads;
      treering_blob* other = Save(tree, options);
      Claim(Bytes(blob) == Bytes(other), "threads do not show in the bytes");
      treering_blob_free(other);
    }
    treering_blob_free(blob);
  }
  treering_tree_free(tree);
  return 0;
}
