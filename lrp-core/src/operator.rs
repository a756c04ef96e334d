//! Operators: the contract between the graph, the rules and the kernels.
//!
//! Operators are bound to their shapes when they are made (`Conv::new` and friends check everything
//! once), so that running them cannot fail. Shapes are *sample shapes*: the batch axis is not part of them.

pub mod fused;

use std::fmt::Debug;
use std::sync::Arc;

use self::fused::Fused;
use crate::kernels::conv::{Algorithm, Limits};
use crate::propagated::{Needs, Propagated};
use crate::scalar::Scalar;
use crate::tensor::{Tensor, samples};

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $group:ident;)*) => {
        /// The kind of an operator, as recipes select it (`ops = "conv"`) and `lrp layers` prints it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind { $($(#[$doc])* $variant,)* }

        impl Kind {
            /// Every kind there is.
            pub const ALL: &'static [Kind] = &[$(Kind::$variant,)*];

            /// The name used in recipes and listings.
            pub fn name(self) -> &'static str {
                match self { $(Kind::$variant => $name,)* }
            }

            /// The relevance behaviour of operators of this kind.
            pub fn group(self) -> Group {
                match self { $(Kind::$variant => Group::$group,)* }
            }
        }
    };
}

kinds! {
    /// Fully connected layer (Gemm, MatMul with a constant).
    Dense = "dense", Weighted;
    /// Convolution in one, two or three dimensions.
    Conv = "conv", Weighted;
    /// Transposed convolution.
    ConvTranspose = "conv-transpose", Weighted;
    /// Batch normalisation that could not be folded.
    BatchNorm = "batch-norm", Weighted;
    /// Product with a constant, sum with a constant, or both.
    Scale = "scale", Weightless;
    /// Product with a constant, sum with a constant, or both, between the model's input and its first layers: pixels are scaled there, and
    /// nothing is learned about what they show.
    Preprocessing = "preprocessing", Preprocessing;
    /// Sum or difference of activations (residual connection).
    Add = "add", Weightless;
    /// Average pooling over windows.
    AvgPool = "avg-pool", Weightless;
    /// Mean over whole axes (global average pooling).
    Mean = "mean", Weightless;
    /// Max pooling.
    MaxPool = "max-pool", Winner;
    /// The largest of several activations, or along an axis.
    Maximum = "maximum", Winner;
    /// The smallest of several activations, or along an axis.
    Minimum = "minimum", Winner;
    /// Several of the largest or smallest elements along an axis.
    TopK = "top-k", Winner;
    /// `max(x, 0)`.
    Relu = "relu", Activation;
    /// `x` for `x ≥ 0`, `αx` below.
    LeakyRelu = "leaky-relu", Activation;
    /// Logistic function.
    Sigmoid = "sigmoid", Activation;
    /// Hyperbolic tangent.
    Tanh = "tanh", Activation;
    /// Limit to an interval (ReLU6 among them).
    Clip = "clip", Activation;
    /// `x·σ(x)` (swish).
    Silu = "silu", Activation;
    /// `x·hard-sigmoid(x)`.
    HardSwish = "hard-swish", Activation;
    /// A piecewise linear sigmoid of three pieces.
    HardSigmoid = "hard-sigmoid", Activation;
    /// `x·Φ(x)`, exact or by its tanh approximation.
    Gelu = "gelu", Activation;
    /// `x` for `x ≥ 0`, `α(eˣ − 1)` below.
    Elu = "elu", Activation;
    /// `ln(1 + eˣ)`.
    Softplus = "softplus", Activation;
    /// The error function.
    Erf = "erf", Activation;
    /// `x / (1 + |x|)`.
    Softsign = "softsign", Activation;
    /// `max(x, 0) + min(α(e^(x/α) − 1), 0)`.
    Celu = "celu", Activation;
    /// `x` above a threshold, zero below.
    ThresholdedRelu = "thresholded-relu", Activation;
    /// `x` moved towards zero where it is large, zero where it is small.
    Shrink = "shrink", Activation;
    /// Hyperbolic sine.
    Sinh = "sinh", Activation;
    /// Inverse hyperbolic sine.
    Asinh = "asinh", Activation;
    /// Inverse hyperbolic tangent.
    Atanh = "atanh", Activation;
    /// Tangent.
    Tan = "tan", Activation;
    /// Inverse sine.
    Asin = "asin", Activation;
    /// Inverse tangent.
    Atan = "atan", Activation;
    /// A constant power.
    Power = "power", Activation;
    /// Square root.
    Sqrt = "sqrt", Activation;
    /// Absolute value.
    Abs = "abs", Activation;
    /// Comparison of activations, or of truth values.
    Compare = "compare", Step;
    /// The position of the largest or the smallest element along an axis.
    ArgMax = "arg-max", Step;
    /// −1, 0 or 1.
    Sign = "sign", Step;
    /// Rounding to whole numbers.
    Round = "round", Step;
    /// Product of two activations.
    Mul = "mul", Product;
    /// Matrix product of two activations.
    MatMul = "matmul", Product;
    /// Quotient of two activations: the numerator receives all relevance.
    Div = "div", Product;
    /// Layer normalisation.
    LayerNorm = "layer-norm", Normalization;
    /// Division by the root mean square.
    RmsNorm = "rms-norm", Normalization;
    /// Division by a norm, or by the size of neighbouring channels.
    Normalize = "normalize", Normalization;
    /// Softmax inside a model.
    Softmax = "softmax", Normalization;
    /// Long short-term memory: with weights, but no weighted layer, since its relevance behaviour is fixed.
    Lstm = "lstm", Recurrent;
    /// Gated recurrent unit; likewise.
    Gru = "gru", Recurrent;
    /// Plain recurrent layer; likewise.
    Rnn = "rnn", Recurrent;
    /// Exponential function.
    Exp = "exp", Undefined;
    /// Natural logarithm.
    Log = "log", Undefined;
    /// Sine.
    Sin = "sin", Undefined;
    /// Cosine.
    Cos = "cos", Undefined;
    /// Hyperbolic cosine.
    Cosh = "cosh", Undefined;
    /// Inverse cosine.
    Acos = "acos", Undefined;
    /// Inverse hyperbolic cosine.
    Acosh = "acosh", Undefined;
    /// Logarithm of a sum of exponentials along an axis.
    LogSumExp = "log-sum-exp", Undefined;
    /// Product along an axis.
    ReduceProd = "reduce-prod", Undefined;
    /// The logarithm of a softmax inside a model.
    LogSoftmax = "log-softmax", Undefined;
    /// Enlargement or reduction by interpolation.
    Resize = "resize", Weightless;
    /// Enlargement or reduction by copying the nearest element.
    ResizeNearest = "resize-nearest", Structural;
    /// Running sum along an axis.
    CumSum = "cum-sum", Weightless;
    /// A part of a tensor (slice, split).
    Slice = "slice", Structural;
    /// Elements picked by constant indices.
    Gather = "gather", Structural;
    /// Elements picked by positions that the model computes.
    Pick = "pick", Structural;
    /// Rows of a table by number: token ids become vectors, and relevance of a vector is that of its id.
    Embedding = "embedding", Structural;
    /// Concatenation.
    Concat = "concat", Structural;
    /// Flatten, reshape, squeeze and unsqueeze.
    Reshape = "reshape", Structural;
    /// Permutation of axes.
    Transpose = "transpose", Structural;
    /// Padding by a constant, by reflection or by the edge.
    Pad = "pad", Structural;
    /// Repetition along axes.
    Broadcast = "broadcast", Structural;
    /// A choice between two tensors, element by element.
    Where = "where", Structural;
    /// Dropout and identity, which do nothing when a model is explained.
    Identity = "identity", Structural;
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// Kinds by their relevance behaviour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Group {
    /// Affine with weights of its own: counts as a layer, needs a rule.
    Weighted,
    /// Affine without weights of its own: gets `norm` unless a recipe says otherwise.
    Weightless,
    /// Elementwise and affine, between the model's input and its first layers: passes relevance unchanged unless a recipe says otherwise.
    Preprocessing,
    /// Elementwise: passes relevance unchanged.
    Activation,
    /// Routes relevance to the element that won.
    Winner,
    /// Moves elements around: routes relevance exactly.
    Structural,
    /// A step function, flat nearly everywhere: receives and propagates no relevance.
    Step,
    /// Multiplies or divides activations: the gated signal or the numerator receives all relevance, or each factor its part.
    Product,
    /// Centres and scales by statistics of the input: LRP-ε with the scale taken as a constant; without centring, it passes relevance unchanged.
    Normalization,
    /// Reads a sequence step by step: LRP-ε with the gates taken as constants, fixed in spite of the weights.
    Recurrent,
    /// Has no defined relevance behaviour: needs a rule, as weighted layers do.
    Undefined,
}

