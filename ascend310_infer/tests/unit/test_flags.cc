#include <vector>

#include "flags.h"
#include "scratch.h"

namespace resnet_zoo {

namespace {

struct Parsed {
  std::string text = "default", choice = "a";
  int number = 1;
  bool help = false;
};

Parsed Parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "program");
  Parsed parsed;
  FlagParser parser("Usage");
  parser.AddText("--model_path", "model", &parsed.text);
  parser.AddAlias("--mindir_path", "--model_path");
  parser.AddNumber("--batch", "size", 1, 8, &parsed.number);
  parser.AddChoice("--outfmt", "form", {"a", "b"}, &parsed.choice);
  parsed.help = !parser.Parse(static_cast<int>(arguments.size()), arguments.data());
  return parsed;
}

}  // namespace

TEST_CASE("flags are read, misspelled ones refused") {
  CHECK(Parse({"--model_path", "x", "--batch=8"}).number == 8);
  CHECK(Parse({"--mindir_path=x y"}).text == "x y");
  CHECK(Parse({"--outfmt", "b"}).choice == "b");
  CHECK(Parse({"--batch", "2", "--help"}).help);
  CHECK_REFUSED(Parse({"--bacth", "2"}), "--bacth: unknown flag; did you mean --batch?");
  CHECK_REFUSED(Parse({"--frobnicate", "2"}), "--help lists the flags");
  CHECK_REFUSED(Parse({"--batch", "9"}), "from 1 to 8, got '9'");
  CHECK_REFUSED(Parse({"--batch", "2x"}), "got '2x'");
  CHECK_REFUSED(Parse({"--batch", "99999999999"}), "got '99999999999'");
  CHECK_REFUSED(Parse({"--batch"}), "a value is missing");
  CHECK_REFUSED(Parse({"--outfmt", "c"}), "expected a|b, got 'c'");
  CHECK_REFUSED(Parse({"--batch=1", "--batch=2"}), "given twice");
  CHECK_REFUSED(Parse({"--model_path=1", "--mindir_path=2"}), "given twice");
  CHECK_REFUSED(Parse({"x"}), "not a flag");
}

}  // namespace resnet_zoo
