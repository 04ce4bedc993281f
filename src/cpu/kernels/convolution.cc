// Convolution, dense or grouped, and its gradients. Weights are float32 (C_out, C_in / groups, K, K); a bfloat16 tensor on
// either side makes the products bfloat16 and their sums float32. The image may be a plain (N, C, H, W).
//
// config, int32: stride, whether padding is "same", whether ReLU follows.

#include <cstring>

#include "plan.h"

using onednn::Check;
using onednn::Make;
using onednn::Owned;

namespace {
// Which parameters of the call are input, weights and output, or have their shapes; which of the three is written. Of `bias`
// and `other`, a tensor that is added to the output, 0 where there is none.
struct Parameters {
  int x, w, y, written, bias = 0, other = 0;
};

class Convolution {
 public:
  Convolution(const Call& c, const Parameters& parameters)
      : p_(parameters), input_(c, p_.x), output_(c, p_.y), weights_(c.shapes[p_.w], c.shapes[p_.w] + 4),
        groups_(input_.dims[1] / weights_[1]), config_(c.Data<int32_t>(0)),
        windows_(input_, output_, weights_[2], config_[0], config_[1] != 0), attributes_(OwnScratchpad()) {
    if (input_.tag != onednn::kNchw) {  // one block of channels is both blocked and channels last
      if (input_.dims[1] == BLOCK) input_.tag = output_.tag;
      if (output_.dims[1] == BLOCK) output_.tag = input_.tag;
    }
    if (groups_ > 1) weights_ = {groups_, weights_[0] / groups_, weights_[1], weights_[2], weights_[3]};
    if (input_.type == onednn::kBfloat16 || output_.type == onednn::kBfloat16) type_ = onednn::kBfloat16;
    if (p_.bias) bias_ = Describe({output_.dims[1]}, onednn::kFloat32, onednn::kVector);
    auto ops = Make("making post-operations", dnnl_post_ops_create);
    if (p_.other) Check(dnnl_post_ops_append_binary(ops.get(), onednn::kAdd, output_.MakeLayout().get()), "adding a sum");
    if (config_[2]) Check(dnnl_post_ops_append_eltwise(ops.get(), onednn::kRelu, 0, 0), "adding a ReLU");
    Check(dnnl_primitive_attr_set_post_ops(attributes_.get(), ops.get()), "setting post-operations");
  }

  Plan MakePlan() const {
    if (p_.written == p_.w && IsProduct()) return PlanProduct();
    std::vector<Tensor> tensors;
    // A primitive for a gradient takes the output's, and gives that of what is written.
    auto add = [&](int id, int i, Owned<dnnl_memory_desc> layout) {
      bool is_gradient = p_.written != p_.y && (i == p_.y || i == p_.written);
      tensors.push_back({is_gradient ? id | onednn::kGradientOf : id, i, std::move(layout)});
    };
    add(onednn::kSource, p_.x, input_.MakeLayout());
    add(onednn::kWeights, p_.w, Weights(onednn::kFloat32, groups_ > 1 ? onednn::kGoihw : onednn::kOihw));
    add(onednn::kTarget, p_.y, output_.MakeLayout());
    if (p_.bias) add(onednn::kBias, p_.bias, nullptr);
    if (p_.other) add(onednn::kOtherOfFirstPostOp, p_.other, output_.MakeLayout());
    return Plan(WithFastLayout(), std::move(tensors));
  }

 private:
  // Whether the gradient of the weights is one product of matrices. oneDNN describes used pixels in whole steps only.
  bool IsProduct() const {
    return input_.tag == onednn::kNhwc && groups_ * weights_[2] == 1 && input_.dims[2] % windows_.strides[0] == 0 &&
           input_.dims[3] % windows_.strides[1] == 0;
  }

