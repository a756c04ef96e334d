//! ONNX's extension for classical machine learning (`ai.onnx.ml`), as exporters of scikit-learn write it.

use lrp_core::Scalar;
use lrp_core::operator::Affine;
use lrp_core::ops::{Activation, Broadcast, Dense, Div, Divisor, Function, Mean, Normalize, Softmax, shared};

use super::arithmetic::scale;
use super::{Context, Translated, Value};
use crate::consteval::joint_shape;
use crate::error::{Problem, Shape};
use crate::graph::Origin;

/// `(x − offset) · scale` for each feature, from ONNX's extension for classical machine learning.
pub(super) fn scaler<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    let list = |name: &str| cx.node.attribute(name).map(|a| a.floats.as_slice()).filter(|list| !list.is_empty());
    let tensor = |list: &[f32]| ndarray::arr1(&list.iter().map(|&v| T::of(v.into())).collect::<Vec<T>>()).into_dyn();
    let weight = list("scale").map(tensor);
    let bias = match (list("offset").map(|o| tensor(o).mapv(|v| -v)), &weight) {
        (Some(offset), Some(weight)) => {
            joint_shape(offset.shape(), weight.shape())?;
            Some(offset * weight)
        }
        (offset, _) => offset,
    };
    if weight.iter().chain(&bias).flatten().any(|v| !v.is_finite()) {
        return Err(Problem::invalid("its offset or scale is not finite"));
    }
    scale(cx, x, weight, bias)
}

/// `W x + b` with a softmax or a sigmoid, as the second output; the first one is the class, which cannot be explained.
pub(super) fn linear_classifier<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    let (dense, classes) = dense(cx, x)?;
    // With a single row, runtimes make up the score of the other class.
    if classes == 1 {
        return Err(Problem::unsupported("with one row of coefficients; write one for each of the two classes"));
    }
    let z = cx.push_extra("dense", dense, &[x]);
    let scores = match cx.node.text("post_transform").as_deref() {
        None | Some("NONE") => Value::Data(z),
        Some("SOFTMAX") => cx.push(Softmax::new(1, &[classes])?, &[z])?,
        Some("LOGISTIC") => {
            let sigmoid = shared(Activation::new(Function::Sigmoid, &[classes])?);
            cx.push_made_from(sigmoid, Origin::Activation(Function::Sigmoid), &[z])?
        }
        Some(other) => return Err(Problem::unsupported(format!("with the post_transform {other}"))),
    };
    cx.further = vec![scores];
    Ok(Value::Unknown)
}

/// `W x + b`.
pub(super) fn linear_regressor<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    if let Some(other) = cx.node.text("post_transform").filter(|name| name != "NONE") {
        return Err(Problem::unsupported(format!("with the post_transform {other}")));
    }
    let x = cx.data(0)?;
    let (dense, targets) = dense(cx, x)?;
    let expected = cx.node.int("targets").unwrap_or(1);
    if usize::try_from(expected) != Ok(targets) {
        return Err(Problem::invalid(format!("its coefficients are for {targets} targets, and it has {expected}")));
    }
    cx.push(dense, &[x])
}

/// The layer with the coefficients and intercepts of a linear model, and the number of its outputs.
fn dense<T: Scalar>(cx: &Context<'_, T>, x: usize) -> Result<(Dense<T>, usize), Problem> {
    let shape = cx.shape(x);
    let &[features] = shape.as_slice() else {
        return Err(Problem::invalid(format!("it needs an input of [N, features], and gets {}", Shape(&shape))));
    };
    let list = |name: &str| cx.node.attribute(name).map(|a| a.floats.as_slice()).unwrap_or_default();
    let numbers = |list: &[f32]| list.iter().map(|&v| T::of(v.into())).collect::<Vec<T>>();
    let (coefficients, intercepts) = (numbers(list("coefficients")), numbers(list("intercepts")));
    let outputs = coefficients.len() / features.max(1);
    if outputs == 0 || coefficients.len() != outputs * features || ![0, outputs].contains(&intercepts.len()) {
        return Err(Problem::invalid(format!(
            "it has {} coefficients and {} intercepts for {features} features",
            coefficients.len(),
            intercepts.len()
        )));
    }
    let weights = ndarray::Array::from_shape_vec(vec![outputs, features], coefficients);
    let weights = weights.map_err(|e| Problem::invalid(e.to_string()))?;
    Ok((Dense::new(weights, (!intercepts.is_empty()).then_some(intercepts), &shape)?, outputs))
}

/// Divides by the Euclidean length; or by the sum of magnitudes, which turns scores into probabilities.
pub(super) fn normalizer<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    let shape = cx.shape(x);
    match (cx.node.text("norm").as_deref(), shape.as_slice()) {
        (Some("L1"), [_]) => {}
        (Some("L2"), [_]) => return cx.push(Normalize::new(Divisor::L2, 1, &shape)?, &[x]),
        (Some("L1" | "L2"), _) => {
            return Err(Problem::invalid(format!("it needs an input of [N, features], and gets {}", Shape(&shape))));
        }
        (norm, _) => return Err(Problem::unsupported(format!("with the norm {}", norm.unwrap_or("MAX")))),
    }
    let absolute = shared(Activation::new(Function::Abs, &shape)?);
    let absolute = cx.push_extra_made_from("abs", absolute, Origin::Activation(Function::Abs), &[x]);
    let sum = Mean::new(&[1], true, &shape)?.map_weights(&|_| T::one());
    let sum = cx.push_extra_made_from("sum", sum, Origin::Other, &[absolute]);
    let sum = cx.push_extra("broadcast", Broadcast::new(&[1], &shape)?, &[sum]);
    cx.push(Div::new(&shape)?, &[x, sum])
}

