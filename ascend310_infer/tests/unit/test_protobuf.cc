#include "protobuf.h"

#include "check_model.h"
#include "scratch.h"

namespace resnet_zoo {

namespace {

// A field that holds bytes.
std::string Bytes(uint32_t number, const std::string& content) {
  std::string text;
  for (uint64_t value : {uint64_t{number} << 3 | 2, uint64_t{content.size()}}) {
    for (; value > 127; value >>= 7) text += static_cast<char>(value | 128);
    text += static_cast<char>(value);
  }
  return text + content;
}

std::string Number(uint32_t number, uint8_t value) { return {static_cast<char>(number << 3), static_cast<char>(value)}; }

void Onnx(const std::string& bytes) { CheckOnnx(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()); }
void Mindir(const std::string& bytes) { CheckMindir(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()); }

// A model of one node or one initializer.
std::string WithNode(const std::string& node) { return Bytes(7, Bytes(1, node)); }
std::string WithTensor(const std::string& tensor) { return Bytes(7, Bytes(5, tensor)); }

}  // namespace

TEST_CASE("bytes that are no message are refused") {
  CHECK_REFUSED(Onnx(""), "is not an ONNX file");
  CHECK_REFUSED(Onnx("\x3a"), "is truncated or damaged");  // a length is missing
  CHECK_REFUSED(Onnx("\x3a\x05"
                     "abc"),
                "is truncated or damaged");                        // bytes are missing
  CHECK_REFUSED(Onnx("\x3a\x01\xff"), "is truncated or damaged");  // a tag without end
  CHECK_REFUSED(Onnx(std::string(11, '\xff')), "is truncated or damaged");
  CHECK_REFUSED(Onnx("\x3b"), "is truncated or damaged");                      // a group
  CHECK_REFUSED(Onnx(std::string("\x38\x01", 2)), "is truncated or damaged");  // a number where a graph must be
  std::string nested = Bytes(1, "x");
  for (int i = 0; i < 9; ++i) nested = Bytes(1, Bytes(5, Bytes(6, nested)));
  CHECK_REFUSED(Onnx(Bytes(7, nested)), "is nested more than 24 deep");
  std::string many;
  for (int i = 0; i <= 1 << 20; ++i) many += Number(9, 1);
  CHECK_REFUSED(Onnx(many), "more than a million fields");
}

TEST_CASE("ONNX: tensors lie in the file and have the size that they say") {
  const std::string dims = Number(1, 2) + Number(1, 3), float_type = Number(2, 1);
  CHECK_NOTHROW(Onnx(WithTensor(dims + float_type + Bytes(9, std::string(24, 'x')))));
  CHECK_NOTHROW(Onnx(WithTensor(Bytes(1, "\2\3") + float_type + Bytes(4, std::string(24, 'x')))));
  CHECK_NOTHROW(Onnx(WithTensor(dims + Number(2, 7) + Bytes(7, "\1\2\3\4\5\6"))));
  const std::string sizes = "have the size that it says";
  CHECK_REFUSED(Onnx(WithTensor(dims + float_type + Bytes(9, std::string(20, 'x')))), sizes.c_str());
  CHECK_REFUSED(Onnx(WithTensor(dims + float_type + Bytes(4, std::string(20, 'x')))), sizes.c_str());
  CHECK_REFUSED(Onnx(WithTensor(dims + Number(2, 7) + Bytes(7, "\1\2\3\4\5"))), sizes.c_str());
  CHECK_REFUSED(Onnx(WithTensor(Bytes(1, std::string(9, '\xff') + "\1") + float_type)), "impossible size");
  CHECK_REFUSED(Onnx(WithTensor(dims + Number(2, 8))), "data type 8");
  const std::string outside = Bytes(8, "weight") + float_type;
  CHECK_REFUSED(Onnx(WithTensor(outside + Number(14, 1))), "keeps the tensor 'weight' outside the file");
  CHECK_REFUSED(Onnx(WithTensor(outside + Bytes(13, ""))), "keeps the tensor 'weight' outside the file");
  const std::string tensor = outside + Number(14, 1);
  for (const std::string& attribute :
       {Bytes(5, tensor), Bytes(10, tensor), Bytes(22, Bytes(1, tensor)), Bytes(6, Bytes(15, Bytes(2, tensor))),
        Bytes(11, Bytes(1, Bytes(5, Bytes(5, tensor))))}) {
    CHECK_REFUSED(Onnx(WithNode(Bytes(5, attribute))), "outside the file");
  }
}

TEST_CASE("ONNX: nothing beyond its own operators") {
  CHECK_NOTHROW(Onnx(WithNode(Bytes(4, "Relu"))));
  CHECK_NOTHROW(Onnx(WithNode(Bytes(4, "Relu") + Bytes(7, "ai.onnx"))));
  CHECK_REFUSED(Onnx(WithNode(Bytes(4, "Relu") + Bytes(7, "evil"))), "has the operator 'Relu' of the domain 'evil'");
  CHECK_REFUSED(Onnx(WithNode("") + Bytes(25, "")), "has functions or training steps");
  CHECK_REFUSED(Onnx(WithNode("") + Bytes(20, "")), "has functions or training steps");
  CHECK_REFUSED(Onnx(WithNode("") + WithNode("")), "holds a part twice");
}

TEST_CASE("MINDIR: no code of its own") {
  const std::string library = Bytes(5, Bytes(1, "func_name") + Bytes(5, "./libevil.so:run"));
  const std::string kind = Bytes(5, Bytes(1, "func_type") + Bytes(5, "aot"));
  CHECK_NOTHROW(Mindir(WithNode(Bytes(4, "Conv2D") + library)));
  CHECK_NOTHROW(Mindir(WithNode(Bytes(4, "Custom") + Bytes(5, Bytes(1, "type") + Bytes(5, "ACL")))));
  CHECK_REFUSED(Mindir(WithNode(Bytes(4, "Custom") + library)), "runs code of its own, './libevil.so:run'");
  CHECK_REFUSED(Mindir(WithNode(Bytes(4, "Custom") + kind)), "runs code of its own, 'aot'");
  const std::string primitive = Bytes(2, "Custom") + Bytes(3, Bytes(17, Bytes(5, "libevil.so")));
  CHECK_REFUSED(Mindir(WithNode("") + Bytes(12, primitive)), "runs code of its own, 'libevil.so'");
  CHECK_REFUSED(Mindir(Bytes(7, Bytes(3, Bytes(12, Bytes(1, "../x"))))), "keeps tensors outside its folder");
  CHECK_NOTHROW(Mindir(Bytes(7, Bytes(3, Bytes(12, Bytes(1, "net_variables/data_0"))))));
  CHECK_REFUSED(Mindir("encrypted"), "is truncated or damaged");
}

}  // namespace resnet_zoo
