//! Attention as one node: `softmax(s·Q Kᵀ + mask) V` for each head (Vaswani et al. 2017).

use super::writer::{MASKED, Value, Writer};

/// Queries, keys and values, `[B, heads, T, d]`, and what is done with them.
struct Heads {
    q: String,
    k: String,
    v: String,
    /// The factor of the scores; `1/√d` without one.
    scale: Option<f32>,
    /// What is added to the scores, `[B, heads, T, S]` or a shape that broadcasts to it.
    bias: Vec<String>,
    /// No token sees a later one.
    causal: bool,
    /// Scores are limited by `c·tanh(s/c)`.
    softcap: Option<f32>,
}

/// ONNX's operator (since operator set 23): `Q, K, V, attn_mask, past_key, past_value`.
pub(super) fn onnx(w: &mut Writer<'_>) -> Result<(), String> {
    w.only_outputs(1)?;
    w.refuse_cache(&[4, 5])?;
    let [q, k, v] = [w.required(0)?, w.required(1)?, w.required(2)?];
    let heads = w.int("q_num_heads").zip(w.int("kv_num_heads"));
    let [q, mut k, mut v] = match heads {
        Some((queries, values)) if queries > 0 && values > 0 => {
            [(q, queries), (k, values), (v, values)].map(|(x, heads)| split(w, &x, heads))
        }
        Some(_) => return Err("it has no heads".into()),
        None => [q, k, v],
    };
    if heads.is_none_or(|(queries, values)| queries != values) {
        // As often as there are more heads of queries.
        let [queries, values] = [w.length(&q, 1), w.length(&k, 1)];
        let times = w.op("Div", &[&queries, &values], &[]);
        [k, v] = [k, v].map(|x| repeated(w, &x, &times));
    }
    let mut bias = Vec::new();
    if let Some(mask) = w.input(3) {
        bias.push(if w.is_bool(&mask) { w.unless(&mask, MASKED) } else { mask });
    }
    let attended = attend(
        w,
        Heads {
            q,
            k,
            v,
            scale: w.number_of("scale").filter(|&s| s != 0.0),
            bias,
            causal: w.int("is_causal") == Some(1),
            softcap: w.number_of("softcap").filter(|&c| c > 0.0),
        },
    );
    if heads.is_some() {
        joined(w, &attended);
    } else {
        w.output(0, "Identity", &[&attended], &[]);
    }
    Ok(())
}

/// ONNX Runtime's operator with one matrix for queries, keys and values: `input, weights, bias, mask_index, past, attention_bias`.
pub(super) fn packed(w: &mut Writer<'_>) -> Result<(), String> {
    w.only_outputs(1)?;
    w.refuse_cache(&[4, 6])?;
    if w.int("do_rotary") == Some(1) {
        return Err("its rotary positions are not read".into());
    }
    let (x, weights, heads) = (w.required(0)?, w.required(1)?, w.positive("num_heads")?);
    let mut all = w.op("MatMul", &[&x, &weights], &[]);
    if let Some(bias) = w.input(2) {
        all = w.op("Add", &[&all, &bias], &[]);
    }
    let sizes = w.ints("qkv_hidden_sizes").filter(|sizes| sizes.len() == 3);
    let parts: [String; 3] = match sizes {
        Some(sizes) => w.ops("Split", &[&all], &[("axis", Value::Int(-1)), ("split", Value::Ints(sizes))]),
        None => w.ops("Split", &[&all], &[("axis", Value::Int(-1))]),
    };
    let [q, k, v] = parts.map(|part| split(w, &part, heads));
    let mut bias = Vec::new();
    if let Some(mask) = w.input(3) {
        bias.push(mask_bias(w, &mask, &x)?);
    }
    bias.extend(w.input(5));
    let scale = w.number_of("scale").filter(|&s| s != 0.0);
    let causal = w.int("unidirectional") == Some(1);
    let attended = attend(w, Heads { q, k, v, scale, bias, causal, softcap: None });
    joined(w, &attended);
    Ok(())
}

/// ONNX Runtime's operator on queries, keys and values: `query, key, value, bias, key_padding_mask, attention_bias, past_key, past_value`.
pub(super) fn multi_head(w: &mut Writer<'_>) -> Result<(), String> {
    w.only_outputs(1)?;
    w.refuse_cache(&[6, 7, 8, 9])?;
    let heads = w.positive("num_heads")?;
    let packed = "queries, keys and values in one tensor are not read; export the model without this fusion";
    let mut parts = [w.required(0)?, w.input(1).ok_or(packed)?, w.input(2).ok_or(packed)?];
    if let Some(bias) = w.input(3) {
        let biases: [String; 3] = w.ops("Split", &[&bias], &[("axis", Value::Int(0))]);
        parts = std::array::from_fn(|i| match (parts.get(i), biases.get(i)) {
            (Some(part), Some(bias)) => w.op("Add", &[part, bias], &[]),
            _ => String::new(),
        });
    }
    let source = w.required(1)?;
    let [q, k, v] = parts.map(|part| split(w, &part, heads));
    let mut bias = Vec::new();
    if let Some(mask) = w.input(4) {
        bias.push(mask_bias(w, &mask, &source)?);
    }
    bias.extend(w.input(5));
    let scale = w.number_of("scale").filter(|&s| s != 0.0);
    let causal = w.int("unidirectional") == Some(1);
    let attended = attend(w, Heads { q, k, v, scale, bias, causal, softcap: None });
    joined(w, &attended);
    Ok(())
}

