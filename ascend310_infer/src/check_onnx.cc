// Messages and numbers of fields: onnx.proto.
#include <string>

#include "app_error.h"
#include "check_model.h"
#include "protobuf.h"

namespace resnet_zoo {

namespace {

enum Message { kNone, kModel, kGraph, kNode, kAttribute, kTensor, kSparseTensor };

int Inner(int message, uint32_t field) {
  switch (message) {
    case kModel:
      return field == 7 ? kGraph : kNone;
    case kGraph:
      return field == 1 ? kNode : field == 5 ? kTensor : field == 15 ? kSparseTensor : kNone;
    case kNode:
      return field == 5 ? kAttribute : kNone;
    case kAttribute:
      return field == 5 || field == 10    ? kTensor
             : field == 6 || field == 11  ? kGraph
             : field == 22 || field == 23 ? kSparseTensor
                                          : kNone;
    case kSparseTensor:
      return field == 1 || field == 2 ? kTensor : kNone;
    default:
      return kNone;
  }
}

// Protobuf joins a message that stands twice where it may stand once, which would escape the checks of each.
void CheckOnce(const ProtoFields& fields, uint32_t number) {
  int count = 0;
  for (const ProtoField& field : fields) count += field.number == number;
  if (count > 1) throw AppError("holds a part twice");
}

// How a type's values are stored. TensorProto.DataType.
struct Storage {
  uint32_t type;
  size_t bits;     // of a value in raw_data
  uint32_t field;  // of the values elsewhere
};

Storage StorageOf(uint64_t type) {
  constexpr Storage kKnown[] = {{1, 32, 4}, {2, 8, 5},   {3, 8, 5},    {4, 16, 5},   {5, 16, 5},   {6, 32, 5}, {7, 64, 7},
                                {9, 8, 5},  {10, 16, 5}, {11, 64, 10}, {12, 32, 11}, {13, 64, 11}, {16, 16, 5}};
  for (const Storage& storage : kKnown) {
    if (storage.type == type) return storage;
  }
  throw AppError("has a tensor of the data type " + std::to_string(type) + ", which networks of images do not need");
}

// Values in typed fields: floats and doubles have a fixed size, the others are varints.
uint64_t CountValues(const ProtoFields& fields, uint32_t number) {
  if (number != 4 && number != 10) return Varints(fields, number).size();
  uint64_t bytes = 0;
  for (const ProtoField& field : fields) bytes += field.number == number ? field.size : 0;
  return bytes / (number == 4 ? 4 : 8);
}

void CheckTensor(const ProtoFields& fields) {
  constexpr uint64_t kMostValues = uint64_t{1} << 40;
  const ProtoField* location = LastField(fields, 14);
  if (LastField(fields, 13) || (location && location->value != 0)) {
    const ProtoField* name = LastField(fields, 8);
    throw AppError("keeps the tensor '" + (name ? name->Text() : std::string()) +
                   "' outside the file; export it with its weights inside");
  }
  CheckOnce(fields, 2);
  CheckOnce(fields, 9);
  const ProtoField* type = LastField(fields, 2);
  const Storage storage = StorageOf(type ? type->value : 0);
  uint64_t values = 1;
  for (const uint64_t dimension : Varints(fields, 1)) {
    if (dimension > kMostValues || (dimension && values > kMostValues / dimension)) {
      throw AppError("has a tensor of impossible size");
    }
    values *= dimension;
  }
  const ProtoField* raw = LastField(fields, 9);
  const uint64_t found = raw ? raw->size : CountValues(fields, storage.field);
  if (found != (raw ? values * storage.bits / 8 : values)) {
    throw AppError("has a tensor whose data do not have the size that it says");
  }
}

void Visit(int message, const ProtoFields& fields) {
  const ProtoField* domain = message == kNode ? LastField(fields, 7) : nullptr;
  if (domain && domain->size && domain->Text() != "ai.onnx") {
    const ProtoField* type = LastField(fields, 4);
    throw AppError("has the operator '" + (type ? type->Text() : std::string()) + "' of the domain '" + domain->Text() +
                   "'; only ONNX's own are accepted");
  }
  if (message == kModel) {
    CheckOnce(fields, 7);
    if (!LastField(fields, 7)) throw AppError("is not an ONNX file");
    if (LastField(fields, 20) || LastField(fields, 25)) throw AppError("has functions or training steps of its own");
  }
  if (message == kAttribute) {
    for (const uint32_t number : {5U, 6U, 22U}) CheckOnce(fields, number);
  }
  if (message == kSparseTensor) {
    for (const uint32_t number : {1U, 2U}) CheckOnce(fields, number);
  }
  if (message == kTensor) CheckTensor(fields);
}

}  // namespace

void CheckOnnx(const uint8_t* data, size_t size) { WalkProto(data, size, kModel, Inner, Visit); }

}  // namespace resnet_zoo
