//! Operators of ONNX Runtime's own (domain `com.microsoft`): several ONNX operators in one, written out, and those of quantized
//! models.

use lrp_core::Scalar;
use lrp_core::ops::{Activation, Add, Function, Mul, shared};

use super::quantized::{integer, qlinear};
use super::{Context, Translated, Translator, Value, activation, conv, linear, quantized};
use crate::consteval::evaluate;
use crate::error::Problem;
use crate::graph::{Constants, Origin};
use crate::proto::{AttributeProto, NodeProto};
use crate::tensor::Constant;

macro_rules! operators {
    ($($name:literal => $function:path,)*) => {
        /// The function that translates an operator of the domain `com.microsoft`, if there is one.
        pub(crate) fn contributed<T: Scalar>(op_type: &str) -> Option<Translator<T>> {
            match op_type {
                $($name => Some($function),)*
                _ => None,
            }
        }
    };
}

operators! {
    "BiasGelu" => bias_gelu,
    "DequantizeLinear" => quantized::dequantize_linear,
    "DynamicQuantizeLSTM" => integer::dynamic_quantize_lstm,
    "DynamicQuantizeMatMul" => integer::dynamic_quantize_mat_mul,
    "FastGelu" => fast_gelu,
    "FusedConv" => fused_conv,
    "FusedGemm" => fused_gemm,
    "FusedMatMul" => fused_mat_mul,
    "Gelu" => activation::gelu,
    "MatMulIntegerToFloat" => integer::mat_mul_integer_to_float,
    "QGemm" => qlinear::gemm,
    "QLinearAdd" => qlinear::add,
    "QLinearAveragePool" => qlinear::average_pool,
    "QLinearConcat" => qlinear::concat,
    "QLinearGlobalAveragePool" => qlinear::global_average_pool,
    "QLinearLeakyRelu" => qlinear::leaky_relu,
    "QLinearMul" => qlinear::mul,
    "QLinearSigmoid" => qlinear::sigmoid,
    "QLinearSoftmax" => qlinear::softmax,
    "QuantizeLinear" => quantized::quantize_linear,
    "QuickGelu" => quick_gelu,
}

/// A function under the node's own name.
fn function<T: Scalar>(cx: &mut Context<'_, T>, function: Function, x: usize) -> Translated {
    let op = Activation::new(function, &cx.shape(x))?;
    cx.push_made_from(shared(op), Origin::Activation(function), &[x])
}

fn bias_gelu<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    gelu_of_sum(cx, false)
}

fn fast_gelu<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    gelu_of_sum(cx, true)
}

/// `gelu(x + bias)`.
fn gelu_of_sum<T: Scalar>(cx: &mut Context<'_, T>, tanh: bool) -> Translated {
    let x = cx.data(0)?;
    let x = match cx.optional(1)?.cloned() {
        Some(bias) => scaled(cx, "bias", x, None, Some(&bias))?,
        None => x,
    };
    function(cx, Function::Gelu { tanh }, x)
}

/// `x · σ(alpha · x)`.
fn quick_gelu<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    let alpha = cx.node.float("alpha").unwrap_or(1.702);
    let shape = cx.shape(x);
    let inner = scaled(cx, "alpha", x, Some(alpha), None)?;
    let gate = activation::extra(cx, "sigmoid", Function::Sigmoid, inner)?;
    cx.push(Mul::new(Some(1), &shape)?.because("the sigmoid of x · σ(αx)"), &[x, gate])
}

fn scaled<T: Scalar>(
    cx: &mut Context<'_, T>,
    suffix: &str,
    x: usize,
    weight: Option<f64>,
    bias: Option<&Constant>,
) -> Result<usize, Problem> {
    let shape = cx.shape(x);
    let bias = bias.map(|bias| cx.per_sample(bias, cx.rank(x))).transpose()?;
    let constants = Constants { weight: weight.map(|w| ndarray::arr0(T::of(w)).into_dyn()), bias };
    let op = shared(constants.build(&shape)?);
    Ok(cx.push_extra_made_from(suffix, op, Origin::Scale(constants), &[x]))
}

