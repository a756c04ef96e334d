//! LSTM, GRU and plain recurrent layers. PyTorch puts time before the batch there (`[T, N, K]`), and transposes before and after; the samples are
//! `[T, K]` either way.

use lrp_core::ops::{Cell, Concat, Direction, Parameters, Recurrent, Reshape, Select};
use lrp_core::{Scalar, Tensor};
use ndarray::Axis;

use super::{Context, Translated, Value};
use crate::error::Problem;

pub(super) fn lstm<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    if cx.node.int("input_forget").unwrap_or(0) != 0 {
        return Err(Problem::unsupported("with coupled input and forget gates (input_forget = 1)"));
    }
    let zero = |p: Vec<f64>| p.iter().all(|v| *v == 0.0);
    if !constant(cx, 7, "peepholes")?.is_none_or(|p| zero(p.floats())) {
        return Err(Problem::unsupported("with peepholes; train the model without them"));
    }
    recurrent(cx, Cell::Lstm, &["Sigmoid", "Tanh", "Tanh"])
}

pub(super) fn gru<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let linear_before_reset = cx.node.int("linear_before_reset").unwrap_or(0) != 0;
    recurrent(cx, Cell::Gru { linear_before_reset }, &["Sigmoid", "Tanh"])
}

/// A plain layer; its activations are all tanh, or all ReLU.
pub(super) fn rnn<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let given = cx.node.attribute("activations").map(|a| a.strings.as_slice()).unwrap_or_default();
    let relu = given.first().is_some_and(|name| name.as_ref() == b"Relu");
    recurrent(cx, Cell::Rnn { relu }, &[if relu { "Relu" } else { "Tanh" }])
}

fn recurrent<T: Scalar>(cx: &mut Context<'_, T>, cell: Cell, activations: &[&str]) -> Translated {
    let direction = match cx.node.text("direction").as_deref() {
        None | Some("forward") => Direction::Forward,
        Some("reverse") => Direction::Reverse,
        Some("bidirectional") => Direction::Both,
        Some(other) => return Err(Problem::invalid(format!("it has the direction '{other}'"))),
    };
    let given = cx.node.attribute("activations").map(|a| a.strings.as_slice()).unwrap_or_default();
    let standard = activations.iter().cycle().take(activations.len() * direction.count());
    if !given.is_empty() && !given.iter().map(|s| s.as_ref()).eq(standard.map(|s| s.as_bytes())) {
        return Err(Problem::unsupported(format!("with other activations than {}", activations.join(", "))));
    }
    if cx.node.float("clip").is_some_and(|clip| clip > 0.0) {
        return Err(Problem::unsupported("with a limit on what goes into the activations (clip)"));
    }
    let layout = cx.node.int("layout").unwrap_or(0);
    let (expected, y_axis, last_axis) = if layout == 0 { (1, 2, 1) } else { (0, 0, 0) };
    if cx.batch_axis != expected {
        return Err(Problem::invalid(format!(
            "it reads the batch from axis {expected} of its input (layout = {layout}), but axis {} is the batch, as axis 0 of the \
             model's input must be; export a model that takes the batch first (in PyTorch: batch_first=True)",
            cx.batch_axis
        )));
    }
    let x = cx.data(0)?;
    let input = cx.shape(x);
    let steps = input.first().copied().unwrap_or(0);
    if let Some(lengths) = constant(cx, 4, "lengths of sequences")? {
        let lengths = lengths.ints().map_err(|e| Problem::invalid(format!("its sequence_lens {e}")))?;
        if lengths.iter().any(|&l| usize::try_from(l) != Ok(steps)) {
            return Err(Problem::unsupported(format!(
                "with sequences shorter than its {steps} steps; cut them instead"
            )));
        }
    }
    let parameters = Parameters {
        input: parameter(cx, 1)?,
        recurrent: parameter(cx, 2)?,
        bias: cx.optional(3)?.is_some().then(|| parameter(cx, 3)).transpose()?,
        hidden: initial(cx, 5, 1 - usize::from(layout != 0))?,
        cell: if cell == Cell::Lstm { initial(cx, 6, 1 - usize::from(layout != 0))? } else { None },
    };
    let hidden = parameters.recurrent.shape().last().copied().unwrap_or(0);
    if cx.node.int("hidden_size").is_some_and(|h| usize::try_from(h) != Ok(hidden)) {
        return Err(Problem::invalid(format!("its hidden_size is not the {hidden} of its recurrent weights")));
    }
    // The outputs say themselves where their batch is.
    cx.batch_axis = 0;
    let op = Recurrent::new(cell, direction, parameters, &input)?;
    let Value::Data(y) = cx.push(op, &[x])? else { return Ok(Value::Unknown) };
    if cx.used.get(1) == Some(&true) {
        let last = last_states(cx, direction, [steps, hidden], y)?;
        cx.further = vec![Context::<T>::with_batch_at(last, last_axis)];
    }
    Ok(Context::<T>::with_batch_at(y, y_axis))
}

