//! Which nodes an entry means, in every form that selectors have.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod nets;

use lrp_core::ops::{Dense, Preprocessing};
use lrp_core::{Builder, Model, Plan, Tensor};
use nets::{branches, cnn, gated, mlp, nodes_with, recipe, rules};

/// The nodes that an entry with these selectors gives its rule, `flat`, to. Everything else gets `epsilon`.
fn selected(model: &Model<f64>, selectors: &str) -> Vec<String> {
    let text = format!("[[assign]]\nrule = \"epsilon\"\n[[assign]]\nrule = \"flat\"\n{selectors}\n");
    let resolved = recipe(&text).unwrap().resolve(model).unwrap();
    nodes_with(model, &resolved, "flat")
}

/// Two dense layers behind a scale of the input.
fn scaled() -> Model<f64> {
    let mut net = Builder::<f64>::new();
    let x = net.input("x", &[2]);
    let scale = Preprocessing::new(Some(Tensor::from_elem(vec![1], 0.5)), None, &[2]).unwrap();
    let mut x = net.add("model/scale", scale, &[x]).unwrap();
    for name in ["model/fc0", "model/fc1"] {
        x = net.add(name, Dense::new(Tensor::ones(vec![2, 2]), None, &[2]).unwrap(), &[x]).unwrap();
    }
    net.finish(x).unwrap()
}

#[test]
fn preprocessing_is_meant_by_its_kind_or_by_name() {
    let model = scaled();
    let all = ["model/scale", "model/fc0", "model/fc1"];
    let forms: [(&str, &[&str]); 9] = [
        ("layers = 'first'", &["model/fc0"]),
        ("layers = 0", &["model/fc0"]),
        ("ops = 'preprocessing'", &["model/scale"]),
        ("ops = ['preprocessing', 'weighted']", &all),
        ("names = 'model/scale'", &["model/scale"]),
        ("names = '*sc*'", &["model/scale"]),
        ("names = ['model/scale', 'model/fc1']", &["model/scale", "model/fc1"]),
        // A glob for layers does not make it one.
        ("names = 'model/*'", &["model/fc0", "model/fc1"]),
        ("names = 'model/*'\nops = ['dense', 'preprocessing']", &all),
    ];
    for (selectors, expected) in forms {
        assert_eq!(selected(&model, selectors), expected, "{selectors}");
    }
    // Without an entry, relevance passes; weightless operators are something else.
    let plain = recipe("[[assign]]\nrule = 'epsilon'").unwrap().resolve(&model).unwrap();
    assert_eq!(plain.choices.len(), 2);
    assert!(
        recipe("[[assign]]\nrule = 'epsilon'\n[[assign]]\nops = 'weightless'\nrule = 'zero'")
            .unwrap()
            .resolve(&model)
            .is_err()
    );
}

/// Bounds are those of the model's input, and the scale halves them.
#[test]
fn bounds_of_z_box_are_carried_through_preprocessing() {
    let model = scaled();
    let shown = |rule: &str| {
        let text =
            format!("[[assign]]\nrule = 'zero'\n[[assign]]\nlayers = 'first'\nrule = {{ type = 'z-box', {rule} }}");
        recipe(&text).unwrap().resolve(&model).map(|resolved| rules(&model, &resolved)[0].clone())
    };
    let rule = shown("low = -1, high = [1, 3]").unwrap();
    assert!(rule.contains("z-box { low = -0.5, high = [0.5, 1.5]"), "{rule}");
    let problem = shown("low = [0, 0, 0], high = 1").unwrap_err().to_string();
    assert!(problem.contains("bounds for 3 channels do not fit the model's input of shape [2]"), "{problem}");
}

