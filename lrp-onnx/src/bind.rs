//! Binds the inputs of a file: their shapes, the axis that is the batch, and the values of those that are fixed.

use lrp_core::kernels::window::MAX_VOLUME;
use ndarray::{ArrayD, IxDyn};

use crate::Options;
use crate::error::{ErrorKind, list, shown};
use crate::inputs::{FixedValue, InputInfo, Role};
use crate::proto::{DimensionProto, GraphProto, ValueInfoProto};
use crate::tensor::{Array, Constant, DType, MAX_RANK, volume};

/// The size of a symbolic batch axis while shapes are computed: a number that few networks have elsewhere.
const SYMBOLIC_BATCH: usize = 13;

/// An input that is given for each sample, with its sample shape.
pub(crate) struct BoundInput<'a> {
    pub proto: &'a ValueInfoProto,
    pub shape: Vec<usize>,
    /// Whether the file has one axis more than the sample, in front of it: the batch.
    pub leading: bool,
}

/// The inputs of a file.
pub(crate) struct Bound<'a> {
    /// Those that are given for each sample.
    pub inputs: Vec<BoundInput<'a>>,
    /// The values of the others.
    pub fixed: Vec<(&'a str, Constant)>,
    /// The length of the batch axis in shapes.
    pub batch: usize,
}

impl BoundInput<'_> {
    /// Whether its elements are whole numbers or truth values: ids, bytes, a mask.
    pub fn is_integer(&self) -> bool {
        dtype(self.proto).is_some_and(|dtype| !dtype.is_float())
    }
}

/// Binds the inputs that the output depends on; `unused` are the others.
pub(crate) fn bind<'a>(
    used: &[&'a ValueInfoProto],
    unused: &[&'a ValueInfoProto],
    options: &Options,
    whole: bool,
    notes: &mut Vec<String>,
) -> Result<Bound<'a>, ErrorKind> {
    check_names(used, unused, options)?;
    let (fixed, given): (Vec<&ValueInfoProto>, Vec<_>) =
        used.iter().copied().partition(|input| options.fixed.contains_key(&input.name));
    if given.is_empty() {
        return Err(ErrorKind::Graph("the output depends on no input that is not fixed".into()));
    }
    if !unused.is_empty() {
        let names: Vec<String> = unused.iter().map(|i| format!("'{}'", shown(&i.name))).collect();
        notes.push(format!("the output does not depend on the input {}, which is left out", list(&names)));
    }
    let mut batch = None;
    let mut inputs = Vec::new();
    for &input in &given {
        let fail = |reason: String| ErrorKind::Input { input: shown(&input.name), reason };
        check_type(input).map_err(fail)?;
        let open = |reason: String| ErrorKind::Shape { input: shown(&input.name), reason };
        if whole {
            inputs.push(bind_whole(input, given.len() == 1, options).map_err(open)?);
            continue;
        }
        let (own_batch, shape) = bind_input(input, given.len() == 1, options).map_err(open)?;
        if let (Some(own), Some(other)) = (own_batch, batch)
            && own != other
        {
            return Err(fail(format!(
                "has a batch of {own}, another one a batch of {other}; axis 0 has to be the batch"
            )));
        }
        batch = batch.or(own_batch);
        inputs.push(BoundInput { proto: input, shape, leading: true });
    }
    let batch = if whole { 1 } else { batch.unwrap_or(SYMBOLIC_BATCH) };
    let symbol = given.iter().find_map(|input| dims(input)?.first()?.dim_param.clone());
    let fixed = fixed.into_iter().map(|input| {
        let value = options.fixed.get(&input.name).unwrap_or(&FixedValue::Zeros);
        let constant = constant(input, value, batch, symbol.as_deref());
        let fail = |reason: String| ErrorKind::Input { input: shown(&input.name), reason };
        Ok((input.name.as_str(), constant.map_err(fail)?))
    });
    Ok(Bound { inputs, fixed: fixed.collect::<Result<_, _>>()?, batch })
}

