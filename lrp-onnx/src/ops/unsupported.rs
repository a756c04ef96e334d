//! Operators that are not supported on activations: what each of them is, and what can be done about it.

const QUANTIZED: &str = "an operator of quantized models that has not been added here yet; take the model as it was before it was \
                         quantized";
const COMPARISON: &str = "its result is true or false, which carries no relevance";
const INTEGERS: &str = "its result is a list of positions or counts, which carries no relevance";
const FLOW: &str = "the computation depends on the input, and a relevance map needs a fixed graph; export the model \
                    with the branch or the number of steps fixed (torch.jit.trace rather than torch.jit.script, say)";
const DETECTION: &str = "it selects boxes, and how many are left depends on the input; export the model without this step and \
                         explain the scores before it";
const STEPS: &str =
    "it is a step function: flat nearly everywhere, so that its inputs have no defined share of its output";
const RANDOM: &str = "its result is random; export the model in evaluation mode";
const NORMALIZATION: &str = "a normalization by statistics of the input that has no relevance rule here yet (layer normalization, \
                             instance normalization and batch normalization have)";
const REDUCTION: &str =
    "a reduction that is not linear and has no relevance rule here yet (ReduceMean and ReduceSum have)";
const ACTIVATION: &str = "an elementwise function that has not been added here yet";
const SCATTER: &str = "it writes elements to places given by another tensor, which has no relevance rule here yet";
const TREES: &str = "a classical model, not a network of layers: layer-wise relevance does not apply to it";

/// A description of an operator, and why it is not supported; `None` if it is not known.
pub(crate) fn about(op_type: &str) -> &'static str {
    match op_type {
        "Attention" | "MultiHeadAttention" | "GroupQueryAttention" => {
            "attention as one node: its products of activations and its softmax have no relevance rule here yet"
        }
        "QAttention" | "QEmbedLayerNormalization" | "QLinearReduceMean" | "QLinearWhere" | "QOrderedMatMul" => {
            QUANTIZED
        }
        "TopK" => {
            "it selects and sorts the largest elements, so that positions depend on the input; such a \
             selection has no relevance rule here yet"
        }
        "ArgMax" | "ArgMin" | "NonZero" | "Shape" | "Size" | "Unique" | "Hardmax" => INTEGERS,
        "And" | "Equal" | "Greater" | "GreaterOrEqual" | "IsInf" | "IsNaN" | "Less" | "LessOrEqual" | "Not" | "Or"
        | "Xor" | "BitwiseAnd" | "BitwiseNot" | "BitwiseOr" | "BitwiseXor" | "BitShift" => COMPARISON,
        "If" | "Loop" | "Scan" | "SequenceMap" => FLOW,
        "Compress" | "MaxRoiPool" | "NonMaxSuppression" | "RoiAlign" => DETECTION,
        "Ceil" | "Floor" | "Round" | "Sign" | "Mod" | "Binarizer" => STEPS,
        "Bernoulli" | "Multinomial" | "RandomNormal" | "RandomNormalLike" | "RandomUniform" | "RandomUniformLike" => {
            RANDOM
        }
        "GroupNormalization"
        | "LRN"
        | "LpNormalization"
        | "MeanVarianceNormalization"
        | "RMSNormalization"
        | "SimplifiedLayerNormalization"
        | "SkipLayerNormalization" => NORMALIZATION,
        "ReduceL1" | "ReduceL2" | "ReduceLogSum" | "ReduceLogSumExp" | "ReduceMax" | "ReduceMin" | "ReduceProd"
        | "ReduceSumSquare" => REDUCTION,
        "Acos" | "Acosh" | "Asin" | "Asinh" | "Atan" | "Atanh" | "Celu" | "Cosh" | "Shrink" | "Sinh" | "Softsign"
        | "Swish" | "Tan" | "ThresholdedRelu" => ACTIVATION,
        "GatherElements" | "GatherND" => {
            "it picks elements by a table of positions, which has no relevance rule here yet (Gather and Slice have)"
        }
        "Scatter" | "ScatterElements" | "ScatterND" | "MaxUnpool" => SCATTER,
        "Where" => {
            "it chooses between two tensors, element by element; this is known here for constants only, not for activations"
        }
        "CumSum" => "a running sum along an axis, which has no relevance rule here yet",
        "Det" | "Inverse" => "a function of whole matrices, which has no relevance rule here yet",
        "Einsum" => {
            "a sum of products given by a formula, which has not been added here yet; MatMul and Mul can be imported where one \
             factor is a constant"
        }
        "GridSample" | "AffineGrid" => {
            "it samples at positions that are computed by the model, which has no relevance rule here yet"
        }
        "DFT" | "MelWeightMatrix" | "STFT" => {
            "a transformation of a signal, which has not been added here yet; compute the spectrum outside of the model"
        }
        "Tile" => "repetition along axes, which has not been added here yet (Expand has)",
        "RNN" => "a plain recurrent layer, which has not been added here yet (LSTM and GRU have)",
        "OneHot" => "it turns class indices into vectors, and indices carry no relevance",
        "LpPool" | "GlobalLpPool" => "a pooling by norms, which has no relevance rule here yet (means and maxima have)",
        "DeformConv" => "a convolution whose positions are computed by the model, which has no relevance rule here yet",
        "Col2Im" | "ReverseSequence" | "EyeLike" | "Trilu" => {
            "it rearranges or masks elements, which has not been added here yet"
        }
        "LinearRegressor" => "a linear model as one node; export it as a Gemm, which is a dense layer here",
        "SVMClassifier" | "SVMRegressor" | "TreeEnsemble" | "TreeEnsembleClassifier" | "TreeEnsembleRegressor" => TREES,
        _ if op_type.starts_with("Sequence") || op_type.starts_with("Optional") || op_type.ends_with("Sequence") => {
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
        for op_type in ["TopK", "QAttention", "If", "Loop", "NonMaxSuppression", "SequenceAt", "StringConcat"] {
            assert!(!about(op_type).is_empty(), "{op_type}");
        }
        assert_eq!(about("Custom"), "");
        assert!(SUPPORTED.iter().all(|op_type| about(op_type).is_empty()));
        assert!(is_open("If") && is_open("RandomNormal") && !is_open("TopK"));
    }
}
