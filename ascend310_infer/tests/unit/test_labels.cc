#include "files.h"
#include "labels.h"
#include "scratch.h"

namespace resnet_zoo {

TEST_CASE_FIXTURE(Scratch, "labels from folders and files") {
  ModelMeta meta;
  meta.num_classes = 2;
  const ImageIndex folders{"", {"cat/1.jpg", "dog/2.jpg"}, {}};
  CHECK((FindLabels(folders, "", meta).numbers == std::vector<int>{0, 1}));
  meta.class_names = {"dog", "cat"};
  CHECK((FindLabels(folders, "", meta).numbers == std::vector<int>{1, {}}));
  CHECK(FindLabels({"", {"cow/1.jpg"}, {}}, "", meta).missing == "the folder 'cow' is none of the network's classes");
  CHECK(FindLabels({"", {"1.jpg"}, {}}, "", meta).missing.find("pass --label_file") != std::string::npos);
  meta.class_names.clear();
  CHECK(FindLabels({"", {"cow/1.jpg"}, {}}, "", meta).missing == "there are 1 class folders, but the network has 2 classes");

  const ImageIndex flat{"", {"1.jpg", "my cat.jpg"}, {}};
  const auto from = [&](const char* name, const std::string& text) {
    WriteFile(scratch / name, text);
    return FindLabels(flat, scratch / name, meta).numbers;
  };
  CHECK((from("val.txt", "1.jpg 1\r\nmy cat.jpg \t0\n\nother.jpg 7\n") == std::vector<int>{1, {}}));
  CHECK((from("val.json", R"({"1.jpg": 1, "my cat.jpg": 0})") == std::vector<int>{1, {}}));
  WriteFile(scratch / "val.json", std::string(R"({"1.jpg": 1, "2.jpg": 0})"));  // names without folders
  CHECK((FindLabels(folders, scratch / "val.json", meta).numbers == std::vector<int>{1, {}}));
  CHECK_REFUSED(FindLabels({"", {"a/1.jpg", "b/1.jpg"}, {}}, scratch / "val.json", meta), "has no label for 'a/1.jpg'");
  meta.class_names = {"dog", "cat"};
  CHECK((from("val.txt", "1.jpg dog\nmy cat.jpg cat\n") == std::vector<int>{0, 1}));
  CHECK_REFUSED(from("val.txt", "1.jpg dog\nmy cat.jpg 1\n"), "line 2: 'my cat.jpg' has the label '1', which is none of");
  CHECK_REFUSED(from("val.txt", "1.jpg 1\n"), "has no label for 'my cat.jpg'");
  CHECK_REFUSED(from("val.txt", "1.jpg\n"), "line 1: expected 'image-name label', got '1.jpg'");
  CHECK_REFUSED(from("val.txt", "1.jpg 1\n1.jpg 1\n"), "line 2: '1.jpg' has a label already");
  CHECK_REFUSED(from("val.txt", "1.jpg 2\nmy cat.jpg 1\n"), "has the label '2', which is none of the network's 2 classes");
  CHECK_REFUSED(from("val.json", "[1]"), "expected a JSON object");
  CHECK_REFUSED(from("val.json", R"({"1.jpg": 1, "1.jpg": 0})"), "'1.jpg' has a label already");
  CHECK_REFUSED(from("val.json", R"({"1.jpg": true})"), "the label of '1.jpg' is boolean; it must be");
  CHECK_REFUSED(from("val.json", R"({"1.jpg": 1.0})"), "the label of '1.jpg' is number");
  CHECK_REFUSED(from("val.json", R"({"1.jpg": [1]})"), "the label of '1.jpg' is array");
  CHECK_REFUSED(from("val.json", R"({"1.jpg": 4294967297, "my cat.jpg": 0})"),
                "the label of '1.jpg' must be a class number");
  CHECK_REFUSED(FindLabels(flat, scratch / "none", meta), "none: No such file");
}

}  // namespace resnet_zoo
