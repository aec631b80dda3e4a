// SPDX-License-Identifier: Apache-2.0
// Makes trees safe from their caller's hands while they are written, within a byte budget.
//
// Two threads walk the same list of units, one behind the other: Copy fills units while the budget
// has room, the writer takes leaves out of them and gives units back. Only a unit's hand-over goes
// through the lock; within a unit there is nothing to agree on. Where threads are allowed, Copy
// takes several units at once and shares their bytes out, large leaves in parts.
//
// Invariant: units [0, freed) are gone, [freed, ready) hold copies that the writer may read,
// [ready, reserved) are Copy's own; held is the sum of the sizes of [freed, reserved).
#include "manager/staging.h"

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <string>
#include <utility>

#include "base/parallel.h"
#include "manager/staging_plan.h"

namespace treering::manager {

using base::Code;
using base::Result;
using base::Status;

namespace {

constexpr uint64_t kDefaultBudget = uint64_t{1} << 30;
constexpr uint64_t kUnit = uint64_t{1} << 20;
constexpr uint64_t kPart = uint64_t{8} << 20;           // copied by one thread in one go
constexpr uint64_t kBatchAWorker = uint64_t{32} << 20;  // pays for starting a thread

}  // namespace

struct Staging::Impl {
  class Gate : public container::LeafGate {
   public:
    Gate(Impl* impl, size_t tree) : impl_(impl), tree_(tree) {}
    bool Ready(tree::NodeId leaf, tree::Value* value) override {
      return impl_->Ready(impl_->plan.trees[tree_], leaf, value);
    }
    Status Await(tree::NodeId) override { return impl_->Await(); }
    void AllRead() override { impl_->AllRead(); }

   private:
    Impl* impl_;
    size_t tree_;
  };
  // Bytes of a unit for one thread to copy: part of its only leaf, or all.
  struct Task {
    uint64_t unit;
    const uint8_t* from;  // NULL: all, as StageLeaf does
    uint64_t offset;
    uint64_t size;
  };

  // Copy's side.
  Status CopyAll();
  uint64_t Reserve();
  Status CopyUnits(uint64_t first, uint64_t last);
  Status CopyUnit(const StagedUnit& unit, bool filled);
  void AddTasks(uint64_t unit);
  void Publish(uint64_t last, const Status& status);
  std::string Leaf(const StagedUnit& unit, uint64_t leaf) const;

  // The writer's side.
  bool Ready(const StagedTree& tree, tree::NodeId leaf, tree::Value* value);
  Status Await();
  void AllRead();

  uint64_t FreeBlocks(uint64_t first, uint64_t last);
  void Finish();
  void EndCopy();

  StagingPlan plan;
  StagingOptions options;
  std::vector<Gate> gates;
  std::vector<Task> tasks;

  uint64_t next_leaf = 0;  // the writer's: the one that it has not asked for
  uint64_t next_unit = 0;  // that leaf's
  uint64_t seen_ready = 0;

