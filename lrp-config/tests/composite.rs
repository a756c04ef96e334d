//! Composites: made in Rust, printed as TOML, read back.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::fmt;

use lrp_config::{AnyRule, Composite, CompositeError, Factor, Layers, OwnRule, Recipe, SelectorError, presets};
use lrp_core::formula::{Branch, Side, Stabilizer};
use lrp_core::operator::{Group, Kind};
use lrp_core::ops::{Activation, Dense, Function};
use lrp_core::{Behaviour, Builder, Formula, Model, Rule, Scalar, Tensor};
use lrp_rules::{
    AlphaBeta, BiasMode, Deconvnet, Epsilon, Factors, Flat, Gains, Gamma, Gradient, GuidedBackprop, Norm, Pass,
    Product, Residual, WSquare, ZBox, ZPlus, Zero,
};
use proptest::prelude::*;

/// A layer, a ReLU, and another layer.
fn model<T: Scalar>() -> Model<T> {
    let mut net = Builder::<T>::new();
    let x = net.input("x", &[2]);
    let dense = || Dense::new(Tensor::ones(vec![2, 2]), None, &[2]).unwrap();
    let z = net.add("body.fc1", dense(), &[x]).unwrap();
    let a = net.add("body.relu", Activation::new(Function::Relu, &[2]).unwrap(), &[z]).unwrap();
    let y = net.add("head", dense(), &[a]).unwrap();
    net.finish(y).unwrap()
}

/// Numbers from 0 up, among them those that are hard to print.
fn sizes() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), Just(1e-6), Just(1e6), 0.0..1e-300, 0.0..4.0, 1e15..1e300]
}

fn rules() -> impl Strategy<Value = AnyRule> {
    let bias = || prop::sample::select(vec![BiasMode::Absorb, BiasMode::Ignore, BiasMode::Distribute]);
    let stabilizer = || prop_oneof![sizes().prop_map(Stabilizer::Absolute), sizes().prop_map(Stabilizer::Relative)];
    let side = prop::sample::select(vec![Side::All, Side::Nonnegative, Side::Negative]);
    let branch = (0.5..2.0, -2.0..2.0, 0.1..1.0, side).prop_map(|(positive, negative, coefficient, outputs)| Branch {
        positive,
        negative,
        coefficient,
        outputs,
    });
    let residuals =
        vec![Residual::Signed, Residual::Absolute, Residual::Equal, Residual::SkipOnly, Residual::BranchOnly];
    let bounds = || prop::option::of(prop::collection::vec(-1.0..0.0, 1..=3));
    let factor = || prop_oneof![(0..2usize).prop_map(Factor::from), Just(Factor::named("*/conv_{a,b}/*").unwrap())];
    let products = prop_oneof![
        prop::sample::select(vec![Factors::Gate, Factors::Uniform])
            .prop_map(|factors| Product { factors, ..Product::default() }),
        factor().prop_map(|factor| Product { gate: Some(factor), ..Product::default() }),
        factor().prop_map(|factor| Product { signal: Some(factor), ..Product::default() }),
    ];
    prop_oneof![
        bias().prop_map(|bias| Zero { bias }.into()),
        (stabilizer(), bias()).prop_map(|(epsilon, bias)| Epsilon { epsilon, bias }.into()),
        (sizes(), sizes(), bias()).prop_map(|(gamma, stabilizer, bias)| Gamma { gamma, stabilizer, bias }.into()),
        (0.0..9.0, sizes(), bias())
            .prop_map(|(beta, stabilizer, bias)| { AlphaBeta { alpha: 1.0 + beta, beta, stabilizer, bias }.into() }),
        (sizes(), bias()).prop_map(|(stabilizer, bias)| ZPlus { stabilizer, bias }.into()),
        (prop::collection::vec(branch, 1..4), stabilizer(), bias()).prop_map(|(branches, stabilizer, bias)| Gains {
            branches,
            stabilizer,
            bias
        }
        .into()),
        (sizes(), bias()).prop_map(|(stabilizer, bias)| WSquare { stabilizer, bias }.into()),
        sizes().prop_map(|stabilizer| Flat { stabilizer }.into()),
        (bounds(), sizes()).prop_map(|(low, stabilizer)| {
            let high = low.as_ref().map(|low| low.iter().map(|low| low + 1.0).collect());
            ZBox { low, high, stabilizer }.into()
        }),
        (sizes(), prop::sample::select(residuals))
            .prop_map(|(stabilizer, residual)| Norm { stabilizer, residual }.into()),
        products.prop_map(AnyRule::from),
        prop::sample::select(vec![
            AnyRule::from(Pass),
            Gradient.into(),
            GuidedBackprop.into(),
            Deconvnet.into(),
            Product::gate(1).into(),
        ]),
    ]
}

