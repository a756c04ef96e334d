//! Operators and tensors as Rust code, so that a counterexample can be pasted into a test as it is printed.

use std::collections::BTreeSet;

use lrp_core::Tensor;
use lrp_core::kernels::window::WindowSpec;
use lrp_core::ops::{Function, PadMode, Taps};

use crate::op::Op;

/// A node's name as a variable.
pub(crate) fn variable(name: &str) -> String {
    name.replace(|c: char| !c.is_ascii_alphanumeric(), "_")
}

/// A number, which may be infinite.
fn number(v: f64) -> String {
    match v {
        f64::INFINITY => "f64::INFINITY".into(),
        f64::NEG_INFINITY => "f64::NEG_INFINITY".into(),
        v => format!("{v:?}"),
    }
}

/// Numbers as elements of a list.
fn numbers<'a>(values: impl IntoIterator<Item = &'a f64>) -> String {
    values.into_iter().map(|&v| number(v)).collect::<Vec<_>>().join(", ")
}

fn vector(values: &[f64]) -> String {
    format!("vec![{}]", numbers(values))
}

/// A tensor, as an expression with `?`.
pub fn tensor(t: &Tensor<f64>) -> String {
    format!("Tensor::from_shape_vec(vec!{:?}, vec![{}])?", t.shape(), numbers(t))
}

fn maybe<V: ?Sized>(value: Option<&V>, print: impl Fn(&V) -> String) -> String {
    value.map_or_else(|| "None".into(), |v| format!("Some({})", print(v)))
}

fn maybe_vector(values: Option<&Vec<f64>>) -> String {
    maybe(values, |v| vector(v))
}

/// A window, by the short methods where all axes agree.
fn window(spec: &WindowSpec) -> String {
    let WindowSpec { kernel, stride, dilation, pad_begin, pad_end, ceil_mode } = spec;
    let uniform = |v: &[usize]| v.first().copied().filter(|first| v.iter().all(|x| x == first));
    match (uniform(stride), uniform(dilation), uniform(pad_begin)) {
        (Some(stride), Some(dilation), Some(pad)) if pad_begin == pad_end && !ceil_mode => {
            let mut code = format!("WindowSpec::new(&{kernel:?})");
            for (method, value, default) in [("stride", stride, 1), ("dilation", dilation, 1), ("pad", pad, 0)] {
                if value != default {
                    code += &format!(".{method}({value})");
                }
            }
            code
        }
        _ => format!(
            "WindowSpec {{ kernel: vec!{kernel:?}, stride: vec!{stride:?}, dilation: vec!{dilation:?}, \
             pad_begin: vec!{pad_begin:?}, pad_end: vec!{pad_end:?}, ceil_mode: {ceil_mode} }}"
        ),
    }
}

fn function(function: Function) -> String {
    let parameters = |list: &[(&str, f64)]| -> String {
        list.iter().map(|(name, v)| format!("{name}: {}", number(*v))).collect::<Vec<_>>().join(", ")
    };
    let (name, parameters) = match function {
        Function::LeakyRelu { alpha } => ("LeakyRelu", parameters(&[("alpha", alpha)])),
        Function::Clip { low, high } => ("Clip", parameters(&[("low", low), ("high", high)])),
        Function::HardSigmoid { alpha, beta } => ("HardSigmoid", parameters(&[("alpha", alpha), ("beta", beta)])),
        Function::Elu { alpha } => ("Elu", parameters(&[("alpha", alpha)])),
        Function::Celu { alpha } => ("Celu", parameters(&[("alpha", alpha)])),
        Function::ThresholdedRelu { alpha } => ("ThresholdedRelu", parameters(&[("alpha", alpha)])),
        Function::Shrink { bias, limit } => ("Shrink", parameters(&[("bias", bias), ("limit", limit)])),
        Function::Power { exponent } => ("Power", parameters(&[("exponent", exponent)])),
        plain => return format!("Function::{plain:?}"),
    };
    format!("Function::{name} {{ {parameters} }}")
}

fn taps(axes: &[Vec<Taps<f64>>]) -> String {
    let tap = |(i, w): &(usize, f64)| format!("({i}, {})", number(*w));
    let output = |taps: &Taps<f64>| format!("vec![{}]", taps.iter().map(tap).collect::<Vec<_>>().join(", "));
    let axis = |axis: &Vec<Taps<f64>>| format!("vec![{}]", axis.iter().map(output).collect::<Vec<_>>().join(", "));
    format!("&[{}]", axes.iter().map(axis).collect::<Vec<_>>().join(", "))
}