#[test]
fn layers_by_index_and_range() {
    let mlp = mlp();
    let forms: [(&str, &[&str]); 16] = [
        ("layers = 3", &["fc3"]),
        ("layers = [0, 2, 4]", &["fc0", "fc2", "fc4"]),
        ("layers = \"0..2\"", &["fc0", "fc1"]),
        ("layers = \"0..=2\"", &["fc0", "fc1", "fc2"]),
        ("layers = \"3..\"", &["fc3", "fc4"]),
        ("layers = \"..2\"", &["fc0", "fc1"]),
        ("layers = \"..=1\"", &["fc0", "fc1"]),
        ("layers = \"..\"", &["fc0", "fc1", "fc2", "fc3", "fc4"]),
        ("layers = \"first\"", &["fc0"]),
        ("layers = \"last\"", &["fc4"]),
        ("layers = [\"first\", 2, \"4..\"]", &["fc0", "fc2", "fc4"]),
        ("layers = \"0%..50%\"", &["fc0", "fc1", "fc2"]),
        ("layers = \"50%..\"", &["fc3", "fc4"]),
        ("layers = \"..20%\"", &["fc0"]),
        ("layers = \"20%..60.5%\"", &["fc1", "fc2", "fc3"]),
        ("", &["fc0", "fc1", "fc2", "fc3", "fc4"]),
    ];
    for (selectors, expected) in forms {
        assert_eq!(selected(&mlp, selectors), expected, "{selectors}");
    }
}

#[test]
fn nodes_by_kind_group_and_name() {
    let cnn = cnn();
    let forms: [(&str, &[&str]); 9] = [
        ("ops = \"conv\"", &["/features/conv1/Conv", "/features/conv2/Conv"]),
        ("ops = [\"dense\", \"add\"]", &["/features/Add", "/classifier/fc1/Gemm", "/classifier/fc2/Gemm"]),
        ("ops = \"weightless\"", &["/features/Add", "/Mean"]),
        ("names = \"/features/conv?/Conv\"", &["/features/conv1/Conv", "/features/conv2/Conv"]),
        ("names = [\"*fc1*\", \"*Mean\"]", &["/Mean", "/classifier/fc1/Gemm"]),
        ("names = \"/features/*\"\nops = \"weighted\"", &["/features/conv1/Conv", "/features/conv2/Conv"]),
        ("names = \"*1*\"\nlayers = \"..\"", &["/features/conv1/Conv", "/classifier/fc1/Gemm"]),
        ("ops = \"dense\"\nlayers = \"last\"", &["/classifier/fc2/Gemm"]),
        ("layers = \"..50%\"\nops = [\"conv\", \"dense\"]", &["/features/conv1/Conv", "/features/conv2/Conv"]),
    ];
    for (selectors, expected) in forms {
        assert_eq!(selected(&cnn, selectors), expected, "{selectors}");
    }
}

#[test]
fn first_and_last_are_decided_by_topology() {
    let branches = branches();
    assert_eq!(selected(&branches, "layers = 0"), ["a1"]);
    assert_eq!(selected(&branches, "layers = \"first\""), ["a1", "b1"]);
    assert_eq!(selected(&branches, "layers = \"last\""), ["a2", "b1"]);
}

#[test]
fn optional_entries_may_match_nothing() {
    let mlp = mlp();
    for selectors in ["ops = \"conv\"", "names = \"conv*\"", "layers = 9", "layers = \"7..\"", "layers = \"10%..15%\""]
    {
        assert!(selected(&mlp, &format!("{selectors}\noptional = true")).is_empty(), "{selectors}");
    }
    assert_eq!(selected(&mlp, "layers = \"3..9\"\noptional = true"), ["fc3", "fc4"]);
}

#[test]
fn later_entries_override_earlier_ones() {
    let mlp = mlp();
    let text = "
        [[assign]]
        rule = 'epsilon'
        [[assign]]
        layers = '1..'
        rule = 'zero'
        [[assign]]
        layers = '2..=3'
        rule = { type = 'gamma', gamma = 1 }
    ";
    let resolved = recipe(text).unwrap().resolve(&mlp).unwrap();
    let gamma = "gamma { gamma = 1.0, stabilizer = 1e-6 }";
    let expected = [
        "fc0: epsilon { epsilon = 1e-6 }",
        "fc1: zero",
        &format!("fc2: {gamma}"),
        &format!("fc3: {gamma}"),
        "fc4: zero",
    ];
    assert_eq!(rules(&mlp, &resolved), expected);
    let origins: Vec<String> = resolved.choices.values().map(|choice| choice.origin.to_string()).collect();
    assert_eq!(origins[0], "test.toml:3 (entry 1)");
    assert_eq!(origins[1], "test.toml:5 (entry 2)");
    assert_eq!(origins[2], "test.toml:8 (entry 3)");
}

