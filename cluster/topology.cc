#include "cluster/topology.h"

#include <algorithm>
#include <cstddef>
#include <map>

#include "cluster/topology_builder.h"

namespace cluster {
namespace {

/// A primary some answer names, by its place in Claims::primaries.
using Candidate = std::uint32_t;
constexpr Candidate kNobody = 0xffffffff;

/// What the answers say, slot by slot. Candidates are numbered over all answers.
struct Claims {
  std::vector<const Node*> primaries;
  std::vector<std::vector<Candidate>> by_answer;  ///< one row per answer, one column per slot

  explicit Claims(std::span<const Topology> answers) {
    std::map<Address, Candidate> numbers;
    for (const auto& answer : answers) {
      auto& row = by_answer.emplace_back(kSlotCount, kNobody);
      for (const auto& shard : answer.shards) {
        const auto next = static_cast<Candidate>(primaries.size());
        const auto [found, is_new] = numbers.try_emplace(shard.primary.address, next);
        if (is_new) primaries.push_back(&shard.primary);
        for (const auto [first, last] : shard.ranges) std::fill_n(&row[first], last - first + 1, found->second);
      }
    }
  }
};

/// Counts the votes for one slot after the other. Only counters that were touched are cleared, so that a slot costs as
/// many steps as there are answers.
class Ballot {
 public:
  explicit Ballot(const Claims& claims) : claims_(claims), votes_(claims.primaries.size(), 0) {}

  /// The candidate most answers name, the first of them on a tie; kNobody when no answer knows the slot.
  [[nodiscard]] Candidate winner(std::uint32_t slot) {
    for_each_vote(slot, [this](Candidate named) { ++votes_[named]; });
    Candidate best = kNobody;
    for_each_vote(slot, [&](Candidate named) {
      if (best == kNobody || votes_[named] > votes_[best]) best = named;
    });
    for_each_vote(slot, [this](Candidate named) { votes_[named] = 0; });
    return best;
  }

 private:
  template <typename Visit>
  void for_each_vote(std::uint32_t slot, Visit visit) {
    for (const auto& row : claims_.by_answer) {
      if (row[slot] != kNobody) visit(row[slot]);
    }
  }

  const Claims& claims_;
  std::vector<std::size_t> votes_;
};

void learn_nodes(TopologyBuilder& builder, std::span<const Topology> answers) {
  for (const auto& answer : answers) {
    for (const auto& shard : answer.shards) {
      builder.learn(shard.primary);
      for (const auto& replica : shard.replicas) builder.learn(replica);
    }
  }
}

/// Gives every shard the builder knows the replicas that any answer lists for its primary.
void add_replicas(TopologyBuilder& builder, std::span<const Topology> answers) {
  for (const auto& answer : answers) {
    for (const auto& shard : answer.shards) {
      const auto winner = builder.find_shard(shard.primary.address);
      if (!winner) continue;
      for (const auto& replica : shard.replicas) builder.add_replica(*winner, replica);
    }
  }
}

}  // namespace

std::uint32_t Shard::slots() const {
  std::uint32_t slots = 0;
  for (const SlotRange range : ranges) slots += range.last - range.first + 1U;
  return slots;
}

std::uint32_t Topology::slots_covered() const {
  std::uint32_t slots = 0;
  for (const Shard& shard : shards) slots += shard.slots();
  return slots;
}

Topology merge_topologies(std::span<const Topology> answers) {
  const Claims claims(answers);
  Ballot ballot(claims);
  TopologyBuilder builder;
  learn_nodes(builder, answers);

  std::vector<std::optional<TopologyBuilder::Index>> shards(claims.primaries.size());  // of the candidates that won
  for (std::uint32_t slot = 0; slot < kSlotCount; ++slot) {
    const auto winner = ballot.winner(slot);
    if (winner == kNobody) continue;
    auto& shard = shards[winner];
    if (!shard) shard = builder.shard_of(*claims.primaries[winner]);
    builder.assign(static_cast<Slot>(slot), *shard);
  }
  add_replicas(builder, answers);
  return builder.build();
}

}  // namespace cluster