/// The states after each direction's last step, `[D, H]`: the last step that it reads.
fn last_states<T: Scalar>(
    cx: &mut Context<'_, T>,
    direction: Direction,
    [steps, hidden]: [usize; 2],
    y: usize,
) -> Result<usize, Problem> {
    let times: &[usize] = match direction {
        Direction::Forward => &[steps - 1],
        Direction::Reverse => &[0],
        Direction::Both => &[steps - 1, 0],
    };
    let mut parts = Vec::new();
    for (d, &time) in times.iter().enumerate() {
        let step = cx.push_extra("last step", Select::slice(1, time, 1, 1, &cx.shape(y))?, &[y]);
        let own = match times.len() {
            1 => step,
            _ => cx.push_extra("direction", Select::slice(2, d, 1, 1, &cx.shape(step))?, &[step]),
        };
        parts.push(cx.push_extra("state", Reshape::new(&cx.shape(own), &[1, hidden])?, &[own]));
    }
    match parts.as_slice() {
        &[one] => Ok(one),
        _ => {
            let shapes: Vec<Vec<usize>> = parts.iter().map(|&id| cx.shape(id)).collect();
            let op = Concat::new(1, &shapes.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
            Ok(cx.push_extra("states", op, &parts))
        }
    }
}

/// An input that may be left out or constant.
fn constant<'a, T: Scalar>(
    cx: &'a Context<'_, T>,
    index: usize,
    what: &str,
) -> Result<Option<&'a crate::tensor::Constant>, Problem> {
    cx.optional(index).map_err(|_| {
        Problem::unsupported(format!("with {what} computed from the model's input; only constant ones are supported (an input of the model is constant by --fix NAME=zeros)"))
    })
}

fn parameter<T: Scalar>(cx: &Context<'_, T>, index: usize) -> Result<Tensor<T>, Problem> {
    cx.constant(index)?.tensor().map_err(|e| Problem::invalid(format!("its input number {} {e}", index + 1)))
}

/// An initial state, `[D, H]`, that must be the same for every sample; `batch_axis` is where the file has those.
fn initial<T: Scalar>(cx: &Context<'_, T>, index: usize, batch_axis: usize) -> Result<Option<Tensor<T>>, Problem> {
    if constant(cx, index, "initial states")?.is_none() {
        return Ok(None);
    }
    let states = parameter(cx, index)?;
    let samples = states.shape().get(batch_axis).copied().unwrap_or(0);
    if states.ndim() != 3 || samples == 0 || (samples != 1 && samples != cx.batch) {
        return Err(Problem::invalid(format!("its initial states have the shape {:?}", states.shape())));
    }
    let first = states.index_axis(Axis(batch_axis), 0);
    if states.axis_iter(Axis(batch_axis)).any(|sample| sample != first) {
        return Err(Problem::invalid("its initial states differ between the samples of a batch"));
    }
    Ok(Some(first.as_standard_layout().into_owned()))
}

#[cfg(test)]
mod tests {
    use crate::testing::{Attr, Net, kinds, varied};
    use ndarray::Axis;

    /// Three inputs, two hidden units, both directions; what comes after the layer is still to be added.
    fn gru(sample: &[i64], layout: i64) -> (Net, String) {
        let mut net = Net::new(sample);
        let x = match layout {
            0 => net.op("Transpose", &["x"], &[("perm", Attr::Ints(&[1, 0, 2]))]),
            _ => "x".to_owned(),
        };
        let (w, r, b) = (net.weight(&[2, 6, 3]), net.weight(&[2, 6, 2]), net.weight(&[2, 12]));
        let attributes = [("direction", Attr::Text("bidirectional")), ("layout", Attr::Int(layout))];
        let y = net.op("GRU", &[&x, &w, &r, &b], &attributes);
        let last = net.graph().node.len() - 1;
        net.graph().node[last].output.push("last".into());
        (net, y)
    }

    /// All states, `[N, T, D, H]`.
    fn states(x: &lrp_core::Tensor<f64>) -> lrp_core::Tensor<f64> {
        gru(&[4, 3], 1).0.run(x)
    }

    #[test]
    fn time_first_and_batch_first_are_the_same() {
        let x = varied(&[2, 4, 3]);
        let (mut net, y) = gru(&[4, 3], 0);
        net.op("Transpose", &[&y], &[("perm", Attr::Ints(&[2, 0, 1, 3]))]);
        assert_eq!(kinds(&net.raw()), ["gru"]);
        assert_eq!(net.run(&x), states(&x));
    }