/// An operator on inputs of these sample shapes, as an expression with `?`.
///
/// # Panics
/// When there is no input.
pub fn op(op: &Op, inputs: &[&[usize]]) -> String {
    let x = *inputs.first().expect("an operator has an input");
    match op {
        Op::Dense { weights, bias } => {
            format!("Dense::new({}, {}, &{x:?})?", tensor(weights), maybe_vector(bias.as_ref()))
        }
        Op::Conv { weights, bias, spec, groups } => {
            let (weights, bias) = (tensor(weights), maybe_vector(bias.as_ref()));
            format!("Conv::new({weights}, {bias}, &{}, {groups}, &{x:?})?", window(spec))
        }
        Op::ConvTranspose { weights, bias, spec, groups, space } => {
            let (weights, bias) = (tensor(weights), maybe_vector(bias.as_ref()));
            format!("ConvTranspose::new({weights}, {bias}, &{}, {groups}, &{x:?}, &{space:?})?", window(spec))
        }
        Op::BatchNorm { gamma, beta, mean, var, epsilon } => {
            let lists = [gamma, beta, mean, var].map(|v| format!("&[{}]", numbers(v))).join(", ");
            format!("Scale::batch_norm({lists}, {}, &{x:?})?", number(*epsilon))
        }
        Op::Scale { weight, bias } => {
            format!("Scale::new({}, {}, &{x:?})?", maybe(weight.as_ref(), tensor), maybe(bias.as_ref(), tensor))
        }
        Op::PRelu { slopes } => format!("PRelu::new({}, &{x:?})?", tensor(slopes)),
        Op::Preprocessing { weight, bias } => {
            let (weight, bias) = (maybe(weight.as_ref(), tensor), maybe(bias.as_ref(), tensor));
            format!("Preprocessing::new({weight}, {bias}, &{x:?})?")
        }
        Op::Add { inputs } => format!("Add::new({inputs}, &{x:?})?"),
        Op::Difference => format!("Add::difference(&{x:?})?"),
        Op::AvgPool { spec, include_pad } => format!("AvgPool::new(&{}, {include_pad}, &{x:?})?", window(spec)),
        Op::Mean { axes, keep } => format!("Mean::new(&{axes:?}, {keep}, &{x:?})?"),
        Op::Resize { axes } => format!("Resize::new({}, &{x:?})?", taps(axes)),
        Op::MaxPool { spec } => format!("MaxPool::new(&{}, &{x:?})?", window(spec)),
        Op::Activation { function: f } => format!("Activation::new({}, &{x:?})?", function(*f)),
        Op::Mul { gate } => format!("Mul::new({gate:?}, &{x:?})?"),
        Op::LayerNorm { axes, gamma, beta, epsilon } => {
            let (gamma, beta) = (vector(gamma), maybe_vector(beta.as_ref()));
            format!("LayerNorm::new({axes}, {gamma}, {beta}, {}, &{x:?})?", number(*epsilon))
        }
        Op::Softmax { axis, logarithm: false } => format!("Softmax::new({axis}, &{x:?})?"),
        Op::Softmax { axis, logarithm: true } => format!("Softmax::new({axis}, &{x:?})?.logarithm()"),
        Op::Maximum { inputs } => format!("Extremum::maximum({inputs}, &{x:?})?"),
        Op::Minimum { inputs } => format!("Extremum::minimum({inputs}, &{x:?})?"),
        Op::Div => format!("Div::new(&{x:?})?"),
        Op::TopK { axis, k, largest } => format!("TopK::new({axis}, {k}, {largest}, &{x:?})?"),
        Op::Reduction { reducer, axis } => format!("Reduction::new(Reducer::{reducer:?}, {axis}, &{x:?})?"),
        Op::CumSum { axis, exclusive, reverse } => format!("CumSum::new({axis}, {exclusive}, {reverse}, &{x:?})?"),
        Op::Normalize { divisor, axis } => format!("Normalize::new(Divisor::{divisor:?}, {axis}, &{x:?})?"),
        Op::MatMul { all_to } => {
            let b = inputs.get(1).copied().unwrap_or_default();
            let all_to = all_to.map(|factor| format!(".all_to({factor})")).unwrap_or_default();
            format!("MatMul::new(&{x:?}, &{b:?})?{all_to}")
        }
        Op::Compare { relation } => format!("Compare::new(Relation::{relation:?}, &{x:?})?"),
        Op::Where => format!("Where::new(&{x:?})?"),
        Op::Recurrent { cell, direction, parameters: p } => {
            let maybe = |t: &Option<Tensor<f64>>| maybe(t.as_ref(), tensor);
            let parameters = format!(
                "Parameters {{ input: {}, recurrent: {}, bias: {}, hidden: {}, cell: {} }}",
                tensor(&p.input),
                tensor(&p.recurrent),
                maybe(&p.bias),
                maybe(&p.hidden),
                maybe(&p.cell)
            );
            format!("Recurrent::new(Cell::{cell:?}, Direction::{direction:?}, {parameters}, &{x:?})?")
        }
        Op::Slice { axis, start, step, len } => format!("Select::slice({axis}, {start}, {step}, {len}, &{x:?})?"),
        Op::Gather { kind, indices } => {
            let indices: Vec<String> = indices.iter().map(|i| format!("vec!{i:?}")).collect();
            format!("Select::new(Kind::{kind:?}, String::new(), &[{}], &{x:?})?", indices.join(", "))
        }
        Op::Concat { axis } => {
            let shapes: Vec<String> = inputs.iter().map(|s| format!("&{s:?}")).collect();
            format!("Concat::new({axis}, &[{}])?", shapes.join(", "))
        }
        Op::Reshape { to } => format!("Reshape::new(&{x:?}, &{to:?})?"),
        Op::Transpose { permutation } => format!("Transpose::new(&{permutation:?}, &{x:?})?"),
        Op::Pad { mode, begin, end } => {
            let mode = match mode {
                PadMode::Constant(v) => format!("Constant({})", number(*v)),
                other => format!("{other:?}"),
            };
            format!("Pad::new(PadMode::{mode}, &{begin:?}, &{end:?}, &{x:?})?")
        }
        Op::Broadcast { to } => format!("Broadcast::new(&{x:?}, &{to:?})?"),
        Op::Identity => format!("Identity::new(&{x:?})?"),
    }
}

