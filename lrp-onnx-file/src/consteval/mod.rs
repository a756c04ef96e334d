//! Computes what is constant in a graph: mostly the shape arithmetic that exporters leave behind (`x.view(x.size(0), -1)`
//! becomes Shape, Gather, Unsqueeze, Concat, Reshape), sometimes weights that are transposed, scaled or normalised first.
//!
//! Floating-point numbers are computed in `f64`. No result is made before its size was charged to a [`Budget`].

mod elementwise;
mod linear;
mod make;
mod normalize;
mod quantize;
mod reduce;
mod resize;
mod scatter;
mod select;
mod shapes;
mod sort;

use ndarray::{ArrayD, IxDyn};

use crate::error::Problem;
use crate::proto::NodeProto;
use crate::tensor::{Array, Constant, volume};
use shapes::check_rank;
pub use shapes::{
    axis, flattened, index, joint_shape, reshaped, shape_of, sliced, split_lengths, squeezed, unsqueezed,
};

/// The maximum number of elements of all computed constants of a model together.
#[derive(Debug)]
pub struct Budget(usize);

impl Budget {
    /// 16 Mi elements, and four for each byte of the file.
    pub fn for_file(bytes: usize) -> Self {
        Self((1usize << 24).saturating_add(bytes.saturating_mul(4)))
    }

    /// Accounts for a constant of this shape before it is made.
    pub fn charge(&mut self, shape: &[usize]) -> Result<(), Problem> {
        check_rank(shape.len())?;
        let left = volume(shape).and_then(|n| self.0.checked_sub(n.max(1)));
        self.0 = left.ok_or_else(|| {
            Problem::invalid(format!(
                "computes a constant of shape {shape:?}; all computed constants together would have more elements than \
                 is allowed (16 Mi, and four per byte of the file)"
            ))
        })?;
        Ok(())
    }

    /// Accounts for a sum of this number of products. A product takes far less time than making an element.
    fn charge_products(&mut self, lengths: &[usize]) -> Result<(), Problem> {
        const FOR_ONE: usize = 32;
        let left = volume(lengths).and_then(|n| self.0.checked_sub(n / FOR_ONE));
        self.0 = left.ok_or_else(|| Problem::invalid("it multiplies constants that are too large for that"))?;
        Ok(())
    }
}

/// Applies an expression to the array of either type.
macro_rules! each {
    ($array:expr, $a:ident => $body:expr) => {
        match $array {
            Array::Float($a) => Array::Float($body),
            Array::Int($a) => Array::Int($body),
        }
    };
}
use each;

/// Applies an expression to two arrays of the same type; if they are not, to both as floating-point numbers.
macro_rules! both {
    ($x:expr, $y:expr, |$a:ident, $b:ident| $body:expr) => {
        match ($x, $y) {
            (Array::Int($a), Array::Int($b)) => Array::Int($body),
            (x, y) => {
                let ($a, $b) = (x.into_floats(), y.into_floats());
                Array::Float($body)
            }
        }
    };
}
use both;

/// Computes a node all of whose inputs are constants (or left out), in an operator set. Gives all its outputs.
///
/// # Errors
/// When the node is malformed, its result too large, or the operator not one of those that occur on constants.
pub fn evaluate(
    node: &NodeProto,
    inputs: &[Option<Constant>],
    opset: i64,
    budget: &mut Budget,
) -> Result<Vec<Constant>, Problem> {
    let dynamic = inputs.iter().flatten().any(Constant::is_from_dynamic_scale);
    let mut evaluation = Evaluation { node, inputs, opset, budget };
    if !dynamic {
        return evaluation.run();
    }
    // The scale is 1 here, whatever it is when the model runs; numbers in units of it must not be rounded.
    let results = match evaluation.rounds() {
        true => vec![evaluation.input(0)?.clone()],
        false => evaluation.run()?,
    };
    Ok(results.into_iter().map(Constant::marked_dynamic).collect())
}

struct Evaluation<'a> {
    node: &'a NodeProto,
    inputs: &'a [Option<Constant>],
    opset: i64,
    budget: &'a mut Budget,
}

