//! A sum and its normalisation as one node, and the embeddings of BERT.

use super::writer::{Value, Writer};

/// `x / √(mean(x²) + ε) · scale`, under the name that it had before ONNX took it in.
pub(super) fn simplified(w: &mut Writer<'_>) -> Result<(), String> {
    w.only_outputs(1)?;
    let (x, scale) = (w.required(0)?, w.required(1)?);
    let (axis, epsilon) = (w.int("axis").unwrap_or(-1), w.number_of("epsilon").unwrap_or(1e-5));
    w.output(0, "RMSNormalization", &[&x, &scale], &[("axis", Value::Int(axis)), ("epsilon", Value::Float(epsilon))]);
    Ok(())
}

/// The layer normalisation of a sum: `input, skip, gamma, beta, bias`.
pub(super) fn skip(w: &mut Writer<'_>) -> Result<(), String> {
    let gamma = w.required(2)?;
    let (beta, bias) = (w.input(3), w.input(4));
    let sum = summed(w, bias)?;
    normalized(w, &sum, &gamma, beta.as_deref(), 1e-12);
    Ok(())
}

/// The division by the root mean square of a sum: `input, skip, gamma, bias`.
pub(super) fn skip_simplified(w: &mut Writer<'_>) -> Result<(), String> {
    let (gamma, bias) = (w.required(2)?, w.input(3));
    let sum = summed(w, bias)?;
    let attributes = [("axis", Value::Int(-1)), ("epsilon", Value::Float(w.number_of("epsilon").unwrap_or(1e-12)))];
    w.output(0, "RMSNormalization", &[&sum, &gamma], &attributes);
    Ok(())
}

/// The sum, which is the fourth output as well.
fn summed(w: &mut Writer<'_>, bias: Option<String>) -> Result<String, String> {
    for output in [1, 2] {
        if w.node.output.get(output).is_some_and(|name| !name.is_empty()) {
            return Err("its mean and its deviation are not read".into());
        }
    }
    let (x, skip) = (w.required(0)?, w.required(1)?);
    let mut sum = w.op("Add", &[&x, &skip], &[]);
    if let Some(bias) = bias {
        sum = w.op("Add", &[&sum, &bias], &[]);
    }
    w.output(3, "Identity", &[&sum], &[]);
    Ok(sum)
}

fn normalized(w: &mut Writer<'_>, x: &str, gamma: &str, beta: Option<&str>, epsilon: f32) {
    let epsilon = w.number_of("epsilon").unwrap_or(epsilon);
    let inputs: Vec<&str> = [x, gamma].into_iter().chain(beta).collect();
    w.output(0, "LayerNormalization", &inputs, &[("axis", Value::Int(-1)), ("epsilon", Value::Float(epsilon))]);
}

/// The sum of the embeddings of words, positions and segments, normalised.
pub(super) fn embedding(w: &mut Writer<'_>) -> Result<(), String> {
    let (ids, words, positions) = (w.required(0)?, w.required(2)?, w.required(3)?);
    let (gamma, beta) = (w.required(5)?, w.required(6)?);
    let mut sum = w.op("Gather", &[&words, &ids], &[]);
    let of_positions = match w.input(8) {
        Some(given) => w.op("Gather", &[&positions, &given], &[]),
        None => {
            let length = w.length(&ids, 1);
            let range = w.range(&length);
            w.op("Gather", &[&positions, &range], &[])
        }
    };
    sum = w.op("Add", &[&sum, &of_positions], &[]);
    if let (Some(segments), Some(table)) = (w.input(1), w.input(4)) {
        let of_segments = w.op("Gather", &[&table, &segments], &[]);
        sum = w.op("Add", &[&sum, &of_segments], &[]);
    }
    w.output(2, "Identity", &[&sum], &[]);
    normalized(w, &sum, &gamma, Some(&beta), 1e-12);
    // How many tokens are not padding, which only attention reads.
    if w.node.output.get(1).is_some_and(|name| !name.is_empty()) {
        match w.input(7) {
            Some(mask) => {
                let mask = w.float_of(&mask);
                w.output(1, "ReduceSum", &[&mask], &[("axes", Value::Ints(&[1])), ("keepdims", Value::Int(0))]);
            }
            None => {
                let length = w.length(&ids, 1);
                w.output(1, "Identity", &[&length], &[]);
            }
        }
    }
    Ok(())
}
