// SPDX-License-Identifier: Apache-2.0
// Finds repeated siblings.
//
// Each node gets the number of its form: kind, dtype, shape, size, attributes and, for containers,
// the keys and forms of the children. Equal numbers mean equal all the way down, without hashes to
// trust. Children carry higher numbers than parents, so one pass from the back is enough, and the
// walk keeps a stack of its own: depth costs memory, not stack.
//
// Members of a group have the same form, so the k-th child of one belongs to the k-th of the other.
#include "cli/collapse.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <tuple>
#include <unordered_map>

namespace treering::cli {

namespace {

constexpr size_t kMostRanges = 6;
constexpr size_t kMostDigits = 18;

template <typename T>
void AppendBytes(const T& value, std::string* out) {
  out->append(reinterpret_cast<const char*>(&value), sizeof(value));
}

std::vector<uint32_t> Forms(const Model& model) {
  const std::vector<Model::Node>& nodes = model.nodes();
  std::vector<uint32_t> forms(nodes.size());
  std::unordered_map<std::string, uint32_t> known;
  std::string form;
  for (auto i = static_cast<uint32_t>(nodes.size()); i-- > 0;) {
    const Model::Node& node = nodes[i];
    if (!node.keep) continue;
    form.clear();
    AppendBytes(node.kind, &form);
    AppendBytes(node.dtype, &form);
    AppendBytes(node.bytes, &form);
    AppendBytes(node.attributes, &form);
    AppendBytes(node.alias_of, &form);
    AppendBytes(node.rank, &form);
    form.append(reinterpret_cast<const char*>(model.Shape(i)), node.rank * sizeof(uint64_t));
    for (uint32_t k = 0; k < node.child_count; ++k) {
      const uint32_t child = node.first_child + k;
      if (!nodes[child].keep) continue;
      AppendBytes(nodes[child].key_size, &form);
      form.append(model.Key(child));
      AppendBytes(forms[child], &form);
    }
    forms[i] = known.try_emplace(form, static_cast<uint32_t>(known.size())).first->second;
  }
  return forms;
}

// A name that ends in a number: "layers_12".
struct Numbered {
  std::string_view stem;
  uint64_t number = 0;
  size_t digits = 0;
  bool padded = false;  // with zeros in front
};

bool SplitNumber(std::string_view key, Numbered* out) {
  size_t begin = key.size();
  while (begin > 0 && key[begin - 1] >= '0' && key[begin - 1] <= '9') --begin;
  out->digits = key.size() - begin;
  if (out->digits == 0 || out->digits > kMostDigits) return false;
  if (begin == 1 && key[0] == '-') return false;
  out->stem = key.substr(0, begin);
  out->padded = out->digits > 1 && key[begin] == '0';
  out->number = 0;
  for (const char c : key.substr(begin))
    out->number = out->number * 10 + static_cast<uint64_t>(c - '0');
  return true;
}

// A group whose children are being visited. Row r of the children is order[rows[r]] up to
// order[rows[r + 1]]: positions among the kept children of each member.
struct Frame {
  Group group;
  std::vector<std::vector<uint32_t>> children;  // kept, of each member
  std::vector<uint32_t> order;
  std::vector<uint32_t> rows;
  size_t next = 0;
};

class Walker {
 public:
  Walker(const Model& model, bool collapse, const std::function<bool(const Group&)>& visit)
      : model_(model), collapse_(collapse), visit_(visit) {
    if (collapse) forms_ = Forms(model);
  }

  void Run() {
    if (model_.nodes().empty() || !model_.nodes()[0].keep) return;
    Group root;
    root.members = {0};
    root.path = model_.root_path();
    root.label = root.path;
    Visit(std::move(root));
    while (!stack_.empty()) {
      Frame& top = stack_.back();
      if (top.next + 1 >= top.rows.size()) {
        stack_.pop_back();
      } else {
        Visit(Row(top, top.next++));
      }
    }
  }

 private:
  void Visit(Group group) {
    if (!visit_(group) || model_.nodes()[group.members[0]].child_count == 0) return;
    Frame frame;
    for (const uint32_t member : group.members) {
      const Model::Node& node = model_.nodes()[member];
      std::vector<uint32_t> kept;
      for (uint32_t k = 0; k < node.child_count; ++k) {
        if (model_.nodes()[node.first_child + k].keep) kept.push_back(node.first_child + k);
      }
      frame.children.push_back(std::move(kept));
    }
    frame.group = std::move(group);
    Arrange(&frame);
    stack_.push_back(std::move(frame));
  }