  std::mutex mutex;
  std::condition_variable changed;
  uint64_t freed = 0;
  uint64_t ready = 0;
  uint64_t reserved = 0;
  uint64_t held = 0;
  uint64_t peak = 0;
  bool copying = false;   // Copy uses [ready, reserved)
  bool finished = false;  // nothing is read any more
  bool given_up = false;  // nothing is copied any more
  bool failed = false;
  Status failure;
};

Status Staging::Impl::CopyAll() {
  for (;;) {
    const uint64_t first = reserved;  // only this thread changes it
    const uint64_t last = Reserve();
    if (last == first) return Status();
    Status status = CopyUnits(first, last);
    Publish(last, status);
    if (!status.ok()) return status;
  }
}

// Waits for room for the next unit, takes further ones for which there is room, and answers where
// they end: the same place if there are none, or they are not needed.
uint64_t Staging::Impl::Reserve() {
  const uint64_t batch = options.threads == 0 ? 0 : kBatchAWorker * (uint64_t{options.threads} + 1);
  std::unique_lock<std::mutex> lock(mutex);
  if (reserved == plan.units.size()) return reserved;
  const auto fits = [this] {
    const uint64_t size = plan.units[reserved].size;
    return held == 0 || (held <= options.budget && size <= options.budget - held);
  };
  changed.wait(lock, [this, &fits] { return finished || given_up || fits(); });
  if (finished || given_up) return reserved;
  uint64_t taken = 0;
  do {
    const uint64_t size = plan.units[reserved++].size;
    held += size;
    taken += size;
  } while (reserved < plan.units.size() && taken < batch && fits());
  peak = std::max(peak, held);
  copying = true;
  return reserved;
}

// Callbacks are called on this thread, so the units that have any come last.
Status Staging::Impl::CopyUnits(uint64_t first, uint64_t last) {
  for (uint64_t i = first; i < last; ++i) {
    StagedUnit& unit = plan.units[i];
    if (unit.block.Allocate(unit.size)) continue;
    return Status(Code::kNoMemory, Leaf(unit, unit.first) + "no memory for a copy of " +
                                       std::to_string(unit.size) +
                                       " bytes; give a smaller budget, or lend the tree");
  }
  if (options.threads != 0) {
    tasks.clear();
    for (uint64_t i = first; i < last; ++i) AddTasks(i);
    TR_RETURN_IF_ERROR(
        base::ParallelFor(options.threads, tasks.size(), [this](uint64_t i, uint32_t) {
          const Task& task = tasks[i];
          const StagedUnit& unit = plan.units[task.unit];
          if (task.from == nullptr) return CopyUnit(unit, false);
          std::memcpy(unit.block.data() + task.offset, task.from + task.offset,
                      static_cast<size_t>(task.size));
          return Status();
        }));
  }
  for (uint64_t i = first; i < last; ++i) {
    if (options.threads == 0) TR_RETURN_IF_ERROR(CopyUnit(plan.units[i], false));
    TR_RETURN_IF_ERROR(CopyUnit(plan.units[i], true));
  }
  return Status();
}

void Staging::Impl::AddTasks(uint64_t i) {
  const StagedUnit& unit = plan.units[i];
  if (unit.size > kPart && unit.last - unit.first == 1) {
    const tree::Value value = plan.trees[unit.tree].source->Get(plan.leaves[unit.first].id).value;
    if (value.form == tree::ValueForm::kData && value.strides == nullptr && !value.one_per_byte) {
      for (uint64_t at = 0; at < unit.size; at += kPart) {
        const auto* const from = static_cast<const uint8_t*>(value.data);
        tasks.push_back({i, from, at, std::min(kPart, unit.size - at)});
      }
      return;
    }
  }
  tasks.push_back({i, nullptr, 0, 0});
}

// Those of its leaves that callbacks fill, or the others.
Status Staging::Impl::CopyUnit(const StagedUnit& unit, bool filled) {
  if (filled && !unit.has_filled) return Status();
  const tree::Tree& source = *plan.trees[unit.tree].source;
  for (uint64_t i = unit.first; i < unit.last; ++i) {
    if (unit.has_filled && plan.leaves[i].filled() != filled) continue;
    Status status = StageLeaf(source, plan.leaves[i], unit.block.data());
    if (!status.ok()) {
      return Status(status.code(), Leaf(unit, i) + std::string(status.message()),
                    status.os_error());
    }
  }
  return Status();
}

// "leaf 'a/b': ".
std::string Staging::Impl::Leaf(const StagedUnit& unit, uint64_t leaf) const {
  return "leaf '" + plan.trees[unit.tree].source->Path(plan.leaves[leaf].id) + "': ";
}

// The units before `last` are copied, or failed.
void Staging::Impl::Publish(uint64_t last, const Status& status) {
  const std::lock_guard<std::mutex> lock(mutex);
  copying = false;
  if (!status.ok()) {
    failed = true;
    failure = status;
  } else {
    ready = last;
  }
  changed.notify_all();
}

bool Staging::Impl::Ready(const StagedTree& tree, tree::NodeId leaf, tree::Value* value) {
  if (next_leaf < tree.first || next_leaf >= tree.last) return true;
  const StagedLeaf& staged = plan.leaves[next_leaf];
  if (staged.id != leaf) return true;
  if (next_unit >= seen_ready) {
    const std::lock_guard<std::mutex> lock(mutex);
    seen_ready = ready;
    if (next_unit >= seen_ready) return false;
  }
  StagedValue(staged, plan.units[next_unit].block.data(), value);
  if (++next_leaf == plan.units[next_unit].last) ++next_unit;
  return true;
}

Status Staging::Impl::Await() {
  std::unique_lock<std::mutex> lock(mutex);
  changed.wait(lock, [this] { return given_up || failed || ready > next_unit; });
  if (ready > next_unit) return Status();
  if (!failed) return Status(Code::kCancelled, "the copy of the tree was given up; save again");
  return failure.ok() ? Status(Code::kNoMemory, "no memory to copy the tree") : failure;
}

// Memory goes back to the system before others may take as much.
void Staging::Impl::AllRead() {
  if (freed >= next_unit) return;
  const uint64_t size = FreeBlocks(freed, next_unit);
  const std::lock_guard<std::mutex> lock(mutex);
  freed = next_unit;
  held -= size;
  changed.notify_all();
}

uint64_t Staging::Impl::FreeBlocks(uint64_t first, uint64_t last) {
  uint64_t size = 0;
  for (uint64_t i = first; i < last; ++i) {
    plan.units[i].block = StagedBlock();
    size += plan.units[i].size;
  }
  return size;
}

void Staging::Impl::Finish() {
  const std::lock_guard<std::mutex> lock(mutex);
  finished = true;
  given_up = true;
  // What is being copied into is freed by who copies.
  const uint64_t last = copying ? ready : reserved;
  if (freed < last) held -= FreeBlocks(freed, last);
  freed = std::max(freed, last);
  changed.notify_all();
}

// However Copy ends: the writer must not wait for what will not come.
void Staging::Impl::EndCopy() {
  {
    const std::lock_guard<std::mutex> lock(mutex);
    if (copying) failed = true;  // left by an exception
    copying = false;
    given_up = true;
    changed.notify_all();
    if (!finished) return;
  }
  Finish();
}

Staging::Staging(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Staging::~Staging() = default;

Result<std::shared_ptr<Staging>> Staging::Create(const std::vector<const tree::Tree*>& trees,
                                                 const StagingOptions& options) {
  auto impl = std::make_unique<Impl>();
  impl->options = options;
  if (options.budget == 0) impl->options.budget = kDefaultBudget;
  // Several units fit, so that both sides have work.
  const uint64_t unit = std::min(kUnit, std::max<uint64_t>(impl->options.budget / 4, 1));
  for (const tree::Tree* tree : trees) {
    TR_RETURN_IF_ERROR(PlanTree(*tree, options.borrow, unit, &impl->plan));
    impl->gates.emplace_back(impl.get(), impl->gates.size());
  }
  return std::shared_ptr<Staging>(new Staging(std::move(impl)));
}

Result<std::shared_ptr<Staging>> Staging::Create(const tree::Tree& tree,
                                                 const StagingOptions& options) {
  return Create(std::vector<const tree::Tree*>{&tree}, options);
}

const tree::Tree& Staging::tree(size_t i) const { return impl_->plan.trees[i].tree; }

container::LeafGate* Staging::gate(size_t i) { return &impl_->gates[i]; }

Status Staging::Copy() {
  struct Ending {
    Impl* impl;
    ~Ending() { impl->EndCopy(); }
  };
  const Ending ending{impl_.get()};
  return impl_->CopyAll();
}

void Staging::Finish() { impl_->Finish(); }

void Staging::GiveUp() {
  const std::lock_guard<std::mutex> lock(impl_->mutex);
  impl_->given_up = true;
  impl_->changed.notify_all();
}

uint64_t Staging::copy_bytes() const {
  uint64_t total = 0;
  for (const StagedUnit& unit : impl_->plan.units) total += unit.size;
  return total;
}

uint64_t Staging::peak_bytes() const {
  const std::lock_guard<std::mutex> lock(impl_->mutex);
  return impl_->peak;
}

}  // namespace treering::manager
