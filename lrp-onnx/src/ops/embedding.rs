//! Whole numbers that the model is given, as vectors: rows of a table, and one-hot vectors, which are the rows of a diagonal one.

use lrp_core::ops::{Embedding, Transpose, shared};
use lrp_core::{Scalar, Tensor};

use super::{Context, Translated};
use crate::consteval::axis;
use crate::error::Problem;
use crate::graph::Origin;
use crate::tensor::Constant;

/// Rows of a constant table by numbers that the model is given: the embedding of token ids.
pub(super) fn rows_of<T: Scalar>(cx: &mut Context<'_, T>, table: &Constant, ids: usize) -> Translated {
    if axis(cx.node.int("axis").unwrap_or(0), table.shape().len())? != 0 {
        return Err(Problem::unsupported("it takes elements of a constant along another axis than the first"));
    }
    let table = table.tensor::<T>().map_err(|e| Problem::invalid(format!("its table {e}")))?;
    cx.push(Embedding::new(table, &cx.shape(ids))?, &[ids])
}

/// One-hot vectors along an axis, the last one unless the node says otherwise.
pub(super) fn one_hot<T: Scalar>(cx: &mut Context<'_, T>) -> Translated {
    let ids = cx.data(0)?;
    let depth = match cx.constant(1)?.ints().as_deref() {
        Ok(&[depth]) => usize::try_from(depth).ok().filter(|&depth| depth > 0),
        _ => None,
    };
    let depth = depth.ok_or_else(|| Problem::invalid("its depth is not one whole number above zero"))?;
    let (off, on) = match cx.constant(2)?.floats::<T>().as_slice() {
        &[off, on] => (off, on),
        values => return Err(Problem::invalid(format!("it has {} values in place of two", values.len()))),
    };
    cx.tables.charge(&[depth, depth])?;
    let table = Tensor::from_shape_fn(vec![depth, depth], |at| if at[0] == at[1] { on } else { off });
    let op = Embedding::new(table, &cx.shape(ids))?;
    let wanted = cx.node.int("axis").unwrap_or(-1);
    if wanted == -1 {
        return cx.push(op, &[ids]);
    }
    let rows = cx.push_extra("rows", op, &[ids]);
    let to = cx.sample_axis(wanted, rows)?;
    let shape = cx.shape(rows);
    let mut order: Vec<usize> = (0..shape.len()).collect();
    if to > shape.len() {
        return Err(Problem::invalid(format!("its axis {wanted} does not exist")));
    }
    order.insert(to, shape.len());
    let op = shared(Transpose::new(&order, &shape)?);
    cx.push_made_from(op, Origin::Transpose(order), &[rows])
}

#[cfg(test)]
mod tests {
    use crate::testing::{Attr, Net};
    use ndarray::array;

    #[test]
    fn ids_become_rows_of_a_table() {
        // Two ids of a vocabulary of three, embedded in two numbers each, which are summed up by a dense layer.
        let mut net = Net::new(&[]);
        net.graph().input[0] = crate::testing::input("x", &[-1, 2]);
        net.graph().input[0].r#type.as_mut().unwrap().tensor_type.as_mut().unwrap().elem_type = 7;
        let table = net.floats(&[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let ids = net.op("Cast", &["x"], &[("to", Attr::Int(7))]);
        let rows = net.op("Gather", &[&table, &ids], &[]);
        let w = net.floats(&[2, 1], &[1.0, 10.0]);
        net.op("MatMul", &[&rows, &w], &[]);
        assert_eq!(
            net.run(&array![[2.0, 0.0], [1.0, 1.0]].into_dyn()),
            array![[[65.0], [21.0]], [[43.0], [43.0]]].into_dyn()
        );
        let import = net.import().unwrap();
        assert!(import.inputs[0].is_integer());
    }

    #[test]
    fn one_hot_vectors_along_an_axis() {
        let run = |axis: Option<i64>| {
            let mut net = Net::new(&[2]);
            net.graph().input[0].r#type.as_mut().unwrap().tensor_type.as_mut().unwrap().elem_type = 7;
            let (depth, values) = (net.ints(&[3]), net.floats(&[2], &[-1.0, 2.0]));
            let axis: Vec<(&str, Attr<'_>)> = axis.map(|axis| ("axis", Attr::Int(axis))).into_iter().collect();
            let hot = net.op("OneHot", &["x", &depth, &values], &axis);
            net.op("Neg", &[&hot], &[]);
            -net.run(&array![[2.0, -3.0]].into_dyn())
        };
        let last = array![[[-1.0, -1.0, 2.0], [2.0, -1.0, -1.0]]].into_dyn();
        assert_eq!((run(None), run(Some(2))), (last.clone(), last));
        assert_eq!(run(Some(1)), array![[[-1.0, 2.0], [-1.0, -1.0], [2.0, -1.0]]].into_dyn());
    }

    #[test]
    fn damaged_one_hots_are_errors() {
        for (depth, values, why) in [(0, 2, "above zero"), (3, 3, "in place of two"), (1 << 40, 2, "")] {
            let mut net = Net::new(&[2]);
            let (depth, values) = (net.ints(&[depth]), net.floats(&[values], &vec![0.0; values as usize]));
            net.op("OneHot", &["x", &depth, &values], &[]);
            assert!(net.error().contains(why), "{}", net.error());
        }
    }
}
