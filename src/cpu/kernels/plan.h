// oneDNN primitives, made once for each shape and kept.
#pragma once

#include <functional>
#include <initializer_list>
#include <memory>
#include <vector>

#include "onednn.h"
#include "operator.h"

// A primitive with its tensors; one whose layout or type the primitive wants otherwise is re-ordered through scratch memory.
class Plan {
 public:
  // Tells oneDNN's tensor `id` that it is the operator's parameter `index`: `outside` is what the parameter is, `inside`
  // what the primitive takes.
  void Add(int id, int index, bool output, const dnnl_memory_desc* outside, const dnnl_memory_desc* inside);
  void Finish(const dnnl_primitive_desc* description);
  void Run(void** data);

 private:
  struct Tensor {
    int index;
    bool output;
    onednn::Memory outside, inside;  // inside and reorder only where the two differ
    onednn::Primitive reorder;
    size_t place;  // of `inside` in scratch memory
  };
  size_t Reserve(size_t size);

  onednn::Primitive primitive_;
  std::vector<Tensor> tensors_;
  std::vector<onednn::ExecutionArgument> arguments_;
  onednn::Memory scratchpad_;
  size_t size_ = 0, scratchpad_place_ = 0;
};

// The plan of an operator for the shapes and types of some of its tensors and for numbers of its configuration; made by
// `fill` where there is none yet.
Plan& Planned(int kind, const Call& call, std::initializer_list<int> tensors, std::initializer_list<int64_t> numbers,
              const std::function<void(Plan&)>& fill);

onednn::MemoryDesc Describe(const std::vector<int64_t>& dims, onednn::Type type, onednn::Tag tag);

// (N, C, H, W) of a tensor in blocked or in plain layout, and the layout's name.
std::vector<int64_t> ImageDims(const Call& call, int i);
onednn::Tag TagOf(const Call& call, int i);

// Attributes that leave scratch memory to us: what oneDNN keeps by itself belongs to one thread, and MindSpore has several.
onednn::Attributes OwnScratchpad();
