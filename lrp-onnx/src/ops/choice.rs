//! Choices between two values by a condition, and the step functions that conditions are made of.

use lrp_core::ops::{Compare, Relation, Where, shared};
use lrp_core::{Scalar, Tensor};
use ndarray::Dimension;

use super::arithmetic::{operands, widened};
use super::{Context, Translated, Value};
use crate::error::{Problem, Shape};
use crate::graph::Origin;
use crate::tensor::Constant;

/// Where the condition is the same for every element, one of the two values is left.
pub(super) fn choose<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let values: Vec<Value> = cx.inputs.iter().flatten().cloned().collect();
    let [condition, a, b] = values.as_slice() else {
        return Err(Problem::invalid(format!("it has {} inputs in place of three", values.len())));
    };
    // −∞ marks what a softmax must not see; the lowest finite number does the same, and can be computed with.
    let values = [condition.clone(), limited::<T>(a), limited::<T>(b)];
    let (ids, shape) = operands(cx, &values)?;
    if let Value::Constant(constant) = condition
        && let [first, rest @ ..] = constant.floats::<f64>().as_slice()
        && rest.iter().all(|value| (*value == 0.0) == (*first == 0.0))
    {
        let chosen = if *first == 0.0 { 2 } else { 1 };
        let id = ids.get(chosen).ok_or_else(|| Problem::invalid("it chooses nothing"))?;
        return Ok(Value::Data(*id));
    }
    cx.push(Where::new(&shape)?, &ids)
}

fn limited<T: Scalar>(value: &Value) -> Value {
    match value {
        Value::Constant(constant) => Value::Constant(constant.limited::<T>()),
        other => other.clone(),
    }
}

/// A comparison of two values, or of two truth values.
fn compare<T: Scalar>(cx: &mut Context<'_, T>, relation: Relation) -> Translated {
    let values: Vec<Value> = cx.inputs.iter().flatten().cloned().collect();
    if values.len() != relation.inputs() {
        return Err(Problem::invalid(format!("it has {} inputs in place of {}", values.len(), relation.inputs())));
    }
    let limited: Vec<Value> = values.iter().map(limited::<T>).collect();
    let (ids, shape) = operands(cx, &limited)?;
    let origin = if relation == Relation::Equal { Origin::Equal } else { Origin::Other };
    cx.push_made_from(shared(Compare::new(relation, &shape)?), origin, &ids)
}

pub(super) fn greater<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    compare(cx, Relation::Greater)
}

pub(super) fn greater_or_equal<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    compare(cx, Relation::GreaterOrEqual)
}

pub(super) fn less<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    compare(cx, Relation::Less)
}

pub(super) fn less_or_equal<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    compare(cx, Relation::LessOrEqual)
}

pub(super) fn equal<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    compare(cx, Relation::Equal)
}

pub(super) fn and<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    compare(cx, Relation::And)
}

pub(super) fn or<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    compare(cx, Relation::Or)
}

pub(super) fn xor<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    compare(cx, Relation::Xor)
}

pub(super) fn not<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    compare(cx, Relation::Not)
}

pub(super) fn sign<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    compare(cx, Relation::Sign)
}

pub(super) fn floor<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    compare(cx, Relation::Floor)
}

pub(super) fn ceil<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    compare(cx, Relation::Ceil)
}

/// Whether elements are not zero.
pub(super) fn truth<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    let shape = cx.shape(x);
    let not = || Compare::new(Relation::Not, &shape);
    let is_zero = cx.push_extra_made_from("is_zero", shared(not()?), Origin::Other, &[x]);
    cx.push_made_from(shared(not()?), Origin::Other, &[is_zero])
}

/// The cut of fractions that a cast to whole numbers is.
pub(super) fn truncate<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    compare(cx, Relation::Truncate)
}

pub(super) fn round<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    compare(cx, Relation::Round)
}

/// False everywhere: every activation is checked to be finite when a model runs.
pub(super) fn never<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    let ones = vec![1; cx.full_shape(x).len()];
    let no = Constant::ints_1d(&[0]).reshaped(ones);
    no.map(Value::Constant).ok_or_else(|| Problem::invalid("its input has no shape"))
}

