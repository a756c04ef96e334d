//! Operators that are not supported on activations: what each of them is, and what can be done about it.

const QUANTIZED: &str = "an operator of quantized models that has not been added here yet; take the model as it was before it was \
                         quantized";
const COMPARISON: &str = "it works on the bits of whole numbers, which carry no relevance";
const INTEGERS: &str = "its result is a list of positions or counts, which carries no relevance";
const FLOW: &str = "the computation depends on the input, and a relevance map needs a fixed graph; export the model \
                    with the branch or the number of steps fixed (torch.jit.trace rather than torch.jit.script, say)";
const DETECTION: &str = "it selects boxes, and how many are left depends on the input; explain the scores before it";
const STEPS: &str =
    "it is a step function: flat nearly everywhere, so that its inputs have no defined share of its output";
const RANDOM: &str = "its result is random; export the model in evaluation mode";
const SCATTER: &str = "it writes elements to places that depend on the input, which has no relevance rule here yet";
const TREES: &str = "a classical model, not a network of layers: layer-wise relevance does not apply to it";

/// A description of an operator, and why it is not supported; `None` if it is not known.
pub(crate) fn about(op_type: &str) -> &'static str {
    match op_type {
        "GroupQueryAttention" | "PackedAttention" | "PackedMultiHeadAttention" | "DecoderMaskedMultiHeadAttention" => {
            "attention with a cache, or packed, has not been added here yet; export it as the products and the softmax that it is made of"
        }
        "QAttention" | "QEmbedLayerNormalization" | "QLinearReduceMean" | "QLinearWhere" | "QOrderedMatMul" => {
            QUANTIZED
        }
        "NonZero" | "Shape" | "Size" | "Unique" | "Hardmax" => INTEGERS,
        "BitwiseAnd" | "BitwiseNot" | "BitwiseOr" | "BitwiseXor" | "BitShift" => COMPARISON,
        "If" | "Loop" | "Scan" | "SequenceMap" => FLOW,
        "Compress" | "MaxRoiPool" | "NonMaxSuppression" | "RoiAlign" => DETECTION,
        "Mod" | "Binarizer" => STEPS,
        "Bernoulli" | "Multinomial" | "RandomNormal" | "RandomNormalLike" | "RandomUniform" | "RandomUniformLike" => {
            RANDOM
        }
        "MaxUnpool" => SCATTER,
        "Scatter" => {
            "an operator that ONNX has replaced; export the model again with a newer operator set (ScatterElements)"
        }
        "Det" | "Inverse" => "a function of whole matrices, which has no relevance rule here yet",
        "AffineGrid" => "it makes positions of activations, which has no relevance rule here yet",
        "DFT" | "MelWeightMatrix" | "STFT" => {
            "a transformation of a signal, which has not been added here yet; compute the spectrum outside of the model"
        }
        "DeformConv" => "a convolution whose positions are computed by the model, which has no relevance rule here yet",
        "Col2Im" | "EyeLike" => "it rearranges elements, which has not been added here yet",
        "SVMClassifier" | "SVMRegressor" | "TreeEnsemble" | "TreeEnsembleClassifier" | "TreeEnsembleRegressor" => TREES,
        _ if op_type.starts_with("Sequence")
            || op_type.starts_with("Optional")
            || op_type == "SplitToSequence"
            || op_type == "ConcatFromSequence" =>
        {
            "it works on lists of tensors; export the model with tensors only"
        }
        _ if op_type.starts_with("String") || op_type == "TfIdfVectorizer" || op_type == "RegexFullMatch" => {
            "it works on text, and relevance is defined for numbers only; export the model from the embedding on"
        }
        _ => "",
    }
}

/// Whether an operator depends on more than its inputs: on what its inner graphs name, or on chance.
pub(crate) fn is_open(op_type: &str) -> bool {
    [FLOW, RANDOM].contains(&about(op_type))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::SUPPORTED;

    #[test]
    fn what_is_known_is_told() {
        for op_type in ["NonZero", "QAttention", "If", "Loop", "NonMaxSuppression", "SequenceAt", "StringConcat"] {
            assert!(!about(op_type).is_empty(), "{op_type}");
        }
        assert_eq!(about("Custom"), "");
        assert!(SUPPORTED.iter().all(|op_type| about(op_type).is_empty()));
        assert!(is_open("If") && is_open("RandomNormal") && !is_open("NonZero"));
    }
}
