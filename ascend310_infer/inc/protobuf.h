// A walk over protobuf messages that believes nothing: for files that a library will read afterwards.
// Wire format: protobuf.dev, "Encoding".
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace resnet_zoo {

struct ProtoField {
  uint32_t number = 0;
  uint32_t wire_type = 0;         // 0 varint, 1 eight bytes, 2 bytes, 5 four bytes
  uint64_t value = 0;             // of a varint
  const uint8_t* data = nullptr;  // of the others
  size_t size = 0;

  std::string Text() const { return {reinterpret_cast<const char*>(data), size}; }
};

using ProtoFields = std::vector<ProtoField>;

// Which fields are messages: the message that a field of a message holds, 0 where it holds none.
using ProtoSchema = std::function<int(int message, uint32_t field)>;
// Called for every message, the outer one first.
using ProtoVisitor = std::function<void(int message, const ProtoFields& fields)>;

// Visits `root` and what is in it. Throws AppError for bytes that are no such message, for messages inside each other more
// than 24 deep and for more than a million fields in one.
void WalkProto(const uint8_t* data, size_t size, int root, const ProtoSchema& schema, const ProtoVisitor& visit);

// The numbers of a repeated integer, packed or not; `number`: the field's.
std::vector<uint64_t> Varints(const ProtoFields& fields, uint32_t number);

// The last field of that number, which counts where a field may stand once; null where there is none.
const ProtoField* LastField(const ProtoFields& fields, uint32_t number);

}  // namespace resnet_zoo