  // Which numbers behind which stems have a fixed width, since some have zeros in front.
  std::set<std::pair<std::string_view, size_t>> Padded(
      const std::vector<uint32_t>& children) const {
    std::set<std::pair<std::string_view, size_t>> padded;
    Numbered key;
    for (const uint32_t child : children) {
      if (collapse_ && SplitNumber(model_.Key(child), &key) && key.padded) {
        padded.emplace(key.stem, key.digits);
      }
    }
    return padded;
  }

  // Sorts the positions of the children by the row in which they are shown.
  void Arrange(Frame* frame) const {
    const std::vector<uint32_t>& children = frame->children[0];
    std::map<std::tuple<uint32_t, bool, std::string_view, size_t>, uint32_t> known;
    const std::set<std::pair<std::string_view, size_t>> padded = Padded(children);
    std::vector<uint32_t> row_of;
    uint32_t count = 0;
    for (const uint32_t child : children) {
      Numbered key;
      uint32_t row = count;
      if (collapse_ && SplitNumber(model_.Key(child), &key)) {
        const bool numbered = model_.nodes()[child].numbered;
        const bool fixed = !padded.empty() && padded.count({key.stem, key.digits}) != 0;
        row = known.try_emplace({forms_[child], numbered, key.stem, fixed ? key.digits : 0}, row)
                  .first->second;
      }
      if (row == count) ++count;
      row_of.push_back(row);
    }
    frame->rows.assign(size_t{count} + 1, 0);
    for (const uint32_t row : row_of) ++frame->rows[row + 1];
    for (uint32_t r = 0; r < count; ++r) frame->rows[r + 1] += frame->rows[r];
    std::vector<uint32_t> at(frame->rows.begin(), frame->rows.end() - 1);
    frame->order.resize(children.size());
    for (uint32_t k = 0; k < row_of.size(); ++k) frame->order[at[row_of[k]]++] = k;
  }

  Group Row(const Frame& frame, size_t row) const {
    Group group;
    std::vector<uint64_t> numbers;
    Numbered key;
    size_t width = 0;
    for (const std::vector<uint32_t>& children : frame.children) {
      for (uint32_t i = frame.rows[row]; i < frame.rows[row + 1]; ++i) {
        group.members.push_back(children[frame.order[i]]);
      }
    }
    const size_t siblings = frame.rows[row + 1] - frame.rows[row];
    for (size_t i = 0; siblings > 1 && i < siblings; ++i) {
      SplitNumber(model_.Key(group.members[i]), &key);
      numbers.push_back(key.number);
      if (key.padded) width = key.digits;
    }
    group.label = siblings == 1
                      ? std::string(model_.Key(group.members[0]))
                      : std::string(key.stem) + "[" + Ranges(std::move(numbers), width) + "]";
    const std::string& above = frame.group.path;
    group.path = above.empty() ? group.label : above + "/" + group.label;
    group.depth = frame.group.depth + 1;
    return group;
  }

  const Model& model_;
  const bool collapse_;
  const std::function<bool(const Group&)>& visit_;
  std::vector<uint32_t> forms_;
  std::vector<Frame> stack_;
};

}  // namespace

std::string Ranges(std::vector<uint64_t> numbers, size_t width) {
  std::sort(numbers.begin(), numbers.end());
  const auto text = [&numbers, width](size_t i) {
    const std::string digits = std::to_string(numbers[i]);
    return std::string(width > digits.size() ? width - digits.size() : 0, '0') + digits;
  };
  const size_t n = numbers.size();
  std::vector<std::string> ranges;
  for (size_t i = 0; i < n;) {
    size_t end = i + 1;
    while (end < n && numbers[end] == numbers[end - 1] + 1) ++end;
    ranges.push_back(end - i == 1 ? text(i) : text(i) + (end - i == 2 ? "," : "-") + text(end - 1));
    i = end;
  }
  std::string out;
  for (size_t i = 0; i < ranges.size(); ++i) {
    if (ranges.size() > kMostRanges && i == 2) {
      out += ",…";
      i = ranges.size() - 1;
    }
    out += (i == 0 ? "" : ",") + ranges[i];
  }
  return out;
}

void WalkGroups(const Model& model, bool collapse, const std::function<bool(const Group&)>& visit) {
  Walker(model, collapse, visit).Run();
}

}  // namespace treering::cli