/// That the inputs to fix exist.
fn check_names(used: &[&ValueInfoProto], unused: &[&ValueInfoProto], options: &Options) -> Result<(), ErrorKind> {
    let known = || used.iter().chain(unused).map(|input| input.name.as_str());
    match options.fixed.keys().find(|name| known().all(|known| known != name.as_str())) {
        None => Ok(()),
        Some(name) => {
            let names: Vec<String> = known().map(|name| format!("'{}'", shown(name))).collect();
            let reason = format!("does not exist, and cannot be fixed; the inputs of the file are {}", list(&names));
            Err(ErrorKind::Input { input: shown(name), reason })
        }
    }
}

/// The inputs of the file, as a user sees them.
pub(crate) fn described_inputs(proto: &GraphProto, given: &[BoundInput<'_>], options: &Options) -> Vec<InputInfo> {
    let stored = |input: &&ValueInfoProto| proto.initializer.iter().all(|tensor| tensor.name != input.name);
    let described = |input: &ValueInfoProto| {
        let bound = given.iter().find(|bound| bound.proto.name == input.name);
        InputInfo {
            name: input.name.clone(),
            dtype: dtype(input).map_or("unknown", DType::name),
            axes: axes(input),
            sample: bound.map(|bound| bound.shape.clone()).unwrap_or_default(),
            role: match bound {
                Some(_) => Role::Explained,
                None if options.fixed.contains_key(&input.name) => Role::Fixed,
                None => Role::Unused,
            },
        }
    };
    proto.input.iter().filter(stored).map(described).collect()
}

/// The axes of an input, if the file has its shape.
fn dims(input: &ValueInfoProto) -> Option<&[DimensionProto]> {
    Some(input.r#type.as_ref()?.tensor_type.as_ref()?.shape.as_ref()?.dim.as_slice())
}

/// The axes of an input or output as a user sees them; none where the file does not say them.
pub(crate) fn axes(value: &ValueInfoProto) -> Vec<String> {
    dims(value).map(|dims| dims.iter().map(written).collect()).unwrap_or_default()
}

pub(crate) fn dtype(input: &ValueInfoProto) -> Option<DType> {
    DType::from_code(input.r#type.as_ref()?.tensor_type.as_ref()?.elem_type)
}

/// The value of a fixed input, in the file's shape.
fn constant(
    input: &ValueInfoProto,
    value: &FixedValue,
    batch: usize,
    symbol: Option<&str>,
) -> Result<Constant, String> {
    let dtype = dtype(input).ok_or("is not a tensor of numbers")?;
    // An axis of open length is the batch where it is called so, and one element long otherwise: the value is the same all along it.
    let length_of = |dim: &DimensionProto| {
        let open = if dim.dim_param.as_deref().is_some_and(|name| Some(name) == symbol) { batch } else { 1 };
        length(dim).map(|length| length.unwrap_or(open))
    };
    let shape: Option<Vec<usize>> = dims(input).map(|dims| dims.iter().map(length_of).collect()).transpose()?;
    let open = dims(input).is_none_or(|dims| dims.iter().any(|dim| matches!(length(dim), Ok(None))));
    let filled = |number: f64| {
        let shape = shape.clone().unwrap_or_default();
        match volume(&shape).filter(|&n| n <= MAX_VOLUME && shape.len() <= MAX_RANK) {
            Some(_) => Ok(ArrayD::from_elem(IxDyn(&shape), number)),
            None => Err(format!("has the shape {shape:?}, which is absurdly large")),
        }
    };
    let values = match value {
        FixedValue::Zeros => filled(0.0)?,
        FixedValue::Ones => filled(1.0)?,
        FixedValue::Number(number) => filled(*number)?,
        FixedValue::Values(values) => match &shape {
            Some(shape) if !open && values.shape() != shape.as_slice() => {
                values.broadcast(IxDyn(shape)).map(|view| view.to_owned()).ok_or_else(|| {
                    format!("has the shape {shape:?} in the file, which a value of {:?} does not fit", values.shape())
                })?
            }
            _ => values.clone(),
        },
    };
    if dtype.is_float() {
        return Ok(Array::Float(values).into());
    }
    match values.iter().find(|v| v.fract() != 0.0 || v.abs() > 9e15) {
        Some(v) => Err(format!("holds {}, and {v} is none", dtype.name())),
        // Exact: whole numbers of this size are floating-point numbers, too.
        None => Ok(Array::Int(values.mapv(|v| v as i64)).into()),
    }
}

/// Checks that an input is a tensor of numbers or truth values.
fn check_type(input: &ValueInfoProto) -> Result<(), String> {
    let tensor = input.r#type.as_ref().and_then(|t| t.tensor_type.as_ref()).ok_or("is not a tensor")?;
    if DType::from_code(tensor.elem_type).is_none() {
        return Err(format!(
            "does not hold numbers but elements of type {}; export the model from the first tensor of numbers on",
            tensor.elem_type
        ));
    }
    if tensor.shape.as_ref().is_some_and(|shape| shape.dim.is_empty()) {
        return Err(format!(
            "is a single number, and cannot be explained; give it a value: --fix {}=VALUE, or fixed under [explain]",
            shown(&input.name)
        ));
    }
    Ok(())
}

/// The batch size that an input fixes, if it does, and its sample shape.
fn bind_input(input: &ValueInfoProto, only: bool, options: &Options) -> Result<(Option<usize>, Vec<usize>), String> {
    let Some(dims) = dims(input) else {
        let shape = given_shape(input, options, &|_| true);
        let shape = shape.ok_or("has no shape in the file; give it without the batch: --input-shape 3,224,224")?;
        return Ok((None, checked(shape.to_vec())?));
    };
    let (first, rest) = dims.split_first().ok_or("is a single number; axis 0 has to be the batch")?;
    if rest.len() > MAX_RANK {
        return Err(format!("has {} axes; at most {MAX_RANK} are supported", dims.len()));
    }
    let lengths: Vec<Option<usize>> = rest.iter().map(length).collect::<Result<_, _>>()?;
    let symbolic = lengths.iter().any(Option::is_none);
    let given = given_shape(input, options, &|shape| fits(shape, &lengths));
    let written = || rest.iter().map(written).collect::<Vec<_>>().join(", ");
    let shape = match given {
        // With several inputs, the given shape is for those that need one.
        Some(given) if only || symbolic => {
            if !fits(given, &lengths) {
                return Err(format!(
                    "has the shape [batch, {}], which --input-shape {given:?} does not fit",
                    written()
                ));
            }
            given.to_vec()
        }
        _ if symbolic => {
            let axis = lengths.iter().position(Option::is_none).unwrap_or(0);
            return Err(format!(
                "has the shape [batch, {}], whose axis {} has no fixed length; give one without the batch, such as \
                 --input-shape {}",
                written(),
                axis + 1,
                example(&lengths)
            ));
        }
        _ => lengths.into_iter().flatten().collect(),
    };
    Ok((length(first)?, checked(shape)?))
}

/// The shape of an input of a [whole run](crate::whole). Where its first axis is open or one element long, that is the batch, which the
/// sample has not; otherwise every axis of the file is one of the sample, the batch's being one element long.
fn bind_whole<'a>(input: &'a ValueInfoProto, only: bool, options: &Options) -> Result<BoundInput<'a>, String> {
    let Some(dims) = dims(input) else {
        let shape = given_shape(input, options, &|_| true);
        let shape = shape.ok_or("has no shape in the file; give it without the batch: --input-shape 3,224,224")?;
        return Ok(BoundInput { proto: input, shape: checked(shape.to_vec())?, leading: true });
    };
    if dims.len() > MAX_RANK {
        return Err(format!("has {} axes; at most {MAX_RANK} are supported", dims.len()));
    }
    let lengths: Vec<Option<usize>> = dims.iter().map(length).collect::<Result<_, _>>()?;
    let open = |lengths: &[Option<usize>]| lengths.iter().any(Option::is_none);
    // An open axis that is called so is the batch, wherever it is; otherwise the first one, if it is open or one element long.
    let called = dims.iter().zip(&lengths).position(|(dim, length)| length.is_none() && is_batch(dim));
    let counts_steps = dims.first().is_some_and(is_time);
    let first = (dims.len() > 1 && !counts_steps && matches!(lengths.first(), Some(None | Some(1)))).then_some(0);
    let batch = called.or(first);
    let bound: Vec<Option<usize>> =
        lengths.iter().enumerate().map(|(at, l)| l.or((batch == Some(at)).then_some(1))).collect();
    let leads = batch == Some(0) && dims.len() > 1;
    let rest = bound.get(1..).unwrap_or_default();
    let given = given_shape(input, options, &|shape| (leads && fits(shape, rest)) || fits(shape, &bound));
    let given = given.filter(|_| only || open(&bound));
    let shape = |all: &[Option<usize>]| checked(all.iter().flatten().copied().collect());
    match given {
        Some(given) if leads && fits(given, rest) => {
            Ok(BoundInput { proto: input, shape: checked(given.to_vec())?, leading: true })
        }
        Some(given) if fits(given, &bound) => {
            Ok(BoundInput { proto: input, shape: checked(given.to_vec())?, leading: false })
        }
        Some(given) => {
            Err(format!("has the shape [{}], which --input-shape {given:?} does not fit", all_written(dims, leads)))
        }
        None if leads && !open(rest) => Ok(BoundInput { proto: input, shape: shape(rest)?, leading: true }),
        None if !open(&bound) => Ok(BoundInput { proto: input, shape: shape(&bound)?, leading: false }),
        None => Err(format!(
            "has the shape [{}], whose axis {} has no fixed length; give one without the batch, such as --input-shape {}",
            all_written(dims, leads),
            bound.iter().rposition(Option::is_none).unwrap_or(0),
            example(if leads { rest } else { &bound })
        )),
    }
}

/// The shape that the options give to the samples of an input: that of an array of its own, of which the first axis may be the batch, or the one for
/// all.
fn given_shape<'o>(
    input: &ValueInfoProto,
    options: &'o Options,
    fits: &dyn Fn(&[usize]) -> bool,
) -> Option<&'o [usize]> {
    let Some(array) = options.array_shapes.get(&input.name) else { return options.sample_shape.as_deref() };
    let sample = array.get(1..).unwrap_or_default();
    Some(if fits(sample) || !fits(array) { sample } else { array.as_slice() })
}