#[cfg(test)]
mod tests {
    use crate::proto::{AttributeProto, ValueInfoProto};
    use crate::testing::{Attr, Net, forward, kinds};
    use ndarray::array;

    /// As skl2onnx writes a logistic regression: classifier, normaliser, cast of the label, map of the probabilities.
    fn classifier(coefficients: &[f32], intercepts: &[f32], post_transform: &'static str) -> Net {
        let mut net = Net::new(&[2]);
        net.op("LinearClassifier", &["x"], &[("post_transform", Attr::Text(post_transform))]);
        let list = |name: &str, floats: &[f32]| AttributeProto {
            name: name.into(),
            floats: floats.to_vec(),
            ..Default::default()
        };
        let node = &mut net.graph().node[0];
        node.domain = "ai.onnx.ml".into();
        node.output = vec!["label".into(), "scores".into()];
        node.attribute.extend([list("coefficients", coefficients), list("intercepts", intercepts)]);
        let p = net.op("Normalizer", &["scores"], &[("norm", Attr::Text("L1"))]);
        net.op("ZipMap", &[&p], &[]);
        for node in &mut net.graph().node[1..] {
            node.domain = "ai.onnx.ml".into();
        }
        let mut label = crate::testing::input("label", &[-1]);
        label.r#type.as_mut().unwrap().tensor_type.as_mut().unwrap().elem_type = 7;
        net.graph().output.insert(0, label);
        net
    }

    #[test]
    fn a_logistic_regression_is_explained_by_its_logits() {
        let x = array![[2.0, 1.0], [0.0, 3.0]].into_dyn();
        for (transform, cut) in [("LOGISTIC", "Sigmoid"), ("SOFTMAX", "Softmax")] {
            let net = classifier(&[1.0, -1.0, -1.0, 1.0], &[0.5, -0.5], transform);
            let import = net.import().unwrap();
            let logits = forward(&import.model, &x);
            assert_eq!(logits, array![[1.5, -1.5], [-2.5, 2.5]].into_dyn());
            assert!(import.notes.iter().any(|note| note.contains(cut)), "{:?}", import.notes);
            assert_eq!(import.model.nodes().len(), 2);
            let p = import.output_function.unwrap().of(&logits);
            let factor = if transform == "SOFTMAX" { 2.0 } else { 1.0 };
            for (z, p) in logits.iter().zip(p.iter()) {
                assert!((1.0 / (1.0 + (-factor * z).exp()) - p).abs() < 1e-12, "{transform}: {p} of {z}");
            }
        }
    }

    #[test]
    fn a_linear_regression_on_normalised_rows() {
        let mut net = Net::new(&[2]);
        let x = net.op("Normalizer", &["x"], &[("norm", Attr::Text("L2"))]);
        net.op("LinearRegressor", &[&x], &[("targets", Attr::Int(2))]);
        for node in &mut net.graph().node {
            node.domain = "ai.onnx.ml".into();
        }
        let list = |name: &str, floats: &[f32]| AttributeProto {
            name: name.into(),
            floats: floats.to_vec(),
            ..Default::default()
        };
        let given = [list("coefficients", &[1.0, 2.0, 10.0, 0.0]), list("intercepts", &[0.5, -1.0])];
        net.graph().node[1].attribute.extend(given);
        assert_eq!(kinds(&net.raw()), ["normalize", "dense"]);
        let y = net.run(&array![[3.0, 4.0]].into_dyn());
        // (0.6, 0.8)
        assert!((y[[0, 0]] - 2.7).abs() < 1e-12 && (y[[0, 1]] - 5.0).abs() < 1e-12, "{y}");
        net.graph().node[1].attribute.retain(|a| a.name != "targets");
        assert!(net.error().contains("2 targets, and it has 1"), "{}", net.error());
    }

    #[test]
    fn the_label_alone_is_enough() {
        let mut net = classifier(&[1.0, -1.0, -1.0, 1.0], &[], "NONE");
        net.graph().node.truncate(1);
        net.graph().output = vec![ValueInfoProto { name: "label".into(), r#type: None }];
        let import = net.import().unwrap();
        assert_eq!(import.output_name, "scores");
        assert_eq!(import.model.nodes().len(), 2);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(classifier(&[1.0, 2.0, 3.0], &[], "NONE").error().contains("3 coefficients and 0 intercepts"));
        assert!(classifier(&[1.0, 2.0], &[], "LOGISTIC").error().contains("with one row of coefficients"));
        assert!(classifier(&[1.0; 4], &[], "PROBIT").error().contains("PROBIT"));
        let mut net = Net::new(&[2]);
        net.op("Normalizer", &["x"], &[("norm", Attr::Text("MAX"))]);
        net.graph().node[0].domain = "ai.onnx.ml".into();
        assert!(net.error().contains("with the norm MAX"), "{}", net.error());
        let mut net = Net::new(&[2]);
        net.op("Normalizer", &["x"], &[("norm", Attr::Text("L1"))]);
        net.graph().node[0].domain = "ai.onnx.ml".into();
        assert_eq!(kinds(&net.raw()), ["abs", "mean", "broadcast", "div"]);
        assert_eq!(net.run(&array![[-1.0, 3.0]].into_dyn()), array![[-0.25, 0.75]].into_dyn());
    }
}
