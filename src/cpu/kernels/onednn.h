// The part of oneDNN's C interface (version 3) that the operators call. Declared here so that a build needs no headers but
// MindSpore's own copy of the library; names, values and signatures are those of oneDNN's documentation (dnnl.h,
// dnnl_types.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>

struct dnnl_engine;
struct dnnl_stream;
struct dnnl_memory_desc;
struct dnnl_memory;
struct dnnl_primitive_desc;
struct dnnl_primitive;
struct dnnl_primitive_attr;
struct dnnl_post_ops;

namespace onednn {

enum Type : int { kBfloat16 = 2, kFloat32 = 3 };
enum Tag : int { kAny = 1, kVector = 2, kNchw = 5, kOihw = 5, kGoihw = 6, kNchw16c = 78, kNchw8c = 102 };
enum Propagation : int { kForwardTraining = 64, kForwardInference = 96 };
enum Algorithm : int {
  kDirectConvolution = 1,
  kRelu = 32,
  kMaximum = 511,
  kAverageWithPadding = 767,
  kAverageWithoutPadding = 1023,
  kAdd = 131056
};
enum Query : int {
  kName = 8,
  kSource = 129,
  kDiffSource = 130,
  kWeights = 131,
  kDiffWeights = 132,
  kTarget = 133,
  kDiffTarget = 134,
  kWorkspace = 135,
  kScratchpad = 136
};
enum Argument : int {
  kArgSource = 1,
  kArgTarget = 17,
  kArgWeights = 33,
  kArgBias = 41,
  kArgWorkspace = 64,
  kArgScratchpad = 80,
  kArgDiffSource = 129,
  kArgDiffTarget = 145,
  kArgDiffWeights = 161,
  kArgFirstPostOp = 32768 | 2
};
constexpr int kCpu = 1, kScratchpadOfUser = 1;

struct ExecutionArgument {
  int id;
  dnnl_memory* memory;
};

// dnnl::threadpool_interop::threadpool_iface of oneDNN 3.0 to 3.12: the order of the functions is what matters.
class ThreadPoolInterface {
 public:
  virtual int get_num_threads() const = 0;
  virtual bool get_in_parallel() const = 0;
  virtual void parallel_for(int n, const std::function<void(int, int)>& run) = 0;
  virtual uint64_t get_flags() const = 0;
  virtual ~ThreadPoolInterface() = default;
};

}  // namespace onednn

