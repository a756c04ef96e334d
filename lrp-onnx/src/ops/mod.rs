//! Translates ONNX operators on activations into operators of `lrp-core`: one small function each, by family.
//!
//! To add an operator: write its function in the file of its family (or a new one) and give it a line in the table below.

mod activation;
mod arithmetic;
mod choice;
mod classical;
mod contributed;
mod conv;
mod einsum;
mod embedding;
pub(crate) mod linear;
mod norm;
mod normalize;
mod pick;
mod pool;
mod product;
pub(crate) mod quantized;
mod recurrent;
mod reduce;
mod resize;
mod sample;
mod select;
mod structure;
pub(crate) mod supported;
pub(crate) mod unsupported;
mod window;

use std::cmp::Ordering;
use std::sync::Arc;

use lrp_core::operator::Operator;
use lrp_core::ops::{Builtin, shared};
use lrp_core::{Scalar, Tensor};

use crate::consteval::{Budget, axis};
use crate::error::{Problem, Shape};
use crate::graph::{Body, Graph, Node, Origin};
use crate::input_statistics::BatchNorm;
use crate::names::Names;
use crate::proto::NodeProto;
use crate::quantization::Quantization;
use crate::tensor::Constant;

pub(crate) use contributed::contributed;

type Translated = Result<Value, Problem>;

