//! Rotary positions: pairs of coordinates turned by an angle that grows with the position (Su et al. 2021).

use super::writer::{Value, Writer};

/// `X, cos_cache, sin_cache, position_ids`.
pub(super) fn onnx(w: &mut Writer<'_>) -> Result<(), String> {
    rotary(w, [1, 2, 3], w.int("num_heads").filter(|&n| n > 0))
}

/// `input, position_ids, cos_cache, sin_cache`.
pub(super) fn microsoft(w: &mut Writer<'_>) -> Result<(), String> {
    if w.int("is_packed_batching") == Some(1) || w.int("scale").is_some_and(|scale| scale != 1) {
        return Err("packed batches and scaled angles are not read".into());
    }
    rotary(w, [2, 3, 1], w.int("num_heads").filter(|&n| n > 0))
}

fn rotary(w: &mut Writer<'_>, [cos, sin, ids]: [usize; 3], heads: Option<i64>) -> Result<(), String> {
    w.only_outputs(1)?;
    let (x, cos, sin) = (w.required(0)?, w.required(cos)?, w.required(sin)?);
    let ids = w.input(ids);
    // [B, 1, T, d/2], one for all heads.
    let [cos, sin] = [cos, sin].map(|cache| {
        let angles = match &ids {
            Some(ids) => w.op("Gather", &[&cache, ids], &[]),
            None => cache,
        };
        w.unsqueeze(&angles, &[1])
    });
    // [B, heads, T, d]
    let split = heads.map(|heads| {
        let shape = w.list(&[0, 0, heads, -1]);
        let parts = w.op("Reshape", &[&x, &shape], &[]);
        w.transpose(&parts, &[0, 2, 1, 3])
    });
    let x = split.as_ref().unwrap_or(&x).clone();
    let turned = match w.int("rotary_embedding_dim").unwrap_or(0) {
        0 => turned(w, &x, &cos, &sin)?,
        n if n > 0 => {
            let [first, rest] = [(0, n), (n, i64::MAX)].map(|(start, end)| sliced(w, &x, start, end, 1));
            let first = turned(w, &first, &cos, &sin)?;
            w.op("Concat", &[&first, &rest], &[("axis", Value::Int(-1))])
        }
        n => return Err(format!("it turns {n} coordinates")),
    };
    if split.is_some() {
        let joined = w.transpose(&turned, &[0, 2, 1, 3]);
        let shape = w.list(&[0, 0, -1]);
        w.output(0, "Reshape", &[&joined, &shape], &[]);
    } else {
        w.output(0, "Identity", &[&turned], &[]);
    }
    Ok(())
}

/// `(a cos − b sin, b cos + a sin)` for the pairs `(a, b)`, which are the two halves, or neighbours.
fn turned(w: &mut Writer<'_>, x: &str, cos: &str, sin: &str) -> Result<String, String> {
    let interleaved = w.int("interleaved") == Some(1);
    let [a, b] = match interleaved {
        true => [0, 1].map(|start| sliced(w, x, start, i64::MAX, 2)),
        false => w.ops("Split", &[x], &[("axis", Value::Int(-1))]),
    };
    let mut products = |x: &str, y: &str| w.op("Mul", &[x, y], &[]);
    let [a_cos, a_sin, b_cos, b_sin] = [products(&a, cos), products(&a, sin), products(&b, cos), products(&b, sin)];
    let first = w.op("Sub", &[&a_cos, &b_sin], &[]);
    let second = w.op("Add", &[&b_cos, &a_sin], &[]);
    if !interleaved {
        return Ok(w.op("Concat", &[&first, &second], &[("axis", Value::Int(-1))]));
    }
    let [first, second] = [first, second].map(|part| w.unsqueeze(&part, &[-1]));
    let pairs = w.op("Concat", &[&first, &second], &[("axis", Value::Int(-1))]);
    let shape = w.list(&[0, 0, 0, -1]);
    Ok(w.op("Reshape", &[&pairs, &shape], &[]))
}

/// A part of the last axis.
fn sliced(w: &mut Writer<'_>, x: &str, start: i64, end: i64, step: i64) -> String {
    let lists = [start, end, -1, step].map(|value| w.list(&[value]));
    let [start, end, axis, step] = &lists;
    w.op("Slice", &[x, start, end, axis, step], &[])
}
