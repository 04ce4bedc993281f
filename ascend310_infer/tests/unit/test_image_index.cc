#include "files.h"
#include "image_index.h"
#include "scratch.h"

namespace resnet_zoo {

namespace fs = std::filesystem;

TEST_CASE("names of results") {
  using Names = std::vector<std::string>;
  CHECK((ResultNames({"a.jpg", "n/b.c.png"}) == Names{"a", "b.c"}));
  CHECK((ResultNames({"n01/a.jpg", "n02/a.jpg", "n02/b.jpg"}) == Names{"n01__a", "n02__a", "b"}));
  CHECK((ResultNames({"n01/a.jpg", "n01/a.png"}) == Names{"n01__a.jpg", "n01__a.png"}));
  CHECK_REFUSED(ResultNames({"n/a.jpg", "m/a.jpg", "n__a.jpg"}), "'n/a.jpg' and 'n__a.jpg' would both be named n__a");
  CHECK(ResultNames({std::string(239, 'x') + ".jpg"}).size() == 1);
  CHECK_REFUSED(ResultNames({std::string(240, 'x') + ".jpg"}), "would be too long (240 bytes, the most are 239)");
}

TEST_CASE_FIXTURE(Scratch, "images are found at any depth") {
  const fs::path root = scratch / "images";
  for (const char* name : {"b/x.JPG", "a/deep/y.png", "a/notes.txt", ".hidden/z.jpg", "a/.z.jpg"}) {
    fs::create_directories((root / name).parent_path());
    WriteFile(root / name, std::string("x"));
  }
  fs::create_directory_symlink("..", root / "a" / "loop");
  const ImageIndex index = FindImages(root);
  CHECK((index.files == std::vector<std::string>{"a/deep/y.png", "b/x.JPG"}));
  CHECK(PassedOver(index) == "1 file passed over: 1 .txt");
  fs::create_directory_symlink("../b", root / "a" / "same");  // another class's images are those of this class too
  CHECK((FindImages(root).files == std::vector<std::string>{"a/deep/y.png", "a/same/x.JPG", "b/x.JPG"}));
  CHECK((FindImages(root / "b" / "x.JPG").files == std::vector<std::string>{"x.JPG"}));
  CHECK_REFUSED(FindImages(root / "c"), "no such file or folder");
  fs::create_directories(scratch / "empty");
  CHECK_REFUSED(FindImages(scratch / "empty"), "no images in");
  WriteFile(root / ".prepare.json", std::string("{}"));
  CHECK_REFUSED(FindImages(root), "is filled in part; repeat the command");
}

}  // namespace resnet_zoo