impl Group {
    /// The name used in recipes, and the fixed behaviour it stands for.
    pub fn name(self) -> &'static str {
        match self {
            Group::Weighted => "weighted",
            Group::Weightless => "weightless",
            Group::Preprocessing => "preprocessing",
            Group::Activation => "activation",
            Group::Winner => "winner",
            Group::Structural => "structural",
            Group::Step => "step",
            Group::Product => "product",
            Group::Normalization => "normalization",
            Group::Recurrent => "recurrent",
            Group::Undefined => "undefined",
        }
    }
}

/// The behaviour of an operator to which no rule was assigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fixed {
    /// Nothing: a rule is needed.
    RuleNeeded,
    /// It is passed on unchanged.
    Pass,
    /// It goes to the element that won.
    Winner,
    /// It follows the elements.
    Route,
    /// The operator has a behaviour of its own, in [`Operator::propagate`], which is called this in listings.
    Own {
        /// In a word or two.
        name: &'static str,
        /// The recorded activations that it reads.
        needs: Needs,
    },
}

impl Fixed {
    /// The name used in listings.
    pub fn name(self) -> &'static str {
        match self {
            Fixed::RuleNeeded => "(rule needed)",
            Fixed::Pass => "pass",
            Fixed::Winner => "winner takes all",
            Fixed::Route => "route",
            Fixed::Own { name, .. } => name,
        }
    }
}