/// A function that translates an operator.
pub(crate) type Translator<T> = fn(&mut Context<'_, T>) -> Translated;

macro_rules! operators {
    ($($name:literal => $function:path,)*) => {
        /// The ONNX operators that are supported on activations.
        pub(crate) const SUPPORTED: &[&str] = &[$($name,)*];

        /// The function that translates an operator, if there is one.
        pub(crate) fn translator<T: Scalar>(op_type: &str) -> Option<fn(&mut Context<'_, T>) -> Translated> {
            match op_type {
                $($name => Some($function),)*
                _ => None,
            }
        }
    };
}

operators! {
    "Abs" => activation::abs,
    "Acos" => activation::acos,
    "Acosh" => activation::acosh,
    "Add" => arithmetic::add,
    "And" => choice::and,
    "ArgMax" => reduce::arg_max,
    "ArgMin" => reduce::arg_max,
    "Asin" => activation::asin,
    "Asinh" => activation::asinh,
    "Atan" => activation::atan,
    "Atanh" => activation::atanh,
    "AveragePool" => pool::average_pool,
    "BatchNormalization" => norm::batch_norm,
    "Cast" => structure::cast,
    "Ceil" => choice::ceil,
    "Celu" => activation::celu,
    "Clip" => activation::clip,
    "Concat" => structure::concat,
    "Conv" => conv::conv,
    "ConvInteger" => quantized::integer::conv_integer,
    "ConvTranspose" => conv::conv_transpose,
    "Cos" => activation::cos,
    "Cosh" => activation::cosh,
    "CumSum" => reduce::cum_sum,
    "DepthToSpace" => structure::depth_to_space,
    "DequantizeLinear" => quantized::dequantize_linear,
    "Div" => arithmetic::div,
    "Dropout" => structure::dropout,
    "DynamicQuantizeLinear" => quantized::dynamic_quantize_linear,
    "Einsum" => einsum::einsum,
    "Elu" => activation::elu,
    "Equal" => choice::equal,
    "Erf" => activation::erf,
    "Exp" => activation::exp,
    "Expand" => structure::expand,
    "Flatten" => structure::flatten,
    "Floor" => choice::floor,
    "GRU" => recurrent::gru,
    "Gather" => select::gather,
    "GatherElements" => pick::gather_elements,
    "GatherND" => pick::gather_nd,
    "Gelu" => activation::gelu,
    "Gemm" => linear::gemm,
    "GlobalAveragePool" => pool::global_average_pool,
    "GlobalLpPool" => normalize::global_lp_pool,
    "GlobalMaxPool" => pool::global_max_pool,
    "Greater" => choice::greater,
    "GreaterOrEqual" => choice::greater_or_equal,
    "GridSample" => sample::grid_sample,
    "GroupNormalization" => normalize::group_norm,
    "HardSigmoid" => activation::hard_sigmoid,
    "HardSwish" => activation::hard_swish,
    "Identity" => structure::identity,
    "InstanceNormalization" => norm::instance_norm,
    "IsInf" => choice::never,
    "IsNaN" => choice::never,
    "LRN" => normalize::lrn,
    "LSTM" => recurrent::lstm,
    "LayerNormalization" => norm::layer_norm,
    "LeakyRelu" => activation::leaky_relu,
    "Less" => choice::less,
    "LessOrEqual" => choice::less_or_equal,
    "LinearClassifier" => classical::linear_classifier,
    "LinearRegressor" => classical::linear_regressor,
    "Log" => activation::log,
    "LogSoftmax" => structure::softmax,
    "LpNormalization" => normalize::lp_normalization,
    "LpPool" => normalize::lp_pool,
    "MatMul" => linear::mat_mul,
    "MatMulInteger" => quantized::integer::mat_mul_integer,
    "Max" => arithmetic::max,
    "MaxPool" => pool::max_pool,
    "Mean" => arithmetic::mean,
    "MeanVarianceNormalization" => normalize::mean_variance,
    "Min" => arithmetic::min,
    "Mish" => activation::mish,
    "Mul" => arithmetic::mul,
    "Neg" => arithmetic::neg,
    "Normalizer" => classical::normalizer,
    "Not" => choice::not,
    "OneHot" => embedding::one_hot,
    "Or" => choice::or,
    "PRelu" => activation::p_relu,
    "Pad" => structure::pad,
    "Pow" => arithmetic::pow,
    "QLinearConv" => quantized::qlinear::conv,
    "QLinearMatMul" => quantized::qlinear::mat_mul,
    "QuantizeLinear" => quantized::quantize_linear,
    "RMSNormalization" => normalize::rms_norm,
    "RNN" => recurrent::rnn,
    "Reciprocal" => arithmetic::reciprocal,
    "ReduceL1" => reduce::reduce_l1,
    "ReduceL2" => reduce::reduce_l2,
    "ReduceLogSum" => reduce::reduce_log_sum,
    "ReduceLogSumExp" => reduce::reduce_log_sum_exp,
    "ReduceMax" => reduce::reduce_max,
    "ReduceMean" => pool::reduce_mean,
    "ReduceMin" => reduce::reduce_min,
    "ReduceProd" => reduce::reduce_prod,
    "ReduceSum" => pool::reduce_sum,
    "ReduceSumSquare" => reduce::reduce_sum_square,
    "Relu" => activation::relu,
    "Reshape" => structure::reshape,
    "Resize" => resize::resize,
    "ReverseSequence" => select::reverse_sequence,
    "Round" => choice::round,
    "Scaler" => classical::scaler,
    "ScatterElements" => pick::scatter_elements,
    "ScatterND" => pick::scatter_nd,
    "Selu" => activation::selu,
    "Shrink" => activation::shrink,
    "Sigmoid" => activation::sigmoid,
    "Sign" => choice::sign,
    "Sin" => activation::sin,
    "Sinh" => activation::sinh,
    "Slice" => select::slice,
    "Softmax" => structure::softmax,
    "Softplus" => activation::softplus,
    "Softsign" => activation::softsign,
    "SpaceToDepth" => structure::space_to_depth,
    "Split" => select::split,
    "Sqrt" => activation::sqrt,
    "Squeeze" => structure::squeeze,
    "Sub" => arithmetic::sub,
    "Sum" => arithmetic::sum,
    "Swish" => activation::swish,
    "Tan" => activation::tan,
    "Tanh" => activation::tanh,
    "ThresholdedRelu" => activation::thresholded_relu,
    "Tile" => pick::tile,
    "TopK" => reduce::top_k,
    "Transpose" => structure::transpose,
    "Trilu" => choice::triangle,
    "Unsqueeze" => structure::unsqueeze,
    "Upsample" => resize::resize,
    "Where" => choice::choose,
    "Xor" => choice::xor,
}

/// The operators that know what to do with an activation whose batch is not axis 0: those that occur around recurrent layers.
pub(crate) const ANY_BATCH_AXIS: &[&str] = &[
    "Cast",
    "Concat",
    "DequantizeLinear",
    "Dropout",
    "DynamicQuantizeLSTM",
    "DynamicQuantizeLinear",
    "GRU",
    "Gather",
    "Identity",
    "LSTM",
    "LeakyRelu",
    "QuantizeLinear",
    "RNN",
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
    "Relu",
    "Reshape",
    "Sigmoid",
    "Slice",
    "Split",
    "Squeeze",
    "Tanh",
    "Transpose",
    "Unsqueeze",
];

/// The axis that is the batch where every axis of the file belongs to the sample.
pub(crate) const OUTSIDE: usize = usize::MAX;

/// The operators that read their input as `[N, C, …]`, samples and channels, and so need an axis that counts samples.
pub(crate) const BATCH_FIRST: &[&str] = &[
    "AveragePool",
    "BatchNormalization",
    "Conv",
    "ConvInteger",
    "ConvTranspose",
    "DepthToSpace",
    "FusedConv",
    "GlobalAveragePool",
    "GlobalLpPool",
    "GlobalMaxPool",
    "GridSample",
    "GroupNormalization",
    "InstanceNormalization",
    "LRN",
    "LinearClassifier",
    "LinearRegressor",
    "LpPool",
    "MaxPool",
    "MaxUnpool",
    "MeanVarianceNormalization",
    "Normalizer",
    "QLinearAveragePool",
    "QLinearConv",
    "QLinearGlobalAveragePool",
    "Resize",
    "SpaceToDepth",
    "Upsample",
];

/// The operators whose first input may be a [`Value::Row`].
pub(crate) const READS_ROWS: [&str; 2] = ["Gather", "Reshape"];

/// The value of a tensor's name. The batch is axis 0 ([`Data`](Self::Data)), another axis, or, in a [whole run](crate::whole), none.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// The output of a node of the graph: depends on the model's input.
    Data(usize),
    /// The same where the file has the batch as another axis than 0: the node's output, whose samples have the axes that are left,
    /// in the file's order, and the position of the batch among the file's axes.
    Moved(usize, usize),
    /// All samples of a node's output behind each other on a single axis. Only operators that take the samples apart again
    /// know what to do with it: [`READS_ROWS`].
    Row(usize),
    /// The output of a node of a whole run: every axis of the file is an axis of the sample.
    Whole(usize),
    /// The same where the node leaves out the file's first axis, of this length: it counts samples for the node.
    Folded(usize, usize),
    /// Known while importing.
    Constant(Constant),
    /// An activation that depends on a node that is not supported.
    Unknown,
    /// Something computed from the shape of such an activation.
    UnknownConstant,
}

