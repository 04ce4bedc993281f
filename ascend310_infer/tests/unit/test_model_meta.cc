#include "model_meta.h"

#include "files.h"
#include "json_texts.h"
#include "scratch.h"
#include "sha256.h"

namespace resnet_zoo {

namespace {

// A description with one member replaced: "key": value. An empty key changes nothing.
std::string Description(const std::string& digest, const std::string& key = "", const std::string& value = "") {
  std::string text = R"("sha256": ")" + digest + R"(", "file_format": "ONNX", "backbone": "resnet50", "num_classes": 2,
    "class_names": ["a", "b"], "batch_sizes": [1, 8],
    "input": {"name": "input", "shape": ["N", 3, 16, 24], "dtype": "float32"}, "output": {"shape": ["N", 2]},
    "preprocessing": {"image_size": [16, 24], "resize": 28, "resize_mode": "shorter", "antialias": true,
                      "mean": [0.1, 0.2, 0.3], "std": [1, 2, 3]})";
  if (!key.empty()) text += ", \"" + key + "\": " + value;  // of equal keys the last one counts
  return "{" + text + "}";
}

}  // namespace

TEST_CASE_FIXTURE(Scratch, "every field of a description is read") {
  const auto model = scratch / "m.onnx";
  WriteFile(model, std::string("network"));
  WriteFile(scratch / "m.onnx.meta.json", Description(Sha256OfFile(model)));
  const ModelMeta meta = ReadModelMeta(model);
  CHECK(meta.file_format == "ONNX");
  CHECK(meta.backbone == "resnet50");
  CHECK(meta.num_classes == 2);
  CHECK((meta.class_names == std::vector<std::string>{"a", "b"}));
  CHECK((meta.batch_sizes == std::vector<int>{1, 8}));
  CHECK(meta.input.name == "input");
  CHECK(meta.input.dtype == "float32");
  CHECK((meta.input.shape == std::vector<int64_t>{0, 3, 16, 24}));
  CHECK((meta.output.shape == std::vector<int64_t>{0, 2}));
  CHECK(meta.preprocessing.height == 16);
  CHECK(meta.preprocessing.width == 24);
  CHECK(meta.preprocessing.resize == 28);
  CHECK(!meta.preprocessing.square);
  CHECK(meta.preprocessing.antialias);
  CHECK(meta.preprocessing.mean[1] == 0.2F);
  CHECK(meta.preprocessing.std[2] == 3);
}

TEST_CASE("the resize of a crop that is not square may be a pair") {
  const auto parse = [](const std::string& resize) {
    std::string text = Description("00"), digest;
    text.replace(text.find("\"resize\": 28"), 12, "\"resize\": " + resize);
    return ParseMetaJson({text.begin(), text.end()}, &digest).preprocessing;
  };
  CHECK(parse("[18, 27]").resize_height == 18);
  CHECK(parse("[18, 27]").resize_width == 27);
  CHECK(parse("28").resize_height == 0);
  CHECK_REFUSED(parse("[18, 23]"), "resize must not be smaller");
  CHECK_REFUSED(parse("[15, 27]"), "resize must not be smaller");
  CHECK_REFUSED(parse("[18]"), "resize must be a whole number");
  CHECK_REFUSED(parse("[18, \"27\"]"), "resize must be a whole number");
}

TEST_CASE_FIXTURE(Scratch, "what describes no usable model is refused") {
  const auto model = scratch / "m.onnx";
  CHECK_REFUSED(ReadModelMeta(model), "no such file");
  WriteFile(model, std::string("network"));
  CHECK_REFUSED(ReadModelMeta(model), "m.onnx.meta.json: missing");
  const auto with = [&](const std::string& key, const std::string& value) {
    WriteFile(scratch / "m.onnx.meta.json", Description(Sha256OfFile(model), key, value));
    return ReadModelMeta(model);
  };
  CHECK_REFUSED(with("sha256", "\"00\""), "damaged or replaced");
  CHECK_REFUSED(with("sha256", "7"), "sha256 must be a text, is number");
  CHECK_REFUSED(with("class_names", "null"), "class_names must be a list, is null");
  CHECK_REFUSED(with("class_names", "[\"a\", 1]"), "a class name must be a text, is number");
  CHECK_REFUSED(with("class_names", "[\"a\"]"), "class_names must be empty or num_classes names");
  CHECK_REFUSED(with("num_classes", "\"2\""), "num_classes must be a whole number from 1");
  CHECK_REFUSED(with("num_classes", "1e400"), "cannot be used");
  CHECK_REFUSED(with("preprocessing", "[]"), "preprocessing must be an object, is array");
  CHECK_REFUSED(with("preprocessing", "{}"), "image_size must be [height, width]");
  CHECK_REFUSED(with("input", "3"), "input must be an object");
  CHECK_REFUSED(with("input", R"({"shape": "N"})"), "input: shape must be a list of sizes");
  CHECK_REFUSED(with("input", R"({"shape": [-1]})"), "shape must be a whole number");
  CHECK_REFUSED(with("batch_sizes", "{\"a\": 1}"), "batch_sizes must be a list");
  CHECK_REFUSED(with("batch_sizes", "[0]"), "batch_sizes must be a whole number");
  CHECK_REFUSED(with("file_format", "[]"), "file_format must be a text, is array");
  CHECK_REFUSED(with("encryption", "\"AES-GCM\""), "is encrypted (AES-GCM)");
  CHECK_REFUSED(with("input", R"({"shape": [], "dtype": "uint8", "format": "YUV420SP_U8"})"), "takes YUV420SP images");
  WriteFile(scratch / "m.onnx.meta.json", std::string("[1]"));
  CHECK_REFUSED(ReadModelMeta(model), "it must be an object, is array");
  WriteFile(scratch / "m.onnx.meta.json", std::string(1000000, '['));
  CHECK_REFUSED(ReadModelMeta(model), "cannot be used");
}

}  // namespace resnet_zoo