/// The inputs and the output of an operator, as the forward pass recorded them.
///
/// Activations that the rule did not ask for (see [`Needs`]) are empty tensors.
#[derive(Debug, Clone, Copy)]
pub struct Io<'a, T: Scalar> {
    /// The operator's inputs, each `[N, …]`.
    pub inputs: &'a [&'a Tensor<T>],
    /// Its output, `[N, …]`, bias included.
    pub output: &'a Tensor<T>,
}

/// One operator of the graph, bound to its shapes.
pub trait Operator<T: Scalar>: Debug + Send + Sync {
    /// Its name in recipes and listings.
    fn kind(&self) -> Kind;

    /// Sample shapes of its inputs.
    fn input_shapes(&self) -> &[Vec<usize>];

    /// Sample shape of its output.
    fn output_shape(&self) -> &[usize];

    /// The output for these inputs, `[N, …]` each, bias included.
    fn forward(&self, xs: &[&Tensor<T>]) -> Tensor<T>;

    /// [`forward`](Operator::forward) and then a function that [clips](Operator::limits), in one pass where that is possible.
    fn forward_clamped(&self, xs: &[&Tensor<T>], limits: Limits<T>) -> Tensor<T> {
        crate::tensor::map(&self.forward(xs), |v| limits.clamp(v))
    }

    /// For a function that clips and does nothing else: its limits.
    fn limits(&self) -> Option<Limits<T>> {
        None
    }

    /// Vector-Jacobian product: for a cotangent `g` at the output, the gradient at every input.
    ///
    /// For structural operators and max pooling this is also how relevance is routed.
    fn vjp(&self, io: Io<'_, T>, g: &Tensor<T>) -> Vec<Tensor<T>>;

    /// Whether [`vjp`](Operator::vjp) reads the recorded inputs.
    fn vjp_needs_inputs(&self) -> bool {
        false
    }

    /// This operator as an affine one, if it is.
    fn as_affine(&self) -> Option<&dyn Affine<T>> {
        None
    }

    /// A shared handle of this operator as an affine one, if it is; what prepared rules hold on to.
    fn into_affine(self: Arc<Self>) -> Option<Arc<dyn Affine<T>>> {
        None
    }

    /// This operator as one that absorbs a scale and a shift, if it is.
    fn as_rescale(&self) -> Option<&dyn Rescale<T>> {
        None
    }

    /// For an operator on each part of a sample: the operator, and the number of parts. See [`Folded`](crate::ops::Folded).
    fn folded(&self) -> Option<(&Arc<dyn Operator<T>>, usize)> {
        None
    }

    /// The part of relevance `r` at the output that rests on constants inside this operator rather than on its inputs
    /// (padding, say), one number per sample. Affine operators leave this to their rule.
    fn constant_share(&self, r: &Tensor<T>) -> Vec<f64> {
        vec![0.0; samples(r)]
    }

    /// The operator's fixed behaviour, if no rule was assigned. Affine operators and
    /// those for which none is defined have none; they always need a rule.
    fn fixed(&self) -> Fixed {
        match self.kind().group() {
            Group::Weighted | Group::Weightless | Group::Undefined => Fixed::RuleNeeded,
            Group::Preprocessing | Group::Activation => Fixed::Pass,
            Group::Winner => Fixed::Winner,
            Group::Structural | Group::Step | Group::Product | Group::Normalization | Group::Recurrent => Fixed::Route,
        }
    }

    /// The fixed behaviour of operators that are [`Fixed::Own`]: redistributes `r` and records the accounts of the rest.
    fn propagate(&self, io: Io<'_, T>, r: &Tensor<T>) -> Propagated<T> {
        Propagated::lossless(self.vjp(io, r))
    }

    /// For a product: which input is the gate, where that is known.
    fn gate_input(&self) -> Option<usize> {
        None
    }

    /// For a product: how its factors share relevance unless a rule says otherwise, and why (`"input 1 is the gate: …"`, `"uniform: …"`).
    fn factors(&self) -> Option<String> {
        None
    }

    /// For a product whose factors need not have the shape of the output (a matrix product): a copy that gives them these shares of relevance.
    fn with_shares(&self, shares: [f64; 2]) -> Option<Arc<dyn Operator<T>>> {
        let _ = shares;
        None
    }

    /// For an operator whose own behaviour divides by its outputs (a matrix product, a layer normalisation): a copy with this stabilizer.
    fn with_stabilizer(&self, stabilizer: f64) -> Option<Arc<dyn Operator<T>>> {
        let _ = stabilizer;
        None
    }

    /// For an elementwise power: its exponent.
    fn exponent(&self) -> Option<f64> {
        None
    }

    /// Whether the output is known to have no negative element, given which inputs have none.
    fn nonnegative(&self, inputs: &[bool]) -> bool {
        let _ = inputs;
        false
    }

    /// Number of trained parameters, bias included.
    fn parameters(&self) -> usize {
        0
    }

    /// For an embedding: the number of rows of its table, in which its input has to be. Negative numbers count from the end.
    fn rows(&self) -> Option<usize> {
        None
    }

    /// The algorithm of a convolution; none for operators that have only one.
    fn algorithm(&self) -> Option<Algorithm> {
        None
    }

    /// A copy that is computed in the fastest way wherever rounding decides nothing: backwards, and in copies with modified weights.
    /// `None` where that changes nothing.
    fn fastest(&self) -> Option<Arc<dyn Operator<T>>> {
        None
    }

    /// A copy (whose mapped copies are so, too) that keeps nothing to be faster the next time, or `None` where there is no difference.
    fn thrifty(&self) -> Option<Arc<dyn Operator<T>>> {
        None
    }

    /// Hyperparameters in a few words (`"3×3, stride 2, pad 1"`), for listings.
    fn detail(&self) -> String {
        String::new()
    }
}

/// An affine operator `z = A x + b`. Every classical rule is written with the four methods below.
pub trait Affine<T: Scalar>: Operator<T> {
    /// `A x`: the linear part, without the bias. Inputs and result are `[N, …]`.
    fn apply(&self, xs: &[&Tensor<T>]) -> Tensor<T>;

