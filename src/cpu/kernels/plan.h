// oneDNN primitives, made once for each shape and kept; and what they are described with.
#pragma once

#include <functional>
#include <vector>

#include "onednn.h"
#include "operator.h"

// A tensor of a primitive, `id`, that is the operator's parameter `index` and lies there in `layout`, or if that is null as
// the primitive wants it. `seen`: how to see what the primitive wants where its dimensions are others than those of
// `layout`.
struct Tensor {
  int id, index;
  onednn::Owned<dnnl_memory_desc> layout, seen = nullptr;
};

// A primitive with its tensors; one whose layout or type the primitive wants otherwise is re-ordered through scratch memory.
class Plan {
 public:
  Plan(const onednn::Owned<dnnl_primitive_desc>& description, std::vector<Tensor> tensors);
  void Run(void** data);

 private:
  struct Placed {
    int index;
    bool is_output;
    onednn::Owned<dnnl_memory> outside, inside, seen;  // all but the first only where the two differ
    onednn::Owned<dnnl_primitive> reorder;
    size_t place;  // of `inside` in scratch memory
  };
  size_t Reserve(Layout layout);

  onednn::Owned<dnnl_primitive> primitive_;
  std::vector<Placed> tensors_;
  std::vector<onednn::ExecutionArgument> arguments_;
  onednn::Owned<dnnl_memory> scratchpad_;
  size_t size_ = 0, scratchpad_place_ = 0;
};

// Runs the plan of an operator for its configuration, int32, and the shapes and types of all its parameters; made by `make`
// where there is none yet.
void RunPlan(const Call& call, const std::function<Plan()>& make);

onednn::Owned<dnnl_memory_desc> Describe(const std::vector<int64_t>& dims, onednn::Type type, onednn::Tag tag);

// Activations, or images (N, C, H, W), that are a parameter of the call.
struct Activations {
  std::vector<int64_t> dims;  // N, C, H, W
  onednn::Type type;
  onednn::Tag tag;

  Activations(const Call& call, int i);
  onednn::Owned<dnnl_memory_desc> MakeLayout() const { return Describe(dims, type, tag); }
};

// Attributes that leave scratch memory to us: what oneDNN keeps by itself belongs to one thread, and MindSpore has several.
onednn::Owned<dnnl_primitive_attr> OwnScratchpad();

// Where the windows of a convolution or pool lie.
struct Windows {
  int64_t strides[2], kernel[2], before[2], after[2];  // by rows, by columns
  int64_t no_dilation[2] = {0, 0};

  // `same`: as few pixels of padding as cover the input, the odd one after it (MindSpore's pad mode "same"; "ceil" pools of
  // stride 2 come out right too). Otherwise (kernel - 1) / 2 on every side.
  Windows(const Activations& input, const Activations& output, int64_t size, int64_t stride, bool same);
};
