// The promises of a session, held against scripted nodes that answer late, move slots and break connections: every
// request gets one reply, its own, in its place, and a client reads what it wrote. Clients write keys of their own, so
// each knows what every reply may say.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <ranges>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "resp/writer.h"
#include "src/config.h"
#include "tests/support/blocking_client.h"
#include "tests/support/fake_cluster.h"
#include "tests/support/proxy.h"

namespace sluice {
namespace {

using std::chrono::steady_clock;
using tests::BlockingClient;
using tests::FakeCluster;

constexpr std::size_t kTags = 8;

std::string tag(std::size_t index) {
  return "{tag" + std::to_string(index) + "}";
}

std::vector<cluster::Slot> slots_of_tags() {
  std::vector<cluster::Slot> slots;
  for (std::size_t i = 0; i < kTags; ++i) slots.push_back(cluster::key_slot(tag(i)));
  return slots;
}

/// What a key may hold; one value as long as no write's fate is unknown.
using Possible = std::set<std::optional<std::string>>;

/// A client that pipelines random commands and judges every reply.
class Judge {
 public:
  Judge(BlockingClient client, std::size_t id, std::uint32_t seed, bool errors_allowed, bool pairs, bool large)
      : name_("c" + std::to_string(id)),
        random_(seed),
        errors_allowed_(errors_allowed),
        pairs_(pairs),
        large_(large),
        client_(std::move(client)) {
    const bool resp3 = id % 2 == 1;
    if (client_.command({"HELLO", resp3 ? "3" : "2"}).is_error()) throw std::runtime_error("HELLO was refused");
  }

  /// Until the deadline or the first wrong reply.
  void run(steady_clock::time_point deadline) {
    while (steady_clock::now() < deadline && verdict_.empty()) {
      if (issued_.size() < kMostOutstanding && random_() % 4 == 0) send_burst();
      if (!issued_.empty()) judge_next();
    }
    while (!issued_.empty() && verdict_.empty()) judge_next();
    // Nothing may come that nobody asked for.
    if (verdict_.empty() && client_.command({"ECHO", "the end"}).text != "the end") verdict_ = "an extra reply";
  }

  /// When the oldest request was sent that waits for its reply; now when none does. Thread: any.
  [[nodiscard]] steady_clock::time_point oldest() const {
    const steady_clock::duration since = oldest_;
    return since == steady_clock::duration::max() ? steady_clock::now() : steady_clock::time_point(since);
  }
  [[nodiscard]] const std::string& verdict() const { return verdict_; }
  [[nodiscard]] std::size_t judged() const { return judged_; }
  [[nodiscard]] std::size_t errors() const { return errors_; }

 private:
  using Words = std::vector<std::string>;
  struct Issued {
    Words words;
    steady_clock::time_point sent;
  };
  static constexpr std::size_t kMostOutstanding = 64;

  std::string key(std::size_t of_tag, std::size_t number) const {
    return tag(of_tag) + name_ + "k" + std::to_string(number);
  }
  std::string any_key() { return key(random_() % kTags, random_() % 3); }
  std::string new_value() {
    const std::size_t filling = large_ && random_() % 8 == 0 ? random_() % 200'000 : random_() % 64;
    return name_ + "-" + std::to_string(++values_) + std::string(filling, '.');
  }

  /// Two to four different keys: of one slot, of as many slots, or any. Those of one slot meet TRYAGAIN while it moves.
  Words several_keys() {
    std::vector<std::string> keys;
    const std::size_t of_tag = random_() % kTags;
    const std::size_t spread = pairs_ ? random_() % 3 : 1;
    for (std::size_t i = 0, count = 2 + random_() % 3; i < count; ++i) {
      if (spread == 0) keys.push_back(key(of_tag, i));
      if (spread == 1) keys.push_back(key((of_tag + i) % kTags, random_() % 3));
      if (spread == 2) keys.push_back(key((of_tag + random_() % 2) % kTags, i));
    }
    return keys;
  }

  Words random_command() {
    switch (random_() % 10) {
      case 0:
        return {"ECHO", new_value()};
      case 1:
        return {"INCR", tag(random_() % kTags) + name_ + "count"};
      case 2: {
        Words words{"DEL"};
        for (std::string& each : several_keys()) words.push_back(std::move(each));
        return words;
      }
      case 3: {
        Words words{"MSET"};
        for (std::string& each : several_keys()) words.insert(words.end(), {std::move(each), new_value()});
        return words;
      }
      case 4:
      case 5: {
        Words words{"MGET"};
        for (std::string& each : several_keys()) words.push_back(std::move(each));
        return words;
      }
      case 6:
      case 7:
        return {"SET", any_key(), new_value()};
      default:
        return {"GET", any_key()};
    }
  }

  /// One to twelve requests, cut into pieces anywhere.
  void send_burst() {
    std::string bytes;
    const steady_clock::time_point now = steady_clock::now();
    if (issued_.empty()) oldest_ = now.time_since_epoch();
    for (std::size_t i = 1 + random_() % 12; i > 0; --i) {
      const Words& words = issued_.emplace_back(random_command(), now).words;
      resp::write_request(bytes, std::vector<std::string_view>(words.begin(), words.end()));
    }
    const std::size_t middle = random_() % bytes.size();
    client_.send(std::string_view(bytes).substr(0, middle));
    client_.send(std::string_view(bytes).substr(middle));
  }