/// The upper or the lower triangle of the last two axes; zeros elsewhere.
pub(super) fn triangle<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let x = cx.data(0)?;
    let shape = cx.shape(x);
    let &[.., rows, columns] = shape.as_slice() else {
        return Err(Problem::invalid(format!("it needs an input of matrices, and gets {}", Shape(&shape))));
    };
    let diagonal = match cx.optional(1)?.map(Constant::ints) {
        None => 0,
        Some(Ok(list)) if list.len() == 1 => list.first().copied().unwrap_or(0),
        Some(_) => return Err(Problem::invalid("its diagonal is not one whole number")),
    };
    let upper = cx.node.int("upper").unwrap_or(1) != 0;
    cx.tables.charge(&[rows, columns])?;
    let kept = |row: usize, column: usize| {
        let offset = i128::from(column as u64) - i128::from(row as u64);
        if upper { offset >= i128::from(diagonal) } else { offset <= i128::from(diagonal) }
    };
    let mut mask = vec![1; shape.len() - 2];
    mask.extend([rows, columns]);
    let mask = Tensor::from_shape_fn(mask, |at| match at.slice() {
        [.., row, column] if kept(*row, *column) => T::one(),
        _ => T::zero(),
    });
    let zero = Tensor::zeros(vec![1; shape.len()]);
    let mut ids = Vec::new();
    for (name, value) in [("mask", mask), ("zero", zero)] {
        let name = format!("{}/{name}", cx.name);
        let id = cx.push_constant(&name, value);
        ids.push(widened(cx, id, &shape)?.0);
    }
    ids.insert(1, x);
    cx.push(Where::new(&shape)?, &ids)
}

#[cfg(test)]
mod tests {
    use crate::testing::{Attr, Net, kinds};
    use ndarray::array;

    #[test]
    fn a_leaky_relu_by_a_choice() {
        let mut net = Net::new(&[3]);
        let (zero, slope) = (net.floats(&[], &[0.0]), net.floats(&[1], &[0.125]));
        let above = net.op("Greater", &["x", &zero], &[]);
        let small = net.op("Mul", &["x", &slope], &[]);
        net.op("Where", &[&above, "x", &small], &[]);
        assert_eq!(kinds(&net.raw()), ["broadcast", "compare", "scale", "where"]);
        assert_eq!(net.run(&array![[-8.0, 0.0, 4.0]].into_dyn()), array![[-1.0, 0.0, 4.0]].into_dyn());
    }

    #[test]
    fn conditions_of_every_kind() {
        let x = array![[-1.0, 0.0, 2.0]].into_dyn();
        for (op, expected) in [
            ("Greater", [0.0, 0.0, 1.0]),
            ("GreaterOrEqual", [0.0, 1.0, 1.0]),
            ("Less", [1.0, 0.0, 0.0]),
            ("LessOrEqual", [1.0, 1.0, 0.0]),
            ("Equal", [0.0, 1.0, 0.0]),
        ] {
            let mut net = Net::new(&[3]);
            let zero = net.floats(&[1, 3], &[0.0; 3]);
            let c = net.op(op, &["x", &zero], &[]);
            let negated = net.op("Not", &[&c], &[]);
            let either = net.op("Or", &[&c, &negated], &[]);
            let both = net.op("And", &[&c, &either], &[]);
            let one = net.op("Xor", &[&both, &negated], &[]);
            let same = net.op("And", &[&one, &both], &[]);
            net.op("Cast", &[&same], &[("to", Attr::Int(1))]);
            let got: Vec<f64> = net.run(&x).iter().copied().collect();
            assert_eq!(got, expected, "{op}");
        }
        let mut net = Net::new(&[3]);
        net.op("Sign", &["x"], &[]);
        assert_eq!(net.run(&x), array![[-1.0, 0.0, 1.0]].into_dyn());
    }