/// The number of words of all lookup tables of a model's operators.
#[derive(Debug, Default)]
pub(crate) struct Tables(usize);

impl Tables {
    /// The limit for one operator, and for all.
    const MAX: (usize, usize) = (1 << 24, 1 << 26);

    /// Accounts for a table of this shape before it is made.
    fn charge(&mut self, shape: &[usize]) -> Result<(), Problem> {
        let size = crate::tensor::volume(shape).filter(|&n| n <= Self::MAX.0);
        match size.map(|n| self.0.saturating_add(n)).filter(|&n| n <= Self::MAX.1) {
            Some(total) => {
                self.0 = total;
                Ok(())
            }
            None => Err(Problem::invalid(format!(
                "its output {} is absurdly large, for an operator that moves single elements",
                Shape(shape)
            ))),
        }
    }

    /// Accounts for tables as long as these axes, one for each, before they are made. In words, an entry has two; one more
    /// goes into making it.
    fn charge_axes(&mut self, lengths: impl IntoIterator<Item = usize>) -> Result<(), Problem> {
        let total = lengths.into_iter().try_fold(0, usize::checked_add).and_then(|n| n.checked_mul(3));
        self.0 = total.and_then(|n| self.0.checked_add(n)).filter(|&n| n <= Self::MAX.1).ok_or_else(|| {
            Problem::invalid("its output is absurdly large, for an operator that moves single elements")
        })?;
        Ok(())
    }

    /// Accounts for a pooling window: it has a count for each output position, and its connections are walked once.
    fn charge_window(&mut self, outputs: usize, connections: usize) -> Result<(), Problem> {
        let total = (connections / 2).checked_add(outputs).and_then(|n| self.0.checked_add(n));
        self.0 =
            total.filter(|&n| n <= Self::MAX.1).ok_or_else(|| Problem::invalid("its windows are absurdly large"))?;
        Ok(())
    }

    /// Accounts for a table of weights: lists with so many entries in all, as many lists as `outputs` says. In words, an
    /// entry has two, a list four.
    fn charge_weights(&mut self, outputs: usize, entries: usize) -> Result<(), Problem> {
        let words = outputs.checked_mul(4).zip(entries.checked_mul(2)).and_then(|(a, b)| a.checked_add(b));
        let total = words.and_then(|n| self.0.checked_add(n)).filter(|&n| n <= Self::MAX.1);
        self.0 = total.ok_or_else(|| Problem::invalid("it interpolates absurdly many elements"))?;
        Ok(())
    }
}

