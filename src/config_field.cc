#include "src/config_field.h"

#include <algorithm>
#include <utility>

#include "src/config_refusal.h"
#include "src/config_scalar.h"

namespace sluice {
namespace {

using Kind = ConfigValue::Kind;

void add_problem(ConfigProblems& problems, const ConfigValue& value, std::string message, std::string place = {}) {
  problems.push_back({value.line, std::move(place), std::move(message)});
}

// The text of a scalar; nullptr and a problem when the value is something else.
const std::string* scalar_of(const ConfigValue& value, ConfigProblems& problems) {
  if (value.is_scalar()) return &value.text;
  const char* message = value.is_list() ? "must be one value, not a list" : "must be one value, not a mapping";
  add_problem(problems, value, value.kind == Kind::kNull ? "has no value" : message);
  return nullptr;
}

// --- text -> field

void read(const ConfigValue& value, const ConfigBound&, bool& field, ConfigProblems& problems) {
  const std::string* text = scalar_of(value, problems);
  if (text == nullptr) return;
  const bool is_bool = *text == "true" || *text == "false";
  if (!is_bool) return add_problem(problems, value, in_quotes(*text) + " is not one of true, false");
  field = *text == "true";
}

// A number of any unit: `parse` reads it, `write` shows the bound in the same unit.
template <class T, class Parse, class Amount>
void read_number(const ConfigValue& value, const ConfigBound& bound, T& field, ConfigProblems& problems, Parse parse,
                 Amount amount_of, std::string_view form) {
  const std::string* text = scalar_of(value, problems);
  if (text == nullptr) return;
  const Scalar<T> scalar = parse(*text);
  if (!scalar.value && scalar.error == ScalarError::kForm) {
    return add_problem(problems, value, in_quotes(*text) + " is not " + std::string(form));
  }
  const bool is_within =
      scalar.value && amount_of(*scalar.value) >= bound.least && amount_of(*scalar.value) <= bound.most;
  if (is_within) {
    field = *scalar.value;
    return;
  }
  const std::string least = ConfigField<T>::write(T(bound.least));
  const std::string most = ConfigField<T>::write(T(bound.most));
  add_problem(problems, value, in_quotes(*text) + " is out of range, " + least + " to " + most);
}

void read(const ConfigValue& value, const ConfigBound& bound, Count& field, ConfigProblems& problems) {
  const auto amount_of = [](Count count) { return std::uint64_t{count}; };
  read_number(value, bound, field, problems, parse_count, amount_of, "a whole number");
}

void read(const ConfigValue& value, const ConfigBound& bound, Bytes& field, ConfigProblems& problems) {
  const auto amount_of = [](Bytes bytes) { return bytes; };
  read_number(value, bound, field, problems, parse_bytes, amount_of, "a size such as 1000, 64kb, 512mb or 1gb");
}

void read(const ConfigValue& value, const ConfigBound& bound, Milliseconds& field, ConfigProblems& problems) {
  const auto amount_of = [](Milliseconds duration) { return static_cast<std::uint64_t>(duration.count()); };
  read_number(value, bound, field, problems, parse_duration, amount_of, "a time such as 500ms, 10s, 3m or 1h");
}

void read(const ConfigValue& value, const ConfigBound&, std::string& field, ConfigProblems& problems) {
  const std::string* text = scalar_of(value, problems);
  if (text == nullptr) return;
  const bool is_clean = std::none_of(text->begin(), text->end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; });
  if (!is_clean) return add_problem(problems, value, "holds a control character");
  field = *text;
}

void read(const ConfigValue& value, const ConfigBound&, Secret& field, ConfigProblems& problems) {
  const std::string* text = scalar_of(value, problems);
  if (text == nullptr) return;
  auto resolved = resolve_secret(*text);
  if (const auto* error = std::get_if<SecretError>(&resolved)) return add_problem(problems, value, error->message);
  field = std::get<Secret>(std::move(resolved));
}

template <class E>
requires std::is_enum_v<E>
void read(const ConfigValue& value, const ConfigBound&, E& field, ConfigProblems& problems) {
  const std::string* text = scalar_of(value, problems);
  if (text == nullptr) return;
  const auto word = parse_word<E>(*text);
  if (!word) return add_problem(problems, value, in_quotes(*text) + " is not one of " + words_of<E>());
  field = *word;
}

void read(const ConfigValue& value, const ConfigBound&, ListenAddress& field, ConfigProblems& problems) {
  const std::string* text = scalar_of(value, problems);
  if (text == nullptr) return;
  auto address = parse_listen_address(*text);
  if (!address) {
    const bool is_path = text->starts_with("unix:/") && text->find('\0') == std::string::npos;
    return add_problem(problems, value,
                       in_quotes(*text) + (is_path ? ": the path is longer than 107 bytes"
                                                   : " is not host:port, [v6]:port or unix:/path"));
  }
  field = *std::move(address);
}

void read(const ConfigValue& value, const ConfigBound&, cluster::Address& field, ConfigProblems& problems) {
  const std::string* text = scalar_of(value, problems);
  if (text == nullptr) return;
  auto address = parse_node_address(*text);
  if (!address) return add_problem(problems, value, in_quotes(*text) + " is not host:port or [v6]:port");
  field = *std::move(address);
}

void read(const ConfigValue& value, const ConfigBound& bound, std::optional<cluster::Address>& field,
          ConfigProblems& problems) {
  if (value.is_scalar() && value.text.empty()) {
    field.reset();
    return;
  }
  cluster::Address address;
  const std::size_t problems_before = problems.size();
  read(value, bound, address, problems);
  if (problems.size() == problems_before) field = std::move(address);
}

// Without the spaces around it.
std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(' ');
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(' ') - first + 1);
}