  void judge_next() {
    const resp::Value reply = client_.read();
    const Words words = std::move(issued_.front().words);
    issued_.pop_front();
    oldest_ = issued_.empty() ? steady_clock::duration::max() : issued_.front().sent.time_since_epoch();
    ++judged_;
    const bool good = reply.is_error() ? bear_error(words, reply.text) : judge(words, reply);
    if (good) return;
    verdict_ = "reply " + std::to_string(judged_) + " of " + name_ + ", to";
    for (const std::string& word : words) verdict_ += " " + word;
    verdict_ += ": '" + reply.text + "' integer " + std::to_string(reply.integer);
    for (const resp::Value& each : reply.elements) verdict_ += " [" + each.text + "]";
  }

  Possible& possible(const std::string& of_key) {
    return known_.try_emplace(of_key, Possible{std::nullopt}).first->second;
  }

  /// The key is seen to hold this.
  bool see(const std::string& of_key, const resp::Value& value) {
    if (!value.is_null() && !value.is_string()) return false;
    const auto seen = value.is_null() ? std::nullopt : std::optional(value.text);
    Possible& values = possible(of_key);
    if (!values.contains(seen)) return false;
    values = {seen};
    return true;
  }

  bool judge(const Words& words, const resp::Value& reply) {
    const std::string& command = words[0];
    if (command == "ECHO") return reply.text == words[1];
    if (command == "GET") return see(words[1], reply);
    if (command == "INCR") return judge_increment(words[1], reply);
    if (command == "DEL") return judge_removal(words, reply);
    if (command == "MGET") {
      bool good = reply.elements.size() == words.size() - 1;
      for (std::size_t i = 0; good && i < reply.elements.size(); ++i) good = see(words[i + 1], reply.elements[i]);
      return good;
    }
    for (std::size_t i = 1; i < words.size(); i += 2) possible(words[i]) = {words[i + 1]};
    return reply.text == "OK";
  }

  bool judge_increment(const std::string& of_key, const resp::Value& reply) {
    const bool good = std::ranges::any_of(possible(of_key), [&](const std::optional<std::string>& value) {
      return (value ? std::stoll(*value) : 0) + 1 == reply.integer;
    });
    possible(of_key) = {std::to_string(reply.integer)};
    return good && reply.type == resp::Type::kInteger;
  }

  bool judge_removal(const Words& words, const resp::Value& reply) {
    std::int64_t least = 0;
    std::int64_t most = 0;
    for (std::size_t i = 1; i < words.size(); ++i) {
      Possible& values = possible(words[i]);
      least += values.contains(std::nullopt) ? 0 : 1;
      most += values == Possible{std::nullopt} ? 0 : 1;
      values = {std::nullopt};
    }
    return reply.type == resp::Type::kInteger && reply.integer >= least && reply.integer <= most;
  }

  /// Broken connections leave it open whether a write has run, but only where the error says so.
  bool bear_error(const Words& words, const std::string& error) {
    ++errors_;
    if (errors_allowed_ && error.starts_with("CLUSTERDOWN ")) return true;  // what follows it has run
    if (!errors_allowed_ || !error.starts_with("ERR sluice: ")) return false;
    if (error.starts_with("ERR sluice: the command has not run")) return true;
    const std::string& command = words[0];
    for (std::size_t i = 1; i < words.size(); ++i) {
      Possible& values = possible(words[i]);
      if (command == "DEL") values.insert(std::nullopt);
      if (command == "SET" || command == "MSET") {
        values.insert(words[i + 1]);
        ++i;
      }
      if (command == "INCR") {
        for (const auto& value : Possible(values)) values.insert(std::to_string((value ? std::stoll(*value) : 0) + 1));
      }
    }
    return true;
  }

