// Command-line flags: `--name value` or `--name=value`, each at most once.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace resnet_zoo {

class FlagParser {
 public:
  // usage: the first line of --help.
  explicit FlagParser(std::string usage) : usage_(std::move(usage)) {}

  void AddText(const std::string& name, const std::string& help, std::string* value);
  void AddNumber(const std::string& name, const std::string& help, int lowest, int highest, int* value);
  void AddChoice(const std::string& name, const std::string& help, const std::vector<std::string>& choices,
                 std::string* value);
  // Another spelling of a flag.
  void AddAlias(const std::string& alias, const std::string& name);

  // False when --help was asked for. Throws AppError for an unknown flag, a missing or wrong value, a repetition.
  bool Parse(int argc, const char* const* argv);
  bool Given(const std::string& name) const;
  // Usage, flags and, at its end, `footer`.
  std::string Help(const std::string& footer) const;

 private:
  struct Flag {
    std::string name, help;
    std::function<void(const std::string&)> set;
    bool given = false;
  };
  Flag& Find(const std::string& name);

  std::string usage_;
  std::vector<Flag> flags_;
  std::vector<std::pair<std::string, std::string>> aliases_;
};

}  // namespace resnet_zoo
