// The rules of this house, held by reading its tree: who may include whom, what a dry room may touch, how long a file
// or a function may be. Each rule is a row: what it asks, the function that lists breaches, and small trees that break
// it, so that a rule which has gone blind fails as well. Sources are read as text; no rule needs a compiler's view of
// them.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <map>
#include <ostream>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tests/source_tree.h"

namespace {

using namespace tests;

using Breaches = std::vector<std::string>;

constexpr std::size_t kMaxFileLines = 500;
constexpr std::size_t kMaxFunctionLines = 100;

/// What each room may include, itself among it. Whatever is not named here (tests, bench) may include anything.
const std::map<std::string, Words, std::less<>>& arrows() {
  static const std::map<std::string, Words, std::less<>> kArrows = {
      {"resp", {"resp"}},
      {"cluster", {"cluster", "resp"}},
      {"crdt", {"crdt", "resp"}},
      {"uring", {"uring"}},
      {"pool", {"pool", "uring", "resp"}},
      {"src", {"src", "pool", "uring", "resp", "cluster", "crdt"}},
      {"fuzz", {"fuzz", "resp", "cluster", "crdt"}},
  };
  return kArrows;
}

/// Dry rooms take bytes and time as parameters: none of these may be included there.
constexpr std::string_view kWetHeaders[] = {
    "atomic", "condition_variable", "ctime",      "fcntl.h",  "filesystem", "fstream",
    "future", "iostream",           "mutex",      "netdb.h",  "poll.h",     "pthread.h",
    "random", "shared_mutex",       "semaphore",  "signal.h", "stop_token", "thread",
    "time.h", "unistd.h",           "liburing.h",
};
constexpr std::string_view kWetFolders[] = {"sys/", "netinet/", "linux/", "liburing/"};

bool is_dry(std::string_view room) {
  return room == "resp" || room == "cluster" || room == "crdt";
}

/// Lists each place where `pattern` stands in the code of the files that `applies` picks.
Breaches find_in_code(const Tree& tree, bool (*applies)(const File&), const char* pattern) {
  Breaches breaches;
  for (const File& file : tree) {
    if (!is_source(file) || !applies(file)) continue;
    const std::string code = code_of(file.text);
    for (const Match& match : matches_of(pattern, code))
      breaches.push_back(place(file, match.offset) + ": " + match.text);
  }
  return breaches;
}

// ---- the rules ----

Breaches against_include_arrows(const Tree& tree) {
  const Words paths = paths_of(tree);
  Breaches breaches;
  for (const File& file : tree) {
    const auto allowed = arrows().find(room_of(file.path));
    if (!is_source(file) || allowed == arrows().end()) continue;
    for (const Include& include : includes_of(file, paths)) {
      const std::string room = room_of(include.target);
      const bool is_ours = arrows().contains(room) || paths.contains(include.target);
      if (is_ours && !allowed->second.contains(room)) {
        breaches.push_back(place(file, include.offset) + ": includes " + include.target);
      }
    }
  }
  return breaches;
}

Breaches against_link_arrows(const Tree& tree) {
  Breaches breaches;
  for (const File& file : tree) {
    const auto allowed = arrows().find(room_of(file.path));
    if (!file.path.ends_with("/CMakeLists.txt") || allowed == arrows().end()) continue;
    for (const Match& link : matches_of("(room|target_link_libraries)[ \t]*\\(([^)]*)\\)", file.text, 2)) {
      for (const Match& word : matches_of("[A-Za-z_:]+", link.text)) {
        if (arrows().contains(word.text) && !allowed->second.contains(word.text)) {
          breaches.push_back(place(file, link.offset + word.offset) + ": links " + word.text);
        }
      }
    }
  }
  return breaches;
}

/// In the files that `looks_at`, the includes of what `is_breach`.
Breaches find_includes(const Tree& tree, const std::function<bool(const File&)>& looks_at,
                       const std::function<bool(std::string_view)>& is_breach) {
  Breaches breaches;
  for (const File& file : tree) {
    if (!is_source(file) || !looks_at(file)) continue;
    for (const Include& include : includes_of(file, {})) {
      if (is_breach(include.target))
        breaches.push_back(place(file, include.offset) + ": includes <" + include.target + ">");
    }
  }
  return breaches;
}

Breaches included_sources(const Tree& tree) {
  return find_includes(
      tree, [](const File&) { return true; }, [](std::string_view target) { return target.ends_with(".cc"); });
}

Breaches include_cycles(const Tree& tree) {
  const Words paths = paths_of(tree);
  std::map<std::string, std::vector<std::string>> edges;
  for (const File& file : tree) {
    if (!is_source(file)) continue;
    for (const Include& include : includes_of(file, paths)) edges[file.path].push_back(include.target);
  }
  Breaches breaches;
  std::set<std::string> finished;
  std::vector<std::string> trail;
  const std::function<void(const std::string&)> visit = [&](const std::string& path) {
    const auto seen = std::find(trail.begin(), trail.end(), path);
    if (seen != trail.end()) {
      std::string circle;
      for (auto step = seen; step != trail.end(); ++step) circle += *step + " -> ";
      breaches.push_back(circle + path);
      return;
    }
    if (finished.contains(path)) return;
    trail.push_back(path);
    for (const std::string& next : edges[path]) visit(next);
    trail.pop_back();
    finished.insert(path);
  };
  for (const std::string& path : paths) visit(path);
  return breaches;
}

Breaches wet_includes_in_dry_rooms(const Tree& tree) {
  const auto is_wet = [](std::string_view header) {
    return std::ranges::find(kWetHeaders, header) != std::end(kWetHeaders) ||
           std::ranges::any_of(kWetFolders, [&](std::string_view folder) { return header.starts_with(folder); });
  };
  return find_includes(
      tree, [](const File& file) { return is_dry(room_of(file.path)); }, is_wet);
}

Breaches clock_reads_in_dry_rooms(const Tree& tree) {
  return find_in_code(
      tree, [](const File& file) { return is_dry(room_of(file.path)); },
      "\\b((steady|system|high_resolution|utc|file)_clock|clock_gettime|gettimeofday|std::time|random_device|getenv)"
      "\\b");
}

Breaches long_files(const Tree& tree) {
  Breaches breaches;
  for (const File& file : tree) {
    const std::size_t lines = line_of(file.text, file.text.size()) - 1;
    if (!is_source(file) || is_generated(file) || lines <= kMaxFileLines) continue;
    breaches.push_back(file.path + ": " + std::to_string(lines) + " lines");
  }
  return breaches;
}

/// Whether the text between the last statement and a '{' is the head of a function (and not of a type or a list of
/// values).
bool is_function_head(std::string_view head) {
  const auto type = "^\\s*(template\\s*<[^{}()]*>\\s*)?(class|struct|union|enum|namespace|extern)\\b";
  if (!matches_of(type, head).empty()) return false;
  return head.find('(') != std::string_view::npos && std::ranges::count(head, '(') == std::ranges::count(head, ')');
}

/// Walks the braces of one file. Blocks inside a function belong to it; "{...}" of a member initialiser is followed by
/// ',' or by the body, and leaves the head standing.
Breaches long_functions_of(const File& file) {
  struct Block {
    std::size_t begin;
    bool is_function;
    std::size_t head;
  };
  Breaches breaches;
  const std::string code = code_of(file.text);
  std::vector<Block> blocks;
  std::size_t head = 0;
  for (std::size_t at = 0; at < code.size(); ++at) {
    const bool in_function = std::ranges::any_of(blocks, &Block::is_function);
    if (code[at] == ';' && !in_function) head = at + 1;
    if (code[at] == '{') {
      const std::string_view text = std::string_view(code).substr(head, at - head);
      blocks.push_back({at, !in_function && is_function_head(text), head});
      if (!in_function) head = at + 1;
    }
    if (code[at] != '}') continue;
    if (blocks.empty()) return {file.path + ": the braces do not balance"};
    const Block block = blocks.back();
    blocks.pop_back();
    const std::size_t lines = line_of(code, at) - line_of(code, block.begin) + 1;
    if (block.is_function && lines > kMaxFunctionLines) {
      breaches.push_back(place(file, block.begin) + ": a function of " + std::to_string(lines) + " lines");
    }
    const std::size_t next = code.find_first_not_of(" \t\n", at + 1);
    const bool goes_on =
        next != std::string::npos && std::string_view(",{)").find(code[next]) != std::string_view::npos;
    if (!in_function || block.is_function) head = goes_on ? block.head : at + 1;
  }
  if (!blocks.empty()) breaches.push_back(file.path + ": the braces do not balance");
  return breaches;
}

Breaches long_functions(const Tree& tree) {
  Breaches breaches;
  for (const File& file : tree) {
    if (is_source(file) && !is_generated(file))
      std::ranges::copy(long_functions_of(file), std::back_inserter(breaches));
  }
  return breaches;
}

Breaches find_in_text(const Tree& tree, const char* pattern, std::size_t group) {
  Breaches breaches;
  for (const File& file : tree) {
    for (const Match& match : matches_of(pattern, file.text, group)) {
      breaches.push_back(place(file, match.offset) + ": " + match.text);
    }
  }
  return breaches;
}

// The patterns below are written so that they do not find themselves.
Breaches unfinished_marks(const Tree& tree) {
  return find_in_text(tree, "\\b(TO[D]O|FIX[M]E|X[X]X)\\b", 0);
}

Breaches machine_paths(const Tree& tree) {
  return find_in_text(tree, "(^|[^A-Za-z0-9_.}*~-]|-[A-Z])(/(wor[k]|hom[e]|roo[t])/)", 2);
}

Breaches fuzz_targets_without_corpus(const Tree& tree) {
  Breaches breaches;
  for (const File& file : tree) {
    if (!file.path.ends_with("_fuzz.cc")) continue;
    const std::string target = fs::path(file.path).stem().string();
    const std::string noun = target.substr(0, target.rfind("_fuzz"));
    const bool has_corpus = std::ranges::any_of(tree, [&](const File& other) {
      return other.path.starts_with("fuzz/corpus/" + noun + "/") ||
             other.path.starts_with("fuzz/corpus/" + target + "/");
    });
    if (!has_corpus) breaches.push_back(file.path + ": fuzz/corpus/" + noun + " is missing or empty");
  }
  return breaches;
}

Breaches headers_without_promise(const Tree& tree) {
  Breaches breaches;
  for (const File& file : tree) {
    if (!is_header(file)) continue;
    if (!file.text.starts_with("//")) breaches.push_back(file.path + ": does not begin with a comment");
    if (file.text.find("\n#pragma once\n") == std::string::npos) breaches.push_back(file.path + ": no #pragma once");
  }
  return breaches;
}

Breaches misplaced_tests(const Tree& tree) {
  Breaches breaches;
  for (const File& file : tree) {
    if (!file.path.ends_with(".cc")) continue;
    const bool is_test = file.path.ends_with("_test.cc");
    if (folder_of(file.path) == "tests" && !is_test) breaches.push_back(file.path + ": is not named *_test.cc");
    if (room_of(file.path) != "tests" && is_test) breaches.push_back(file.path + ": belongs in tests/");
  }
  return breaches;
}

Breaches using_namespace_in_headers(const Tree& tree) {
  return find_in_code(tree, is_header, "\\busing\\s+namespace\\b");
}

Breaches heavy_calls(const Tree& tree) {
  const auto on_data_path = [](const File& file) {
    return arrows().contains(room_of(file.path)) && room_of(file.path) != "fuzz";
  };
  return find_in_code(tree, on_data_path, "\\b(std::function|co_await|co_yield|co_return)\\b");
}

// ---- the table ----

struct Rule {
  std::string name;
  std::string promise;
  Breaches (*breaches)(const Tree&);
  std::vector<Tree> broken;  ///< each breaks the rule exactly once