  // The gradient of the weights as one product of matrices, dy^T x, of the pixels of x that were used: with channels last it
  // is twice as fast, with a stride five times.
  Plan PlanProduct() const {
    const std::vector<int64_t>& size = output_.dims;
    const int64_t channels = input_.dims[1], pixels = size[0] * size[2] * size[3], *strides = windows_.strides;
    const int64_t used[] = {size[0], channels, size[2], size[3]}, row = input_.dims[3] * channels;
    const int64_t steps[] = {input_.dims[2] * row, 1, strides[0] * row, strides[1] * channels};
    auto x = Make("describing pixels", dnnl_memory_desc_create_with_strides, 4, used, input_.type, steps);
    auto seen = Describe({used, used + 4}, input_.type, onednn::kNhwc);
    auto dy = Describe({size[1], pixels}, output_.type, onednn::kColumns);
    auto rows = Describe({pixels, channels}, input_.type, onednn::kRows);
    auto dw = Describe({weights_[0], channels}, onednn::kFloat32, onednn::kRows);
    auto made = Make("describing a product", dnnl_matmul_primitive_desc_create, Runtime::Get().engine, dy.get(), rows.get(),
                     nullptr, dw.get(), attributes_.get());
    std::vector<Tensor> tensors;
    tensors.push_back({onednn::kSource, p_.y, std::move(dy)});
    tensors.push_back({onednn::kWeights, p_.x, std::move(x), std::move(seen)});
    tensors.push_back({onednn::kTarget, p_.w, std::move(dw)});
    return Plan(made, std::move(tensors));
  }

  Owned<dnnl_memory_desc> Weights(onednn::Type type, onednn::Tag tag) const { return Describe(weights_, type, tag); }

  // With the tensors' own layouts, or with those that oneDNN likes best where it has no fast kernel for the tensors' own: it
  // has none where the channels of groups do not fill blocks.
  Owned<dnnl_primitive_desc> WithFastLayout() const {
    const int64_t inputs = input_.dims[1] / groups_, outputs = output_.dims[1] / groups_;
    bool is_narrow = groups_ > 1 && input_.tag == onednn::kBlocked && (inputs % BLOCK || outputs % BLOCK);
    if (!is_narrow) {
      auto description = Description(input_.tag, output_.tag);
      const char* name = nullptr;
      Check(dnnl_primitive_desc_query(description.get(), onednn::kName, 0, &name), "asking for a name");
      if (!std::strstr(name, "ref")) return description;
    }
    return Description(onednn::kAny, onednn::kAny);
  }

  // What is read is of the products' type, what is written of its own.
  Owned<dnnl_primitive_desc> Description(onednn::Tag in_tag, onednn::Tag out_tag) const {
    dnnl_engine* engine = Runtime::Get().engine;
    const Windows& w = windows_;
    auto in = Describe(input_.dims, type_, in_tag), weights = Weights(type_, onednn::kAny);
    auto out = Describe(output_.dims, p_.written == p_.y ? output_.type : type_, out_tag);
    auto forward = Make("describing a convolution", dnnl_convolution_forward_primitive_desc_create, engine,
                        onednn::kForwardTraining, onednn::kDirectConvolution, in.get(), weights.get(), bias_.get(),
                        out.get(), w.strides, w.no_dilation, w.before, w.after, attributes_.get());
    if (p_.written == p_.y) return forward;
    if (p_.written == p_.x)
      return Make("describing a gradient of data", dnnl_convolution_backward_data_primitive_desc_create, engine,
                  onednn::kDirectConvolution, Describe(input_.dims, input_.type, in_tag).get(), weights.get(), out.get(),
                  w.strides, w.no_dilation, w.before, w.after, forward.get(), attributes_.get());
    return Make("describing a gradient of weights", dnnl_convolution_backward_weights_primitive_desc_create, engine,
                onednn::kDirectConvolution, in.get(), Weights(onednn::kFloat32, onednn::kAny).get(), nullptr, out.get(),
                w.strides, w.no_dilation, w.before, w.after, forward.get(), attributes_.get());
  }

  const Parameters p_;
  Activations input_, output_;
  std::vector<int64_t> weights_;
  const int64_t groups_;
  const int32_t* const config_;
  const Windows windows_;
  const Owned<dnnl_primitive_attr> attributes_;
  onednn::Type type_ = onednn::kFloat32;  // of the products
  Owned<dnnl_memory_desc> bias_;
};

void Run(const Call& c, const Parameters& parameters) {
  RunPlan(c, [&] { return Convolution(c, parameters).MakePlan(); });
}
}  // namespace

// config, x, weights[, bias[, other]] -> y
OPERATOR(convolution_forward) {
  const int y = c.count - 1;
  Run(c, {1, 2, y, y, y > 3 ? 3 : 0, y > 4 ? 4 : 0});
}

// config, dy, weights, x (for its shape) -> dx
OPERATOR(convolution_backward_data) { Run(c, {4, 2, 1, 4}); }

// config, dy, x, weights (for their shape) -> dweights
OPERATOR(convolution_backward_weights) { Run(c, {2, 4, 1, 4}); }