extern "C" {
using Dims = const int64_t*;
int dnnl_engine_create(dnnl_engine** engine, int kind, size_t index);
int dnnl_threadpool_interop_stream_create(dnnl_stream** stream, dnnl_engine* engine, void* pool);
int dnnl_threadpool_interop_set_max_concurrency(int threads);
int dnnl_memory_desc_create_with_tag(dnnl_memory_desc** desc, int ndims, Dims dims, int type, int tag);
int dnnl_memory_desc_clone(dnnl_memory_desc** desc, const dnnl_memory_desc* from);
int dnnl_memory_desc_equal(const dnnl_memory_desc* one, const dnnl_memory_desc* other);
size_t dnnl_memory_desc_get_size(const dnnl_memory_desc* desc);
int dnnl_memory_desc_destroy(dnnl_memory_desc* desc);
int dnnl_memory_create(dnnl_memory** memory, const dnnl_memory_desc* desc, dnnl_engine* engine, void* data);
int dnnl_memory_set_data_handle(dnnl_memory* memory, void* data);
int dnnl_memory_destroy(dnnl_memory* memory);
int dnnl_post_ops_create(dnnl_post_ops** ops);
int dnnl_post_ops_append_eltwise(dnnl_post_ops* ops, int algorithm, float alpha, float beta);
int dnnl_post_ops_append_binary(dnnl_post_ops* ops, int algorithm, const dnnl_memory_desc* other);
int dnnl_post_ops_destroy(dnnl_post_ops* ops);
int dnnl_primitive_attr_create(dnnl_primitive_attr** attr);
int dnnl_primitive_attr_set_scratchpad_mode(dnnl_primitive_attr* attr, int mode);
int dnnl_primitive_attr_set_post_ops(dnnl_primitive_attr* attr, const dnnl_post_ops* ops);
int dnnl_primitive_attr_destroy(dnnl_primitive_attr* attr);
int dnnl_convolution_forward_primitive_desc_create(dnnl_primitive_desc** made, dnnl_engine* engine, int propagation,
                                                   int algorithm, const dnnl_memory_desc* source,
                                                   const dnnl_memory_desc* weights, const dnnl_memory_desc* bias,
                                                   const dnnl_memory_desc* target, Dims strides, Dims dilates, Dims before,
                                                   Dims after, const dnnl_primitive_attr* attr);
int dnnl_convolution_backward_data_primitive_desc_create(dnnl_primitive_desc** made, dnnl_engine* engine, int algorithm,
                                                         const dnnl_memory_desc* source, const dnnl_memory_desc* weights,
                                                         const dnnl_memory_desc* target, Dims strides, Dims dilates,
                                                         Dims before, Dims after, const dnnl_primitive_desc* hint,
                                                         const dnnl_primitive_attr* attr);
int dnnl_convolution_backward_weights_primitive_desc_create(dnnl_primitive_desc** made, dnnl_engine* engine, int algorithm,
                                                            const dnnl_memory_desc* source, const dnnl_memory_desc* weights,
                                                            const dnnl_memory_desc* bias, const dnnl_memory_desc* target,
                                                            Dims strides, Dims dilates, Dims before, Dims after,
                                                            const dnnl_primitive_desc* hint,
                                                            const dnnl_primitive_attr* attr);
int dnnl_pooling_forward_primitive_desc_create(dnnl_primitive_desc** made, dnnl_engine* engine, int propagation,
                                               int algorithm, const dnnl_memory_desc* source, const dnnl_memory_desc* target,
                                               Dims strides, Dims kernel, Dims dilates, Dims before, Dims after,
                                               const dnnl_primitive_attr* attr);
int dnnl_pooling_backward_primitive_desc_create(dnnl_primitive_desc** made, dnnl_engine* engine, int algorithm,
                                                const dnnl_memory_desc* source, const dnnl_memory_desc* target, Dims strides,
                                                Dims kernel, Dims dilates, Dims before, Dims after,
                                                const dnnl_primitive_desc* hint, const dnnl_primitive_attr* attr);
int dnnl_reorder_primitive_desc_create(dnnl_primitive_desc** made, const dnnl_memory_desc* from, dnnl_engine* from_engine,
                                       const dnnl_memory_desc* to, dnnl_engine* to_engine, const dnnl_primitive_attr* attr);
int dnnl_primitive_desc_query(const dnnl_primitive_desc* desc, int what, int index, void* result);
const dnnl_memory_desc* dnnl_primitive_desc_query_md(const dnnl_primitive_desc* desc, int what, int index);
int dnnl_primitive_desc_destroy(dnnl_primitive_desc* desc);
int dnnl_primitive_create(dnnl_primitive** primitive, const dnnl_primitive_desc* desc);
int dnnl_primitive_execute(const dnnl_primitive* primitive, dnnl_stream* stream, int count,
                           const onednn::ExecutionArgument* arguments);
int dnnl_primitive_destroy(dnnl_primitive* primitive);
}

namespace onednn {

// Throws for a status that is not success.
inline void Check(int status, const char* what) {
  if (status) throw std::runtime_error(std::string("oneDNN: ") + what + " failed with status " + std::to_string(status));
}

template <typename T, int (*Destroy)(T*)>
struct Destroyer {
  void operator()(T* object) const { Destroy(object); }
};
template <typename T, int (*Destroy)(T*)>
using Owned = std::unique_ptr<T, Destroyer<T, Destroy>>;

using MemoryDesc = Owned<dnnl_memory_desc, dnnl_memory_desc_destroy>;
using Memory = Owned<dnnl_memory, dnnl_memory_destroy>;
using Primitive = Owned<dnnl_primitive, dnnl_primitive_destroy>;
using PrimitiveDesc = Owned<dnnl_primitive_desc, dnnl_primitive_desc_destroy>;
using Attributes = Owned<dnnl_primitive_attr, dnnl_primitive_attr_destroy>;
using PostOps = Owned<dnnl_post_ops, dnnl_post_ops_destroy>;

}  // namespace onednn