/// A convolution, a sum with another activation, and an activation function; the last two may be left out.
fn fused_conv<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let y = conv::conv(cx)?;
    let Value::Data(mut y) = y else { return Ok(y) };
    if let Some(Some(Value::Data(other))) = cx.inputs.get(3) {
        let other = *other;
        if cx.shape(other) != cx.shape(y) {
            return Err(Problem::invalid("what it adds has another shape than its convolution"));
        }
        let op = shared(Add::new(2, &cx.shape(y))?);
        y = cx.push_extra_made_from("sum", op, Origin::Sum, &[y, other]);
    } else if let Some(bias) = cx.optional(3)?.cloned() {
        y = scaled(cx, "sum", y, None, Some(&bias))?;
    }
    let parameters: Vec<f64> =
        cx.node.attribute("activation_params").map_or_else(Vec::new, |a| a.floats.iter().map(|&v| v.into()).collect());
    activated(cx, y, &parameters)
}

/// A dense layer and an activation function.
fn fused_gemm<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let y = linear::gemm(cx)?;
    let Value::Data(y) = y else { return Ok(y) };
    let names = ["activation_alpha", "activation_beta", "activation_gamma"];
    let parameters: Vec<f64> = names.into_iter().map_while(|name| cx.node.float(name)).collect();
    activated(cx, y, &parameters)
}

/// The function that the attribute `activation` names, with its parameters.
fn activated<T: Scalar>(cx: &mut Context<'_, T>, x: usize, parameters: &[f64]) -> Translated {
    let parameter = |i: usize, default: f64| parameters.get(i).copied().unwrap_or(default);
    let function = match cx.node.text("activation").as_deref() {
        None | Some("") => return Ok(Value::Data(x)),
        Some("Relu") => Function::Relu,
        Some("Tanh") => Function::Tanh,
        Some("Sigmoid") => Function::Sigmoid,
        Some("LeakyRelu") => Function::LeakyRelu { alpha: parameter(0, 0.01) },
        Some("Elu") => Function::Elu { alpha: parameter(0, 1.0) },
        Some("Clip") => Function::Clip { low: parameter(0, f64::NEG_INFINITY), high: parameter(1, f64::INFINITY) },
        Some("HardSigmoid") => Function::HardSigmoid { alpha: parameter(0, 0.2), beta: parameter(1, 0.5) },
        Some("Softplus") => Function::Softplus,
        Some(other) => {
            return Err(Problem::unsupported(format!("with the activation '{}'", crate::error::shown(other))));
        }
    };
    activation::extra(cx, "activation", function, x).map(Value::Data)
}

/// `alpha · A B`, of which either factor may be transposed.
fn fused_mat_mul<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let flag = |name: &str| cx.node.int(name).unwrap_or(0) != 0;
    if flag("transBatchA") || flag("transBatchB") {
        return Err(Problem::unsupported("with a batch of matrices that is transposed (transBatchA, transBatchB)"));
    }
    let transposed = [flag("transA"), flag("transB")];
    let mut alpha = cx.node.float("alpha").unwrap_or(1.0);
    for (index, transposed) in transposed.into_iter().enumerate() {
        let value = match cx.inputs.get(index).cloned().flatten() {
            Some(Value::Constant(c)) => {
                let c = if transposed { turned(cx, &c)? } else { c };
                // Into the weights, so that they are those of a layer.
                let factor = std::mem::replace(&mut alpha, 1.0);
                match factor == 1.0 {
                    true => Value::Constant(c),
                    false => Value::Constant(quantized::dequantized(cx, &c, &[factor], &[0.0], 0)?),
                }
            }
            Some(Value::Data(x)) if transposed => Value::Data(linear::transposed(cx, x)?),
            Some(value) => value,
            None => continue,
        };
        if let Some(slot) = cx.inputs.get_mut(index) {
            *slot = Some(value);
        }
    }
    let y = linear::mat_mul(cx)?;
    match y {
        Value::Data(y) if alpha != 1.0 => scaled(cx, "alpha", y, Some(alpha), None).map(Value::Data),
        y => Ok(y),
    }
}

/// A constant whose last two axes are swapped.
fn turned<T: Scalar>(cx: &mut Context<'_, T>, constant: &Constant) -> Result<Constant, Problem> {
    let rank = constant.shape().len();
    if rank < 2 {
        return Ok(constant.clone());
    }
    let mut swap: Vec<i64> = (0..i64::try_from(rank).unwrap_or(0)).collect();
    swap.swap(rank - 2, rank - 1);
    let perm = AttributeProto { name: "perm".into(), ints: swap, ..AttributeProto::default() };
    let node = NodeProto { op_type: "Transpose".into(), attribute: vec![perm], ..NodeProto::default() };
    let results = evaluate(&node, &[Some(constant.clone())], cx.opset, cx.budget)?;
    results.into_iter().next().ok_or_else(|| Problem::invalid("its weight cannot be transposed"))
}