  std::string name_;
  std::minstd_rand random_;
  bool errors_allowed_;
  bool pairs_;  ///< requests with several keys of one slot too
  bool large_;  ///< some values are larger than the threshold
  BlockingClient client_;
  std::deque<Issued> issued_;
  std::atomic<steady_clock::duration> oldest_ = steady_clock::duration::max();
  std::map<std::string, Possible> known_;
  std::size_t values_ = 0;
  std::size_t judged_ = 0;
  std::size_t errors_ = 0;
  std::string verdict_;
};

struct Trial {
  tests::FakeClusterOptions cluster;
  bool reshard = false;
  bool large = false;          ///< many values are relayed
  bool outages = false;        ///< nodes say CLUSTERDOWN now and then
  bool pairs = true;           ///< requests with several keys of one slot: what follows them waits
  bool oldest_kernel = false;  ///< nothing is used that came after Linux 6.1
};

uring::Features features_of(const Trial& trial) {
  uring::Features features = uring::probe_features().features;
  if (trial.oldest_kernel) {
    features.incremental_buffers = features.limited_receive = false;
  }
  return features;
}

void run_trial(Trial trial) {
  const std::uint32_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::printf("seed %u\n", seed);
  constexpr std::size_t kClients = 6;
  trial.cluster.seed = seed;
  FakeCluster cluster(trial.cluster);
  Config config;
  config.workers = 2;
  config.backend.nodes = {{"127.0.0.1", cluster.port(0)}};
  config.backend.command_timeout = std::chrono::seconds(3);
  if (trial.large) config.large_values.threshold = 20'000;
  const tests::Proxy proxy(config, features_of(trial));
  // A large value that is on its way when its slot moves has to be sent again by the client.
  const bool errors_allowed = trial.cluster.requests_per_cut > 0 || trial.outages || (trial.large && trial.reshard);

  const auto deadline = steady_clock::now() + std::chrono::seconds(3);
  std::vector<std::unique_ptr<Judge>> judges;
  std::vector<std::string> faults(kClients);
  std::vector<std::thread> threads;
  std::atomic<std::size_t> running = kClients;
  for (std::size_t i = 0; i < kClients; ++i) {
    const auto own_seed = seed + static_cast<std::uint32_t>(i);
    judges.push_back(std::make_unique<Judge>(proxy.connect(), i, own_seed, errors_allowed, trial.pairs, trial.large));
  }
  for (std::size_t i = 0; i < kClients; ++i) {
    threads.emplace_back([&judge = *judges[i], &fault = faults[i], &running, deadline] {
      try {
        judge.run(deadline);
      } catch (const std::exception& error) {
        fault = error.what();
      }
      --running;
    });
  }
  // Slots move on until the last reply has come: a request may wait for the end of a move.
  const std::vector<cluster::Slot> slots = slots_of_tags();
  std::minstd_rand random(seed);
  while (running > 0) {
    if (trial.reshard)
      cluster.keyspace().reshard(
          slots, random,
          std::ranges::min(judges | std::views::transform([](const auto& judge) { return judge->oldest(); })));
    if (trial.outages && random() % 16 == 0) {
      cluster.keyspace().set_down(random() % trial.cluster.nodes, random() % 3 == 0);
    }
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 1000));
  }
  for (std::thread& thread : threads) thread.join();

  std::size_t judged = 0;
  std::size_t errors = 0;
  for (std::size_t i = 0; i < kClients; ++i) {
    // A reply that breaks in the middle, after a part of it has gone out, ends its client's connection.
    const bool may_be_closed = trial.large && trial.cluster.requests_per_cut > 0;
    if (!may_be_closed || faults[i] != BlockingClient::kClosed) {
      EXPECT_EQ(faults[i], "") << "client " << i;
    }
    EXPECT_EQ(judges[i]->verdict(), "");
    judged += judges[i]->judged();
    errors += judges[i]->errors();
  }
  std::printf("%zu replies, %zu errors, %zu slots moved, %zu refusals, %zu cuts\n", judged, errors,
              cluster.keyspace().moves(), cluster.keyspace().refusals(), cluster.cuts());
  EXPECT_GT(judged, 500U);
  EXPECT_GE(cluster.keyspace().refusals(), trial.reshard ? 50U : 0U);
  EXPECT_GE(cluster.cuts(), trial.cluster.requests_per_cut > 0 ? 2U : 0U);
  // Nearly all that meet CLUSTERDOWN are sent again.
  if (trial.outages) {
    EXPECT_LT(errors * 10, cluster.keyspace().refusals());
  }
}

TEST(SessionOrder, NodesAnswerLate) {
  run_trial({});
}

TEST(SessionOrder, SlotsMove) {
  run_trial({.cluster = {}, .reshard = true});
}

TEST(SessionOrder, SlotsMoveUnderFullPipelines) {
  run_trial({.cluster = {}, .reshard = true, .pairs = false});
}

TEST(SessionOrder, ConnectionsBreak) {
  run_trial({.cluster = {.requests_per_cut = 200}});
}

TEST(SessionOrder, NodesAreDownForMoments) {
  run_trial({.cluster = {}, .outages = true});
}

TEST(SessionOrder, SlotsMoveAndNodesAreDownForMoments) {
  run_trial({.cluster = {}, .reshard = true, .outages = true});
}

TEST(SessionOrder, ValuesAreRelayed) {
  run_trial({.cluster = {}, .large = true});
}

TEST(SessionOrder, ValuesAreRelayedWhileSlotsMove) {
  run_trial({.cluster = {}, .reshard = true, .large = true});
}

TEST(SessionOrder, ValuesAreRelayedWhileConnectionsBreak) {
  run_trial({.cluster = {.requests_per_cut = 200}, .large = true});
}

TEST(SessionOrder, SlotsMoveAndConnectionsBreak) {
  run_trial({.cluster = {.requests_per_cut = 200}, .reshard = true});
}

TEST(SessionOrder, SlotsMoveOnTheOldestKernel) {
  run_trial({.cluster = {}, .reshard = true, .oldest_kernel = true});
}

TEST(SessionOrder, ValuesAreRelayedOnTheOldestKernel) {
  run_trial({.cluster = {}, .large = true, .oldest_kernel = true});
}

}  // namespace
}  // namespace sluice
