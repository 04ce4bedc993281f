#include "flags.h"

#include <algorithm>
#include <charconv>
#include <numeric>

#include "app_error.h"

namespace resnet_zoo {

namespace {

// Levenshtein's distance: the letters to change, add or drop.
size_t Distance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0]++;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t changed = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, changed});
    }
  }
  return row.back();
}

std::string Joined(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : "|") + word;
  return text;
}

}  // namespace

void FlagParser::AddText(const std::string& name, const std::string& help, std::string* value) {
  flags_.push_back({name, help, [value](const std::string& text) { *value = text; }});
}

void FlagParser::AddNumber(const std::string& name, const std::string& help, int lowest, int highest, int* value) {
  flags_.push_back({name, help, [=](const std::string& text) {
                      int number = 0;
                      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
                      if (error != std::errc() || end != text.data() + text.size() || number < lowest || number > highest) {
                        throw AppError(name + ": expected a number from " + std::to_string(lowest) + " to " +
                                       std::to_string(highest) + ", got '" + text + "'");
                      }
                      *value = number;
                    }});
}

void FlagParser::AddChoice(const std::string& name, const std::string& help, const std::vector<std::string>& choices,
                           std::string* value) {
  const std::string all = Joined(choices);
  flags_.push_back({name, all + ": " + help, [=](const std::string& text) {
                      if (std::find(choices.begin(), choices.end(), text) == choices.end()) {
                        throw AppError(name + ": expected " + all + ", got '" + text + "'");
                      }
                      *value = text;
                    }});
}

void FlagParser::AddAlias(const std::string& alias, const std::string& name) { aliases_.emplace_back(alias, name); }

FlagParser::Flag& FlagParser::Find(const std::string& name) {
  std::string wanted = name, nearest;
  for (const auto& [alias, target] : aliases_) {
    if (alias == name) wanted = target;
  }
  size_t best = 4;  // further away is no misspelling
  for (auto& flag : flags_) {
    if (flag.name == wanted) return flag;
    const size_t distance = Distance(flag.name, name);
    if (distance < best) {
      best = distance;
      nearest = flag.name;
    }
  }
  throw AppError(name + ": unknown flag; " + (nearest.empty() ? "--help lists the flags" : "did you mean " + nearest + "?"));
}

bool FlagParser::Parse(int argc, const char* const* argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--help" || argument == "-h") return false;
    if (argument.rfind("--", 0) != 0) throw AppError("'" + argument + "': not a flag; flags are written --name value");
    const size_t equals = argument.find('=');
    Flag& flag = Find(argument.substr(0, equals));
    if (flag.given) throw AppError(flag.name + ": given twice");
    flag.given = true;
    if (equals != std::string::npos) {
      flag.set(argument.substr(equals + 1));
    } else if (i + 1 < argc) {
      flag.set(argv[++i]);
    } else {
      throw AppError(flag.name + ": a value is missing");
    }
  }
  return true;
}

bool FlagParser::Given(const std::string& name) const {
  return std::any_of(flags_.begin(), flags_.end(), [&](const Flag& flag) { return flag.name == name && flag.given; });
}

std::string FlagParser::Help(const std::string& footer) const {
  std::string text = usage_ + "\n\n";
  for (const auto& flag : flags_) {
    text += "  " + flag.name + std::string(flag.name.size() < 20 ? 20 - flag.name.size() : 1, ' ') + flag.help + "\n";
  }
  return text + "\n" + footer + "\n";
}

}  // namespace resnet_zoo
