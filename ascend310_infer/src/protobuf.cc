#include "protobuf.h"

#include "app_error.h"

namespace resnet_zoo {

namespace {

constexpr int kDeepest = 24;
constexpr size_t kMostFields = 1 << 20;

[[noreturn]] void Damaged() { throw AppError("is truncated or damaged"); }

class Reader {
 public:
  Reader(const uint8_t* data, size_t size) : data_(data), end_(data + size) {}

  bool AtEnd() const { return data_ == end_; }

  uint64_t Varint() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (AtEnd()) Damaged();
      const uint8_t byte = *data_++;
      value |= static_cast<uint64_t>(byte & 127U) << shift;
      if (byte < 128) return value;
    }
    Damaged();
  }

  ProtoField Field() {
    const uint64_t tag = Varint();
    ProtoField field;
    field.number = static_cast<uint32_t>(tag >> 3);
    field.wire_type = static_cast<uint32_t>(tag & 7);
    if (tag >> 32 || field.number == 0) Damaged();
    if (field.wire_type == 0) {
      field.value = Varint();
      return field;
    }
    const uint64_t size = field.wire_type == 1   ? 8
                          : field.wire_type == 5 ? 4
                          : field.wire_type == 2 ? Varint()
                                                 : UINT64_MAX;  // groups are no longer written
    if (size > static_cast<uint64_t>(end_ - data_)) Damaged();
    field.data = data_;
    field.size = static_cast<size_t>(size);
    data_ += size;
    return field;
  }

 private:
  const uint8_t *data_, *end_;
};

void Walk(Reader reader, int message, int depth, const ProtoSchema& schema, const ProtoVisitor& visit) {
  if (depth > kDeepest) throw AppError("is nested more than " + std::to_string(kDeepest) + " deep");
  ProtoFields fields;
  while (!reader.AtEnd()) {
    if (fields.size() == kMostFields) throw AppError("has more than a million fields in one message");
    fields.push_back(reader.Field());
  }
  visit(message, fields);
  for (const ProtoField& field : fields) {
    const int inner = schema(message, field.number);
    if (!inner) continue;
    if (field.wire_type != 2) Damaged();
    Walk(Reader(field.data, field.size), inner, depth + 1, schema, visit);
  }
}

}  // namespace

void WalkProto(const uint8_t* data, size_t size, int root, const ProtoSchema& schema, const ProtoVisitor& visit) {
  Walk(Reader(data, size), root, 1, schema, visit);
}

std::vector<uint64_t> Varints(const ProtoFields& fields, uint32_t number) {
  std::vector<uint64_t> values;
  for (const ProtoField& field : fields) {
    if (field.number != number) continue;
    if (field.wire_type == 0) {
      values.push_back(field.value);
    } else if (field.wire_type == 2) {
      for (Reader packed(field.data, field.size); !packed.AtEnd();) values.push_back(packed.Varint());
    } else {
      Damaged();
    }
  }
  return values;
}

const ProtoField* LastField(const ProtoFields& fields, uint32_t number) {
  const ProtoField* last = nullptr;
  for (const ProtoField& field : fields) {
    if (field.number == number) last = &field;
  }
  return last;
}

}  // namespace resnet_zoo