// The parts of "a, b, c" as scalars of the same line; none for an empty text.
std::vector<ConfigValue> parts_of(const ConfigValue& value) {
  std::vector<ConfigValue> parts;
  std::string_view rest = value.text;
  while (!rest.empty()) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    parts.push_back({Kind::kScalar, value.line, std::string(trimmed(rest.substr(0, comma))), {}, {}});
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  return parts;
}

void read(const ConfigValue& value, const ConfigBound& bound, Listener& field, ConfigProblems& problems) {
  if (!value.is_mapping()) return read(value, bound, field.address, problems);

  bool has_address = false;
  for (const ConfigEntry& entry : value.entries) {
    ConfigProblems inside;
    if (entry.key == "address") {
      has_address = true;
      read(entry.value, bound, field.address, inside);
    } else if (entry.key == "tls") {
      read(entry.value, bound, field.tls, inside);
    } else if (entry.key == "proxy_protocol") {
      read(entry.value, bound, field.proxy_protocol, inside);
    } else {
      inside.push_back({entry.line, "", "unknown key; a listener has address, tls, proxy_protocol"});
    }
    if (auto refusal = refusal_of("listen." + entry.key, entry.value)) add_problem(inside, entry.value, *refusal);
    for (ConfigProblem& problem : inside) problems.push_back({problem.line, "." + entry.key, problem.message});
  }
  if (!has_address) add_problem(problems, value, "has no address");
}

// A list, one scalar, or several in a scalar with commas. The field is set as a whole or not at all.
template <class T>
void read(const ConfigValue& value, const ConfigBound& bound, std::vector<T>& field, ConfigProblems& problems) {
  const bool is_lone_mapping = value.is_mapping() && std::is_same_v<T, Listener>;
  if (!value.is_list() && !is_lone_mapping && scalar_of(value, problems) == nullptr) return;

  const std::vector<ConfigValue> parts = value.is_scalar() ? parts_of(value) : std::vector{value};
  const std::vector<ConfigValue>& items = value.is_list() ? value.items : parts;
  std::vector<T> read_items(items.size());
  const std::size_t problems_before = problems.size();
  for (std::size_t i = 0; i < items.size(); ++i) {
    ConfigProblems inside;
    read(items[i], bound, read_items[i], inside);
    const std::string place = items.size() > 1 || value.is_list() ? "[" + std::to_string(i) + "]" : "";
    for (ConfigProblem& problem : inside) problems.push_back({problem.line, place + problem.place, problem.message});
  }
  if (problems.size() == problems_before) field = std::move(read_items);
}

// "a=b, c=d" as a mapping, for a flag.
ConfigValue mapping_of(const ConfigValue& scalar) {
  ConfigValue mapping{Kind::kMapping, scalar.line, {}, {}, {}};
  for (const ConfigValue& part : parts_of(scalar)) {
    const std::size_t equals = std::min(part.text.find('='), part.text.size());
    ConfigValue to{Kind::kScalar, scalar.line, part.text.substr(std::min(equals + 1, part.text.size())), {}, {}};
    mapping.entries.push_back({part.text.substr(0, equals), std::move(to), scalar.line});
  }
  return mapping;
}

