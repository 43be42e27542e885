// Every row is found under every spelling of its name, and a learned row says what the server said.
#include "resp/command_table.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "resp/value.h"

namespace resp {
namespace {

const Command* find(const CommandTable& table, std::initializer_list<std::string_view> arguments) {
  return table.find(std::span(arguments.begin(), arguments.size()));
}

/// The name as a client may write it: each letter in a case of its own.
std::string in_random_case(std::string_view name) {
  std::string spelled;
  for (const char c : name) {
    const bool upper = c >= 'a' && c <= 'z' && *rc::gen::arbitrary<bool>();
    spelled.push_back(upper ? static_cast<char>(c - 32) : c);
  }
  return spelled;
}

/// The arguments that name a row: one, or container and subcommand.
std::vector<std::string_view> words_of(std::string_view name) {
  const auto bar = name.find('|');
  if (bar == std::string_view::npos) return {name};
  return {name.substr(0, bar), name.substr(bar + 1)};
}

TEST(BuiltinCommands, are_sorted_and_unique) {
  const auto rows = builtin_commands();
  ASSERT_GT(rows.size(), 350U);
  for (std::size_t i = 1; i < rows.size(); ++i) EXPECT_LT(rows[i - 1].name, rows[i].name);
}

TEST(BuiltinCommands, name_containers_of_all_subcommands) {
  const CommandTable table;
  for (const Command& row : builtin_commands()) {
    const auto words = words_of(row.name);
    if (words.size() == 2) {
      const Command* container = table.find_name(words[0]);
      ASSERT_NE(container, nullptr) << row.name;
      EXPECT_TRUE(container->has_subcommands) << row.name;
      // The one that differs from its siblings: it makes a server take its connection for a debugger's.
      const bool debugs = row.name == "script|debug";
      EXPECT_EQ(row.session_class, debugs ? SessionClass::kReplication : container->session_class) << row.name;
    }
    if (row.has_subcommands) {
      EXPECT_TRUE(std::ranges::any_of(builtin_commands(), [&](const Command& other) {
        return other.name.starts_with(std::string(row.name) + "|");
      })) << row.name;
    }
  }
}

TEST(BuiltinCommands, say_what_the_server_says) {
  const CommandTable table;
  const Command* get = table.find_name("get");
  ASSERT_NE(get, nullptr);
  EXPECT_EQ(get->arity, 2);
  EXPECT_TRUE(get->is(kReadOnly));
  EXPECT_FALSE(get->is(kWrite));
  ASSERT_EQ(get->key_specs.size(), 1U);
  EXPECT_EQ(get->key_specs[0].begin_position, 1);

  const Command* del = table.find_name("del");
  ASSERT_NE(del, nullptr);
  EXPECT_EQ(del->request_policy, RequestPolicy::kMultiShard);
  EXPECT_EQ(del->response_policy, ResponsePolicy::kAggSum);
  EXPECT_TRUE(del->accepts_arity(2));
  EXPECT_TRUE(del->accepts_arity(9));
  EXPECT_FALSE(del->accepts_arity(1));

  const Command* xread = table.find_name("xread");
  ASSERT_NE(xread, nullptr);
  EXPECT_EQ(xread->key_specs[0].keyword, "STREAMS");
  EXPECT_EQ(xread->key_specs[0].limit, 2);
}

TEST(BuiltinCommands, know_the_connection_they_need) {
  const CommandTable table;
  const auto class_of = [&](std::string_view name) { return table.find_name(name)->session_class; };
  for (const auto name : {"auth", "hello", "client", "client|setinfo", "client|no-touch", "client|capa",
                          "client|tracking", "select", "quit", "reset", "ping", "echo", "cluster|slots", "asking"}) {
    EXPECT_EQ(class_of(name), SessionClass::kLocal) << name;
  }
  for (const auto name : {"multi", "exec", "discard", "watch", "unwatch"}) {
    EXPECT_EQ(class_of(name), SessionClass::kTransaction) << name;
  }
  for (const auto name : {"blpop", "bzmpop", "wait", "waitaof"}) {
    EXPECT_EQ(class_of(name), SessionClass::kBlocking) << name;
  }
  for (const auto name : {"subscribe", "sunsubscribe", "pubsub|numsub"}) {
    EXPECT_EQ(class_of(name), SessionClass::kPubSub) << name;
  }
  for (const auto name : {"sync", "replicaof", "shutdown", "debug", "restore-asking"}) {
    EXPECT_EQ(class_of(name), SessionClass::kReplication) << name;
  }
  for (const auto name : {"get", "xread", "xreadgroup", "publish", "spublish", "migrate", "script|load", "flushall",
                          "command|docs", "save"}) {
    EXPECT_EQ(class_of(name), SessionClass::kShared) << name;
  }
  EXPECT_EQ(class_of("monitor"), SessionClass::kMonitor);
  // Whatever the server calls blocking is either ours to wait for or one of the two that only may block.
  for (const Command& row : builtin_commands()) {
    const bool may_block = row.name == "xread" || row.name == "xreadgroup";
    EXPECT_EQ(row.is(kBlocking) && !may_block, row.session_class == SessionClass::kBlocking) << row.name;
  }
}

RC_GTEST_PROP(CommandTable, finds_a_row_in_any_case, ()) {
  const CommandTable table;
  const auto rows = builtin_commands();
  const Command& row = rows[*rc::gen::inRange<std::size_t>(0, rows.size())];
  std::vector<std::string> spelled;
  for (const auto word : words_of(row.name)) spelled.push_back(in_random_case(word));
  const std::vector<std::string_view> arguments(spelled.begin(), spelled.end());
  RC_ASSERT(table.find(arguments) == &row);
  RC_ASSERT(table.find_name(in_random_case(row.name)) == &row);
}

RC_GTEST_PROP(CommandTable, finds_exactly_the_rows_of_a_linear_search, ()) {
  const CommandTable table;
  // Real names with a byte changed, cut or added: near misses, of which some are names again.
  const auto rows = builtin_commands();
  std::string name(rows[*rc::gen::inRange<std::size_t>(0, rows.size())].name);
  const auto at = *rc::gen::inRange<std::size_t>(0, name.size());
  switch (*rc::gen::inRange(0, 4)) {
    case 0:
      name[at] = *rc::gen::arbitrary<char>();
      break;
    case 1:
      name.erase(at);
      break;
    case 2:
      name.insert(at, 1, *rc::gen::arbitrary<char>());
      break;
    default:
      name[at] = static_cast<char>(name[at] ^ 0x20);
      break;
  }
  std::string lower = name;
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  const auto row = std::ranges::find(rows, std::string_view(lower), &Command::name);
  RC_ASSERT(table.find_name(name) == (row == rows.end() ? nullptr : &*row));
}

TEST(CommandTable, tells_containers_from_subcommands) {
  const CommandTable table;
  EXPECT_EQ(find(table, {}), nullptr);
  EXPECT_EQ(find(table, {""}), nullptr);
  EXPECT_EQ(find(table, {"CLIENT"}), table.find_name("client"));
  EXPECT_EQ(find(table, {"CLIENT", "SetName", "x"}), table.find_name("client|setname"));
  EXPECT_EQ(find(table, {"client", "nonsense"}), nullptr);
  EXPECT_EQ(find(table, {"client", ""}), nullptr);
  EXPECT_EQ(find(table, {"client|setname", "x"}), nullptr);
  EXPECT_EQ(find(table, {"get", "nonsense"}), table.find_name("get"));
  EXPECT_EQ(find(table, {std::string_view("get\0", 4)}), nullptr);
  EXPECT_EQ(find(table, {std::string(33, 'a')}), nullptr);
  EXPECT_EQ(find(table, {"client", std::string(1000, 'a')}), nullptr);
  // '_' and DEL differ by the bit that tells cases apart.
  EXPECT_EQ(find(table, {"sort\x7fro", "k"}), nullptr);
}

// ---- learned rows ----

Value simple(std::string text) {
  return {Type::kSimpleString, std::move(text), 0, {}};
}
Value number(std::int64_t integer) {
  return {Type::kInteger, {}, integer, {}};
}
Value aggregate(Type type, std::vector<Value> elements) {
  return {type, {}, 0, std::move(elements)};
}
Value list(std::vector<Value> elements) {
  return aggregate(Type::kArray, std::move(elements));
}

/// The two shapes in which servers send sets and maps.
struct Shape {
  Type set;
  Type map;
};
constexpr Shape kResp2Shape = {Type::kArray, Type::kArray};
constexpr Shape kResp3Shape = {Type::kSet, Type::kMap};

Value index_range_spec(Shape shape, std::int64_t index, std::int64_t last_key, std::int64_t key_step) {
  const auto map = [&](std::vector<Value> elements) { return aggregate(shape.map, std::move(elements)); };
  const Value begin = map({simple("index"), number(index)});
  const Value find = map({simple("lastkey"), number(last_key), simple("keystep"), number(key_step),  //
                          simple("limit"), number(0)});
  return map({simple("flags"), aggregate(shape.set, {simple("RO"), simple("access")}),                //
              simple("begin_search"), map({simple("type"), simple("index"), simple("spec"), begin}),  //
              simple("find_keys"), map({simple("type"), simple("range"), simple("spec"), find})});
}

Value description(Shape shape, std::string name, std::vector<Value> flags, std::vector<Value> key_specs,
                  std::vector<Value> subcommands) {
  const Value tips =
      list({simple("request_policy:all_shards"), simple("response_policy:agg_sum"), simple("nondeterministic_output")});
  return list({simple(std::move(name)), number(-3), aggregate(shape.set, std::move(flags)), number(1), number(1),
               number(1), aggregate(shape.set, {}), tips, list(std::move(key_specs)), list(std::move(subcommands))});
}

class Learning : public testing::TestWithParam<Shape> {};
INSTANTIATE_TEST_SUITE_P(BothProtocols, Learning, testing::Values(kResp2Shape, kResp3Shape));

TEST_P(Learning, takes_every_part_of_a_description) {
  CommandTable table;
  const Command* row = table.learn(description(GetParam(), "JSON.MGet", {simple("readonly"), simple("module")},
                                               {index_range_spec(GetParam(), 1, -2, 1)}, {}));
  ASSERT_NE(row, nullptr);
  EXPECT_EQ(row->name, "json.mget");
  EXPECT_EQ(row->arity, -3);
  EXPECT_EQ(row->flags, kReadOnly | kLearned);
  EXPECT_EQ(row->request_policy, RequestPolicy::kAllShards);
  EXPECT_EQ(row->response_policy, ResponsePolicy::kAggSum);
  EXPECT_EQ(row->session_class, SessionClass::kShared);
  ASSERT_EQ(row->key_specs.size(), 1U);
  EXPECT_EQ(row->key_specs[0].begin, KeySpec::Begin::kIndex);
  EXPECT_EQ(row->key_specs[0].find, KeySpec::Find::kRange);
  EXPECT_EQ(row->key_specs[0].last_key, -2);
  EXPECT_EQ(find(table, {"json.MGET", "k", "$"}), row);
}

TEST_P(Learning, brings_subcommands_along) {
  CommandTable table;
  const auto subcommand = [&](std::string name) { return description(GetParam(), std::move(name), {}, {}, {}); };
  const Value container = description(GetParam(), "ft.config", {}, {},
                                      {subcommand("ft.config|get"), subcommand("ft.config|SET"),
                                       subcommand("ft.config|get"), subcommand("elsewhere|get")});
  const Command* row = table.learn(container);
  ASSERT_NE(row, nullptr);
  EXPECT_TRUE(row->has_subcommands);
  EXPECT_EQ(find(table, {"FT.CONFIG", "get"})->name, "ft.config|get");
  EXPECT_EQ(find(table, {"FT.CONFIG", "set"})->name, "ft.config|set");
  EXPECT_EQ(find(table, {"FT.CONFIG", "help"}), nullptr);
  EXPECT_EQ(table.find_name("elsewhere|get"), nullptr);
  EXPECT_EQ(table.learn(container), row);
}

TEST_P(Learning, keeps_what_is_known) {
  CommandTable table;
  const Command* get = table.find_name("get");
  EXPECT_EQ(table.learn(description(GetParam(), "GET", {simple("write")}, {}, {})), get);
  EXPECT_FALSE(get->is(kWrite));
  // A subcommand of a newer server that is about the client's connection stays away from shared connections too.
  const Value client =
      description(GetParam(), "client", {}, {}, {description(GetParam(), "client|newest", {}, {}, {})});
  EXPECT_EQ(table.learn(client), table.find_name("client"));
  ASSERT_NE(find(table, {"client", "NEWEST"}), nullptr);
  EXPECT_EQ(find(table, {"client", "NEWEST"})->session_class, SessionClass::kLocal);
}

TEST_P(Learning, knows_blocking_commands) {
  CommandTable table;
  const Command* row = table.learn(description(GetParam(), "bxpop", {simple("blocking")}, {}, {}));
  ASSERT_NE(row, nullptr);
  EXPECT_EQ(row->session_class, SessionClass::kBlocking);
}

TEST_P(Learning, distrusts_senseless_specifications) {
  CommandTable table;
  const Command* row = table.learn(description(
      GetParam(), "odd", {},
      {index_range_spec(GetParam(), 1, 0, 0), index_range_spec(GetParam(), 1'000'000, 0, 1), number(7)}, {}));
  ASSERT_NE(row, nullptr);
  ASSERT_EQ(row->key_specs.size(), 3U);
  EXPECT_EQ(row->key_specs[0].find, KeySpec::Find::kUnknown);
  EXPECT_EQ(row->key_specs[1].begin, KeySpec::Begin::kUnknown);
  EXPECT_EQ(row->key_specs[2].begin, KeySpec::Begin::kUnknown);
}

TEST(LearningAnyShape, understands_servers_without_key_specifications) {
  CommandTable table;
  const Command* row = table.learn(list({simple("old"), number(-2), list({simple("readonly"), simple("movablekeys")}),
                                         number(2), number(4), number(2), list({})}));
  ASSERT_NE(row, nullptr);
  ASSERT_EQ(row->key_specs.size(), 1U);
  EXPECT_EQ(row->key_specs[0].begin_position, 2);
  EXPECT_EQ(row->key_specs[0].last_key, 2);
  EXPECT_EQ(row->key_specs[0].key_step, 2);
  EXPECT_TRUE(row->key_specs[0].incomplete);
  const Command* keyless = table.learn(list({simple("older"), number(1), list({}), number(0), number(0), number(0)}));
  ASSERT_NE(keyless, nullptr);
  EXPECT_TRUE(keyless->key_specs.empty());
}

TEST(LearningAnyShape, refuses_what_is_no_description) {
  CommandTable table;
  EXPECT_EQ(table.learn(Value{}), nullptr);
  EXPECT_EQ(table.learn(simple("get")), nullptr);
  EXPECT_EQ(table.learn(list({})), nullptr);
  EXPECT_EQ(table.learn(list({number(1), number(1), list({}), number(0), number(0), number(0)})), nullptr);
  EXPECT_EQ(table.learn(description(kResp3Shape, "", {}, {}, {})), nullptr);
  EXPECT_EQ(table.learn(description(kResp3Shape, std::string(40, 'x'), {}, {}, {})), nullptr);
  EXPECT_EQ(table.learn(description(kResp3Shape, "a|b", {}, {}, {})), nullptr);
}

TEST(LearningAnyShape, stops_at_its_bound) {
  CommandTable table;
  std::vector<const Command*> learned;
  for (std::size_t i = 0; i < CommandTable::kMaxLearned; ++i) {
    learned.push_back(table.learn(description(kResp3Shape, "m." + std::to_string(i), {}, {}, {})));
    ASSERT_NE(learned.back(), nullptr);
  }
  EXPECT_EQ(table.learn(description(kResp3Shape, "one.more", {}, {}, {})), nullptr);
  EXPECT_EQ(table.find_name("one.more"), nullptr);
  for (std::size_t i = 0; i < learned.size(); ++i) EXPECT_EQ(table.find_name("M." + std::to_string(i)), learned[i]);
  EXPECT_EQ(find(table, {"get", "k"})->name, "get");
}

}  // namespace
}  // namespace resp