/// Whether a shape has these lengths, as far as they are known.
fn fits(given: &[usize], lengths: &[Option<usize>]) -> bool {
    given.len() == lengths.len() && given.iter().zip(lengths).all(|(g, l)| l.is_none_or(|l| l == *g))
}

/// Whether an open axis is called as the batch usually is.
fn is_batch(dim: &DimensionProto) -> bool {
    let name = dim.dim_param.as_deref().unwrap_or_default().to_lowercase();
    name.contains("batch") || matches!(name.as_str(), "n" | "b" | "bs")
}

/// A shape of these lengths, as `--input-shape` takes it: that of an image, or of a short sequence.
fn example(lengths: &[Option<usize>]) -> String {
    let open = |axis: usize| match (lengths.len(), axis) {
        (3, 0) => 3,
        (3, _) => 224,
        _ => 16,
    };
    let shape = lengths.iter().enumerate().map(|(axis, length)| length.unwrap_or(open(axis)).to_string());
    shape.collect::<Vec<_>>().join(",")
}

/// Whether an open axis is called as one of time usually is.
fn is_time(dim: &DimensionProto) -> bool {
    let name = dim.dim_param.as_deref().unwrap_or_default().to_lowercase();
    ["seq", "time", "frame", "step", "length"].iter().any(|word| name.contains(word))
}

