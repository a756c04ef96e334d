//! The ONNX operators that are read, as a table: what each becomes, where relevance goes, and what is left out.

use lrp_core::operator::{Group, Kind};

/// An ONNX operator that can be imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Supported {
    /// Its name in ONNX.
    pub operator: &'static str,
    /// The first operator set in which it has the meaning that is read.
    pub since: u8,
    /// The kinds of operators that it becomes, as recipes select them; those that move elements around or scale them by constants are
    /// listed only where nothing else is.
    pub kinds: &'static [Kind],
    /// What of it is not read, or under which conditions it is; empty where everything is.
    pub limits: &'static str,
}

impl Supported {
    /// The behaviour of relevance at each of the kinds, as long as no rule is assigned.
    pub fn behaviours(&self) -> Vec<(Kind, &'static str)> {
        self.kinds.iter().map(|&kind| (kind, behaviour(kind))).collect()
    }
}

/// Where relevance goes at an operator of this kind to which no rule is assigned.
pub fn behaviour(kind: Kind) -> &'static str {
    match (kind, kind.group()) {
        (Kind::Mul, _) => {
            "gate: the signal takes all (a negative power is a gate, and what depends on no explained input); uniform where neither factor is a gate"
        }
        (Kind::MatMul, _) => "epsilon, half to each factor; all to one where the other is a constant",
        (Kind::Div, _) => "the numerator takes all",
        (Kind::LayerNorm, _) => "epsilon, σ constant",
        (Kind::Softmax, _) => "softmax (AttnLRP)",
        (Kind::RmsNorm | Kind::Normalize, _) => "pass (the divisor is constant)",
        (Kind::Lstm | Kind::Gru | Kind::Rnn, _) => "epsilon, gates constant",
        (_, Group::Weighted) => "the rule of the recipe",
        (Kind::Scale, _) => "pass without a summand, otherwise `norm`, unless the recipe has a rule for it",
        (_, Group::Weightless) => "`norm`, unless the recipe has a rule for it",
        (_, Group::Preprocessing | Group::Activation | Group::Normalization | Group::Recurrent | Group::Product) => {
            "pass"
        }
        (_, Group::Winner) => "winner takes all",
        (_, Group::Structural) => "route",
        (_, Group::Step) => "none",
        (_, Group::Undefined) => "a rule is needed",
    }
}

macro_rules! rows {
    ($($operator:literal $since:literal [$($kind:ident),*] $limits:literal;)*) => {
        &[$(Supported { operator: $operator, since: $since, kinds: &[$(Kind::$kind),*], limits: $limits },)*]
    };
}

/// Every operator that is read, in alphabetical order. `LinearClassifier`, `LinearRegressor`, `Normalizer` and `Scaler` are of the domain `ai.onnx.ml`.
pub const fn supported() -> &'static [Supported] {
    ROWS
}