  friend void PrintTo(const Rule& rule, std::ostream* out) { *out << rule.promise; }
};

std::string lines(std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) text += "  call();\n";
  return text;
}

std::vector<Rule> rules() {
  const std::string long_body = "{\n" + lines(kMaxFunctionLines) + "}\n";
  const std::string slash = "/", to = "TO", me = "ME", xx = "XX";  // in parts, lest this file breaks the rules
  return {
      {"IncludesFollowTheArrows",
       "a room includes only what section 1 of the design allows",
       against_include_arrows,
       {{{"resp/a.cc", "#include \"cluster/slot_map.h\"\n"}},
        {{"pool/a.cc", "// text\n#include <cluster/slot_map.h>\n"}},
        {{"uring/a.cc", "#  include \"../pool/b.h\"\n"}, {"pool/b.h", ""}},
        {{"fuzz/a_fuzz.cc", "#include \"src/config.h\"\n"}},
        {{"cluster/a.cc", "#include \"resp/a.h\"\n#include <string>\n\n#include \"src/b.h\"\n"}},
        {{"src/a.cc", "#include \"tests/a.h\"\n"}, {"tests/a.h", ""}}}},
      {"LinksFollowTheArrows",
       "a room's CMakeLists.txt links only what it may include",
       against_link_arrows,
       {{{"resp/CMakeLists.txt", "room(resp\n  cluster)\n"}},
        {{"pool/CMakeLists.txt", "room(pool uring resp)\ntarget_link_libraries(pool PUBLIC cluster)\n"}}}},
      {"NoIncludeCycle",
       "files do not include each other in a circle",
       include_cycles,
       {{{"resp/a.h", "#include \"resp/b.h\"\n"}, {"resp/b.h", "#include \"a.h\"\n"}},
        {{"src/a.h", "#include \"src/a.h\"\n"}}}},
      {"NobodyIncludesASource",
       "a .cc is compiled, not included",
       included_sources,
       {{{"pool/a.cc", "#include \"pool/b.cc\"\n"}}, {{"tests/a_test.cc", "#include <src/b.cc>\n"}}}},
      {"DryRoomsIncludeNothingWet",
       "resp, cluster and crdt know no descriptor, thread, file or clock",
       wet_includes_in_dry_rooms,
       {{{"resp/a.cc", "#include <sys/socket.h>\n"}}, {{"crdt/a.h", "#include <string>\n#include <thread>\n"}}}},
      {"DryRoomsReadNoClock",
       "resp, cluster and crdt take time and chance as parameters",
       clock_reads_in_dry_rooms,
       {{{"crdt/a.cc", "auto t = std::chrono::steady_clock::now();\n"}},
        {{"cluster/a.cc", "char c = '\"'; int n = 1'000; std::random_device r;\n"}}}},
      {"FilesAreShort",
       "no .h or .cc has more than 500 lines, but generated ones",
       long_files,
       {{{"src/a.cc", lines(kMaxFileLines + 1)}}}},
      {"FunctionsAreShort",
       "no function has more than 100 lines",
       long_functions,
       {{{"src/a.cc", "namespace src {\nvoid f() " + long_body + "}\n"}},
        {{"src/a.cc", "class A {\n  A() : a_{1}, b_(2) " + long_body + "};\n"}},
        {{"src/a.cc", "void f(A a = {}, B b = {}) " + long_body}},
        {{"src/a.cc", "template <class T>\nauto f(T t) -> int " + long_body}},
        {{"src/a.cc", "const int k[] = {1};\nchar c = '{'; auto s = R\"x(\"{)x\"; TEST(A, B) " + long_body}},
        {{"src/a.cc", "void f() {\n"}}}},
      {"NothingIsUnfinished",
       "what is left to do is not left in the text",
       unfinished_marks,
       {{{"docs/a.md", to + "DO: write this\n"}},
        {{"src/a.cc", "// FIX" + me + "\n"}},
        {{"src/a.cc", "// X" + xx + "\n"}}}},
      {"NoMachinePaths",
       "no text names a folder of one machine",
       machine_paths,
       {{{"docs/a.md", "see " + slash + "work/notes\n"}}, {{"scripts/a", "cd \"" + slash + "home/me\"\n"}}}},
      {"FuzzTargetsHaveACorpus",
       "each fuzz/<noun>_fuzz.cc has seeds in fuzz/corpus/<noun>",
       fuzz_targets_without_corpus,
       {{{"fuzz/a_fuzz.cc", ""}, {"fuzz/corpus/ab/1", ""}}}},
      {"HeadersArePromises",
       "a header begins with a comment that says what it is, then #pragma once",
       headers_without_promise,
       {{{"resp/a.h", "\n#pragma once\n"}}, {{"resp/a.h", "// A noun.\n#include <string>\n"}}}},
      {"TestsHaveTheirPlace",
       "tests are tests/<noun>_test.cc and stand nowhere else",
       misplaced_tests,
       {{{"tests/a.cc", ""}}, {{"resp/a_test.cc", ""}}}},
      {"HeadersImportNoNamespace",
       "no `using namespace` in a header",
       using_namespace_in_headers,
       {{{"resp/a.h", "using  namespace std;  // using namespace std\n"}}}},
      {"DataPathIsPlain",
       "no std::function and no coroutine in a room",
       heavy_calls,
       {{{"pool/a.h", "std::function<void()> done_;  // not a std::function\n"}},
        {{"src/a.cc", "auto text = \"co_await\"; co_await x;\n"}}}},
  };
}

std::string listed(const Breaches& breaches) {
  std::string text;
  for (const std::string& breach : breaches) text += "  " + breach + "\n";
  return text;
}

class Tidy : public testing::TestWithParam<Rule> {};

TEST_P(Tidy, IsKept) {
  static const Tree kHouse = read_tree(SLUICE_SOURCE_DIR);
  ASSERT_TRUE(paths_of(kHouse).contains("CMakeLists.txt")) << "not the top of the tree: " SLUICE_SOURCE_DIR;
  const Breaches breaches = GetParam().breaches(kHouse);
  EXPECT_TRUE(breaches.empty()) << "The rule: " << GetParam().promise << ".\n" << listed(breaches);
}

TEST_P(Tidy, CanFail) {
  for (const Tree& tree : GetParam().broken) {
    const Breaches breaches = GetParam().breaches(tree);
    EXPECT_EQ(breaches.size(), 1U) << tree.front().path << ": " << tree.front().text << "\n" << listed(breaches);
  }
}

INSTANTIATE_TEST_SUITE_P(House, Tidy, testing::ValuesIn(rules()),
                         [](const testing::TestParamInfo<Rule>& rule) { return rule.param.name; });

}  // namespace
