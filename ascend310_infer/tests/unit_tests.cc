// What needs no model: run by ctest. Usage: unit_tests SCRATCH_FOLDER
#include <cmath>
#include <fstream>
#include <functional>
#include <iostream>
#include <thread>

#include "accuracy.h"
#include "app_error.h"
#include "bin_inputs.h"
#include "decode.h"
#include "files.h"
#include "flags.h"
#include "half.h"
#include "image_index.h"
#include "json_texts.h"
#include "labels.h"
#include "latency.h"
#include "ordered_queue.h"
#include "results.h"
#include "sha256.h"
#include "worker_group.h"

namespace fs = std::filesystem;

namespace {

int failures = 0;
fs::path scratch;

#define CHECK(condition) Report((condition), #condition, __LINE__)
#define CHECK_REFUSED(call, part) Report(Refusal([&] { call; }).find(part) != std::string::npos, #call, __LINE__)

void Report(bool good, const char* what, int line) {
  if (good) return;
  ++failures;
  std::cerr << "unit_tests.cc:" << line << ": " << what << "\n";
}

// The message of the AppError that a call throws.
std::string Refusal(const std::function<void()>& call) {
  try {
    call();
  } catch (const AppError& error) {
    return error.what();
  }
  return "nothing was thrown";
}

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

void TestFlags() {
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

void TestHalf() {
  CHECK(HalfToFloat(0x3c00) == 1 && HalfToFloat(0xc500) == -5 && HalfToFloat(0x7bff) == 65504 && HalfToFloat(0) == 0);
  CHECK(HalfToFloat(0x0001) == std::ldexp(1.F, -24) && HalfToFloat(0x0400) == std::ldexp(1.F, -14));
  CHECK(std::isinf(HalfToFloat(0xfc00)) && std::isnan(HalfToFloat(0x7c01)));
}

void TestReason() {
  CHECK(Reason("Exception from a.cpp:84:\nCheck 'x' failed at b.cpp:5:\n  Model can't be parsed \r\n\n") ==
        "Model can't be parsed");
  CHECK(Reason("Exception from a.cpp:84:\n\n") == "Exception from a.cpp:84:");
  CHECK(OneLine("a\nb\tc") == "a?b?c");
  CHECK(Reason("\n one\ntwo") == "one" && Reason(" \n") == "no reason given");
}

void TestFiles() {
  WriteFile(scratch / "a", std::string("one"));
  WriteFile(scratch / "a", std::string("two"));
  const auto bytes = ReadFile(scratch / "a", 3);
  CHECK(std::string(bytes.begin(), bytes.end()) == "two");
  CHECK(std::distance(fs::directory_iterator(scratch), {}) == 1);  // no temporary file is left
  CHECK_REFUSED(ReadFile(scratch / "a", 2), "has 3 bytes, more than the 2");
  CHECK_REFUSED(ReadFile(scratch / "b", 2), "No such file");
  CHECK_REFUSED(ReadFile(scratch, 2), "is no regular file");
  CHECK_REFUSED(WriteFile(scratch / "no" / "b", std::string("x")), "cannot be written: No such file");
  CHECK_REFUSED(MakeFolder(scratch / "a" / "b"), "the folder cannot be made");
}

void TestSha256() {
  const auto digest = [](const std::string& text) {
    WriteFile(scratch / "digest", text);
    return Sha256OfFile(scratch / "digest");
  };
  // FIPS 180-4's examples, and the lengths around a block's end.
  CHECK(digest("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(digest("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(digest("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(digest(std::string(1000000, 'a')) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  CHECK(digest(std::string(1 << 20, 'a')) == "9bc1b2a288b26af7257a36277ae3816a7d4f16e89c1e7e77d0a5c48bad62b360");
}

void TestResultNames() {
  using Names = std::vector<std::string>;
  CHECK((ResultNames({"a.jpg", "n/b.c.png"}) == Names{"a", "b.c"}));
  CHECK((ResultNames({"n01/a.jpg", "n02/a.jpg", "n02/b.jpg"}) == Names{"n01__a", "n02__a", "b"}));
  CHECK((ResultNames({"n01/a.jpg", "n01/a.png"}) == Names{"n01__a.jpg", "n01__a.png"}));
  CHECK_REFUSED(ResultNames({"n/a.jpg", "m/a.jpg", "n__a.jpg"}), "'n/a.jpg' and 'n__a.jpg' would both be named n__a");
  CHECK(ResultNames({std::string(239, 'x') + ".jpg"}).size() == 1);
  CHECK_REFUSED(ResultNames({std::string(240, 'x') + ".jpg"}), "would be too long (240 bytes, the most are 239)");
}

void TestFindImages() {
  const fs::path root = scratch / "images";
  for (const char* name : {"b/x.JPG", "a/deep/y.png", "a/notes.txt", ".hidden/z.jpg", "a/.z.jpg"}) {
    fs::create_directories((root / name).parent_path());
    WriteFile(root / name, std::string("x"));
  }
  fs::create_directory_symlink("..", root / "a" / "loop");
  const ImageIndex index = FindImages(root);
  CHECK((index.files == std::vector<std::string>{"a/deep/y.png", "b/x.JPG"}));
  CHECK(index.passed_over == 1);
  fs::create_directory_symlink("../b", root / "a" / "same");  // another class's images are those of this class too
  CHECK((FindImages(root).files == std::vector<std::string>{"a/deep/y.png", "a/same/x.JPG", "b/x.JPG"}));
  CHECK((FindImages(root / "b" / "x.JPG").files == std::vector<std::string>{"x.JPG"}));
  CHECK_REFUSED(FindImages(root / "c"), "no such file or folder");
  fs::create_directories(scratch / "empty");
  CHECK_REFUSED(FindImages(scratch / "empty"), "no images in");
}

void TestLabels() {
  ModelMeta meta;
  meta.num_classes = 2;
  const ImageIndex folders{"", {"cat/1.jpg", "dog/2.jpg"}, 0};
  CHECK((FindLabels(folders, "", meta).numbers == std::vector<int>{0, 1}));
  meta.class_names = {"dog", "cat"};
  CHECK((FindLabels(folders, "", meta).numbers == std::vector<int>{1, 0}));
  CHECK(FindLabels({"", {"cow/1.jpg"}, 0}, "", meta).missing == "the folder 'cow' is none of the network's classes");
  CHECK(FindLabels({"", {"1.jpg"}, 0}, "", meta).missing.find("pass --label_file") != std::string::npos);
  meta.class_names.clear();
  CHECK(FindLabels({"", {"cow/1.jpg"}, 0}, "", meta).missing == "there are 1 class folders, but the network has 2 classes");

  const ImageIndex flat{"", {"1.jpg", "my cat.jpg"}, 0};
  const auto from = [&](const char* name, const std::string& text) {
    WriteFile(scratch / name, text);
    return FindLabels(flat, scratch / name, meta).numbers;
  };
  CHECK((from("val.txt", "1.jpg 1\r\nmy cat.jpg \t0\n\nother.jpg 7\n") == std::vector<int>{1, 0}));
  CHECK((from("val.json", R"({"1.jpg": 1, "my cat.jpg": 0})") == std::vector<int>{1, 0}));
  WriteFile(scratch / "val.json", std::string(R"({"1.jpg": 1, "2.jpg": 0})"));  // names without folders
  CHECK((FindLabels(folders, scratch / "val.json", meta).numbers == std::vector<int>{1, 0}));
  CHECK_REFUSED(FindLabels({"", {"a/1.jpg", "b/1.jpg"}, 0}, scratch / "val.json", meta), "has no label for 'a/1.jpg'");
  meta.class_names = {"dog", "cat"};
  CHECK((from("val.txt", "1.jpg dog\nmy cat.jpg cat\n") == std::vector<int>{0, 1}));
  CHECK_REFUSED(from("val.txt", "1.jpg 1\n"), "has no label for 'my cat.jpg'");
  CHECK_REFUSED(from("val.txt", "1.jpg\n"), "line 1: expected 'image-name label', got '1.jpg'");
  CHECK_REFUSED(from("val.txt", "1.jpg 1\n1.jpg 1\n"), "line 2: '1.jpg' has a label already");
  CHECK_REFUSED(from("val.txt", "1.jpg 2\nmy cat.jpg 1\n"), "has the label '2', which is none of the network's 2 classes");
  CHECK_REFUSED(from("val.json", "[1]"), "expected a JSON object");
  CHECK_REFUSED(FindLabels(flat, scratch / "none", meta), "--label_file: ");
}

void TestBinInputs() {
  const fs::path root = scratch / "bins";
  fs::create_directories(root);
  for (const char* name : {"a10.bin", "a2.bin", "a02b.bin"}) WriteFile(root / name, std::string(8, 'x'));
  const auto found = FindBinInputs(root.string(), 4, 2);
  CHECK(found.size() == 3 && found[0].result_name == "a2" && found[1].result_name == "a02b" && found[2].samples == 2);
  CHECK_REFUSED(FindBinInputs(root.string(), 3, 2), "has 8 bytes; expected 3 per image, 1 to 2 images");
  CHECK_REFUSED(FindBinInputs(root.string(), 4, 1), "expected 4, one image");
  CHECK_REFUSED(FindBinInputs((scratch / "empty").string(), 4, 1), "no .bin files in");
  const fs::path longest = scratch / "long" / (std::string(240, 'x') + ".bin");
  MakeFolder(longest.parent_path());
  std::ofstream(longest, std::ios::binary) << "1234";
  CHECK_REFUSED(FindBinInputs(longest.string(), 4, 1), "would be too long");
  WriteFile(root / "a2.x.bin", std::string(8, 'x'));
  CHECK_REFUSED(FindBinInputs(root.string(), 4, 2), "would both be named a2");
  CHECK(NaturalLess("a9", "a10") && !NaturalLess("a10", "a9") && NaturalLess("a", "a1") && !NaturalLess("a1", "a1"));
}

void TestResults() {
  const float logits[] = {1.5F, -0.25F, 2.0F, 2.0F};
  CHECK(EncodeBin(logits, 4).size() == 16);
  CHECK(EncodeTxt(logits, 4, 2) == "1.500000 -0.250000 \n2.000000 2.000000 \n");
  CHECK(PredictionsJson("a\xff.jpg", logits, 4, {"p", "q", "r", "s"}, 1).find(R"("class":"r","index":2)") !=
        std::string::npos);
  CHECK(LabelRank(logits, 4, 3) == 1 && LabelRank(logits, 4, 2) == 0 && LabelRank(logits, 4, 1) == 3);
  Accuracy accuracy;
  accuracy.Add(logits, 4, 2);
  accuracy.Add(logits, 4, 1);
  CHECK(accuracy.Line() == "Total data: 2, top1 accuracy: 0.50000, top5 accuracy: 1.00000.");
  const fs::path folder = scratch / "results";
  PrepareResultFolder(folder);
  for (const char* name : {"a_0.bin", "b_12.txt", "keep.bin", "keep_0.csv", "keep_.bin"})
    WriteFile(folder / name, std::string());
  PrepareResultFolder(folder);
  CHECK(std::distance(fs::directory_iterator(folder), {}) == 3);
}

void TestLatency() {
  LatencyRecorder recorder;
  CHECK(recorder.Summary().count == 0 && recorder.Summary().mean == 0);
  for (int i = 100; i >= 0; --i) recorder.Add(static_cast<float>(i));
  const LatencySummary summary = recorder.Summary();
  CHECK(summary.median == 50 && summary.p90 == 90 && summary.p99 == 99 && summary.mean == 50 && summary.lowest == 0);
  CHECK(Percentile({1, 2}, 50) == 1.5);
}

void TestDecode() {
  CHECK_REFUSED(Decode({}, false), "is empty");
  CHECK_REFUSED(Decode({'t', 'e', 'x', 't'}, false), "is not an image");
  CHECK_REFUSED(Decode({'B', 'M', 0, 0}, false), "is a BMP file; this program decodes JPEG and PNG");
  CHECK_REFUSED(Decode({0xff, 0xd8, 0xff, 0xe0}, false), "cannot be decoded");
  CHECK_REFUSED(Decode({0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n', 0, 0}, false), "the data ends too early");
  CHECK_REFUSED(CheckSize(20000, 20000), "more pixels than is safe");
  CHECK_REFUSED(CheckSize(0, 1), "has no pixels");
  Preprocessing preprocessing;
  preprocessing.height = preprocessing.width = preprocessing.resize = 256;
  const Image strip{1, 100000, std::vector<uint8_t>(300000)};
  std::vector<uint8_t> crop(256 * 256 * 3);
  CHECK_REFUSED(ResizeAndCrop(strip, preprocessing, crop.data()), "is too narrow");
}

void TestOrderedQueue() {
  constexpr size_t kItems = 2000;
  OrderedQueue<size_t> queue(kItems, 7);
  std::vector<size_t> seen;
  WorkerGroup workers([&] { queue.Stop(); });
  for (int i = 0; i < 3; ++i) {
    workers.Start([&] {
      size_t number = 0;
      while (queue.Claim(&number)) {
        *queue.At(number) = number * 2;
        queue.Publish(number);
      }
    });
    workers.Start([&] {
      for (bool taken = true; taken;) {
        taken = false;
        queue.Take([&](size_t number, size_t* item) {
          taken = true;
          if (*item == number * 2) seen.push_back(number);
          return seen.size() % 5 != 0;
        });
      }
    });
  }
  CHECK(workers.Wait());
  bool ordered = seen.size() == kItems;
  for (size_t i = 0; ordered && i < kItems; ++i) ordered = seen[i] == i;
  CHECK(ordered);

  OrderedQueue<int> endless(1000000, 1);  // nobody takes: the error must end the producer's wait
  WorkerGroup failing([&] { endless.Stop(); });
  failing.Start([&] {
    size_t number = 0;
    while (endless.Claim(&number)) endless.Publish(number);
  });
  failing.Start([] { throw AppError("the device failed"); });
  CHECK_REFUSED(failing.Wait(), "the device failed");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return kExitUsage;
  scratch = argv[1];
  fs::remove_all(scratch);
  fs::create_directories(scratch);
  TestFiles();
  TestReason();
  TestHalf();
  TestFlags();
  TestSha256();
  TestResultNames();
  TestFindImages();
  TestLabels();
  TestBinInputs();
  TestResults();
  TestLatency();
  TestDecode();
  TestOrderedQueue();
  fs::remove_all(scratch);
  if (failures) std::cerr << failures << " checks failed\n";
  return failures ? 1 : 0;
}