const ROWS: &[Supported] = rows! {
    "Abs" 1 [Abs] "";
    "Acos" 7 [Acos] "";
    "Acosh" 9 [Acosh] "";
    "Add" 7 [Add, Scale] "";
    "And" 7 [Compare] "";
    "ArgMax" 1 [ArgMax, Reshape] "";
    "ArgMin" 1 [ArgMax, Reshape] "";
    "Asin" 7 [Asin] "";
    "Asinh" 9 [Asinh] "";
    "Atan" 7 [Atan] "";
    "Atanh" 9 [Atanh] "";
    "Attention" 23 [MatMul, Softmax, Scale] "without a cache of keys and values; written out";
    "AveragePool" 1 [AvgPool] "";
    "BatchNormalization" 7 [BatchNorm] "not in training mode; folded into the layer next to it where that is possible";
    "Cast" 6 [Identity, Round, Compare] "to whole numbers: a step, but for ids";
    "Ceil" 6 [Round] "";
    "Celu" 12 [Celu] "";
    "Clip" 1 [Clip, Relu] "constant limits";
    "Concat" 4 [Concat] "";
    "Conv" 1 [Conv] "constant weights";
    "ConvInteger" 10 [Conv] "weights are constants; read as the float convolution it stands for";
    "ConvTranspose" 1 [ConvTranspose] "constant weights";
    "Cos" 7 [Cos] "";
    "Cosh" 9 [Cosh] "";
    "CumSum" 11 [CumSum] "constant axis";
    "DepthToSpace" 1 [Reshape, Transpose] "";
    "DequantizeLinear" 10 [Identity] "of activations: real values are what they are";
    "Div" 7 [Div, Scale, Power] "";
    "Dropout" 7 [Identity] "not in training mode";
    "DynamicQuantizeLinear" 11 [Identity] "read as the float values it stands for";
    "Einsum" 12 [Dense, MatMul, Mean, Reshape, Transpose] "one or two tensors, without diagonals; batch first";
    "Elu" 1 [Elu] "";
    "Equal" 7 [Compare] "";
    "Erf" 9 [Erf] "";
    "Exp" 1 [Exp] "";
    "Expand" 8 [Broadcast] "constant shape";
    "Flatten" 1 [Reshape] "";
    "Floor" 6 [Round] "";
    "GRU" 7 [Gru] "constant weights and initial states; standard activations; no clip; sequences of full length";
    "Gather" 1 [Gather, Pick] "indices that are constant; or computed, where each sample runs alone";
    "GatherElements" 11 [Gather] "constant indices, the same for every sample";
    "GatherND" 12 [Gather, Pick] "indices that are constant, the same for every sample; or computed, each for its own sample";
    "Gelu" 20 [Gelu] "";
    "Gemm" 7 [Dense, MatMul] "two activations only where no axis is the batch";
    "GlobalAveragePool" 1 [Mean] "";
    "GlobalLpPool" 2 [Abs, Power, Mean, Sqrt] "p from 1 to 16";
    "GlobalMaxPool" 1 [MaxPool] "";
    "Greater" 7 [Compare] "";
    "GreaterOrEqual" 12 [Compare] "";
    "GridSample" 16 [Resize] "constant grid, images in a plane";
    "GroupNormalization" 18 [LayerNorm] "constant scale and bias";
    "HardSigmoid" 1 [HardSigmoid] "";
    "HardSwish" 14 [HardSwish] "";
    "Identity" 1 [Identity] "";
    "InstanceNormalization" 1 [LayerNorm] "constant scale and bias";
    "IsInf" 10 [] "false: every value is checked to be finite";
    "IsNaN" 9 [] "false: every value is checked to be finite";
    "LRN" 1 [Normalize] "size up to 1024";
    "LSTM" 7 [Lstm] "as GRU; no peepholes, no coupled gates; the cell state is not an output";
    "LayerNormalization" 17 [LayerNorm] "constant scale and bias; only the first output";
    "LeakyRelu" 1 [LeakyRelu] "";
    "Less" 7 [Compare] "";
    "LessOrEqual" 12 [Compare] "";
    "LinearClassifier" 1 [Dense, Sigmoid, Softmax] "two classes or more; post_transform NONE, LOGISTIC or SOFTMAX";
    "LinearRegressor" 1 [Dense] "no post_transform";
    "Log" 1 [Log] "";
    "LogSoftmax" 1 [LogSoftmax] "cut at the end of a model";
    "LpNormalization" 1 [Normalize] "";
    "LpPool" 2 [Abs, Power, AvgPool, Sqrt] "p from 1 to 16";
    "MatMul" 1 [Dense, MatMul] "";
    "MatMulInteger" 10 [Dense] "one factor is a constant; read as the float product it stands for";
    "Max" 8 [Maximum, Relu, Clip] "";
    "MaxPool" 1 [MaxPool] "only the first output";
    "Mean" 8 [Add, Scale] "";
    "MeanVarianceNormalization" 9 [LayerNorm] "";
    "Min" 8 [Minimum, Clip] "";
    "Mish" 18 [Mul, Softplus, Tanh] "the tanh is the gate";
    "Mul" 7 [Mul, Scale] "";
    "Neg" 1 [Scale] "";
    "Normalizer" 1 [Normalize, Abs, Mean, Div] "norms L1 and L2 of vectors";
    "Not" 1 [Compare] "";
    "OneHot" 9 [Embedding, Transpose] "of an input of whole numbers; constant depth and values; no number beyond the depth";
    "Or" 7 [Compare] "";
    "PRelu" 7 [LeakyRelu] "constant slopes";
    "Pad" 2 [Pad] "constant pads and value; modes constant, reflect and edge";
    "Pow" 7 [Power] "one constant exponent";
    "QLinearConv" 10 [Conv, Clip] "read as the float convolution it stands for, limited to the range of its integers";
    "QLinearMatMul" 10 [Dense, Clip] "one factor is a constant; read as the float product it stands for, limited to the range of its integers";
    "QuantizeLinear" 10 [Clip] "read as the limit to the range of its integers, without rounding";
    "RMSNormalization" 23 [RmsNorm] "constant scale";
    "RNN" 7 [Rnn] "as GRU; tanh, or ReLU, for all directions";
    "Reciprocal" 1 [Power] "";
    "ReduceL1" 1 [Abs, Mean] "";
    "ReduceL2" 1 [Power, Mean, Sqrt] "";
    "ReduceLogSum" 1 [Mean, Log] "";
    "ReduceLogSumExp" 1 [LogSumExp] "";
    "ReduceMax" 1 [Maximum] "";
    "ReduceMean" 1 [Mean] "";
    "ReduceMin" 1 [Minimum] "";
    "ReduceProd" 1 [ReduceProd] "";
    "ReduceSum" 1 [Mean] "";
    "ReduceSumSquare" 1 [Power, Mean] "";
    "Relu" 1 [Relu] "";
    "Reshape" 1 [Reshape] "constant shape";
    "Resize" 10 [Resize, ResizeNearest, Identity] "constant sizes or scales; stretched, without antialiasing or a region of interest";
    "ReverseSequence" 10 [Gather] "as many elements in each sequence";
    "RotaryEmbedding" 23 [Scale, Mul, Add] "written out";
    "Round" 11 [Round] "";
    "Scaler" 1 [Scale] "";
    "ScatterElements" 11 [Gather, Concat, Add] "constant indices, the same for every sample; reduction none or add";
    "ScatterND" 11 [Gather, Concat, Add] "constant indices, the same for every sample; reduction none or add";
    "Selu" 1 [Elu, Scale] "";
    "Shrink" 9 [Shrink] "";
    "Sigmoid" 1 [Sigmoid] "cut at the end of a model";
    "Sign" 9 [Sign] "";
    "Sin" 7 [Sin] "";
    "Sinh" 9 [Sinh] "";
    "Slice" 1 [Slice] "constant starts, ends and steps";
    "Softmax" 1 [Softmax] "cut at the end of a model";
    "Softplus" 1 [Softplus] "";
    "Softsign" 1 [Softsign] "";
    "SpaceToDepth" 1 [Reshape, Transpose] "";
    "Split" 2 [Slice] "constant lengths";
    "Sqrt" 1 [Sqrt] "";
    "Squeeze" 1 [Reshape] "";
    "Sub" 7 [Add, Scale] "";
    "Sum" 8 [Add, Scale] "";
    "Swish" 24 [Silu, Mul, Sigmoid] "the sigmoid is the gate";
    "Tan" 7 [Tan] "";
    "Tanh" 1 [Tanh] "";
    "ThresholdedRelu" 10 [ThresholdedRelu] "";
    "Tile" 6 [Broadcast] "constant repeats";
    "TopK" 1 [TopK, Maximum, Minimum] "constant k; the positions are not an output";
    "Transpose" 1 [Transpose] "";
    "Trilu" 14 [Where] "constant diagonal";
    "Unsqueeze" 1 [Reshape] "constant axes";
    "Upsample" 7 [Resize, ResizeNearest, Identity] "constant scales";
    "Where" 9 [Where] "";
    "Xor" 7 [Compare] "";
};