fn layers() -> impl Strategy<Value = Layers> {
    let indices = || {
        prop_oneof![
            Just(Layers::first()),
            Just(Layers::last()),
            (0..99usize).prop_map(Layers::index),
            (0..9usize, 1..9usize).prop_map(|(start, n)| Layers::range(start..start + n).unwrap()),
            (0..9usize).prop_map(|start| Layers::range(start..).unwrap()),
            (0.0..50.0, 50.1..100.0).prop_map(|(start, end)| Layers::percent(start..end).unwrap()),
        ]
    };
    let kinds = || prop::sample::select(Kind::ALL.to_vec()).prop_map(Layers::kind);
    let ops = prop_oneof![kinds(), Just(Layers::group(Group::Activation))];
    let name = "[a-z.*?\"\\\\/\t\u{7f}é]{1,8}[a-z]";
    let named = || name.prop_filter_map("a glob", |text| Layers::named(&text).ok());
    let indices = prop::option::of((indices(), prop::option::of(indices())));
    let ops = prop::option::of((ops, prop::option::of(kinds())));
    let names = prop::option::of((named(), prop::option::of(named())));
    let joined = |pair: Option<(Layers, Option<Layers>)>| match pair {
        Some((one, Some(other))) => one.or(other).unwrap(),
        Some((one, None)) => one,
        None => Layers::all(),
    };
    (indices, ops, names, any::<bool>()).prop_map(move |(indices, ops, names, optional)| {
        let all = joined(indices).and(joined(ops)).unwrap().and(joined(names)).unwrap();
        if optional { all.optional() } else { all }
    })
}

proptest! {
    #[test]
    fn a_composite_prints_as_toml_that_reads_back(entries in prop::collection::vec((layers(), rules()), 1..6)) {
        let composite = entries.into_iter().fold(Composite::new(), |all, (layers, rule)| all.assign(layers, rule));
        let toml = composite.to_toml().unwrap();
        match toml.parse::<Composite>() {
            Ok(read) => prop_assert_eq!(read, composite, "{}", toml),
            Err(error) => prop_assert!(false, "{toml}{error:?}"),
        }
    }
}

#[test]
fn presets_print_as_composites() {
    for preset in presets() {
        let composite = Recipe::preset(preset.name).unwrap().composite().clone();
        assert_eq!(composite.to_toml().unwrap().parse::<Composite>().unwrap(), composite, "{}", preset.name);
    }
}

#[test]
fn it_prints_as_a_recipe_writes_it() {
    let convolutions = Layers::kind(Kind::Conv).or(Layers::kind(Kind::ConvTranspose)).unwrap();
    let composite = Composite::new()
        .assign(Layers::all(), Epsilon::default())
        .assign(Layers::range(..3).unwrap().and(convolutions).unwrap(), Gamma::default())
        .assign(Layers::named("classifier.*").unwrap().optional(), Zero::default());
    let text = r#"schema = 1

[[assign]]
rule = { type = "epsilon", epsilon = 1e-6 }

[[assign]]
layers = "0..3"
ops = ["conv", "conv-transpose"]
rule = { type = "gamma", gamma = 0.25, stabilizer = 1e-6 }

[[assign]]
names = "classifier.*"
rule = "zero"
optional = true
"#;
    assert_eq!(composite.to_toml().unwrap(), text);
    assert_eq!(composite.rules().nth(1), Some(&AnyRule::Gamma(Gamma::default())));
}

#[test]
fn the_keys_before_the_entries_can_be_set() {
    let gradient = || Composite::new().assign(Layers::all(), Gradient);
    let composite = gradient().named("Gradient \"×\" input").described("a check").times_input(true);
    let text = r#"schema = 1
name = 'Gradient "×" input'
description = "a check"
times_input = true

[[assign]]
rule = "gradient"
"#;
    assert_eq!(composite.to_toml().unwrap(), text);
    let read: Composite = text.parse().unwrap();
    assert_eq!(read, composite);
    assert_eq!(read.to_toml().unwrap(), text);
    // A name changes nothing; the factor at the input does, unless it says what holds anyway.
    assert_eq!(gradient().named("other"), gradient().times_input(false));
    assert_ne!(gradient().times_input(true), gradient());

    let recipe = Recipe::from(composite);
    assert_eq!((recipe.name(), recipe.description()), (Some("Gradient \"×\" input"), Some("a check")));
    assert!(recipe.resolve(&model::<f32>()).unwrap().times_input);
}

