// The cases of tests/unit/test_label_files.py, which holds the Python reader to the same.
#include "label_file.h"

#include <map>

#include "files.h"
#include "scratch.h"

namespace resnet_zoo {

namespace {

using Texts = std::map<std::string, std::string>;

struct Reader : Scratch {
  Texts Read(const std::string& text, const std::vector<std::string>& class_names = {}) const {
    WriteFile(scratch / "labels", text);
    Texts labels;
    for (const auto& [name, label] : ReadLabelFile(scratch / "labels", class_names)) labels[name] = label.text;
    return labels;
  }
};

const std::string kMark = "\xef\xbb\xbf";

}  // namespace

TEST_CASE_FIXTURE(Reader, "numbers in every form") {
  const Texts expected = {{"a b.png", "0"}, {"c.png", "12"}, {"d,e.JPEG", "2"}};
  for (const char* text : {
           "a b.png 0\nc.png 12\nd,e.JPEG 2\n",
           "a b.png 0\r\n\r\nc.png   12\r\nd,e.JPEG 2",
           "\"a b.png\" 0\n\"c.png\" \"12\"\nd,e.JPEG 2\n",
           "a b.png\t0\nc.png\t12\nd,e.JPEG\t2\n",
           "a b.png\t0\nc.png 12\nd,e.JPEG\t2\n",  // no separator of its own in every line
           "a b.png,0\nc.png,12\n\"d,e.JPEG\",2\n",
           "\"a b.png\", \"0\"\n\"c.png\", \"12\"\n\"d,e.JPEG\", \"2\"\n",
           "a b.png;0\nc.png; 12\nd,e.JPEG ;2\n",
           "image,label\na b.png,0\nc.png,12\n\"d,e.JPEG\",2\n",
           "Bild;Klasse\r\na b.png;0\r\nc.png;12\r\nd,e.JPEG;2\r\n",
           "Filename\tClass\na b.png\t0\nc.png\t12\nd,e.JPEG\t2\n",
           "./a b.png 0\n.//c.png 12\n./d,e.JPEG 2\n",
           "{\"a b.png\": 0, \"c.png\": 12,\n \"d,e.JPEG\": 2}",
           "{\"a b.png\": \"0\", \"c.png\": 12, \"d,e.JPEG\": 2}",
       }) {
    CAPTURE(text);
    CHECK(Read(text) == expected);
    CHECK(Read(kMark + text) == expected);
  }
}

TEST_CASE_FIXTURE(Reader, "class names with blanks") {
  const Texts expected = {{"a.png", "golden retriever"}, {"b.png", "class 7"}};
  CHECK(Read("a.png,golden retriever\nb.png,class 7\n") == expected);
  CHECK(Read("file,class\na.png,golden retriever\nb.png,class 7\n") == expected);
  CHECK(Read("a.png\tgolden retriever\nb.png\tclass 7\n") == expected);
  CHECK(Read(R"({"a.png": "golden retriever", "b.png": "class 7"})") == expected);
}

TEST_CASE_FIXTURE(Reader, "a header is what cannot be a label") {
  const std::string table = "bild;tier\na.png;cat\n";
  CHECK(Read(table, {"cat", "dog"}) == Texts{{"a.png", "cat"}});
  CHECK(Read(table) == Texts{{"a.png", "cat"}, {"bild", "tier"}});  // nothing tells that these are no names
  CHECK(Read("x.png;cot\na.png;cat\n", {"cat"}) == Texts{{"x.png", "cot"}, {"a.png", "cat"}});
  CHECK(Read("image;label\n1;cat\n") == Texts{{"1", "cat"}});
}

TEST_CASE_FIXTURE(Reader, "names that are no text keep their bytes") {
  CHECK(Read("\xb9\xb7.png 3\n") == Texts{{"\xb9\xb7.png", "3"}});
}

TEST_CASE_FIXTURE(Reader, "what is wrong is one line") {
  const std::string many(5000, '9');
  CHECK_REFUSED(Read("a.png 0\nb.png 4294967297\n"),
                "line 2: the label of 'b.png' must be a class number from 0 to 16777215, got 42");
  CHECK_REFUSED(Read("a.png 2000000000\n"), "line 1: the label of 'a.png' must be");
  CHECK_REFUSED(Read("a.png -1\n"), "line 1: the label of 'a.png' must be");
  CHECK_REFUSED(Read("a.png " + many), "line 1: the label of 'a.png' must be");
  CHECK_REFUSED(Read(R"({"a.png": 4294967297})"), "the label of 'a.png' must be a class number from 0");
  CHECK_REFUSED(Read(R"({"a.png": -1})"), "got -1");
  CHECK_REFUSED(Read(R"({"a.png": )" + many + "}"), "expected a JSON object");
  CHECK_REFUSED(Read(R"({"a.png": 1.5})"), "the label of 'a.png' is number; it must be a class number or name");
  CHECK_REFUSED(Read(R"({"a.png": true})"), "is boolean");
  CHECK_REFUSED(Read(R"({"a.png": null})"), "is null");
  CHECK_REFUSED(Read(R"({"a.png": {"b": 1}})"), "is object");
  CHECK_REFUSED(Read(R"({"a.png": 1, "a.png": 2})"), "'a.png' has a label already");
  std::string nested;
  for (int i = 0; i < 100000; ++i) nested += "{\"a\": ";
  CHECK_REFUSED(Read(nested), "expected a JSON object");
  CHECK_REFUSED(Read(R"({"a.png": )" + std::string(900, '[') + std::string(900, ']') + "}"), "is array");
  CHECK_REFUSED(Read("{}"), "expected a JSON object");
  CHECK_REFUSED(Read("\n\n"), "holds no labels");
  CHECK_REFUSED(Read("image,label\n"), "holds no labels");
  CHECK_REFUSED(Read("a.png 0\na.png 1\n"), "line 2: 'a.png' has a label already");
  CHECK_REFUSED(Read("a.png 0\n./a.png 1\n"), "line 2: 'a.png' has a label already");
  CHECK_REFUSED(Read("../../a.png 0\n"), "line 1: '../../a.png' leads out");
  CHECK_REFUSED(Read("b/../../a.png 0\n"), "line 1");
  CHECK_REFUSED(Read("/etc/passwd 0\n"), "line 1: '/etc/passwd' leads out");
  CHECK_REFUSED(Read("a.png,0\nb.png\n"), "line 2: expected 'image-name label', got 'b.png'");
  CHECK_REFUSED(Read("a.png,0,train\nb.png,1,val\n"), "line 1: expected 'image-name label'");
  CHECK_REFUSED(Read("\"a.png,0\n\"b.png,1\n"), "line 1: expected 'image-name label'");
  CHECK_REFUSED(Read("a.png,\nb.png,1\n"), "line 1: expected");
  CHECK_REFUSED(Read(std::string("\xff\xfe"
                                 "a\0\x20\0",
                                 6)),
                "is not UTF-8 text");
}

}  // namespace resnet_zoo