/// The names in an operator's code: from `lrp_core::ops`, whether a window, and whether a tensor or a kind.
fn names(op: &Op) -> (&'static [&'static str], bool) {
    match op {
        Op::Dense { .. } => (&["Dense"], true),
        Op::Conv { .. } => (&["Conv"], true),
        Op::ConvTranspose { .. } => (&["ConvTranspose"], true),
        Op::BatchNorm { .. } => (&["Scale"], false),
        Op::Scale { .. } => (&["Scale"], true),
        Op::PRelu { .. } => (&["PRelu"], true),
        Op::Preprocessing { .. } => (&["Preprocessing"], true),
        Op::Add { .. } | Op::Difference => (&["Add"], false),
        Op::AvgPool { .. } => (&["AvgPool"], false),
        Op::Mean { .. } => (&["Mean"], false),
        Op::Resize { .. } => (&["Resize"], false),
        Op::MaxPool { .. } => (&["MaxPool"], false),
        Op::Activation { .. } => (&["Activation", "Function"], false),
        Op::Mul { .. } => (&["Mul"], false),
        Op::LayerNorm { .. } => (&["LayerNorm"], false),
        Op::Softmax { .. } => (&["Softmax"], false),
        Op::Maximum { .. } | Op::Minimum { .. } => (&["Extremum"], false),
        Op::Div => (&["Div"], false),
        Op::TopK { .. } => (&["TopK"], false),
        Op::Reduction { .. } => (&["Reducer", "Reduction"], false),
        Op::CumSum { .. } => (&["CumSum"], false),
        Op::Normalize { .. } => (&["Divisor", "Normalize"], false),
        Op::MatMul { .. } => (&["MatMul"], false),
        Op::Compare { .. } => (&["Compare", "Relation"], false),
        Op::Where => (&["Where"], false),
        Op::Recurrent { .. } => (&["Cell", "Direction", "Parameters", "Recurrent"], true),
        Op::Slice { .. } | Op::Gather { .. } => (&["Select"], false),
        Op::Concat { .. } => (&["Concat"], false),
        Op::Reshape { .. } => (&["Reshape"], false),
        Op::Transpose { .. } => (&["Transpose"], false),
        Op::Pad { .. } => (&["Pad", "PadMode"], false),
        Op::Broadcast { .. } => (&["Broadcast"], false),
        Op::Identity => (&["Identity"], false),
    }
}

fn has_window(op: &Op) -> bool {
    matches!(op, Op::Conv { .. } | Op::ConvTranspose { .. } | Op::AvgPool { .. } | Op::MaxPool { .. })
}

/// The `use` lines for the code of these operators and `more` from the crate's root, with an empty line after them.
pub(crate) fn imports<'a>(ops: impl Iterator<Item = &'a Op> + Clone, more: &[&'static str]) -> String {
    let types: BTreeSet<&str> = ops.clone().flat_map(|op| names(op).0).copied().collect();
    let mut root: BTreeSet<&str> = more.iter().copied().collect();
    if ops.clone().any(|op| names(op).1) {
        root.insert("Tensor");
    }
    let mut code = String::new();
    if ops.clone().any(has_window) {
        code += "use lrp_core::kernels::window::WindowSpec;\n";
    }
    if ops.clone().any(|op| matches!(op, Op::Gather { .. })) {
        code += "use lrp_core::operator::Kind;\n";
    }
    let mut using = |path: &str, names: BTreeSet<&str>| {
        let list: Vec<&str> = names.into_iter().collect();
        match list.as_slice() {
            [] => {}
            [one] => code += &format!("use {path}::{one};\n"),
            many => code += &format!("use {path}::{{{}}};\n", many.join(", ")),
        }
    };
    using("lrp_core::ops", types);
    using("lrp_core", root);
    code + "\n"
}