    #[test]
    fn a_condition_that_is_known_chooses_at_once() {
        let mut net = Net::new(&[2]);
        let zero = net.floats(&[], &[0.0]);
        let strange = net.op("IsNaN", &["x"], &[]);
        let cleaned = net.op("Where", &[&strange, &zero, "x"], &[]);
        net.op("Tanh", &[&cleaned], &[]);
        net.op("Neg", &["t2"], &[]);
        let model = net.import().unwrap().model;
        assert_eq!(model.nodes().len(), 3);
        // A mask, with −∞ where it hides.
        let mut net = Net::new(&[2, 2]);
        let (mask, hidden) = (net.ints(&[1, 0, 1, 1]), net.floats(&[], &[f32::NEG_INFINITY]));
        let shape = net.ints(&[2, 2]);
        let mask = net.op("Reshape", &[&mask, &shape], &[]);
        let mask = net.op("Cast", &[&mask], &[("to", Attr::Int(9))]);
        let scores = net.op("Where", &[&mask, "x", &hidden], &[]);
        let shares = net.op("Softmax", &[&scores], &[]);
        net.op("Tanh", &[&shares], &[]);
        let y = net.run(&array![[[3.0, 9.0], [1.0, 1.0]]].into_dyn());
        let half = 0.5f64.tanh();
        let expected = array![[[1f64.tanh(), 0.0], [half, half]]].into_dyn();
        assert!((&y - expected).iter().all(|d| d.abs() < 1e-15) && y[[0, 0, 1]] == 0.0, "{y}");
    }

    #[test]
    fn relevance_of_a_choice_goes_to_what_was_chosen_and_balances() {
        use lrp_core::{Assignment, Plan, Start, Target};
        let mut net = Net::new(&[3]);
        let (two, bound) = (net.floats(&[], &[2.0]), net.floats(&[], &[1.5]));
        let above = net.op("Greater", &["x", &bound], &[]);
        net.op("Where", &[&above, "x", &two], &[]);
        let plan = Plan::new(net.import().unwrap().model.into(), &Assignment::new()).unwrap();
        let x = array![[1.0, 5.0, 1.0]].into_dyn();
        let at = |class| plan.explain(&x, &Target::Class(class), Start::Logit).unwrap();
        assert_eq!(at(1).input_relevance(), &array![[0.0, 5.0, 0.0]].into_dyn());
        let constant = at(0);
        assert_eq!(constant.input_relevance(), &array![[0.0, 0.0, 0.0]].into_dyn());
        assert_eq!(constant.ledger.totals(0).bias, 2.0);
    }

    #[test]
    fn what_a_comparison_multiplies_is_the_signal() {
        for gated in [false, true] {
            let mut net = Net::new(&[3]);
            let zero = net.floats(&[], &[0.0]);
            let above = net.op("Greater", &["x", &zero], &[]);
            let mask = net.op("Cast", &[&above], &[("to", Attr::Int(1))]);
            let signal = net.op(if gated { "Sigmoid" } else { "Softplus" }, &["x"], &[]);
            let product = net.op("Mul", &[&mask, &signal], &[]);
            let two = net.floats(&[3], &[2.0, 3.0, 4.0]);
            net.op("Mul", &[&product, &two], &[]);
            let model = net.import().unwrap().model;
            let gates: Vec<_> = model.nodes().filter_map(|(_, node)| node.op()?.gate_input()).collect();
            assert_eq!(gates, [0], "{gated}");
        }
    }

    #[test]
    fn triangles() {
        let x = array![[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]].into_dyn();
        for (upper, k, expected) in [
            (1, 0, array![[[1.0, 2.0, 3.0], [0.0, 5.0, 6.0]]]),
            (0, 0, array![[[1.0, 0.0, 0.0], [4.0, 5.0, 0.0]]]),
            (1, 1, array![[[0.0, 2.0, 3.0], [0.0, 0.0, 6.0]]]),
            (0, -1, array![[[0.0, 0.0, 0.0], [4.0, 0.0, 0.0]]]),
            (1, i64::MIN, array![[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]),
        ] {
            let mut net = Net::new(&[2, 3]);
            let k = net.ints(&[k]);
            net.op("Trilu", &["x", &k], &[("upper", Attr::Int(upper))]);
            assert_eq!(net.run(&x), expected.into_dyn());
        }
        let mut net = Net::new(&[3]);
        net.op("Trilu", &["x"], &[]);
        assert!(net.batch_first_error().contains("needs an input of matrices"), "{}", net.batch_first_error());
    }

    #[test]
    fn wrong_numbers_of_inputs_are_refused() {
        let mut net = Net::new(&[3]);
        net.op("Where", &["x", "x"], &[]);
        assert!(net.error().contains("2 inputs in place of three"), "{}", net.error());
        let mut net = Net::new(&[3]);
        let above = net.op("Greater", &["x"], &[]);
        net.op("Softplus", &[&above], &[]);
        assert!(net.error().contains("1 inputs in place of 2"), "{}", net.error());
    }
}