/// The page `docs/reference/operators.md`.
pub fn supported_as_markdown() -> String {
    let mut page = String::from(
        "# Operators\n\n\
         What the importer reads of ONNX. For each operator of a file: the kinds of operators that it becomes here (in brackets the group, \
         by which recipes can select it, too), the behaviour of relevance as long as the recipe assigns no rule, the operator sets in which it \
         is read, and what is left out. Operators that move elements around or scale them by constants accompany many of these; they are listed \
         only where nothing else is. What depends on constants alone is computed while a model is loaded, and is not limited to this list.\n\n\
         `lrp layers --supported` prints this page. How to add an operator: [own-operator](../how-to/own-operator.md).\n\n\
         | operator | operator sets | kinds (group) | relevance | limits |\n|---|---|---|---|---|\n",
    );
    for row in supported() {
        let mut kinds: Vec<String> = Vec::new();
        let mut behaviours: Vec<(&str, Vec<&str>)> = Vec::new();
        for (kind, behaviour) in row.behaviours() {
            kinds.push(format!("`{}` ({})", kind.name(), kind.group().name()));
            match behaviours.iter_mut().find(|(known, _)| *known == behaviour) {
                Some((_, names)) => names.push(kind.name()),
                None => behaviours.push((behaviour, vec![kind.name()])),
            }
        }
        let told: Vec<String> = match behaviours.as_slice() {
            [(behaviour, _)] => vec![(*behaviour).to_owned()],
            several => several.iter().map(|(behaviour, names)| format!("{}: {behaviour}", names.join(", "))).collect(),
        };
        let cells = [
            row.operator.to_owned(),
            format!("{}+", row.since),
            kinds.join(", "),
            told.join("; "),
            row.limits.to_owned(),
        ];
        page += &format!("| {} |\n", cells.map(|cell| if cell.is_empty() { "–".to_owned() } else { cell }).join(" | "));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Body;
    use crate::ops::SUPPORTED;
    use crate::proto::NodeProto;
    use crate::testing::{Attr, Net};
    use lrp_core::operator::Fixed;

    #[test]
    fn every_supported_operator_has_a_row() {
        let names: Vec<&str> = supported().iter().map(|row| row.operator).collect();
        // ONNX's own, and written out.
        let mut expected = [SUPPORTED, &["Attention", "RotaryEmbedding"]].concat();
        expected.sort_unstable();
        assert_eq!(names, expected);
        let is_fused = |name: &str| crate::fused::is_fused(&NodeProto { op_type: name.into(), ..NodeProto::default() });
        assert!(is_fused("Attention") && is_fused("RotaryEmbedding"));
    }

    #[test]
    fn the_page_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/operators.md");
        let page = supported_as_markdown();
        if std::env::var("LRP_DOCS").is_ok_and(|v| v == "update") {
            std::fs::write(path, &page).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(committed == page, "run LRP_DOCS=update cargo test -p lrp-onnx supported");
    }

    /// A file with one node of each operator, on images of two channels.
    fn examples() -> Vec<(&'static str, Net)> {
        let mut nets = Vec::new();
        type Constant = (&'static [i64], Option<&'static [i64]>);
        let (per_channel, square): (Constant, Constant) = ((&[2], None), (&[4, 4], None));
        let mut add = |op: &'static str, constants: &[Constant], attributes: &[(&str, Attr<'_>)]| {
            let mut net = Net::new(&[2, 4, 4]).opset(if op == "Upsample" { 9 } else { 23 });
            let names: Vec<String> = constants
                .iter()
                .map(|(shape, ints)| match ints {
                    Some(values) => net.ints(values),
                    None => net.positive(shape),
                })
                .collect();
            let inputs: Vec<&str> = std::iter::once("x").chain(names.iter().map(String::as_str)).collect();
            let y = net.op(op, &inputs, attributes);
            // A comparison at the end would be taken for the choice of a class.
            net.op("Neg", &[&y], &[]);
            nets.push((op, net));
        };
        let plain = [
            "Abs",
            "Acos",
            "Acosh",
            "Asin",
            "Asinh",
            "Atan",
            "Atanh",
            "Ceil",
            "Celu",
            "Clip",
            "Cos",
            "Cosh",
            "Dropout",
            "Elu",
            "Erf",
            "Exp",
            "Flatten",
            "Floor",
            "Gelu",
            "GlobalAveragePool",
            "GlobalLpPool",
            "GlobalMaxPool",
            "HardSigmoid",
            "HardSwish",
            "Identity",
            "LeakyRelu",
            "Log",
            "LogSoftmax",
            "LpNormalization",
            "Mish",
            "Neg",
            "Not",
            "Reciprocal",
            "Relu",
            "Round",
            "Selu",
            "Shrink",
            "Sigmoid",
            "Sign",
            "Sin",
            "Sinh",
            "Softmax",
            "Softplus",
            "Softsign",
            "Sqrt",
            "Tan",
            "Tanh",
            "ThresholdedRelu",
            "Trilu",
        ];
        plain.into_iter().for_each(|op| add(op, &[], &[]));
        let two = [
            "Add",
            "And",
            "Div",
            "Equal",
            "Greater",
            "GreaterOrEqual",
            "Less",
            "LessOrEqual",
            "MatMul",
            "Max",
            "Mean",
            "Min",
            "Mul",
            "Or",
            "PRelu",
            "Sub",
            "Sum",
            "Xor",
        ];
        two.into_iter().for_each(|op| add(op, &[(&[4, 4], None)], &[]));
        let reductions = [
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
            "Squeeze",
            "Unsqueeze",
        ];
        for op in reductions {
            let axes: &[i64] = if op == "Squeeze" { &[] } else { &[2] };
            add(op, &[(&[], Some(axes))], &[]);
        }
        let kernel = [("kernel_shape", Attr::Ints(&[2, 2]))];
        ["AveragePool", "LpPool", "MaxPool"].into_iter().for_each(|op| add(op, &[], &kernel));
        let block = [("blocksize", Attr::Int(2))];
        add("SpaceToDepth", &[], &block);
        add("DepthToSpace", &[], &[("blocksize", Attr::Int(1))]);
        add("BatchNormalization", &[per_channel; 4], &[]);
        add("InstanceNormalization", &[per_channel; 2], &[]);
        add("GroupNormalization", &[per_channel; 2], &[("num_groups", Attr::Int(1))]);
        add("LayerNormalization", &[(&[4], None)], &[]);
        add("RMSNormalization", &[(&[4], None)], &[]);
        add("MeanVarianceNormalization", &[], &[("axes", Attr::Ints(&[2, 3]))]);
        add("LRN", &[], &[("size", Attr::Int(3))]);
        add("Cast", &[], &[("to", Attr::Int(1))]);
        add("Concat", &[(&[1, 2, 4, 4], None)], &[("axis", Attr::Int(1))]);
        add("Conv", &[(&[3, 2, 2, 2], None)], &[]);
        add("ConvTranspose", &[(&[2, 3, 2, 2], None)], &[]);
        add("CumSum", &[(&[], Some(&[1]))], &[]);
        add("Einsum", &[(&[4, 3], None)], &[("equation", Attr::Text("nabc,cd->nabd"))]);
        add("Expand", &[(&[], Some(&[1, 1, 1, 1]))], &[]);
        add("Gather", &[(&[], Some(&[1]))], &[("axis", Attr::Int(1))]);
        add("Pad", &[(&[], Some(&[0, 0, 1, 0, 0, 0, 1, 0]))], &[]);
        add("Pow", &[(&[], None)], &[]);
        add("Reshape", &[(&[], Some(&[0, -1]))], &[]);
        add("Slice", &[(&[], Some(&[0])), (&[], Some(&[1])), (&[], Some(&[1]))], &[]);
        add("Swish", &[], &[("alpha", Attr::Float(2.0))]);
        add("Tile", &[(&[], Some(&[1, 1, 2, 1]))], &[]);
        let axes = [("batch_axis", Attr::Int(0)), ("time_axis", Attr::Int(2))];
        add("ReverseSequence", &[(&[], Some(&[4]))], &axes);
        add("TopK", &[(&[], Some(&[2]))], &[]);
        add("Transpose", &[], &[("perm", Attr::Ints(&[0, 2, 1, 3]))]);
        add("Where", &[square; 2], &[]);
        for to in [7, 9] {
            let mut net = Net::new(&[2]);
            let x = net.op("Neg", &["x"], &[]);
            let y = net.op("Cast", &[&x], &[("to", Attr::Int(to))]);
            net.op("Neg", &[&y], &[]);
            nets.push(("Cast", net));
        }
        nets
    }

    /// Kinds that accompany others.
    fn accompanies(kind: Kind) -> bool {
        kind.group() == Group::Structural || kind == Kind::Scale
    }

    #[test]
    fn rows_tell_what_imports_make_and_how_relevance_behaves() {
        let examples = examples();
        assert!(examples.len() > 100);
        for (op, net) in &examples {
            let row = supported().iter().find(|row| row.operator == *op).unwrap();
            let graph = net.raw();
            let ops: Vec<_> = graph
                .nodes
                .iter()
                .filter_map(|n| if let Body::Operator(op, _) = &n.body { Some(op) } else { None })
                .collect();
            assert!(ops.iter().any(|op| row.kinds.contains(&op.kind())), "{op}: none of {:?}", row.kinds);
            for made in &ops {
                let kind = made.kind();
                assert!(
                    row.kinds.contains(&kind) || accompanies(kind),
                    "{op} makes {kind}, which its row does not list"
                );
                let told = behaviour(kind);
                match made.fixed() {
                    Fixed::RuleNeeded => assert!(
                        matches!(kind.group(), Group::Weighted | Group::Weightless | Group::Undefined),
                        "{op}: {kind} needs a rule; '{told}'"
                    ),
                    fixed => assert!(told.contains(fixed.name()), "{op}: '{}' at {kind}; '{told}'", fixed.name()),
                }
            }
        }
    }
}