#[test]
fn weightless_operators_get_norm_and_the_rest_keeps_its_behaviour() {
    let cnn = cnn();
    let resolved = recipe("[[assign]]\nrule = 'zero'").unwrap().resolve(&cnn).unwrap();
    assert_eq!(nodes_with(&cnn, &resolved, "norm"), ["/features/Add", "/Mean"]);
    assert_eq!(resolved.choices.len(), 6);
    let origins: Vec<String> = resolved.choices.values().map(|choice| choice.origin.to_string()).collect();
    assert_eq!(origins[2], "default (norm for weightless operators)");
}

#[test]
fn activations_take_rules_that_mean_something_there() {
    let cnn = cnn();
    let text = "
        [[assign]]
        rule = 'gradient'
        [[assign]]
        ops = 'relu'
        rule = 'guided-backprop'
        [[assign]]
        names = '/classifier/Relu'
        rule = 'pass'
    ";
    let resolved = recipe(text).unwrap().resolve(&cnn).unwrap();
    assert_eq!(nodes_with(&cnn, &resolved, "guided-backprop"), ["/features/relu1/Relu"]);
    assert_eq!(nodes_with(&cnn, &resolved, "pass"), ["/classifier/Relu"]);
    Plan::new(cnn.into(), &resolved.assignment()).unwrap();
}

#[test]
fn products_take_a_rule_of_their_own() {
    let model = gated();
    let shown = |ops: &str, rule: &str| {
        let text = format!("[[assign]]\nrule = 'zero'\n[[assign]]\n{ops}\nrule = {rule}");
        let resolved = recipe(&text).unwrap().resolve(&model).unwrap();
        Plan::new(model.clone().into(), &resolved.assignment()).unwrap();
        rules(&model, &resolved)[1].clone()
    };
    assert_eq!(shown("ops = 'product'", "'product'"), "gated: product { factors = \"gate\" }");
    let uniform = "{ type = 'product', factors = 'uniform' }";
    assert_eq!(shown("ops = 'mul'", uniform), "gated: product { factors = \"uniform\" }");
    // Of the nodes of these names, the rule means the product.
    assert_eq!(shown("names = '*gate*'", uniform), "gated: product { factors = \"uniform\" }");
    let untouched = recipe("[[assign]]\nrule = 'zero'").unwrap().resolve(&model).unwrap();
    assert_eq!(rules(&model, &untouched), ["signal: zero", "end: zero"]);
}

#[test]
fn a_recipe_can_name_the_gate_or_the_signal() {
    let model = gated();
    let shown = |keys: &str| {
        let text =
            format!("[[assign]]\nrule = 'zero'\n[[assign]]\nops = 'product'\nrule = {{ type = 'product', {keys} }}");
        let resolved = recipe(&text).unwrap().resolve(&model).unwrap();
        Plan::new(model.clone().into(), &resolved.assignment()).unwrap();
        rules(&model, &resolved)[1].clone()
    };
    assert_eq!(shown("signal = 0"), "gated: product { signal = 0 }");
    assert_eq!(shown("gate = 0"), "gated: product { gate = 0 }");
    // The factor's own node, or one before it.
    assert_eq!(shown("signal = 'sig*'"), "gated: product { signal = 0 }");
    assert_eq!(shown("factors = 'gate', gate = 'gate'"), "gated: product { gate = 1 }");
    assert_eq!(shown("signal = '?ate'"), "gated: product { signal = 1 }");
    // Far from the product, but not beyond a weighted layer: 'conv_a' makes one input, 'conv_b' the other.
    let model = nets::gated_far();
    let shown = |keys: &str| {
        let text =
            format!("[[assign]]\nrule = 'zero'\n[[assign]]\nops = 'product'\nrule = {{ type = 'product', {keys} }}");
        recipe(&text).unwrap().resolve(&model).map(|resolved| rules(&model, &resolved).last().unwrap().clone())
    };
    assert_eq!(shown("signal = '*conv_a*'").unwrap(), "product: product { signal = 0 }");
    assert_eq!(shown("gate = 'conv_b'").unwrap(), "product: product { gate = 1 }");
    let error = |keys: &str| shown(keys).unwrap_err().to_string();
    let none = error("signal = 'conv_c'");
    assert!(none.contains("test.toml:6:37: 'conv_c' matches no node that makes one input only of 'product'"), "{none}");
    assert!(
        none.contains("input 0 is made by 'relu', 'conv_a'") && none.contains("signal = 0 or signal = 1"),
        "{none}"
    );
    let both = error("gate = 'conv_?'");
    assert!(both.contains("test.toml:6:35: 'conv_?' matches nodes of both inputs"), "{both}");
    // Behind a weighted layer, and what makes both.
    for glob in ["stem", "x"] {
        assert!(error(&format!("gate = '{glob}'")).contains("matches no node that makes one input only"), "{glob}");
    }
}

