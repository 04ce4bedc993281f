// Messages and numbers of fields: MindSpore's mind_ir.proto.
#include <string>
#include <utility>

#include "app_error.h"
#include "check_model.h"
#include "protobuf.h"

namespace resnet_zoo {

namespace {

enum Message {
  kNone,
  kModel,
  kGraph,
  kNode,
  kAttribute,
  kTensor,
  kValueInfo,
  kPrimitive,
  kFunctor,
  kExternal,
  kMapTensor,
  kSequence
};

int Inner(int message, uint32_t field) {
  constexpr struct {
    Message outer;
    uint32_t field;
    Message inner;
  } kFields[] = {
      {kModel, 7, kGraph},          {kModel, 8, kGraph},         {kModel, 12, kPrimitive},    {kGraph, 1, kNode},
      {kGraph, 3, kTensor},         {kGraph, 5, kValueInfo},     {kGraph, 6, kValueInfo},     {kGraph, 8, kAttribute},
      {kGraph, 10, kMapTensor},     {kNode, 5, kAttribute},      {kNode, 8, kAttribute},      {kNode, 9, kAttribute},
      {kAttribute, 6, kTensor},     {kAttribute, 7, kGraph},     {kAttribute, 12, kTensor},   {kAttribute, 13, kGraph},
      {kAttribute, 17, kAttribute}, {kAttribute, 18, kSequence}, {kAttribute, 19, kFunctor},  {kTensor, 12, kExternal},
      {kValueInfo, 2, kTensor},     {kValueInfo, 5, kAttribute}, {kPrimitive, 3, kAttribute}, {kFunctor, 3, kAttribute},
      {kMapTensor, 2, kAttribute},  {kMapTensor, 3, kTensor},    {kMapTensor, 4, kTensor},    {kMapTensor, 5, kTensor},
      {kSequence, 2, kAttribute}};
  for (const auto& [outer, number, inner] : kFields) {
    if (outer == message && number == field) return inner;
  }
  return kNone;
}

bool EndsIn(const std::string& text, const std::string& ending) {
  return text.size() >= ending.size() && text.compare(text.size() - ending.size(), ending.size(), ending) == 0;
}

// "lib.so", "lib.so:function", "lib.so.1".
bool NamesLibrary(const std::string& text) {
  return EndsIn(text, ".so") || text.find(".so:") != std::string::npos || text.find(".so.") != std::string::npos;
}

// What an operator `Custom` of a MINDIR runs: its attributes say so, and how its code is found ("aot": in a library).
void CheckCustom(const ProtoFields& operation, uint32_t attributes) {
  const auto inner = [&](int message, uint32_t field) { return message == kNone ? 0 : Inner(message, field); };
  for (const ProtoField& attribute : operation) {
    if (attribute.number != attributes) continue;
    WalkProto(attribute.data, attribute.size, kAttribute, inner, [](int message, const ProtoFields& fields) {
      if (message != kAttribute) return;
      const ProtoField* name = LastField(fields, 1);
      for (const ProtoField& field : fields) {
        if (field.number != 5 && field.number != 11) continue;
        if (NamesLibrary(field.Text()) || (name && name->Text() == "func_type")) {
          throw AppError("has an operator Custom that runs code of its own, '" + field.Text() + "', which is not accepted");
        }
      }
    });
  }
}

void CheckOperation(const ProtoFields& fields, std::pair<uint32_t, uint32_t> names, uint32_t attributes) {
  for (const uint32_t number : {names.first, names.second}) {
    const ProtoField* name = LastField(fields, number);
    if (name && name->Text().find("Custom") != std::string::npos) CheckCustom(fields, attributes);
  }
}

void CheckExternal(const ProtoFields& fields) {
  const ProtoField* location = LastField(fields, 1);
  const std::string path = location ? location->Text() : "";
  if (path.empty() || path[0] == '/' || path.find("..") != std::string::npos || path.find('*') != std::string::npos) {
    throw AppError("keeps tensors outside its folder, in '" + path + "'");
  }
}

void Visit(int message, const ProtoFields& fields) {
  if (message == kModel && !LastField(fields, 7) && !LastField(fields, 6)) throw AppError("is not a MINDIR file");
  if (message == kNode) CheckOperation(fields, {3, 4}, 5);
  if (message == kNode) CheckOperation(fields, {3, 4}, 8);
  if (message == kPrimitive) CheckOperation(fields, {1, 2}, 3);
  if (message == kExternal) CheckExternal(fields);
}

}  // namespace

MindirOrigin CheckMindir(const uint8_t* data, size_t size) {
  MindirOrigin origin{0, "unknown"};
  WalkProto(data, size, kModel, Inner, [&](int message, const ProtoFields& fields) {
    Visit(message, fields);
    if (message != kModel) return;
    if (const ProtoField* version = LastField(fields, 13)) origin.version = version->value;
    const ProtoField *name = LastField(fields, 2), *release = LastField(fields, 5);
    if (name && release) origin.producer = (name->Text() + " " + release->Text()).substr(0, 60);
  });
  return origin;
}

}  // namespace resnet_zoo
