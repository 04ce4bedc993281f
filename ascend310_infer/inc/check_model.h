// What a model file may hold, looked at before an SDK opens it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace resnet_zoo {

// Throws AppError saying why an ONNX file is not opened: it is damaged, its tensors lie elsewhere (in other files, or at an
// address of the process) or do not have the size that they say, or it has operators beyond ONNX's own.
void CheckOnnx(const uint8_t* data, size_t size);

// The same for a MINDIR file: damaged, tensors outside its folder, or an operator `Custom` whose code is in a library.
void CheckMindir(const uint8_t* data, size_t size);

}  // namespace resnet_zoo
