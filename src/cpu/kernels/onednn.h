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
enum Tag : int { kAny = 1, kVector = 2, kRows = 3, kColumns = 14, kNchw = 5, kOihw = 5, kGoihw = 6, kNhwc = 22 };
constexpr Tag kBlocked{BLOCK == 16 ? 78 : 102};  // nChw16c, nChw8c
enum Pool : int { kMaximum = 511, kAverageWithPadding = 767, kAverageWithoutPadding = 1023 };
enum Query : int { kName = 8, kLayoutOfArgument = 255 };
// Tensors of a primitive. The gradient of one has its number and kGradientOf.
enum Argument : int { kSource = 1, kTarget = 17, kWeights = 33, kBias = 41, kWorkspace = 64, kScratchpad = 80 };
constexpr int kGradientOf = 128, kOtherOfFirstPostOp = 32768 | 2;
constexpr int kCpu = 1, kForwardTraining = 64, kScratchpadOfUser = 1, kDirectConvolution = 1, kRelu = 32, kAdd = 131056;

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
using Layout = const dnnl_memory_desc*;
using Attributes = const dnnl_primitive_attr*;
using Made = dnnl_primitive_desc**;
int dnnl_engine_create(dnnl_engine** engine, int kind, size_t index);
int dnnl_threadpool_interop_stream_create(dnnl_stream** stream, dnnl_engine* engine, void* pool);
int dnnl_threadpool_interop_set_max_concurrency(int threads);
int dnnl_memory_desc_create_with_tag(dnnl_memory_desc** desc, int ndims, Dims dims, int type, int tag);
int dnnl_memory_desc_create_with_strides(dnnl_memory_desc** desc, int ndims, Dims dims, int type, Dims strides);
int dnnl_memory_desc_equal(Layout one, Layout other);
size_t dnnl_memory_desc_get_size(Layout desc);
int dnnl_memory_desc_destroy(dnnl_memory_desc* desc);
int dnnl_memory_create(dnnl_memory** memory, Layout desc, dnnl_engine* engine, void* data);
int dnnl_memory_set_data_handle(dnnl_memory* memory, void* data);
int dnnl_memory_destroy(dnnl_memory* memory);
int dnnl_post_ops_create(dnnl_post_ops** ops);
int dnnl_post_ops_append_eltwise(dnnl_post_ops* ops, int algorithm, float alpha, float beta);
int dnnl_post_ops_append_binary(dnnl_post_ops* ops, int algorithm, Layout other);
int dnnl_post_ops_destroy(dnnl_post_ops* ops);
int dnnl_primitive_attr_create(dnnl_primitive_attr** attributes);
int dnnl_primitive_attr_set_scratchpad_mode(dnnl_primitive_attr* attributes, int mode);
int dnnl_primitive_attr_set_post_ops(dnnl_primitive_attr* attributes, const dnnl_post_ops* ops);
int dnnl_primitive_attr_destroy(dnnl_primitive_attr* attributes);
int dnnl_convolution_forward_primitive_desc_create(Made made, dnnl_engine* engine, int propagation, int algorithm,
                                                   Layout source, Layout weights, Layout bias, Layout target, Dims strides,
                                                   Dims dilates, Dims before, Dims after, Attributes attributes);
int dnnl_convolution_backward_data_primitive_desc_create(Made made, dnnl_engine* engine, int algorithm, Layout source,
                                                         Layout weights, Layout target, Dims strides, Dims dilates,
                                                         Dims before, Dims after, const dnnl_primitive_desc* hint,
                                                         Attributes attributes);
int dnnl_convolution_backward_weights_primitive_desc_create(Made made, dnnl_engine* engine, int algorithm, Layout source,
                                                            Layout weights, Layout bias, Layout target, Dims strides,
                                                            Dims dilates, Dims before, Dims after,
                                                            const dnnl_primitive_desc* hint, Attributes attributes);
int dnnl_matmul_primitive_desc_create(Made made, dnnl_engine* engine, Layout source, Layout weights, Layout bias,
                                      Layout target, Attributes attributes);
int dnnl_pooling_forward_primitive_desc_create(Made made, dnnl_engine* engine, int propagation, int algorithm, Layout source,
                                               Layout target, Dims strides, Dims kernel, Dims dilates, Dims before,
                                               Dims after, Attributes attributes);
int dnnl_pooling_backward_primitive_desc_create(Made made, dnnl_engine* engine, int algorithm, Layout source, Layout target,
                                                Dims strides, Dims kernel, Dims dilates, Dims before, Dims after,
                                                const dnnl_primitive_desc* hint, Attributes attributes);
int dnnl_reorder_primitive_desc_create(Made made, Layout from, dnnl_engine* from_engine, Layout to, dnnl_engine* to_engine,
                                       Attributes attributes);
int dnnl_primitive_desc_query(const dnnl_primitive_desc* desc, int what, int index, void* result);
Layout dnnl_primitive_desc_query_md(const dnnl_primitive_desc* desc, int what, int index);
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

struct Destroyer {
  void operator()(dnnl_memory_desc* object) const { dnnl_memory_desc_destroy(object); }
  void operator()(dnnl_memory* object) const { dnnl_memory_destroy(object); }
  void operator()(dnnl_post_ops* object) const { dnnl_post_ops_destroy(object); }
  void operator()(dnnl_primitive_attr* object) const { dnnl_primitive_attr_destroy(object); }
  void operator()(dnnl_primitive_desc* object) const { dnnl_primitive_desc_destroy(object); }
  void operator()(dnnl_primitive* object) const { dnnl_primitive_destroy(object); }
};
template <typename T>
using Owned = std::unique_ptr<T, Destroyer>;

// What one of the functions above makes of the arguments.
template <typename T, typename... Parameters, typename... Arguments>
Owned<T> Make(const char* what, int (*create)(T**, Parameters...), Arguments... arguments) {
  T* made = nullptr;
  Check(create(&made, arguments...), what);
  return Owned<T>(made);
}

}  // namespace onednn
