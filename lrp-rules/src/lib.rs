//! The propagation rules. One file per rule: the paper's formula, parameters, their check, and the rule as a
//! [`Formula`](lrp_core::Formula), which the engine of `lrp-core` runs.
//!
//! | rule | file | source |
//! |---|---|---|
//! | `zero` | [`Zero`] | Bach et al. 2015, eq. 56; Montavon et al. 2019, Table 10.1 |
//! | `epsilon` | [`Epsilon`] | Bach et al. 2015, eq. 58 |
//! | `gamma` | [`Gamma`] | Montavon et al. 2019; generalized by Andéol et al. 2021 |
//! | `alpha-beta` | [`AlphaBeta`] | Bach et al. 2015, eq. 60 |
//! | `z-plus` | [`ZPlus`] | Montavon et al. 2017, eq. 15 |
//! | `gains` | [`Gains`] | any list of branches |
//! | `w-square` | [`WSquare`] | Montavon et al. 2017, eq. 12 |
//! | `flat` | [`Flat`] | Lapuschkin et al. 2019 |
//! | `z-box` | [`ZBox`] | Montavon et al. 2017, eq. 20 |
//! | `pass` | [`Pass`] | – |
//! | `norm` | [`Norm`] | `epsilon` without weights |
//! | `product` | [`Product`] | Arras et al. 2017; Achtibat et al. 2024 |
//! | `constant` | [`Constant`] | Ali et al. 2022 |
//! | `taylor` | [`Taylor`] | Achtibat et al. 2024, Proposition 3.1 |
//! | `gradient` | [`Gradient`] | – |
//! | `guided-backprop` | [`GuidedBackprop`] | Springenberg et al. 2015 |
//! | `deconvnet` | [`Deconvnet`] | Zeiler and Fergus 2014 |
//!
//! Notation is that of the papers: `x` inputs, `w` weights, `b` bias, `z` output, `R` relevance at the output.

//!
//! # Parameters
//!
//! A rule is a struct of its parameters, all public: `Gamma { gamma: 0.5, ..Gamma::default() }`. The struct is also the description of the rule
//! in recipes: defaults, documentation and JSON Schema come from it. Like a recipe, it can hold numbers that are not allowed.
//! [`Plan::new`](lrp_core::Plan::new) checks every rule by [`Rule::check`](lrp_core::Rule::check), so that none is used with them; `lrp-config` asks
//! `check` earlier, to show the line of a recipe. One check at the place that every rule passes serves rules from Rust, from TOML and from other
//! crates alike, and a builder needs no `?` for each rule.

#[macro_use]
mod rule;

mod alpha_beta;
mod constant;
mod deconvnet;
mod epsilon;
mod factors;
mod flat;
mod gains;
mod gamma;
mod gradient;
mod guided_backprop;
mod norm;
mod pass;
mod product;
mod residual;
mod taylor;
mod w_square;
mod z_box;
mod z_plus;
mod zero;

pub use alpha_beta::AlphaBeta;
pub use constant::Constant;
pub use deconvnet::Deconvnet;
pub use epsilon::{Epsilon, EpsilonValue};
pub use factors::Factors;
pub use flat::Flat;
pub use gains::Gains;
pub use gamma::Gamma;
pub use gradient::Gradient;
pub use guided_backprop::GuidedBackprop;
pub use lrp_core::ParameterError;
pub use lrp_core::formula::{BiasMode, Branch, Side};
pub use norm::Norm;
pub use pass::Pass;
pub use product::Product;
pub use residual::Residual;
pub use taylor::Taylor;
pub use w_square::WSquare;
pub use z_box::ZBox;
pub use z_plus::ZPlus;
pub use zero::Zero;
