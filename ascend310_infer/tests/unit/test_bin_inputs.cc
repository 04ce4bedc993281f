#include <fstream>

#include "bin_inputs.h"
#include "files.h"
#include "scratch.h"

namespace resnet_zoo {

namespace fs = std::filesystem;

TEST_CASE_FIXTURE(Scratch, "inputs are found and checked") {
  const fs::path root = scratch / "bins";
  fs::create_directories(root);
  for (const char* name : {"a10.bin", "a2.bin", "a02b.bin"}) WriteFile(root / name, std::string(8, 'x'));
  const auto found = FindBinInputs(root.string(), 4, 2);
  CHECK(found.size() == 3);
  CHECK(found[0].result_name == "a2");
  CHECK(found[1].result_name == "a02b");
  CHECK(found[2].samples == 2);
  CHECK_REFUSED(FindBinInputs(root.string(), 3, 2), "has 8 bytes; expected 3 per image, 1 to 2 images");
  CHECK_REFUSED(FindBinInputs(root.string(), 4, 1), "expected 4, one image");
  fs::create_directories(scratch / "empty");
  CHECK_REFUSED(FindBinInputs((scratch / "empty").string(), 4, 1), "no .bin files in");
  const fs::path longest = scratch / "long" / (std::string(240, 'x') + ".bin");
  MakeFolder(longest.parent_path());
  std::ofstream(longest, std::ios::binary) << "1234";
  CHECK_REFUSED(FindBinInputs(longest.string(), 4, 1), "would be too long");
  WriteFile(root / "a2.x.bin", std::string(8, 'x'));
  CHECK_REFUSED(FindBinInputs(root.string(), 4, 2), "would both be named a2");
  CHECK(NaturalLess("a9", "a10"));
  CHECK(!NaturalLess("a10", "a9"));
  CHECK(NaturalLess("a", "a1"));
  CHECK(!NaturalLess("a1", "a1"));
}

}  // namespace resnet_zoo