#[test]
fn every_rule_is_made_from_its_keys() {
    let mlp = mlp();
    let rules_and_display = [
        ("'zero'", "zero"),
        ("{ type = 'zero', bias = 'ignore' }", "zero { bias = \"ignore\" }"),
        ("'epsilon'", "epsilon { epsilon = 1e-6 }"),
        ("{ type = 'epsilon', epsilon = 1 }", "epsilon { epsilon = 1.0 }"),
        ("{ type = 'epsilon', epsilon = { relative = 0.25 } }", "epsilon { epsilon = { relative = 0.25 } }"),
        ("{ type = 'gamma', gamma = 0.5, stabilizer = 0.1 }", "gamma { gamma = 0.5, stabilizer = 0.1 }"),
        ("{ type = 'alpha-beta', alpha = 1, beta = 0 }", "alpha-beta { alpha = 1.0, beta = 0.0, stabilizer = 1e-6 }"),
        ("{ type = 'z-plus', bias = 'distribute' }", "z-plus { stabilizer = 1e-6, bias = \"distribute\" }"),
        ("'w-square'", "w-square { stabilizer = 1e-6 }"),
        ("'flat'", "flat { stabilizer = 1e-6 }"),
        ("{ type = 'z-box', low = -1, high = [1, 2] }", "z-box { low = -1.0, high = [1.0, 2.0], stabilizer = 1e-6 }"),
        ("'pass'", "pass"),
        ("'gradient'", "gradient"),
        ("'guided-backprop'", "guided-backprop"),
        ("'deconvnet'", "deconvnet"),
        ("{ type = 'norm', residual = 'skip-only' }", "norm { stabilizer = 1e-6, residual = \"skip-only\" }"),
    ];
    for (written, shown) in rules_and_display {
        let resolved = recipe(&format!("[[assign]]\nrule = {written}")).unwrap().resolve(&mlp).unwrap();
        assert_eq!(rules(&mlp, &resolved)[0], format!("fc0: {shown}"));
    }
}

#[test]
fn z_box_takes_its_bounds_from_the_rule_or_from_the_input_section() {
    let mlp = mlp();
    let shown = |input: &str, rule: &str| {
        let text = format!("[[assign]]\nrule = 'zero'\n[[assign]]\nlayers = 'first'\nrule = {rule}\n[input]\n{input}");
        rules(&mlp, &recipe(&text).unwrap().resolve(&mlp).unwrap())[0].clone()
    };
    let input = "range = [0, 1]\nmean = [0.5, 0.25]\nstd = 0.5";
    assert_eq!(shown(input, "'z-box'"), "fc0: z-box { low = [-1.0, -0.5], high = [1.0, 1.5], stabilizer = 1e-6 }");
    assert_eq!(
        shown(input, "{ type = 'z-box', low = -3, high = 3 }"),
        "fc0: z-box { low = -3.0, high = 3.0, stabilizer = 1e-6 }"
    );
    assert_eq!(
        shown("range = [[0, 1], [0, 2]]", "'z-box'"),
        "fc0: z-box { low = [0.0, 0.0], high = [1.0, 2.0], stabilizer = 1e-6 }"
    );
}