    /// `Aᵀ s` for each input: `⟨A x, s⟩ = Σ_i ⟨x_i, (Aᵀ s)_i⟩`.
    fn adjoint(&self, s: &Tensor<T>) -> Vec<Tensor<T>>;

    /// `b`, in a shape that broadcasts to the output's sample shape (`[C, 1, 1]` for a convolution).
    fn bias(&self) -> Option<&Tensor<T>>;

    /// A copy of this operator without bias whose weights went through `f`.
    ///
    /// Connections stay as they are: `f = 1` gives the operator that sums the inputs each output sees.
    fn map_weights(&self, f: &dyn Fn(T) -> T) -> Arc<dyn Affine<T>>;

    /// Operations that need fewer passes over memory than the four methods above.
    fn fused(&self) -> Option<&dyn Fused<T>> {
        None
    }
}

/// An operator that absorbs a scale and a shift of its channels, for canonization.
pub trait Rescale<T: Scalar> {
    /// A copy whose output channels (axis 1 of `[N, C, …]`, or the last one of a dense layer) are scaled and
    /// shifted, `y_c ↦ scale_c·y_c + shift_c`, or `None` where that cannot be expressed.
    fn rescale_output(&self, scale: &[T], shift: &[T]) -> Option<Arc<dyn Operator<T>>>;

    /// A copy that does what this operator does to an input whose channels were scaled and shifted
    /// first, or `None` where that is not exact (a shift under zero padding).
    fn rescale_input(&self, scale: &[T], shift: &[T]) -> Option<Arc<dyn Operator<T>>> {
        let _ = (scale, shift);
        None
    }
}

/// The output `A x + b` of an affine operator.
pub(crate) fn affine_forward<T: Scalar>(op: &dyn Affine<T>, xs: &[&Tensor<T>]) -> Tensor<T> {
    fused::apply_biased(op, xs, op.bias(), None)
}

/// `A` applied to inputs of all ones: with weights mapped to one, the number of inputs each output sees.
/// Shape `[1, …]`.
pub fn apply_to_ones<T: Scalar>(op: &dyn Affine<T>) -> Tensor<T> {
    let ones: Vec<Tensor<T>> =
        op.input_shapes().iter().map(|shape| Tensor::ones(crate::tensor::batch_shape(1, shape))).collect();
    op.apply(&ones.iter().collect::<Vec<_>>())
}

/// Number of samples that a set of inputs carries.
pub(crate) fn batch_of<T: Scalar>(xs: &[&Tensor<T>]) -> usize {
    xs.first().map_or(0, |x| samples(x))
}