#[test]
fn a_preset_is_extended_as_a_recipe_does() {
    let composite = Composite::preset("gradient-input").unwrap().assign(Layers::last(), Zero::default());
    let file = "schema = 1\nextends = \"gradient-input\"\n[[assign]]\nlayers = \"last\"\nrule = \"zero\"\n";
    assert_eq!(composite, file.parse::<Composite>().unwrap());
    let recipe = Recipe::from(composite.clone());
    assert!(recipe.times_input() && recipe.name().is_none());
    assert_eq!(composite.rules().len(), 6);
    assert!(Composite::preset("gradient").is_err());
}

#[test]
fn its_entries_decide_as_those_of_a_file_do() {
    let composite = Composite::new()
        .assign(Layers::all(), Epsilon::default())
        .assign(Layers::named("body.*").unwrap(), ZPlus::default());
    let recipe = Recipe::from(composite);
    let model = model::<f32>();
    let resolved = recipe.resolve(&model).unwrap();
    let told: Vec<String> =
        resolved.choices.values().map(|choice| format!("{} {}", choice.rule, choice.origin)).collect();
    assert_eq!(
        told,
        ["z-plus { stabilizer = 1e-6 } composite:6 (entry 2)", "epsilon { epsilon = 1e-6 } composite:3 (entry 1)"]
    );
}

#[test]
fn mistakes_are_shown_at_their_place() {
    let negative = Gamma { gamma: -0.5, ..Gamma::default() };
    let composite = Composite::new().assign(Layers::all(), negative).assign(Layers::index(7), Zero::default());
    let error = composite.to_toml().unwrap_err();
    assert!(
        matches!(&error, CompositeError::Parameter { entry: 1, error, .. } if error.parameter == "gamma"),
        "{error}"
    );
    assert_eq!(Composite::new().to_toml().unwrap_err(), CompositeError::Empty);

    let error = Recipe::from(composite).resolve(&model::<f64>()).unwrap_err();
    let [index, gamma] = error.diagnostics() else { panic!("{error}") };
    let written = |problem: &lrp_config::Diagnostic| problem.source_file().text()[problem.span().unwrap()].to_owned();
    assert_eq!([written(index), written(gamma)], ["7", "-0.5"]);
    assert_eq!(gamma.message(), "gamma must be a finite number ≥ 0, got -0.5");
}

#[test]
fn selectors_that_no_entry_can_write_are_errors() {
    assert!(matches!(Layers::named("[a"), Err(SelectorError::Glob { .. })));
    assert!(matches!(Layers::range(2..2), Err(SelectorError::Range(_))));
    assert!(matches!(Layers::percent(0.0..120.0), Err(SelectorError::Range(_))));
    assert!(matches!(Layers::percent(f64::NAN..50.0), Err(SelectorError::Range(_))));
    assert!(matches!(Layers::first().and(Layers::last()), Err(SelectorError::Twice("layers"))));
    assert!(matches!(Layers::first().or(Layers::kind(Kind::Conv)), Err(SelectorError::Different)));
}

/// Relevance in proportion to the size of contributions.
#[derive(Debug)]
struct BySize {
    stabilizer: f64,
}

impl fmt::Display for BySize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("by-size")
    }
}

impl<T: Scalar> Rule<T> for BySize {
    fn behaviour(&self) -> Behaviour {
        let stabilizer = Stabilizer::Absolute(self.stabilizer);
        Behaviour::Formula(Formula::branches([Branch::all(1.0, -1.0)], stabilizer, BiasMode::Absorb))
    }

    fn check(&self) -> Result<(), lrp_core::ParameterError> {
        lrp_core::parameter::nonnegative("stabilizer", self.stabilizer)
    }
}

#[test]
fn a_rule_of_ones_own_is_an_entry_that_does_not_print_as_toml() {
    let own = |stabilizer| OwnRule::new(BySize { stabilizer });
    let composite =
        Composite::new().assign(Layers::all(), Epsilon::default()).assign(Layers::named("*").unwrap(), own(1e-6));
    assert_eq!(composite.to_toml(), Err(CompositeError::OwnRule { entry: 2, rule: "by-size".to_owned() }));
    assert!(composite.to_string().ends_with("rule = by-size\n"), "{composite}");

    fn names<T: Scalar>(recipe: &Recipe) -> Vec<String> {
        let resolved = recipe.resolve(&model::<T>()).unwrap();
        resolved.choices.values().map(|choice| choice.rule.to_string()).collect()
    }
    let recipe = Recipe::from(composite);
    assert_eq!([names::<f32>(&recipe), names::<f64>(&recipe)], [["by-size", "by-size"], ["by-size", "by-size"]]);

    let impossible = Recipe::from(Composite::new().assign(Layers::all(), own(-1.0)));
    let error = impossible.resolve(&model::<f32>()).unwrap_err();
    assert!(error.to_string().contains("stabilizer must be a finite number"), "{error}");
}