using AddressMap = std::map<cluster::Address, cluster::Address>;

void read(const ConfigValue& value, const ConfigBound& bound, AddressMap& field, ConfigProblems& problems) {
  if (value.is_list()) return add_problem(problems, value, "must be a mapping of host:port to host:port");
  if (!value.is_mapping() && scalar_of(value, problems) == nullptr) return;

  AddressMap map;
  const ConfigValue mapping = value.is_mapping() ? value : mapping_of(value);
  const std::size_t problems_before = problems.size();
  for (const ConfigEntry& entry : mapping.entries) {
    ConfigProblems inside;
    cluster::Address from;
    cluster::Address to;
    read({Kind::kScalar, entry.line, entry.key, {}, {}}, bound, from, inside);
    read(entry.value, bound, to, inside);
    const std::string place = "[" + in_quotes(entry.key) + "]";
    if (inside.empty() && !map.emplace(from, to).second) inside.push_back({entry.line, "", "given twice"});
    for (ConfigProblem& problem : inside) problems.push_back({problem.line, place, problem.message});
  }
  if (problems.size() == problems_before) field = std::move(map);
}

// --- field -> YAML

std::string write(bool field) {
  return field ? "true" : "false";
}
std::string write(Count field) {
  return std::to_string(field);
}
std::string write(Bytes field) {
  return text_of_bytes(field);
}
std::string write(Milliseconds field) {
  return text_of_duration(field);
}
std::string write(const Secret& field) {
  return field.empty() ? "\"\"" : "\"***\"";
}

std::string write(const std::string& field) {
  std::string yaml = "\"";
  for (const char c : field) {
    if (c == '"' || c == '\\') yaml += '\\';
    yaml += c;
  }
  return yaml + "\"";
}

template <class E>
requires std::is_enum_v<E> std::string write(E field) {
  return std::string(word_of(field));
}

std::string write(const ListenAddress& field) {
  return write(field.text());
}
std::string write(const cluster::Address& field) {
  return write(field.text());
}
std::string write(const std::optional<cluster::Address>& field) {
  return write(field ? field->text() : std::string());
}

std::string write(const Listener& field) {
  if (!field.tls && !field.proxy_protocol) return write(field.address);
  return "{address: " + write(field.address) + ", tls: " + write(field.tls) +
         ", proxy_protocol: " + write(field.proxy_protocol) + "}";
}

std::string write(const std::pair<const cluster::Address, cluster::Address>& entry) {
  return write(entry.first) + ": " + write(entry.second);
}

std::string write_items(const auto& items) {
  std::string yaml;
  for (const auto& item : items) yaml += (yaml.empty() ? "" : ", ") + write(item);
  return yaml;
}

template <class T>
std::string write(const std::vector<T>& field) {
  return "[" + write_items(field) + "]";
}

std::string write(const AddressMap& field) {
  return "{" + write_items(field) + "}";
}

}  // namespace

template <class T>
void ConfigField<T>::read(const ConfigValue& value, const ConfigBound& bound, T& field, ConfigProblems& problems) {
  sluice::read(value, bound, field, problems);
}

template <class T>
std::string ConfigField<T>::write(const T& field) {
  return sluice::write(field);
}

template struct ConfigField<bool>;
template struct ConfigField<Count>;
template struct ConfigField<Bytes>;
template struct ConfigField<Milliseconds>;
template struct ConfigField<std::string>;
template struct ConfigField<Secret>;
template struct ConfigField<BackendKind>;
template struct ConfigField<ReadFrom>;
template struct ConfigField<PoolMode>;
template struct ConfigField<Fsync>;
template struct ConfigField<LogLevel>;
template struct ConfigField<LogFormat>;
template struct ConfigField<ListenAddress>;
template struct ConfigField<std::optional<cluster::Address>>;
template struct ConfigField<std::vector<cluster::Address>>;
template struct ConfigField<std::vector<std::string>>;
template struct ConfigField<std::vector<Listener>>;
template struct ConfigField<AddressMap>;

}  // namespace sluice