#[cfg(test)]
mod tests {
    use crate::testing::{Attr, Net};
    use lrp_core::Tensor;
    use ndarray::array;

    fn close(a: &Tensor<f64>, b: &Tensor<f64>) {
        assert_eq!(a.shape(), b.shape());
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6), "{a} and {b}");
    }

    /// The output of one operator on `x` and a constant.
    fn of(
        op: &str,
        constant: Option<(&[i64], &[f32])>,
        attributes: &[(&str, Attr<'_>)],
        x: &Tensor<f64>,
    ) -> Tensor<f64> {
        let mut net = Net::new(&x.shape()[1..].iter().map(|d| *d as i64).collect::<Vec<_>>());
        let constant = constant.map(|(dims, values)| net.floats(dims, values));
        let inputs: Vec<&str> = std::iter::once("x").chain(constant.as_deref()).collect();
        net.op(op, &inputs, attributes);
        net.last("com.microsoft", &[]);
        net.run(x)
    }

    #[test]
    fn gelus_of_all_kinds() {
        let x = array![[-2.0, 0.5]].into_dyn();
        // As in the tests of the activations, for x and for x − 1 + 1.
        close(&of("Gelu", None, &[], &x), &array![[-0.0455003, 0.3457312]].into_dyn());
        let shifted = &x - 1.0;
        close(&of("BiasGelu", Some((&[2], &[1.0, 1.0])), &[], &shifted), &array![[-0.0455003, 0.3457312]].into_dyn());
        close(&of("FastGelu", Some((&[2], &[1.0, 1.0])), &[], &shifted), &array![[-0.0454023, 0.3457140]].into_dyn());
        close(&of("FastGelu", None, &[], &x), &array![[-0.0454023, 0.3457140]].into_dyn());
        let quick = |alpha: f64| x.mapv(|v| v / (1.0 + (-alpha * v).exp()));
        close(&of("QuickGelu", None, &[], &x), &quick(1.702));
        close(&of("QuickGelu", None, &[("alpha", Attr::Float(0.5))], &x), &quick(0.5));
    }

    #[test]
    fn fused_products() {
        let x = array![[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]].into_dyn();
        let alpha = ("alpha", Attr::Float(2.0));
        let turned = [alpha, ("transB", Attr::Int(1))];
        close(
            &of("FusedMatMul", Some((&[1, 2], &[1.0, 10.0])), &turned, &x),
            &array![[[42.0], [86.0], [130.0]]].into_dyn(),
        );
        let both = [("transA", Attr::Int(1))];
        close(
            &of("FusedMatMul", Some((&[3, 1], &[1.0, 10.0, 100.0])), &both, &x),
            &array![[[531.0], [642.0]]].into_dyn(),
        );
        let x = array![[1.0, -2.0]].into_dyn();
        let relu = [("activation", Attr::Text("Relu"))];
        close(&of("FusedGemm", Some((&[2, 2], &[1.0, 0.0, 0.0, 1.0])), &relu, &x), &array![[1.0, 0.0]].into_dyn());
    }

    #[test]
    fn a_convolution_with_a_sum_and_an_activation() {
        let x = array![[[1.0, -2.0]]].into_dyn();
        let net = |inputs: &[&str], activation: &'static str| {
            let mut net = Net::new(&[1, 2]);
            let (w, b) = (net.floats(&[1, 1, 1], &[3.0]), net.floats(&[1], &[1.0]));
            net.op("FusedConv", &[&["x", &w, &b], inputs].concat(), &[("activation", Attr::Text(activation))]);
            net.last("com.microsoft", &[]);
            net
        };
        close(&net(&[], "Relu").run(&x), &array![[[4.0, 0.0]]].into_dyn());
        close(&net(&["x"], "LeakyRelu").run(&x), &array![[[5.0, -0.07]]].into_dyn());
        assert!(net(&[], "Swirl").error().contains("with the activation 'Swirl'"));
    }
}