impl Evaluation<'_> {
    fn run(&mut self) -> Result<Vec<Constant>, Problem> {
        let one = |constant: Constant| Ok(vec![constant]);
        match self.node.op_type.as_str() {
            // What only renames or reshapes shares its data and costs nothing.
            "Identity" | "Dropout" => one(self.input(0)?.clone()),
            "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => one(self.reshape()?),
            "Constant" => {
                let constant = self.constant()?;
                // A tensor that is kept as it is in the file takes no memory.
                if constant.is_computed() {
                    self.budget.charge(constant.shape())?;
                }
                one(constant)
            }
            "Shape" | "Size" => {
                let shape = self.input(0)?.shape().to_vec();
                one(shape_of(self.node, &shape)?)
            }
            "Cast" | "CastLike" => one(self.cast()?),
            "DynamicQuantizeLinear" => self.dynamic_quantize(),
            "QuantizeLinear" => one(self.quantize()?),
            "Split" => self.split(),
            "TopK" => self.top_k(),
            "Unique" => self.unique(),
            _ => one(self.array_of()?.into()),
        }
    }

    /// The result of an operator that has one.
    fn array_of(&mut self) -> Result<Array, Problem> {
        match self.node.op_type.as_str() {
            "ArgMax" => self.extreme_index(true),
            "ArgMin" => self.extreme_index(false),
            "BatchNormalization" | "InstanceNormalization" => self.channel_normalization(),
            "Clip" => self.clip(),
            "Concat" => self.concat(),
            "ConstantOfShape" => self.constant_of_shape(),
            "CumSum" => self.running_sum(),
            "DequantizeLinear" => self.dequantize(),
            "Einsum" => self.einsum(),
            "Expand" => self.expand(),
            "EyeLike" => self.eye_like(),
            "Gather" => self.gather(),
            "GatherElements" => self.gather_elements(),
            "GatherND" => self.gather_nd(),
            "Gemm" => self.gemm(),
            "LayerNormalization" => self.layer_normalization(),
            "LogSoftmax" | "Softmax" => self.softmax(),
            "MatMul" => self.mat_mul(),
            "NonZero" => self.non_zero(),
            "OneHot" => self.one_hot(),
            "Pad" => self.pad(),
            "Range" => self.range(),
            "Resize" | "Upsample" => self.resize(),
            "ScatterElements" | "Scatter" => self.scatter_elements(),
            "ScatterND" => self.scatter_nd(),
            "Size" => {
                let size = shapes::length(volume(self.input(0)?.shape()).unwrap_or(0));
                Ok(Array::Int(ndarray::arr0(size).into_dyn()))
            }
            "Slice" => self.slice(),
            "Tile" => self.tile(),
            "Transpose" => self.transpose(),
            "Trilu" => self.triangle(),
            "Where" => self.choose(),
            op_type if op_type.starts_with("Reduce") => self.reduce(),
            _ => self.elementwise(),
        }
    }

    fn input(&self, index: usize) -> Result<&Constant, Problem> {
        self.inputs
            .get(index)
            .and_then(Option::as_ref)
            .ok_or_else(|| Problem::invalid(format!("has no input number {}", index + 1)))
    }

    fn has(&self, index: usize) -> bool {
        self.inputs.get(index).is_some_and(Option::is_some)
    }

    /// An input's values; copying them out is charged.
    fn array(&mut self, index: usize) -> Result<Array, Problem> {
        let constant = self.input(index)?.clone();
        self.budget.charge(constant.shape())?;
        constant.array().map_err(|e| Problem::invalid(format!("an input {e}")))
    }

    fn ints(&self, index: usize) -> Result<Vec<i64>, Problem> {
        self.input(index)?.ints().map_err(|e| Problem::invalid(format!("its input number {} {e}", index + 1)))
    }

    /// A list that is an attribute in old operator sets and an input in new ones.
    fn list(&self, index: usize, attribute: &str) -> Result<Option<Vec<i64>>, Problem> {
        if let Some(values) = self.node.ints(attribute) {
            return Ok(Some(values.to_vec()));
        }
        self.inputs.get(index).and_then(Option::as_ref).map(|_| self.ints(index)).transpose()
    }

    /// An axis of a tensor of this rank, from the attribute.
    fn axis(&self, default: i64, rank: usize) -> Result<usize, Problem> {
        axis(self.node.int("axis").unwrap_or(default), rank)
    }
}

impl Array {
    fn shape(&self) -> &[usize] {
        match self {
            Array::Float(a) => a.shape(),
            Array::Int(a) => a.shape(),
        }
    }

    fn into_floats(self) -> ArrayD<f64> {
        match self {
            Array::Float(a) => a,
            Array::Int(a) => a.mapv(|v| v as f64),
        }
    }
}

fn overflow() -> Problem {
    Problem::invalid("its integer arithmetic overflows or divides by zero")
}