/// One node on its way into the graph.
pub(crate) struct Context<'a, T: Scalar> {
    pub graph: &'a mut Graph<T>,
    pub names: &'a mut Names,
    pub tables: &'a mut Tables,
    /// For constants that are computed.
    pub budget: &'a mut Budget,
    /// The integers of a quantized model.
    pub quantization: &'a mut Quantization,
    /// The first batch norm of the graph, once it is there.
    pub batch_norm: &'a mut Option<BatchNorm>,
    pub node: &'a NodeProto,
    /// Unique.
    pub name: String,
    /// As many as the node lists; `None` where one is left out.
    pub inputs: Vec<Option<Value>>,
    /// For each output whether anything reads it.
    pub used: Vec<bool>,
    /// The outputs after the first, from the operators that have such.
    pub further: Vec<Value>,
    pub opset: i64,
    /// The size of the batch axis in shapes.
    pub batch: usize,
    /// The axis of the file that is the batch in the activations among the inputs, and in the outputs unless the operator
    /// moves it. Zero but for the operators in [`ANY_BATCH_AXIS`], and [`OUTSIDE`] where the file has no such axis.
    pub batch_axis: usize,
}

impl<T: Scalar> Context<'_, T> {
    /// The activation that is input `index`.
    fn data(&self, index: usize) -> Result<usize, Problem> {
        match self.inputs.get(index) {
            Some(Some(Value::Data(id))) => Ok(*id),
            Some(Some(_)) => Err(Problem::unsupported(format!("with a constant as input number {}", index + 1))),
            _ => Err(Problem::invalid(format!("it has no input number {}", index + 1))),
        }
    }

    /// The activation whose samples stand in a row in the first input, if that is one, and the length of the row.
    fn row(&self) -> Result<Option<(usize, usize)>, Problem> {
        let Some(Some(Value::Row(id))) = self.inputs.first() else { return Ok(None) };
        let length = crate::tensor::volume(&self.full_shape(*id));
        Ok(Some((*id, length.ok_or_else(|| Problem::invalid("its input is absurdly large"))?)))
    }

    /// The constant that is input `index`, if the input is there.
    fn optional(&self, index: usize) -> Result<Option<&Constant>, Problem> {
        match self.inputs.get(index) {
            Some(Some(Value::Constant(constant))) => Ok(Some(constant)),
            Some(Some(_)) => Err(Problem::unsupported(format!(
                "with an activation as input number {}, which has to be a constant",
                index + 1
            ))),
            _ => Ok(None),
        }
    }

    fn constant(&self, index: usize) -> Result<&Constant, Problem> {
        self.optional(index)?.ok_or_else(|| Problem::invalid(format!("it has no input number {}", index + 1)))
    }

    /// A list that is an attribute in old operator sets and a constant input in new ones.
    fn list(&self, index: usize, attribute: &str) -> Result<Option<Vec<i64>>, Problem> {
        if let Some(values) = self.node.ints(attribute) {
            return Ok(Some(values.to_vec()));
        }
        let ints = |c: &Constant| c.ints().map_err(|e| Problem::invalid(format!("its {attribute} {e}")));
        self.optional(index)?.map(ints).transpose()
    }

    /// A number that is an attribute in old operator sets and a constant input in new ones.
    fn number(&self, index: usize, attribute: &str) -> Result<Option<f64>, Problem> {
        if let Some(value) = self.node.float(attribute) {
            return Ok(Some(value));
        }
        let Some(constant) = self.optional(index)? else { return Ok(None) };
        match constant.floats::<f64>().as_slice() {
            [value] => Ok(Some(*value)),
            values => Err(Problem::invalid(format!("its {attribute} has {} elements in place of one", values.len()))),
        }
    }

    /// Sample shape of a node of the graph.
    fn shape(&self, id: usize) -> Vec<usize> {
        self.graph.shape(id)
    }

    /// Whether the file has the batch as an axis of it.
    fn has_batch(&self, id: usize) -> bool {
        self.full_shape(id).len() > self.shape(id).len()
    }

    /// Its shape as ONNX sees it, batch included.
    fn full_shape(&self, id: usize) -> Vec<usize> {
        let mut shape = self.shape(id);
        if !self.is_whole() {
            shape.insert(self.batch_axis.min(shape.len()), self.batch);
        }
        shape
    }

    /// The number of its axes as ONNX sees it.
    fn rank(&self, id: usize) -> usize {
        self.full_shape(id).len()
    }

    /// Whether no axis of the file is the batch, so that all of them belong to the sample.
    fn is_whole(&self) -> bool {
        self.batch_axis == OUTSIDE
    }

    /// An axis of the file, which must not be the batch, as an axis of tensors that begin with the batch.
    fn sample_axis(&self, a: i64, id: usize) -> Result<usize, Problem> {
        let shape = self.shape(id);
        match axis(a, self.rank(id))? {
            at if at == self.batch_axis => Err(Problem::invalid(format!(
                "it works along axis {a} of {}, which is the batch; samples must stay independent of each other",
                Shape(&shape)
            ))),
            a => Ok(self.behind_batch(a)),
        }
    }

    /// An axis of the file as an axis of tensors that begin with the batch.
    fn behind_batch(&self, axis: usize) -> usize {
        match axis.cmp(&self.batch_axis) {
            Ordering::Less => axis + 1,
            Ordering::Equal => 0,
            Ordering::Greater => axis,
        }
    }

    /// The node `id` as a value whose batch stands at this axis of the file.
    fn with_batch_at(id: usize, axis: usize) -> Value {
        if axis == 0 { Value::Data(id) } else { Value::Moved(id, axis) }
    }

    /// Adds this node's operator to the graph.
    fn push(&mut self, op: impl Into<Builtin<T>>, inputs: &[usize]) -> Translated {
        self.push_made_from(shared(op), Origin::Other, inputs)
    }

    fn push_made_from(&mut self, op: Arc<dyn Operator<T>>, origin: Origin<T>, inputs: &[usize]) -> Translated {
        Ok(Value::Data(self.add(self.name.clone(), op, origin, inputs)))
    }

    /// Adds an operator that this node needs besides its own.
    fn push_extra(&mut self, suffix: &str, op: impl Into<Builtin<T>>, inputs: &[usize]) -> usize {
        self.push_extra_made_from(suffix, shared(op), Origin::Other, inputs)
    }

    fn push_extra_made_from(
        &mut self,
        suffix: &str,
        op: Arc<dyn Operator<T>>,
        origin: Origin<T>,
        inputs: &[usize],
    ) -> usize {
        let name = self.names.unique(&format!("{}/{suffix}", self.name));
        self.add(name, op, origin, inputs)
    }

    fn add(&mut self, name: String, op: Arc<dyn Operator<T>>, origin: Origin<T>, inputs: &[usize]) -> usize {
        let shape = op.output_shape().to_vec();
        self.graph.push(Node { name, body: Body::Operator(op, origin), inputs: inputs.to_vec(), shape })
    }

    /// Adds a constant of a sample shape to the graph.
    fn push_constant(&mut self, name: &str, value: Tensor<T>) -> usize {
        let shape = value.shape().to_vec();
        let name = self.names.unique(name);
        self.graph.push(Node { name, body: Body::Constant(value), inputs: Vec::new(), shape })
    }

    /// A constant as every sample sees it, next to an activation of `rank` axes (batch included).
    ///
    /// A constant with as many axes has the batch axis too: it must be of length one, or the same for every sample.
    fn per_sample(&self, constant: &Constant, rank: usize) -> Result<Tensor<T>, Problem> {
        let value = constant.tensor::<T>().map_err(|e| Problem::invalid(format!("its constant {e}")))?;
        let differs = || {
            Problem::invalid(format!(
                "its constant of shape {:?} differs between the samples of a batch; axis 0 must be the batch",
                constant.shape()
            ))
        };
        if constant.shape().len() < rank || (self.is_whole() && !value.is_empty()) {
            return Ok(value);
        }
        if constant.shape().len() > rank || value.is_empty() {
            return Err(differs());
        }
        let samples = value.shape().first().copied().unwrap_or(0);
        let first = value.index_axis(ndarray::Axis(0), 0);
        if samples != 1 && (samples != self.batch || value.outer_iter().any(|sample| sample != first)) {
            return Err(differs());
        }
        Ok(first.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        assert!(SUPPORTED.is_sorted());
        assert!(SUPPORTED.iter().all(|op| translator::<f32>(op).is_some()));
        assert!(translator::<f32>("NonZero").is_none());
    }
}
