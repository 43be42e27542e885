#include "resp/command_description.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "resp/command_name.h"

namespace resp {
namespace {

// The places of a description's parts. Redis 6 ends with the categories, Redis 5 before them.
enum Part : std::size_t {
  kName,
  kArity,
  kFlags,
  kFirstKey,
  kLastKey,
  kKeyStep,
  kCategories,
  kTips,
  kKeySpecs,
  kSubcommands
};

/// More than any command has; the bytes come from a server, which may be anything that listens there.
constexpr std::size_t kMaxKeySpecs = 64;

template <typename Meaning>
using Words = std::span<const std::pair<std::string_view, Meaning>>;

constexpr std::pair<std::string_view, std::uint32_t> kFlagWords[] = {
    {"write", kWrite},
    {"readonly", kReadOnly},
    {"denyoom", kDenyOom},
    {"admin", kAdmin},
    {"pubsub", kPubSub},
    {"noscript", kNoScript},
    {"blocking", kBlocking},
    {"loading", kLoading},
    {"stale", kStale},
    {"fast", kFast},
    {"no_auth", kNoAuth},
    {"may_replicate", kMayReplicate},
    {"movablekeys", kMovableKeys},
    {"no_multi", kNoMulti},
    {"allow_busy", kAllowBusy},
    {"no_mandatory_keys", kNoMandatoryKeys},
};

constexpr std::pair<std::string_view, RequestPolicy> kRequestPolicies[] = {
    {"all_nodes", RequestPolicy::kAllNodes},
    {"all_shards", RequestPolicy::kAllShards},
    {"multi_shard", RequestPolicy::kMultiShard},
    {"special", RequestPolicy::kSpecial},
};

constexpr std::pair<std::string_view, ResponsePolicy> kResponsePolicies[] = {
    {"one_succeeded", ResponsePolicy::kOneSucceeded},
    {"all_succeeded", ResponsePolicy::kAllSucceeded},
    {"agg_logical_and", ResponsePolicy::kAggLogicalAnd},
    {"agg_logical_or", ResponsePolicy::kAggLogicalOr},
    {"agg_min", ResponsePolicy::kAggMin},
    {"agg_max", ResponsePolicy::kAggMax},
    {"agg_sum", ResponsePolicy::kAggSum},
    {"special", ResponsePolicy::kSpecial},
};

template <typename Meaning>
Meaning meaning_of(std::string_view word, Words<Meaning> words, Meaning otherwise) {
  const auto found = std::ranges::find(words, word, &std::pair<std::string_view, Meaning>::first);
  return found == words.end() ? otherwise : found->second;
}

/// The elements of part `part`, none when the description ends before it.
std::span<const Value> elements_of(const Value& description, Part part) {
  if (part >= description.elements.size()) return {};
  return description.elements[part].elements;
}

std::uint32_t read_flags(std::span<const Value> words) {
  std::uint32_t flags = 0;
  for (const Value& word : words) flags |= meaning_of(word.text, Words<std::uint32_t>(kFlagWords), std::uint32_t{0});
  return flags;
}

void read_tips(std::span<const Value> tips, Command& row) {
  constexpr std::string_view kRequest = "request_policy:";
  constexpr std::string_view kResponse = "response_policy:";
  for (const Value& tip : tips) {
    const std::string_view text = tip.text;
    if (text.starts_with(kRequest)) {
      row.request_policy =
          meaning_of(text.substr(kRequest.size()), Words<RequestPolicy>(kRequestPolicies), RequestPolicy::kSpecial);
    } else if (text.starts_with(kResponse)) {
      row.response_policy =
          meaning_of(text.substr(kResponse.size()), Words<ResponsePolicy>(kResponsePolicies), ResponsePolicy::kSpecial);
    }
  }
}

/// The integer behind a key of a map when it fits the field; false when it does not.
template <typename Integer>
bool read_integer(const Value& map, std::string_view key, Integer& field) {
  const Value* value = map.find(key);
  if (value == nullptr || value->type != Type::kInteger || !std::in_range<Integer>(value->integer)) return false;
  field = static_cast<Integer>(value->integer);
  return true;
}

/// Type and parameters of one half of a key specification ("begin_search" or "find_keys").
struct Half {
  std::string_view type = "unknown";
  const Value* parameters = nullptr;
};

Half read_half(const Value& spec, std::string_view key) {
  const Value* half = spec.find(key);
  const Value* type = half == nullptr ? nullptr : half->find("type");
  const Value* parameters = half == nullptr ? nullptr : half->find("spec");
  if (type == nullptr || parameters == nullptr) return {};
  return {type->text, parameters};
}

void read_begin(const Half& half, KeySpec& spec, std::string& keyword) {
  if (half.type == "index" && read_integer(*half.parameters, "index", spec.begin_position)) {
    spec.begin = KeySpec::Begin::kIndex;
  } else if (half.type == "keyword" && read_integer(*half.parameters, "startfrom", spec.begin_position)) {
    const Value* word = half.parameters->find("keyword");
    if (word == nullptr || word->text.empty()) return;
    spec.begin = KeySpec::Begin::kKeyword;
    keyword = word->text;
    std::ranges::transform(keyword, keyword.begin(),
                           [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - ('a' - 'A')) : c; });
    spec.keyword = keyword;
  }
}

void read_find(const Half& half, KeySpec& spec) {
  if (half.parameters == nullptr || !read_integer(*half.parameters, "keystep", spec.key_step) || spec.key_step < 1) {
    return;
  }
  if (half.type == "range" && read_integer(*half.parameters, "lastkey", spec.last_key) &&
      read_integer(*half.parameters, "limit", spec.limit)) {
    spec.find = KeySpec::Find::kRange;
  } else if (half.type == "keynum" && read_integer(*half.parameters, "keynumidx", spec.key_num_index) &&
             read_integer(*half.parameters, "firstkey", spec.first_key)) {
    spec.find = KeySpec::Find::kKeyNum;
  }
}

KeySpec read_key_spec(const Value& value, std::string& keyword) {
  KeySpec spec;
  if (const Value* flags = value.find("flags"); flags != nullptr) {
    spec.not_key = std::ranges::find(flags->elements, "not_key", &Value::text) != flags->elements.end();
    spec.incomplete = std::ranges::find(flags->elements, "incomplete", &Value::text) != flags->elements.end();
  }
  read_begin(read_half(value, "begin_search"), spec, keyword);
  read_find(read_half(value, "find_keys"), spec);
  return spec;
}

/// The specification that says what first key, last key and step say; those count from the command's name on, the
/// specification's last key from the first key on.
std::optional<KeySpec> read_legacy_keys(const Value& description, bool movable) {
  const auto part = [&](Part which) { return description.elements[which].integer; };
  KeySpec spec{.begin = KeySpec::Begin::kIndex, .find = KeySpec::Find::kRange, .incomplete = movable};
  if (part(kFirstKey) < 1 || !std::in_range<std::int16_t>(part(kFirstKey))) return std::nullopt;
  if (!std::in_range<std::int16_t>(part(kLastKey))) return std::nullopt;
  if (part(kKeyStep) < 1 || !std::in_range<std::int16_t>(part(kKeyStep))) return std::nullopt;
  spec.begin_position = static_cast<std::int16_t>(part(kFirstKey));
  spec.last_key = static_cast<std::int32_t>(part(kLastKey) < 0 ? part(kLastKey) : part(kLastKey) - part(kFirstKey));
  spec.key_step = static_cast<std::int32_t>(part(kKeyStep));
  return spec;
}

void read_keys(const Value& description, LearnedCommand& command) {
  if (description.elements.size() <= kKeySpecs) {
    const auto spec = read_legacy_keys(description, command.row.is(kMovableKeys));
    if (spec) command.key_specs.push_back(*spec);
  } else {
    const auto specs = elements_of(description, kKeySpecs);
    command.keywords.resize(specs.size());
    for (std::size_t i = 0; i < specs.size(); ++i) {
      command.key_specs.push_back(read_key_spec(specs[i], command.keywords[i]));
    }
  }
  command.row.key_specs = command.key_specs;
}

bool is_description(const Value& value) {
  return value.type == Type::kArray && value.elements.size() > kKeyStep && value.elements[kName].is_string() &&
         value.elements[kArity].type == Type::kInteger && std::in_range<std::int16_t>(value.elements[kArity].integer) &&
         CommandName::of(value.elements[kName].text).has_value() &&
         elements_of(value, kKeySpecs).size() <= kMaxKeySpecs;
}

}  // namespace

std::unique_ptr<LearnedCommand> read_description(const Value& description) {
  if (!is_description(description)) return nullptr;
  auto command = std::make_unique<LearnedCommand>();
  command->name = description.elements[kName].text;
  std::ranges::transform(command->name, command->name.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; });
  command->row.name = command->name;
  command->row.arity = static_cast<std::int16_t>(description.elements[kArity].integer);
  command->row.flags = read_flags(elements_of(description, kFlags)) | kLearned;
  read_tips(elements_of(description, kTips), command->row);
  read_keys(description, *command);
  if (command->row.is(kBlocking)) command->row.session_class = SessionClass::kBlocking;
  return command;
}

std::span<const Value> subcommand_descriptions(const Value& description) {
  return elements_of(description, kSubcommands);
}

}  // namespace resp