fn broadcast<A: Clone>(a: &ArrayD<A>, shape: &[usize]) -> Result<ArrayD<A>, Problem> {
    a.broadcast(IxDyn(shape))
        .map(|view| view.to_owned())
        .ok_or_else(|| Problem::invalid(format!("{:?} does not broadcast to {shape:?}", a.shape())))
}

/// `yes` where the condition is nonzero, `no` elsewhere; all of one shape.
fn select<A: Copy>(condition: &ArrayD<f64>, yes: &ArrayD<A>, no: &ArrayD<A>) -> ArrayD<A> {
    ndarray::Zip::from(condition).and(yes).and(no).map_collect(|&c, &y, &n| if c == 0.0 { n } else { y })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{AttributeProto, TensorProto};

    fn attribute(name: &str, i: Option<i64>, ints: &[i64]) -> AttributeProto {
        AttributeProto { name: name.into(), i, ints: ints.to_vec(), ..Default::default() }
    }

    fn eval(op_type: &str, inputs: &[&[i64]], attribute: Vec<AttributeProto>) -> Result<Vec<i64>, Problem> {
        let inputs: Vec<Option<Constant>> = inputs.iter().map(|i| Some(Constant::ints_1d(i))).collect();
        let node = NodeProto { op_type: op_type.into(), attribute, ..Default::default() };
        let result = evaluate(&node, &inputs, 17, &mut Budget::for_file(0))?.remove(0);
        result.ints().map_err(Problem::Invalid)
    }

    /// Positional embeddings are resized to the number of patches.
    #[test]
    fn resized_by_hand() {
        let line: Given<'_> = (&[1, 4], &[0.0, 10.0, 20.0, 30.0]);
        let none: Given<'_> = (&[0], &[]);
        let half_pixel = |mode: &'static str| vec![text("mode", mode)];
        // As ONNX Runtime 1.32 computes them.
        let doubled: Given<'_> = (&[2], &[1.0, 2.0]);
        let linear = floats("Resize", &[line, none, doubled], half_pixel("linear"), &[1, 8]);
        close(&linear, &[0.0, 2.5, 7.5, 12.5, 17.5, 22.5, 27.5, 30.0]);
        let cubic = floats("Resize", &[line, none, doubled], half_pixel("cubic"), &[1, 8]);
        close(&cubic, &[-1.0546875, 1.9140625, 6.6796875, 12.96875, 17.03125, 23.3203125, 28.0859375, 31.0546875]);
        let nearest = floats("Resize", &[line, none, (&[2], &[3.0, 1.0])], half_pixel("nearest"), &[3, 4]);
        close(&nearest, &[0.0, 10.0, 20.0, 30.0].repeat(3));
        let both = floats("Resize", &[line, none, (&[2], &[2.0, 0.5])], half_pixel("linear"), &[2, 2]);
        close(&both, &[5.0, 25.0, 5.0, 25.0]);
        let error = computed("Resize", &[line, none, (&[2], &[1e6, 1e6])], half_pixel("linear"));
        assert!(error.is_err());
    }

    #[test]
    fn integers_by_hand() {
        for (op, inputs, expected) in [
            ("Add", &[&[1, 2][..], &[10]][..], &[11, 12][..]),
            ("Div", &[&[7, -7], &[2]], &[3, -3]),
            ("Mul", &[&[3], &[4]], &[12]),
            ("Concat", &[&[1], &[2, 3]], &[1, 2, 3]),
            ("Gather", &[&[5, 6, 7], &[-1, 0]], &[7, 5]),
            ("Slice", &[&[0, 1, 2, 3, 4], &[1], &[4]], &[1, 2, 3]),
            ("Slice", &[&[0, 1, 2, 3, 4], &[-2], &[i64::MAX], &[0], &[1]], &[3, 4]),
            ("Slice", &[&[0, 1, 2, 3, 4], &[-1], &[i64::MIN], &[0], &[-2]], &[4, 2, 0]),
            ("Slice", &[&[0, 1, 2, 3, 4], &[3], &[0], &[0], &[-1]], &[3, 2, 1]),
            ("Range", &[&[2], &[9], &[3]], &[2, 5, 8]),
            ("Range", &[&[3], &[0], &[-1]], &[3, 2, 1]),
            ("Range", &[&[3], &[0], &[1]], &[]),
            ("Equal", &[&[1, 2], &[1, 3]], &[1, 0]),
            ("Where", &[&[1, 0], &[5], &[6]], &[5, 6]),
            ("ReduceProd", &[&[2, 3, 4]], &[24]),
            ("Expand", &[&[7], &[3]], &[7, 7, 7]),
            ("Shape", &[&[9, 9]], &[2]),
            ("Size", &[&[9, 9]], &[2]),
            ("Neg", &[&[1]], &[-1]),
        ] {
            assert_eq!(eval(op, inputs, Vec::new()).unwrap(), expected, "{op} {inputs:?}");
        }
        let transposed = eval("Transpose", &[&[1, 2]], vec![attribute("perm", None, &[0])]);
        assert_eq!(transposed.unwrap(), [1, 2]);
    }

    /// Results: a shape and values each.
    type Computed = Vec<(Vec<usize>, Vec<f64>)>;

    /// A shape, and values.
    type Given<'a> = (&'a [usize], &'a [f64]);

    /// The floating-point results of an operator, with their shapes.
    fn computed(op_type: &str, inputs: &[Given<'_>], attribute: Vec<AttributeProto>) -> Result<Computed, Problem> {
        let array = |(shape, values): &Given<'_>| ArrayD::from_shape_vec(IxDyn(shape), values.to_vec()).unwrap();
        let inputs: Vec<Option<Constant>> = inputs.iter().map(|i| Some(Array::Float(array(i)).into())).collect();
        let node = NodeProto { op_type: op_type.into(), attribute, ..Default::default() };
        let results = evaluate(&node, &inputs, 18, &mut Budget::for_file(0))?;
        Ok(results.into_iter().map(|c| (c.shape().to_vec(), c.floats())).collect())
    }

    /// The first result, which must have this shape.
    fn floats(op_type: &str, inputs: &[Given<'_>], attribute: Vec<AttributeProto>, shape: &[usize]) -> Vec<f64> {
        let result = computed(op_type, inputs, attribute).unwrap().remove(0);
        assert_eq!(result.0, shape, "{op_type}");
        result.1
    }

    fn close(a: &[f64], b: &[f64]) {
        assert!(a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9), "{a:?} and {b:?}");
    }

    fn text(name: &str, value: &'static str) -> AttributeProto {
        AttributeProto { name: name.into(), s: Some(value.as_bytes().into()), ..Default::default() }
    }

    fn number(name: &str, value: f32) -> AttributeProto {
        AttributeProto { name: name.into(), f: Some(value), ..Default::default() }
    }

    #[test]
    fn comparisons_and_integers_by_hand() {
        for (op, inputs, expected) in [
            ("GreaterOrEqual", &[&[1, 2, 3][..], &[2]][..], &[0, 1, 1][..]),
            ("LessOrEqual", &[&[1, 2, 3], &[2]], &[1, 1, 0]),
            ("Xor", &[&[1, 1, 0, 0], &[1, 0, 1, 0]], &[0, 1, 1, 0]),
            ("Mod", &[&[7, -7, 7, -7], &[3, 3, -3, -3]], &[1, 2, -2, -1]),
            ("Pow", &[&[2, -3, 10], &[10, 3, 0]], &[1024, -27, 1]),
            ("Sign", &[&[-4, 0, 9]], &[-1, 0, 1]),
            ("BitwiseAnd", &[&[6], &[3]], &[2]),
            ("Min", &[&[4, 1], &[2], &[3, 0]], &[2, 0]),
            ("Sum", &[&[1, 2], &[10], &[100]], &[111, 112]),
            ("Clip", &[&[-5, 5, 50], &[0], &[9]], &[0, 5, 9]),
            ("CumSum", &[&[1, 2, 3], &[0]], &[1, 3, 6]),
            ("GatherElements", &[&[5, 6, 7], &[2, -3]], &[7, 5]),
            ("GatherND", &[&[5, 6, 7], &[1]], &[6]),
            ("ScatterElements", &[&[5, 6, 7], &[2, 0], &[1, 2]], &[2, 6, 1]),
            ("ScatterND", &[&[5, 6, 7], &[1], &[0]], &[5, 6, 7]),
            ("Tile", &[&[1, 2], &[3]], &[1, 2, 1, 2, 1, 2]),
            ("Pad", &[&[1, 2], &[1, 2], &[9]], &[9, 1, 2, 9, 9]),
            ("Pad", &[&[1, 2, 3], &[-1, -1]], &[2]),
            ("NonZero", &[&[0, 4, 0, 5]], &[1, 3]),
            ("ArgMax", &[&[3, 9, 9]], &[1]),
            ("ArgMin", &[&[3, 9, 1]], &[2]),
            ("TopK", &[&[3, 9, 1, 9], &[3]], &[9, 9, 3]),
            ("Unique", &[&[3, 9, 3, 1]], &[1, 3, 9]),
            ("MatMul", &[&[1, 2, 3], &[1, 10, 100]], &[321]),
            ("ReduceSum", &[&[1, 2, 3]], &[6]),
            ("ReduceMax", &[&[1, 5, 3]], &[5]),
            ("ReduceL1", &[&[1, -5]], &[6]),
            ("OneHot", &[&[1, -3], &[3], &[7, 8]], &[7, 8, 7, 8, 7, 7]),
        ] {
            // ScatterND writes single elements to lists of one position.
            let result = match op {
                "ScatterND" | "GatherND" => {
                    let list = |i: usize| Constant::ints_1d(inputs[i]);
                    let lists = list(1).reshaped(vec![inputs[1].len(), 1]).unwrap();
                    let updates = inputs.get(2).map(|_| Constant::ints_1d(&[60]));
                    let all = [Some(list(0)), Some(lists), updates];
                    let node = NodeProto { op_type: op.into(), ..Default::default() };
                    let all = if op == "GatherND" { &all[..2] } else { &all[..] };
                    let result = evaluate(&node, all, 17, &mut Budget::for_file(0)).unwrap().remove(0);
                    result.ints().unwrap()
                }
                _ => eval(op, inputs, Vec::new()).unwrap(),
            };
            let expected = if op == "ScatterND" { &[5, 60, 7][..] } else { expected };
            assert_eq!(result, expected, "{op} {inputs:?}");
        }
        let shift = |direction| eval("BitShift", &[&[12], &[2]], vec![text("direction", direction)]).unwrap();
        assert_eq!((shift("LEFT"), shift("RIGHT")), (vec![48], vec![3]));
        let fmod = attribute("fmod", Some(1), &[]);
        assert_eq!(eval("Mod", &[&[-7], &[3]], vec![fmod]).unwrap(), [-1]);
        let backwards = vec![attribute("reverse", Some(1), &[]), attribute("exclusive", Some(1), &[])];
        assert_eq!(eval("CumSum", &[&[1, 2, 3], &[0]], backwards).unwrap(), [5, 3, 0]);
        assert_eq!(
            eval("ScatterElements", &[&[1, 2], &[0, 0], &[5, 7]], vec![text("reduction", "add")]).unwrap(),
            [13, 2]
        );
    }

    #[test]
    fn functions_of_numbers_by_hand() {
        let x: Given<'_> = (&[3], &[-0.5, 0.0, 2.0]);
        for (op, expected) in [
            ("Sin", [-0.5f64, 0.0, 2.0].map(f64::sin)),
            ("Cos", [-0.5f64, 0.0, 2.0].map(f64::cos)),
            ("Tan", [-0.5f64, 0.0, 2.0].map(f64::tan)),
            ("Exp", [-0.5f64, 0.0, 2.0].map(f64::exp)),
            ("Tanh", [-0.5f64, 0.0, 2.0].map(f64::tanh)),
            ("Relu", [0.0, 0.0, 2.0]),
            ("Sigmoid", [-0.5f64, 0.0, 2.0].map(|v| 1.0 / (1.0 + (-v).exp()))),
            ("Softplus", [-0.5f64, 0.0, 2.0].map(|v| v.exp().ln_1p())),
            ("Erf", [-0.520_499_877_813_046_5, 0.0, 0.995_322_265_018_952_7]),
            ("Sign", [-1.0, 0.0, 1.0]),
            ("Round", [-0.0, 0.0, 2.0]),
        ] {
            close(&floats(op, &[x], Vec::new(), &[3]), &expected);
        }
        close(&floats("Log", &[(&[1], &[2.0])], Vec::new(), &[1]), &[std::f64::consts::LN_2]);
        close(&floats("Pow", &[x, (&[], &[2.0])], Vec::new(), &[3]), &[0.25, 0.0, 4.0]);
        close(&floats("IsNaN", &[(&[2], &[f64::NAN, 1.0])], Vec::new(), &[2]), &[1.0, 0.0]);
        close(&floats("IsInf", &[(&[2], &[f64::NEG_INFINITY, 1.0])], Vec::new(), &[2]), &[1.0, 0.0]);
        close(&floats("Mean", &[x, (&[1], &[1.0])], Vec::new(), &[3]), &[0.25, 0.5, 1.5]);
        close(&floats("Round", &[(&[3], &[0.5, 1.5, 2.4])], Vec::new(), &[3]), &[0.0, 2.0, 2.0]);
    }

    #[test]
    fn reductions_by_hand() {
        let x: Given<'_> = (&[2, 3], &[1.0, -2.0, 3.0, 4.0, 5.0, -6.0]);
        let along =
            |axis: i64, keep: i64| vec![attribute("axes", None, &[axis]), attribute("keepdims", Some(keep), &[])];
        close(&floats("ReduceSum", &[x], along(1, 1), &[2, 1]), &[2.0, 3.0]);
        close(&floats("ReduceMean", &[x], along(0, 0), &[3]), &[2.5, 1.5, -1.5]);
        close(&floats("ReduceMax", &[x], along(-1, 0), &[2]), &[3.0, 5.0]);
        close(&floats("ReduceMin", &[x], along(-1, 0), &[2]), &[-2.0, -6.0]);
        close(&floats("ReduceL1", &[x], along(1, 0), &[2]), &[6.0, 15.0]);
        close(&floats("ReduceL2", &[x], along(1, 0), &[2]), &[14f64.sqrt(), 77f64.sqrt()]);
        close(&floats("ReduceSumSquare", &[x], along(1, 0), &[2]), &[14.0, 77.0]);
        close(&floats("ReduceProd", &[x], along(1, 0), &[2]), &[-6.0, -120.0]);
        close(&floats("ReduceSum", &[x], Vec::new(), &[1, 1]), &[5.0]);
        let logs = [-2f64, 3.0, 1.0].map(f64::exp).iter().sum::<f64>().ln();
        let row = computed("ReduceLogSumExp", &[x], along(1, 0)).unwrap().remove(0).1;
        close(&row[..1], &[logs]);
        let stay = vec![attribute("noop_with_empty_axes", Some(1), &[])];
        close(&floats("ReduceSum", &[x], stay, &[2, 3]), x.1);
        close(
            &floats("ArgMax", &[x], vec![attribute("axis", Some(1), &[]), attribute("keepdims", Some(0), &[])], &[2]),
            &[2.0, 1.0],
        );
    }

    #[test]
    fn products_by_hand() {
        let (a, b): (Given<'_>, Given<'_>) = ((&[2, 2], &[1.0, 2.0, 3.0, 4.0]), (&[2, 1], &[1.0, 10.0]));
        close(&floats("MatMul", &[a, b], Vec::new(), &[2, 1]), &[21.0, 43.0]);
        close(&floats("MatMul", &[a, (&[2], &[1.0, 10.0])], Vec::new(), &[2]), &[21.0, 43.0]);
        close(&floats("MatMul", &[(&[2], &[1.0, 10.0]), a], Vec::new(), &[2]), &[31.0, 42.0]);
        close(&floats("MatMul", &[(&[2], &[1.0, 10.0]), (&[2], &[2.0, 3.0])], Vec::new(), &[]), &[32.0]);
        // A stack of two times one that is repeated.
        let stack: Given<'_> = (&[2, 1, 2], &[1.0, 0.0, 0.0, 1.0]);
        close(&floats("MatMul", &[stack, a], Vec::new(), &[2, 1, 2]), &[1.0, 2.0, 3.0, 4.0]);
        let gemm = vec![attribute("transA", Some(1), &[]), number("alpha", 2.0), number("beta", 0.5)];
        close(&floats("Gemm", &[a, b, (&[1], &[4.0])], gemm, &[2, 1]), &[64.0, 86.0]);
        assert!(computed("MatMul", &[a, (&[3, 1], &[1.0; 3])], Vec::new()).is_err());
        let formula = |equation, operands: &[Given<'_>], shape: &[usize]| {
            floats("Einsum", operands, vec![text("equation", equation)], shape)
        };
        close(&formula("ij,jk->ik", &[a, b], &[2, 1]), &[21.0, 43.0]);
        close(&formula("ij, jk", &[a, b], &[2, 1]), &[21.0, 43.0]);
        close(&formula("ij->ji", &[a], &[2, 2]), &[1.0, 3.0, 2.0, 4.0]);
        close(&formula("ii->", &[a], &[]), &[5.0]);
        close(&formula("ij,i->ij", &[a, (&[2], &[1.0, 10.0])], &[2, 2]), &[1.0, 2.0, 30.0, 40.0]);
        for wrong in ["ij,jk,kl->il", "ij,jk->iz", "ijk,jk->i", "...i,ij->j", "ij,ij->ij"] {
            assert!(computed("Einsum", &[a, b], vec![text("equation", wrong)]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn normalisations_by_hand() {
        let x: Given<'_> = (&[1, 2], &[0.0, 3f64.ln()]);
        close(&floats("Softmax", &[x], Vec::new(), &[1, 2]), &[0.25, 0.75]);
        close(&floats("LogSoftmax", &[x], Vec::new(), &[1, 2]), &[0.25f64.ln(), 0.75f64.ln()]);
        let x: Given<'_> = (&[2, 2], &[1.0, 3.0, -5.0, 5.0]);
        let two: Given<'_> = (&[2], &[2.0, 10.0]);
        let exact = || vec![number("epsilon", 0.0)];
        close(&floats("LayerNormalization", &[x, two, two], exact(), &[2, 2]), &[0.0, 20.0, 0.0, 20.0]);
        let given: Given<'_> = (&[2], &[1.0, 4.0]);
        close(&floats("BatchNormalization", &[x, two, two, given, given], exact(), &[2, 2]), &[2.0, 5.0, -10.0, 15.0]);
        let x: Given<'_> = (&[1, 2, 2], x.1);
        let training = [exact(), vec![attribute("training_mode", Some(1), &[])]].concat();
        let standard = [0.0, 4.0, 0.0, 20.0];
        close(&floats("BatchNormalization", &[x, two, two, given, given], training, &[1, 2, 2]), &standard);
        close(&floats("InstanceNormalization", &[x, two, two], exact(), &[1, 2, 2]), &standard);
    }

    #[test]
    fn rearrangements_by_hand() {
        let x: Given<'_> = (&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        close(&floats("Trilu", &[x], Vec::new(), &[2, 3]), &[1.0, 2.0, 3.0, 0.0, 5.0, 6.0]);
        close(&floats("Trilu", &[x], vec![attribute("upper", Some(0), &[])], &[2, 3]), &[1.0, 0.0, 0.0, 4.0, 5.0, 0.0]);
        close(&floats("EyeLike", &[x], vec![attribute("k", Some(1), &[])], &[2, 3]), &[0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
        let results = computed("Split", &[x], vec![attribute("axis", Some(1), &[]), attribute("split", None, &[1, 2])]);
        // As many parts as the node has outputs, which are none here.
        assert!(results.is_err());
        let results = eval("GatherND", &[&[1, 2], &[0]], Vec::new());
        assert_eq!(results.unwrap(), [1]);
        let largest =
            computed("TopK", &[x], vec![attribute("k", Some(1), &[]), attribute("axis", Some(0), &[])]).unwrap();
        assert_eq!(largest[0], (vec![1, 3], vec![4.0, 5.0, 6.0]));
        assert_eq!(largest[1], (vec![1, 3], vec![1.0; 3]));
        assert!(computed("TopK", &[x], vec![attribute("k", Some(4), &[])]).is_err());
        let unique =
            computed("Unique", &[(&[4], &[2.0, 1.0, 2.0, 3.0])], vec![attribute("sorted", Some(0), &[])]).unwrap();
        assert_eq!(
            unique.iter().map(|u| u.1.clone()).collect::<Vec<_>>(),
            [vec![2.0, 1.0, 3.0], vec![0.0, 1.0, 3.0], vec![0.0, 1.0, 0.0, 2.0], vec![2.0, 1.0, 1.0]]
        );
        let dynamic = computed("DynamicQuantizeLinear", &[(&[3], &[-1.0, 0.0, 4.1])], Vec::new()).unwrap();
        close(&dynamic[0].1, &[0.0, 50.0, 255.0]);
        close(&dynamic[1].1, &[0.02]);
        assert_eq!(dynamic[2].1, [50.0]);
    }

    #[test]
    fn products_are_bounded_by_their_work() {
        let big = Some(Constant::from(Array::Float(ArrayD::zeros(IxDyn(&[1500, 1500])))));
        let node = NodeProto { op_type: "MatMul".into(), ..Default::default() };
        let result = evaluate(&node, &[big.clone(), big], 17, &mut Budget::for_file(0));
        assert!(matches!(result, Err(Problem::Invalid(text)) if text.contains("too large for that")));
    }

    #[test]
    fn numbers_in_units_of_a_dynamic_scale_are_not_rounded() {
        let scale = Constant::from(Array::Float(ArrayD::from_elem(IxDyn(&[1]), 0.3))).marked_dynamic();
        for (op, attribute) in
            [("Floor", Vec::new()), ("Round", Vec::new()), ("Cast", vec![attribute("to", Some(6), &[])])]
        {
            let node = NodeProto { op_type: op.into(), attribute, ..Default::default() };
            let result = evaluate(&node, &[Some(scale.clone())], 17, &mut Budget::for_file(0)).unwrap().remove(0);
            assert!(result.is_from_dynamic_scale() && result.floats::<f64>() == [0.3], "{op}");
        }
    }

    #[test]
    fn numbers_beside_vectors_are_not_concatenated() {
        let number: Constant = Array::Int(ndarray::arr0(1).into_dyn()).into();
        let node = NodeProto { op_type: "Concat".into(), ..Default::default() };
        let inputs = [Some(Constant::ints_1d(&[2])), Some(number)];
        for inputs in [inputs.clone(), {
            let [a, b] = inputs;
            [b, a]
        }] {
            assert!(evaluate(&node, &inputs, 17, &mut Budget::for_file(0)).is_err());
        }
    }

    #[test]
    fn what_cannot_be_computed_is_refused() {
        for (op, inputs) in [
            ("Div", &[&[1][..], &[0]][..]),
            ("Add", &[&[i64::MAX], &[1]]),
            ("Neg", &[&[i64::MIN]]),
            ("Add", &[&[1, 2], &[1, 2, 3]]),
            ("Gather", &[&[1], &[1]]),
            ("Range", &[&[0], &[1], &[0]]),
            ("Slice", &[&[1], &[0], &[1], &[0], &[0]]),
            ("Slice", &[&[1], &[0], &[1], &[5]]),
            ("ConstantOfShape", &[&[-1]]),
            ("Expand", &[&[1], &[-1]]),
            ("Reshape", &[&[1, 2], &[3]]),
            ("Reshape", &[&[1, 2], &[-1, -1]]),
            ("Reshape", &[&[1, 2], &[0, 0]]),
            ("Unsqueeze", &[&[1], &[0; 40]]),
            ("NoSuchOperator", &[&[1]]),
        ] {
            assert!(eval(op, inputs, Vec::new()).is_err(), "{op} {inputs:?}");
        }
    }

    #[test]
    fn results_are_bounded_before_they_are_made() {
        for (op, inputs) in [
            ("ConstantOfShape", &[&[1 << 20, 1 << 20][..]][..]),
            ("ConstantOfShape", &[&[i64::MAX, i64::MAX]]),
            ("Expand", &[&[1], &[1 << 40]]),
            ("Range", &[&[0], &[i64::MAX], &[1]]),
        ] {
            match eval(op, inputs, Vec::new()) {
                Err(Problem::Invalid(text)) => assert!(text.contains("more elements than is allowed"), "{text}"),
                other => panic!("{op}: {other:?}"),
            }
        }
        // Many small ones add up.
        let mut budget = Budget(5);
        let node = NodeProto { op_type: "Neg".into(), ..Default::default() };
        let one = [Some(Constant::ints_1d(&[1, 2]))];
        assert!(evaluate(&node, &one, 17, &mut budget).is_ok());
        assert!(evaluate(&node, &one, 17, &mut budget).is_ok());
        assert!(evaluate(&node, &one, 17, &mut budget).is_err());
    }

    #[test]
    fn constant_nodes_of_every_form() {
        let constant = |attribute| {
            let node = NodeProto { op_type: "Constant".into(), attribute: vec![attribute], ..Default::default() };
            evaluate(&node, &[], 17, &mut Budget::for_file(0)).map(|mut results| results.remove(0))
        };
        let tensor = TensorProto { data_type: 7, dims: vec![2], int64_data: vec![4, 5], ..Default::default() };
        let value = AttributeProto { name: "value".into(), t: Some(Box::new(tensor)), ..Default::default() };
        assert_eq!(constant(value).unwrap().ints().unwrap(), [4, 5]);
        assert_eq!(constant(attribute("value_ints", None, &[6])).unwrap().ints().unwrap(), [6]);
        assert_eq!(constant(attribute("value_int", Some(7), &[])).unwrap().ints().unwrap(), [7]);
        let value = AttributeProto { name: "value_float".into(), f: Some(0.5), ..Default::default() };
        assert_eq!(constant(value).unwrap().floats::<f64>(), [0.5]);
        assert!(constant(attribute("sparse_value", None, &[])).is_err());
    }
}
