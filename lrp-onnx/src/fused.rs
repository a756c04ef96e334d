//! Operators that stand for several others — attention, rotary embeddings, a sum and its normalisation — written out before the graph is
//! sorted, so that nothing after this step knows of them. Shapes need not be known: where one matters, it is computed by the nodes that are
//! written, which the importer folds.

mod attention;
mod normalize;
mod rotary;
mod writer;

use self::writer::Writer;
use crate::proto::{GraphProto, NodeProto};

/// An operator: its domain, its name, and the function that writes it out.
type Fused = (&'static str, &'static str, fn(&mut Writer<'_>) -> Result<(), String>);

const MICROSOFT: &str = "com.microsoft";

const FUSED: [Fused; 10] = [
    ("", "Attention", attention::onnx),
    ("", "RotaryEmbedding", rotary::onnx),
    ("", "SimplifiedLayerNormalization", normalize::simplified),
    (MICROSOFT, "Attention", attention::packed),
    (MICROSOFT, "EmbedLayerNormalization", normalize::embedding),
    (MICROSOFT, "MultiHeadAttention", attention::multi_head),
    (MICROSOFT, "RotaryEmbedding", rotary::microsoft),
    (MICROSOFT, "SimplifiedLayerNormalization", normalize::simplified),
    (MICROSOFT, "SkipLayerNormalization", normalize::skip),
    (MICROSOFT, "SkipSimplifiedLayerNormalization", normalize::skip_simplified),
];

fn find(node: &NodeProto) -> Option<&'static Fused> {
    let domain = if node.domain == "ai.onnx" { "" } else { node.domain.as_str() };
    FUSED.iter().find(|(of, name, _)| *of == domain && *name == node.op_type)
}

/// Whether a node is written out.
pub(crate) fn is_fused(node: &NodeProto) -> bool {
    find(node).is_some()
}

/// The nodes that a node stands for, if it is one of these; tensors between them have names that begin with `prefix`. `graph` tells the types
/// and shapes of what the node reads.
pub(crate) fn written_out(
    node: &NodeProto,
    prefix: &str,
    graph: Option<&GraphProto>,
) -> Option<Result<Vec<NodeProto>, String>> {
    let (_, _, write) = find(node)?;
    let mut writer = Writer::new(node, prefix, graph);
    Some(write(&mut writer).map(|()| writer.finish()))
}

#[cfg(test)]
mod tests {
    use crate::testing::{Attr, Net, kinds, varied};

    /// Two heads of queries that share one head of keys and values: the same as two heads of keys and values that are equal.
    #[test]
    fn grouped_queries_share_their_keys() {
        let net = |kv_heads: i64| {
            let mut net = Net::new(&[3, 4]).opset(23);
            let (q, narrow) = (net.weight(&[4, 4]), net.weight(&[4, 2]));
            let queries = net.op("MatMul", &["x", &q], &[]);
            let one = net.op("MatMul", &["x", &narrow], &[]);
            let keys = if kv_heads == 1 { one } else { net.op("Concat", &[&one, &one], &[("axis", Attr::Int(-1))]) };
            let heads = [("q_num_heads", Attr::Int(2)), ("kv_num_heads", Attr::Int(kv_heads))];
            net.op("Attention", &[&queries, &keys, &keys], &heads);
            net
        };
        let x = varied(&[2, 3, 4]);
        let difference = net(1).run(&x) - net(2).run(&x);
        assert!(difference.iter().all(|d| d.abs() < 1e-12), "{difference}");
    }

    #[test]
    fn a_causal_mask_hides_later_tokens() {
        let mut net = Net::new(&[3, 2]).opset(23);
        let heads = [("q_num_heads", Attr::Int(1)), ("kv_num_heads", Attr::Int(1)), ("is_causal", Attr::Int(1))];
        net.op("Attention", &["x", "x", "x"], &heads);
        let x = varied(&[1, 3, 2]);
        let mut other = x.clone();
        other[[0, 2, 0]] += 1.0;
        let (y, z) = (net.run(&x), net.run(&other));
        let first = |t: &lrp_core::Tensor<f64>| t.iter().take(4).copied().collect::<Vec<_>>();
        assert_eq!(first(&y), first(&z));
        assert_ne!(y, z);
        // The first token sees only itself.
        assert!((y[[0, 0, 0]] - x[[0, 0, 0]]).abs() < 1e-12);
    }

    #[test]
    fn a_simplified_layer_normalisation_is_a_division_by_the_root_mean_square() {
        let mut net = Net::new(&[2]);
        let scale = net.floats(&[2], &[1.0, 3.0]);
        net.op("SimplifiedLayerNormalization", &["x", &scale], &[("epsilon", Attr::Float(0.0))]);
        let y = net.run(&ndarray::array![[1.0, 7.0]].into_dyn());
        assert!((y[[0, 0]] - 0.2).abs() < 1e-9 && (y[[0, 1]] - 4.2).abs() < 1e-9, "{y}");
        assert!(kinds(&net.raw()).contains(&"rms-norm"));
    }

    #[test]
    fn what_is_not_read_is_an_error() {
        let error = |op: &str, inputs: &[&str], attributes: &[(&str, Attr<'_>)]| {
            let mut net = Net::new(&[3, 2]);
            net.op(op, inputs, attributes);
            if op != "RotaryEmbedding" {
                net.last("com.microsoft", &[]);
            }
            net.error()
        };
        let heads = ("num_heads", Attr::Int(1));
        for (text, want) in [
            (error("Attention", &["x", "x"], &[]), "num_heads"),
            (error("Attention", &["x"], &[heads]), "no input number 2"),
            (error("Attention", &["x", "x", "", "", "x"], &[heads]), "use_cache = False"),
            (error("MultiHeadAttention", &["x"], &[heads]), "one tensor"),
            (error("SkipLayerNormalization", &["x", "x"], &[]), "no input number 3"),
            (error("RotaryEmbedding", &["x"], &[]), "no input number 2"),
        ] {
            assert!(text.contains(want), "{text}");
        }
    }
}