    #[test]
    fn last_states_in_every_layout() {
        let x = varied(&[2, 4, 3]);
        let y = states(&x);
        let of = |time: usize, d: usize| y.index_axis(Axis(1), time).index_axis(Axis(1), d).to_owned();
        let (mut net, _) = gru(&[4, 3], 1);
        net.op("Identity", &["last"], &[]);
        let expected = ndarray::stack![Axis(1), of(3, 0), of(0, 1)];
        assert_eq!(net.run(&x), expected.into_dyn());
        // h[-1], as PyTorch writes it.
        let (mut net, _) = gru(&[4, 3], 0);
        let (list, axis) = (net.ints(&[-1]), net.ints(&[0]));
        let scalar = net.op("Squeeze", &[&list, &axis], &[]);
        net.op("Gather", &["last", &scalar], &[("axis", Attr::Int(0))]);
        assert_eq!(net.run(&x), of(0, 1));
    }

    #[test]
    fn what_comes_after_a_layer_that_has_time_first() {
        let x = varied(&[2, 4, 3]);
        let y = states(&x);
        let joined = y.clone().into_shape_with_order(vec![2, 4, 4]).unwrap();
        // [T, D, N, H] → [T, N, D·H] → the last step.
        let (mut net, states) = gru(&[4, 3], 0);
        let turned = net.op("Transpose", &[&states], &[("perm", Attr::Ints(&[0, 2, 1, 3]))]);
        let target = net.ints(&[0, 0, -1]);
        let flat = net.op("Reshape", &[&turned, &target], &[]);
        let lists = [net.ints(&[-1]), net.ints(&[4]), net.ints(&[0])];
        let last = net.op("Slice", &[&flat, &lists[0], &lists[1], &lists[2]], &[]);
        net.op("Squeeze", &[&last, &lists[2]], &[]);
        assert_eq!(net.run(&x), joined.index_axis(Axis(1), 3).to_owned());
        // The mean over time, with and without keeping the axis.
        for keep in [0, 1] {
            let (mut net, states) = gru(&[4, 3], 0);
            let attributes = [("axes", Attr::Ints(&[0])), ("keepdims", Attr::Int(keep))];
            let mean = net.op("ReduceMean", &[&states], &attributes);
            let order: &[i64] = if keep == 1 { &[2, 0, 1, 3] } else { &[1, 0, 2] };
            net.op("Transpose", &[&mean], &[("perm", Attr::Ints(order))]);
            let expected = y.mean_axis(Axis(1)).unwrap();
            let got = net.run(&x).into_shape_with_order(expected.raw_dim()).unwrap();
            assert!((got - expected).iter().all(|d| d.abs() < 1e-12));
        }
        // Directions are split, unsqueezed, and joined; the size of the batch is read from its axis.
        let (mut net, states) = gru(&[4, 3], 0);
        let first = net.op("Split", &[&states], &[("axis", Attr::Int(1))]);
        let at = net.graph().node.len() - 1;
        net.graph().node[at].output.push("second".into());
        let both = net.op("Concat", &[&first, "second"], &[("axis", Attr::Int(-1))]);
        let axes = net.ints(&[0]);
        let wide = net.op("Unsqueeze", &[&both, &axes], &[]);
        let turned = net.op("Transpose", &[&wide], &[("perm", Attr::Ints(&[3, 0, 1, 2, 4]))]);
        let shape = net.op("Shape", &[&states], &[("start", Attr::Int(2)), ("end", Attr::Int(3))]);
        let rest = net.ints(&[4, 4]);
        let target = net.op("Concat", &[&shape, &rest], &[("axis", Attr::Int(0))]);
        net.op("Reshape", &[&turned, &target], &[]);
        assert_eq!(net.run(&x), joined);
    }

    #[test]
    fn a_batch_that_stays_behind_is_refused() {
        let (net, _) = gru(&[4, 3], 0);
        assert!(net.batch_first_error().contains("axis 2 of the output 't1'"), "{}", net.batch_first_error());
        let (mut net, states) = gru(&[4, 3], 0);
        net.op("Softplus", &[&states], &[]);
        assert!(
            net.batch_first_error().contains("moves the batch axis, to axis 2 of its input"),
            "{}",
            net.batch_first_error()
        );
        let (mut net, states) = gru(&[4, 3], 0);
        let target = net.ints(&[4, -1]);
        net.op("Reshape", &[&states, &target], &[]);
        assert!(net.batch_first_error().contains("does not keep the batch"), "{}", net.batch_first_error());
        // A model that takes time first.
        let mut net = Net::new(&[4, 3]);
        let (w, r) = (net.weight(&[1, 6, 3]), net.weight(&[1, 6, 2]));
        net.op("GRU", &["x", &w, &r], &[]);
        assert!(net.batch_first_error().contains("batch_first=True"), "{}", net.batch_first_error());
    }

