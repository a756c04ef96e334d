//! Constant: the output counts as a number.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Takes the output of an operator as a constant: its inputs receive no relevance, and a product with it gives all relevance to the other factor.
/// What a sum gives to it is recorded as that of a bias. On each softmax this is CP-LRP (Ali et al. 2022).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(from = "crate::rule::NoParameters")]
#[schemars(
    description = "The output is a constant: its inputs receive nothing. For a softmax, and for gates.",
    extend("x-source" = "Ali et al. 2022")
)]
pub struct Constant;

bare!("constant", Constant);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lrp_core::ops::{Activation, Function, MatMul, Mul, Softmax};
    use lrp_core::{Builder, Plan, Rule, Start, Target};
    use ndarray::array;

    use super::Constant;
    use crate::Norm;

    /// `softmax(x) · x` as a matrix product and as an elementwise one: with the softmax constant, all relevance is that of the other factor.
    #[test]
    fn the_other_factor_of_a_product_receives_all() {
        let x = array![[[1.0, 2.0], [0.5, -1.0]]].into_dyn();
        for matrices in [true, false] {
            let mut net = Builder::<f64>::new();
            let input = net.input("x", &[2, 2]);
            let s = net.add("softmax", Softmax::new(2, &[2, 2]).unwrap(), &[input]).unwrap();
            let y = match matrices {
                true => net.add("values", MatMul::new(&[2, 2], &[2, 2]).unwrap(), &[s, input]).unwrap(),
                false => net.add("values", Mul::new(None, &[2, 2]).unwrap(), &[s, input]).unwrap(),
            };
            let model = Arc::new(net.finish(y).unwrap());
            let rules = [(s, Arc::new(Constant) as Arc<dyn Rule<f64>>)].into_iter().collect();
            let plan = Plan::new(model, &rules).unwrap();
            assert_eq!(plan.behaviour(y), "all to input 1, input 0 is constant");
            let record = plan.record(&x).unwrap();
            let mut start = record.output().clone();
            start.iter_mut().skip(1).for_each(|r| *r = 0.0);
            let out = record.propagate(start.clone());
            assert!((out.relevance[0].sum() - start.sum()).abs() < 1e-5, "{out:?}");
        }
    }

    /// An exponential has no relevance behaviour, and needs none where all that comes before it is constant.
    #[test]
    fn behind_a_constant_nothing_needs_a_rule() {
        let mut net = Builder::<f64>::new();
        let input = net.input("x", &[2]);
        let scale = net.add("softmax", Softmax::new(1, &[2]).unwrap(), &[input]).unwrap();
        let exp = net.add("exp", Activation::new(Function::Exp, &[2]).unwrap(), &[scale]).unwrap();
        let y = net.add("product", Mul::new(None, &[2]).unwrap(), &[input, exp]).unwrap();
        let model = Arc::new(net.finish(y).unwrap());
        assert!(Plan::new(Arc::clone(&model), &[].into()).is_err());
        let rules = [(scale, Arc::new(Constant) as Arc<dyn Rule<f64>>)].into_iter().collect();
        let plan = Plan::new(model, &rules).unwrap();
        let out = plan.explain(&array![[3.0, 1.0]].into_dyn(), &Target::Class(0), Start::Logit).unwrap();
        assert!((out.relevance[0][[0, 0]] - out.ledger.start[0]).abs() < 1e-5 && out.relevance[0][[0, 1]] == 0.0);
    }

    #[test]
    fn what_a_sum_gives_to_a_constant_is_that_of_a_bias() {
        let mut net = Builder::<f64>::new();
        let input = net.input("x", &[2]);
        let s = net.add("softmax", Softmax::new(1, &[2]).unwrap(), &[input]).unwrap();
        let y = net.add("sum", lrp_core::ops::Add::new(2, &[2]).unwrap(), &[input, s]).unwrap();
        let model = Arc::new(net.finish(y).unwrap());
        let sum = Norm { stabilizer: 1e-12, ..Norm::default() };
        let rules = [(s, Arc::new(Constant) as Arc<dyn Rule<f64>>), (y, Arc::new(sum) as Arc<dyn Rule<f64>>)];
        let plan = Plan::new(model, &rules.into_iter().collect()).unwrap();
        let out = plan.explain(&array![[3.0, 3.0]].into_dyn(), &Target::Class(0), Start::Logit).unwrap();
        // 3.5 = 3 + ½.
        assert!((out.relevance[0][[0, 0]] - 3.0).abs() < 1e-9 && out.relevance[0][[0, 1]] == 0.0);
        let bias: f64 = out.ledger.entries.iter().map(|entry| entry.bias[0]).sum();
        assert!((bias - 0.5).abs() < 1e-9);
    }
}
