// SPDX-License-Identifier: Apache-2.0
// What the crash tests save: trees by number, their containers, and the check that one came back.
//
// A version is right if its container verifies, loads as the tree that was handed in, and has the
// very bytes that the writer makes of that tree. Equal bytes are equally right, so all this is done
// once for each number; later the bytes are compared.
#include "contents.h"

#include "../container/written.h"
#include "container/container.h"
#include "container/verify.h"
#include "storage/memory.h"
#include "tree/operations.h"

namespace crash {
namespace {

using treering::base::ByteSpan;
using treering::base::Status;
using written::Build;
using written::Key;
using written::Kind;

std::shared_ptr<Build> TreeOf(int number) {
  auto build = std::make_shared<Build>();
  const uint64_t seed = static_cast<uint64_t>(number);
  const uint64_t rows = seed % 3 == 0 ? 3 : 40 * (seed % 5 + 1);
  build->Container(Kind::kDict, {}, 3);
  build->Array(Key::String("kernel"), written::kFloat32, {rows, 4}, seed);
  build->Array(Key::String("bias"), written::kInt32, {4}, seed + 1000);
  build->Leaf(Kind::kString, Key::String("name"), "tree " + std::to_string(number));
  return build;
}

}  // namespace

const Content& Contents::Get(int number) {
  std::unique_ptr<Content>& content = made_[number];
  if (content == nullptr) {
    content = std::make_unique<Content>();
    const std::shared_ptr<Build> build = TreeOf(number);
    content->lent = build;
    content->tree = build->Make();
    written::File file = written::Write(content->tree);
    content->file = std::move(file.bytes);
    content->summary = file.summary;
  }
  return *content;
}

format::ManifestRecord Contents::RecordOf(int number) {
  const container::Summary& summary = Get(number).summary;
  format::ManifestRecord record;
  format::ManifestFile file;
  file.name = "default.ring";
  file.size = summary.file_size;
  treering::base::StoreLe64(file.digest.data(), summary.file.low);
  treering::base::StoreLe64(file.digest.data() + 8, summary.file.high);
  record.files.push_back(std::move(file));
  record.items.push_back({format::kTreeItem, "default"});
  record.metrics.push_back({"number", static_cast<double>(number)});
  record.metadata = "{\"number\":" + std::to_string(number) + "}";
  return record;
}

int Contents::NumberOf(const format::ManifestRecord& record) {
  if (record.metrics.size() != 1 || record.metrics[0].name != "number") return -1;
  const int number = static_cast<int>(record.metrics[0].value);
  return record.metadata == "{\"number\":" + std::to_string(number) + "}" ? number : -1;
}

std::string Contents::Check(const std::shared_ptr<const storage::Region>& region, int number) {
  const Content& content = Get(number);
  const bool equal = region->bytes().text() == ByteSpan(content.file).text();
  if (equal && right_.count(number) != 0) return {};
  auto opened = container::Container::Open(storage::OpenRegion(region, "saved"), {});
  if (!opened.ok()) return std::string(opened.status().message());
  tree::Report report;
  const Status verified = container::Verify(**opened, {}, &report);
  if (!verified.ok()) return std::string(verified.message());
  const auto loaded = (*opened)->Load("default", {});
  if (!loaded.ok()) return std::string(loaded.status().message());
  const tree::Report differences = tree::Compare(content.tree, *loaded, {});
  if (!differences.empty()) return differences.Summary();
  if (!equal) return "other bytes than written";
  right_.insert(number);
  return {};
}

}  // namespace crash