    #[test]
    fn plain_layers() {
        let x = varied(&[2, 4, 3]);
        let net = |activations: &[&'static str]| {
            let mut net = Net::new(&[4, 3]);
            let (w, r, b) = (net.weight(&[2, 2, 3]), net.weight(&[2, 2, 2]), net.weight(&[2, 4]));
            let attributes = [("direction", Attr::Text("bidirectional")), ("layout", Attr::Int(1))];
            net.op("RNN", &["x", &w, &r, &b], &attributes);
            let strings = activations.iter().map(|s| bytes::Bytes::from_static(s.as_bytes())).collect();
            let list = crate::proto::AttributeProto { name: "activations".into(), strings, ..Default::default() };
            net.graph().node[0].attribute.push(list);
            net.graph().node[0].output.push("last".into());
            net
        };
        assert_eq!(kinds(&net(&[]).raw()), ["rnn"]);
        // The reverse direction begins at the end: there its state depends on one step only.
        let weight = |name: &str| {
            let net = net(&[]);
            let proto = net.proto.graph.as_ref().unwrap();
            let tensor = proto.initializer.iter().find(|t| t.name == name).unwrap();
            let raw = tensor.raw_data.as_ref().unwrap();
            let all: Vec<f64> = raw.chunks(4).map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap()))).collect();
            all
        };
        let (w, b) = (weight("c0"), weight("c2"));
        let argument = |n: usize, unit: usize| {
            let row = 6 + 3 * unit;
            (0..3).map(|k| w[row + k] * x[[n, 3, k]]).sum::<f64>() + b[4 + unit] + b[6 + unit]
        };
        let (smooth, kinked) = (net(&["Tanh", "Tanh"]).run(&x), net(&["Relu", "Relu"]).run(&x));
        for (n, unit) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            assert!((smooth[[n, 3, 1, unit]] - argument(n, unit).tanh()).abs() < 1e-12);
            assert!((kinked[[n, 3, 1, unit]] - argument(n, unit).max(0.0)).abs() < 1e-12);
        }
        let mut last = net(&[]);
        last.op("Identity", &["last"], &[]);
        assert_eq!(last.run(&x).shape(), [2, 2, 2]);
        assert!(net(&["Relu", "Tanh"]).error().contains("other activations than Relu"));
        assert!(net(&["Affine", "Affine"]).error().contains("other activations than Tanh"));
    }

    #[test]
    fn what_is_not_supported_says_so() {
        let lstm = |inputs: &[&str], attributes: &[(&str, Attr<'_>)]| {
            let mut net = Net::new(&[4, 3]);
            let (w, r, b) = (net.weight(&[1, 8, 3]), net.weight(&[1, 8, 2]), net.weight(&[1, 16]));
            let peepholes = net.weight(&[1, 6]);
            let named = inputs.iter().map(|&i| if i == "P" { peepholes.as_str() } else { i });
            let inputs: Vec<&str> = ["x", &w, &r, &b].into_iter().chain(named).collect();
            net.op("LSTM", &inputs, &[&[("layout", Attr::Int(1))], attributes].concat());
            net
        };
        assert_eq!(lstm(&[], &[]).run(&varied(&[2, 4, 3])).shape(), [2, 4, 1, 2]);
        assert!(lstm(&["", "", "", "P"], &[]).error().contains("peepholes"));
        assert!(lstm(&["", "x"], &[]).error().contains("initial states computed from the model's input"));
        assert!(lstm(&[], &[("clip", Attr::Float(3.0))]).error().contains("clip"));
        assert!(lstm(&[], &[("input_forget", Attr::Int(1))]).error().contains("input_forget"));
        assert!(lstm(&[], &[("direction", Attr::Text("up"))]).error().contains("direction 'up'"));
        assert!(lstm(&[], &[("hidden_size", Attr::Int(3))]).error().contains("hidden_size"));
        let mut net = lstm(&[], &[]);
        let activations = ["Sigmoid", "Relu", "Tanh"].map(|s| bytes::Bytes::from_static(s.as_bytes())).to_vec();
        let strings =
            crate::proto::AttributeProto { name: "activations".into(), strings: activations, ..Default::default() };
        net.graph().node[0].attribute.push(strings);
        assert!(net.error().contains("other activations than Sigmoid, Tanh, Tanh"), "{}", net.error());
        let mut net = lstm(&[], &[]);
        net.graph().node[0].output.extend(["h".to_owned(), "c".to_owned()]);
        net.op("Relu", &["c"], &[]);
        assert!(net.error().contains("Y_c"), "{}", net.error());
        // A state that is read and not explained is no obstacle.
        net.graph().output = vec![crate::proto::ValueInfoProto { name: "t0".into(), r#type: None }];
        assert_eq!(net.run(&varied(&[2, 4, 3])).shape(), [2, 4, 1, 2]);
    }
}