/// Axes as a message shows them; the first may be the batch.
fn all_written(dims: &[DimensionProto], leads: bool) -> String {
    let axis = |(place, dim)| if leads && place == 0 { "batch".to_owned() } else { written(dim) };
    dims.iter().enumerate().map(axis).collect::<Vec<_>>().join(", ")
}

/// A sample shape of a size that can be computed with.
fn checked(shape: Vec<usize>) -> Result<Vec<usize>, String> {
    match volume(&shape) {
        Some(n) if (1..=MAX_VOLUME).contains(&n) && shape.len() <= MAX_RANK => Ok(shape),
        _ => Err(format!("has samples of shape {shape:?}, which is empty or absurdly large")),
    }
}

/// The length of an axis, or none where it is symbolic (some exporters write that as −1 or 0).
fn length(dim: &DimensionProto) -> Result<Option<usize>, String> {
    match dim.dim_value {
        None | Some(-1 | 0) => Ok(None),
        Some(d) => usize::try_from(d).map(Some).map_err(|_| format!("has an axis of length {d}")),
    }
}

/// An axis as a message shows it.
fn written(dim: &DimensionProto) -> String {
    match (dim.dim_value, &dim.dim_param) {
        (Some(d), _) => d.to_string(),
        (None, Some(symbol)) if !symbol.is_empty() => format!("'{}'", shown(symbol)),
        _ => "?".into(),
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use crate::testing::{Net, forward, input};
    use crate::{ErrorKind, FixedValue, Options, Role};

    /// `x · c + rate`, with an input for the rate.
    fn shifted() -> Net {
        let mut net = Net::new(&[2]);
        net.graph().input.push(input("rate", &[]));
        let w = net.floats(&[2], &[1.0, 10.0]);
        let z = net.op("Mul", &["x", &w], &[]);
        net.op("Add", &[&z, "rate"], &[]);
        net
    }

    fn fixing(name: &str, value: FixedValue) -> Options {
        Options { fixed: [(name.to_owned(), value)].into(), ..Options::default() }
    }

    #[test]
    fn arrays_bind_the_open_axes_of_their_inputs() {
        let mut net = Net::new(&[-1]);
        net.graph().input.push(input("y", &[-1, -1, 2]));
        let axes = net.ints(&[1]);
        let [a, b] = ["x", "y"].map(|name| net.op("ReduceSum", &[name, &axes], &[]));
        net.op("Add", &[&a, &b], &[]);
        assert!(net.error().contains("--input-shape 16"), "{}", net.error());
        for shapes in [[vec![5, 3], vec![5, 4, 2]], [vec![3], vec![4, 2]]] {
            let array_shapes = ["x", "y"].map(str::to_owned).into_iter().zip(shapes).collect();
            let import = net.import_with(&Options { array_shapes, ..Options::default() }).unwrap();
            let samples: Vec<&[usize]> = import.inputs.iter().map(|input| input.sample.as_slice()).collect();
            assert_eq!(samples, [[3].as_slice(), &[4, 2]]);
        }
    }

    #[test]
    fn an_input_that_is_fixed_is_a_constant() {
        let bytes = shifted().bytes();
        let import = crate::from_bytes::<f64>("net.onnx", bytes, &fixing("rate", FixedValue::Number(0.5))).unwrap();
        let roles: Vec<(&str, Role)> = import.inputs.iter().map(|i| (i.name.as_str(), i.role)).collect();
        assert_eq!(roles, [("x", Role::Explained), ("rate", Role::Fixed)]);
        let y = forward(&import.model, &array![[1.0, 2.0]].into_dyn());
        assert_eq!(y, array![[1.5, 20.5]].into_dyn());
    }

    #[test]
    fn values_that_do_not_fit_are_refused() {
        let error = |options: &Options| {
            crate::from_bytes::<f64>("net.onnx", shifted().bytes(), options).unwrap_err().to_string()
        };
        let wrong = error(&fixing("rat", FixedValue::Zeros));
        assert!(wrong.contains("'rat'") && wrong.contains("the inputs of the file are 'x', 'rate'"), "{wrong}");
        let shape = error(&fixing("rate", FixedValue::Values(array![1.0, 2.0].into_dyn())));
        assert!(shape.contains("a value of [2] does not fit"), "{shape}");
        let all = Options {
            fixed: [("x".into(), FixedValue::Zeros), ("rate".into(), FixedValue::Ones)].into(),
            ..Options::default()
        };
        assert!(error(&all).contains("no input that is not fixed"), "{}", error(&all));
    }

    #[test]
    fn an_output_by_its_name() {
        let mut net = shifted();
        let first = net.graph().node[0].output[0].clone();
        let output = net.graph().output[0].clone();
        net.graph().output.push(crate::proto::ValueInfoProto { name: first.clone(), ..output });
        let by = |name: &str| {
            let options = Options { output: Some(name.to_owned()), ..fixing("rate", FixedValue::Ones) };
            crate::from_bytes::<f64>("net.onnx", net.bytes(), &options)
        };
        let import = by(&first).unwrap();
        assert_eq!((import.output_name.as_str(), import.outputs.len()), (first.as_str(), 2));
        assert_eq!(forward(&import.model, &array![[1.0, 2.0]].into_dyn()), array![[1.0, 20.0]].into_dyn());
        assert!(matches!(by("gone").unwrap_err().kind, ErrorKind::Graph(text) if text.contains("no output 'gone'")));
    }
}