/// What ONNX Runtime adds to the scores of padding: from a mask with 1 for each token, `[B, S]`, or from the numbers of tokens, `[B]`.
fn mask_bias(w: &mut Writer<'_>, mask: &str, x: &str) -> Result<String, String> {
    let value = w.number_of("mask_filter_value").unwrap_or(-10_000.0);
    let counts =
        w.maker(mask).is_some_and(|node| ["EmbedLayerNormalization", "ReduceSum"].contains(&node.op_type.as_str()));
    match w.rank(mask) {
        _ if counts => {}
        Some(1) => {}
        None | Some(2) => {
            let (mask, one, value) = (w.float_of(mask), w.number(1.0), w.number(value));
            let padding = w.op("Sub", &[&one, &mask], &[]);
            let scores = w.op("Mul", &[&padding, &value], &[]);
            return Ok(w.unsqueeze(&scores, &[1, 2]));
        }
        Some(rank) => return Err(format!("its mask has {rank} axes in place of one or two")),
    }
    let length = w.length(x, 1);
    let positions = w.range(&length);
    let positions = w.float_of(&positions);
    let counts = w.float_of(mask);
    let counts = w.unsqueeze(&counts, &[1]);
    let is_token = w.op("Less", &[&positions, &counts], &[]);
    let scores = w.unless(&is_token, value);
    Ok(w.unsqueeze(&scores, &[1, 2]))
}

/// `[B, T, heads·d]` as `[B, heads, T, d]`.
fn split(w: &mut Writer<'_>, x: &str, heads: i64) -> String {
    let shape = w.list(&[0, 0, heads, -1]);
    let parts = w.op("Reshape", &[x, &shape], &[]);
    w.transpose(&parts, &[0, 2, 1, 3])
}

/// `[B, heads, T, d]` as `[B, T, heads·d]`, the node's first output.
fn joined(w: &mut Writer<'_>, x: &str) {
    let parts = w.transpose(x, &[0, 2, 1, 3]);
    let shape = w.list(&[0, 0, -1]);
    w.output(0, "Reshape", &[&parts, &shape], &[]);
}

/// Each head several times, one after the other, for as many heads of queries (grouped queries, Ainslie et al. 2023).
fn repeated(w: &mut Writer<'_>, x: &str, times: &str) -> String {
    let one = w.list(&[1]);
    let (length, width) = (w.length(x, 2), w.length(x, 3));
    let repeats = w.op("Concat", &[&one, &one, times, &one, &one], &[("axis", Value::Int(0))]);
    let apart = w.unsqueeze(x, &[2]);
    let tiled = w.op("Tile", &[&apart, &repeats], &[]);
    let (same, rest) = (w.list(&[0]), w.list(&[-1]));
    let shape = w.op("Concat", &[&same, &rest, &length, &width], &[("axis", Value::Int(0))]);
    w.op("Reshape", &[&tiled, &shape], &[])
}

fn attend(w: &mut Writer<'_>, heads: Heads) -> String {
    let Heads { q, k, v, scale, bias, causal, softcap } = heads;
    let turned = w.transpose(&k, &[0, 1, 3, 2]);
    let products = w.op("MatMul", &[&q, &turned], &[]);
    let scale = match scale {
        Some(scale) => w.number(scale),
        None => {
            let width = w.length(&q, 3);
            let width = w.float_of(&width);
            let root = w.op("Sqrt", &[&width], &[]);
            w.op("Reciprocal", &[&root], &[])
        }
    };
    let mut scores = w.op("Mul", &[&products, &scale], &[]);
    if let Some(cap) = softcap {
        let cap = w.number(cap);
        let small = w.op("Div", &[&scores, &cap], &[]);
        let limited = w.op("Tanh", &[&small], &[]);
        scores = w.op("Mul", &[&limited, &cap], &[]);
    }
    for bias in bias {
        scores = w.op("Add", &[&scores, &bias], &[]);
    }
    if causal {
        let (queries, keys) = (w.length(&q, 2), w.length(&k, 2));
        let (rows, columns) = (w.range(&queries), w.range(&keys));
        let rows = w.unsqueeze(&rows, &[1]);
        let seen = w.op("LessOrEqual", &[&columns, &rows], &[]);
        let mask = w.unless(&seen, MASKED);
        scores = w.op("Add", &[&scores, &mask], &[]);
    }
    let weights = w.op("Softmax", &[&scores], &[("axis", Value::Int(-1))]);
    w.op("MatMul", &[&weights, &v], &[])
}
