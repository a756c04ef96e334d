//! Every mistake, with the line that a person gets to read.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod nets;

use lrp_config::{Recipe, RecipeError};
use lrp_core::Model;
use miette::Diagnostic as _;
use nets::{cnn, gated, mlp, recipe};

/// Messages about a recipe (its first line, `schema = 1`, is added) before it has met a model.
fn reading(text: &str) -> String {
    recipe(text).unwrap_err().to_string()
}

/// Messages about a recipe when it meets a model. Its first entry, `zero` for every layer, is added on lines 2 and 3.
fn resolving(model: &Model<f64>, text: &str) -> String {
    let recipe = recipe(&format!("[[assign]]\nrule = 'zero'\n{text}")).unwrap();
    recipe.resolve(model).unwrap_err().to_string()
}

const ENTRY: &str = "[[assign]]\nrule = 'zero'\n";

#[test]
fn unknown_keys() {
    let all = "schema, name, description, extends, times_input, input, assign, model, explain, output, compare";
    assert_eq!(
        reading(&format!("nam = 'x'\n{ENTRY}")),
        format!("test.toml:2:1: unknown key 'nam' (did you mean 'name'? There are: {all})")
    );
    assert_eq!(
        reading("[[assign]]\nlayer = 3\nrule = 'zero'"),
        "test.toml:3:1: unknown key 'layer' (did you mean 'layers'? There are: layers, ops, names, attention, state_space, rule, optional)"
    );
    assert_eq!(
        reading("[[assign]]\nrule = { type = 'gamma', gama = 1 }"),
        "test.toml:3:26: unknown key 'gama' (did you mean 'gamma'? There are: gamma, stabilizer, bias)"
    );
    assert_eq!(
        reading("[[assign]]\nrule = { type = 'pass', gamma = 1 }"),
        "test.toml:3:25: unknown key 'gamma' (no keys are known here; 'gamma' is a key of the rule gamma)"
    );
    assert_eq!(
        reading(&format!("{ENTRY}[explain]\ntarget = {{ tops = 3 }}")),
        "test.toml:5:12: unknown key 'tops' (did you mean 'top'? There are: top, contrast, index, at, each, box, region, similarity, seed, class, classes, skip, output, measure)"
    );
}

#[test]
fn a_rule_for_products_meets_something_else() {
    assert_eq!(
        resolving(&mlp(), "[[assign]]\nlayers = 0\nrule = 'product'"),
        "test.toml:6:8: the rule 'product' is for products of two activations, and the entry addresses 'fc0' (dense) \
         (`ops = \"product\"` selects those)"
    );
    assert_eq!(
        resolving(&gated(), "[[assign]]\nops = 'mul'\nrule = 'epsilon'"),
        "test.toml:6:8: the rule 'epsilon' is for affine operators, and the entry addresses 'gated' (mul) (activations, \
         pooling and structural operators take pass, gradient, guided-backprop or deconvnet)"
    );
}

#[test]
fn a_product_without_such_an_input() {
    let rule = |keys: &str| format!("[[assign]]\nops = 'mul'\nrule = {{ type = 'product', {keys} }}");
    assert_eq!(
        reading(&rule("signal = 2")),
        "test.toml:4:37: signal: a product has the inputs 0 and 1, got 2 (`lrp plan` says what each of them is)"
    );
    assert_eq!(
        reading(&rule("gate = true")),
        "test.toml:4:35: gate: expected 0, 1, or a glob over node names, got boolean true"
    );
    assert_eq!(
        reading(&rule("gate = 1, signal = 0")),
        "test.toml:4:47: gate and signal each say all: give one of them (leave out factors where gate or signal names an \
         input)"
    );
    assert_eq!(
        reading(&rule("factors = 'uniform', signal = 0")),
        "test.toml:4:38: uniform gives half to each input, whichever is the gate or the signal (leave out factors where \
         gate or signal names an input)"
    );
}

#[test]
fn misspelt_rules() {
    let all = "zero, epsilon, gamma, alpha-beta, z-plus, gains, w-square, flat, z-box, pass, norm, product, constant, taylor, gradient, \
               guided-backprop, deconvnet";
    assert_eq!(
        reading("[[assign]]\nrule = { type = 'epsilonn', epsilon = 1 }"),
        format!("test.toml:3:17: there is no rule 'epsilonn' (did you mean 'epsilon'? There are: {all})")
    );
    assert_eq!(
        reading("[[assign]]\nrule = 'alpha_beta'"),
        format!("test.toml:3:8: there is no rule 'alpha_beta' (did you mean 'alpha-beta'? There are: {all})")
    );
    let help = "(write a rule as \"zero\" or { type = \"gamma\", gamma = 0.25 })";
    assert_eq!(reading("[[assign]]\nrule = { gamma = 1 }"), format!("test.toml:3:8: the rule has no `type` {help}"));
    assert_eq!(reading("[[assign]]\nrule = 3"), format!("test.toml:3:8: rule: expected a rule, got an integer {help}"));
    assert_eq!(
        reading("[[assign]]\nrule = { type = 3 }"),
        format!("test.toml:3:17: type: expected a rule's name, got an integer {help}")
    );
    assert_eq!(reading("[[assign]]\nlayers = 3"), format!("test.toml:2:1: the key 'rule' is missing {help}"));
}

#[test]
fn other_names_that_do_not_exist() {
    let error = reading("extends = 'epsilon-pluss'");
    assert!(
        error.starts_with(
            "test.toml:2:11: extends: there is no preset 'epsilon-pluss' (did you mean 'epsilon-plus'? There are: epsilon-plus, "
        ),
        "{error}"
    );
    let error = reading("[compare]\nrecipes = ['lrp-0', 'lrp-gama']");
    assert!(error.contains("recipes: there is no preset 'lrp-gama' (did you mean 'lrp-gamma'?"), "{error}");
    let error = reading("[[assign]]\nops = 'convv'\nrule = 'zero'");
    assert!(
        error.starts_with(
            "test.toml:3:7: ops: there is no kind of operator 'convv' (did you mean 'conv'? There are: dense, "
        ),
        "{error}"
    );
    assert_eq!(
        reading("[[assign]]\nrule = { type = 'zero', bias = 'ignored' }"),
        "test.toml:3:32: bias: there is no 'ignored' (did you mean 'ignore'? There are: absorb, ignore, distribute)"
    );
    assert_eq!(
        reading(&format!("{ENTRY}[output]\ncolormap = 'jet'")),
        "test.toml:5:12: colormap: there is no colour map 'jet' (there are: bwr, france, seismic, coolio, coleus, coldnhot, gray, \
         wred, wblue, hot, cold; or write colours: \"00f,80:fff,f00\")"
    );
    for (line, message) in [
        (
            "colormap = 'siesmic'",
            "5:12: colormap: there is no colour map 'siesmic' (did you mean 'seismic'? There are: ",
        ),
        (
            "colormap = '00f,80:ffg,f00'",
            "5:12: colormap: colour 2, 'ffg', is none (a colour has 3 or 6 hexadecimal digits",
        ),
        (
            "colormap = '00f,c0:fff,80:f00'",
            "5:12: colormap: colour 3 is at 80, behind it c0 has passed (write colours in",
        ),
        ("clip = 0", "5:8: clip: must be greater than 0 and at most 100, got 0"),
        ("overlay = 1.5", "5:11: overlay: must be greater than 0 and at most 1, got 1.5"),
        ("size = 'big'", "5:8: size: 'big' is no size (write the pixels of the longer side, 448, or a factor, \"4x\")"),
        ("size = 0", "5:8: size: must be from 1 to 16384, got 0"),
        (
            "scale = 'positiv'",
            "5:9: scale: there is no 'positiv' (did you mean 'positive'? There are: symmetric, positive)",
        ),
        (
            "save = 'npzz'",
            "5:8: save: there is no 'npzz' (did you mean 'npz'? There are: npy, png, svg, json, html, npz, ",
        ),
    ] {
        let said = reading(&format!("{ENTRY}[output]\n{line}"));
        assert!(said.starts_with(&format!("test.toml:{message}")), "{said}");
    }
    assert_eq!(
        reading(&format!("{ENTRY}[input]\nresize = 'cropp'")),
        "test.toml:5:10: resize: there is no 'cropp' (did you mean 'crop'? There are: crop, stretch)"
    );
    assert_eq!(
        reading(&format!("{ENTRY}[output]\nsave = ['npy', 'pnd']")),
        "test.toml:5:16: save: there is no 'pnd' (did you mean 'png'? There are: npy, png, svg, json, html, npz, safetensors, \
         quantus, virelay)"
    );
}

#[test]
fn wrong_types() {
    assert_eq!(
        reading(&format!("name = 3\n{ENTRY}")),
        "test.toml:2:8: name: expected a string, got integer 3 (text stands in quotes)"
    );
    assert_eq!(
        reading("[[assign]]\nrule = { type = 'gamma', gamma = 'much' }"),
        "test.toml:3:34: gamma: expected a finite number, got string \"much\" (write it with digits: 0.25, 1e-6)"
    );
    for (line, said) in [
        ("dir = 3", "5:7: dir: expected a string, got integer 3 (text stands in quotes)"),
        ("scale = 1", "5:9: scale: expected a string, got integer 1 (there are: symmetric, positive)"),
        ("save = 1", "5:8: save: expected a string, got integer 1 (text stands in quotes)"),
        ("dir = 2024-05-06", "5:7: dir: expected a string, got a date or time (text stands in quotes)"),
        ("clip = 1e999", "5:8: clip: the number is too large for double precision"),
    ] {
        assert_eq!(reading(&format!("{ENTRY}[output]\n{line}")), format!("test.toml:{said}"));
    }
    for (line, said) in [
        ("inputs = { a = 3 }", "5:16: a: expected a string, got integer 3 (text stands in quotes)"),
        ("target = -1", "5:10: target: expected an integer from 0 up, got integer -1 (count from 0, without quotes)"),
        ("target = { contrast = [0, 1, 2] }", "5:23: contrast: invalid length 3, expected an array of length 2"),
        (
            "target = { top = 3, tops = 3 }",
            "5:21: unknown key 'tops' (did you mean 'top'? There are: top, contrast, index, at, each, box, region, similarity, seed, class, classes, skip, output, measure)",
        ),
    ] {
        assert_eq!(reading(&format!("{ENTRY}[explain]\n{line}")), format!("test.toml:{said}"));
    }
    assert_eq!(
        reading("[[assign]]\noptional = 1\nrule = 'zero'"),
        "test.toml:3:12: optional: expected true or false, got integer 1 (write true or false, without quotes)"
    );
    assert_eq!(
        reading("assign = 3"),
        "test.toml:2:10: assign: expected a list, got integer 3 (entries are a list: each begins with [[assign]])"
    );
    assert_eq!(
        reading(&format!("input = 3\n{ENTRY}")),
        "test.toml:2:9: input: expected a table, got integer 3 (a section begins with its name in brackets, its keys below it)"
    );
    assert_eq!(
        reading("[[assign]]\nlayers = true\nrule = 'zero'"),
        "test.toml:3:10: layers: expected an index, a list of them, or a range, got boolean true"
    );
    assert_eq!(
        reading("[[assign]]\nrule = { type = 'epsilon', epsilon = 'big' }"),
        "test.toml:3:38: epsilon: expected a finite number or { relative = 0.25 }, got string \"big\""
    );
    assert_eq!(
        reading(&format!("{ENTRY}[explain]\nbatch = 0\ntarget = true")),
        "test.toml:5:9: batch: must be at least 1, got 0 (count from 1 here, or leave the key out)\ntest.toml:6:10: target: expected \"argmax\", \"all\", \"sum\", a class, \
         or a table such as { top = 3 } or { at = -1, class = 7 }, got boolean true"
    );
}

#[test]
fn the_version_of_the_format() {
    let read = |text: &str| Recipe::parse(text, "test.toml", "").unwrap_err().to_string();
    assert_eq!(
        read("[[assign]]\nrule = 'zero'\n"),
        "test.toml:1:1: the recipe does not say its format's version (write `schema = 1` as the first line)"
    );
    assert_eq!(
        read("schema = 2\nfrom_the_future = true\n"),
        "test.toml:1:10: the recipe is written in version 2 of the format (this program reads version 1)"
    );
    assert_eq!(
        read("schema = 'one'\n"),
        "test.toml:1:10: schema: expected an integer from 0 up, got string \"one\" (count from 0, without quotes)"
    );
}

#[test]
fn not_toml() {
    assert_eq!(
        reading("[[assign]]\nrule = 'zero\n[output]\n"),
        "test.toml:3:13: this is not TOML: invalid literal string, expected `'` (a string ends with the quote that it began with)"
    );
    let error = reading("[[assign]]\nlayers = 0..4\nrule = 'zero'\n");
    assert!(error.ends_with(" (a range stands in quotes: layers = \"0..4\")"), "{error}");
    assert!(reading("name = 'a'\nname = 'b'\n").starts_with("test.toml:3:1: this is not TOML: duplicate key"));
}

#[test]
fn parameters_out_of_range() {
    assert_eq!(
        reading("[[assign]]\nrule = { type = 'alpha-beta', alpha = 2, beta = 2 }"),
        "test.toml:3:49: alpha − beta must be 1, got 2 − 2 (beta is alpha − 1: with this alpha, beta = 1)"
    );
    assert_eq!(
        reading("[[assign]]\nrule = { type = 'epsilon', epsilon = -0.1 }"),
        "test.toml:3:38: epsilon must be a finite number ≥ 0, got -0.1 (epsilon is a size: 0 or more)"
    );
    assert_eq!(
        reading("[[assign]]\nrule = { type = 'epsilon', epsilon = { relative = -1 } }"),
        "test.toml:3:38: epsilon must be a finite number ≥ 0, got -1 (epsilon is a size: 0 or more)"
    );
    for number in ["nan", "inf", "-inf"] {
        let error = reading(&format!("[[assign]]\nrule = {{ type = 'gamma', gamma = {number} }}"));
        assert!(error.starts_with("test.toml:3:34: gamma: expected a finite number, got number "), "{error}");
        let error = reading(&format!("[[assign]]\nrule = {{ type = 'epsilon', epsilon = {number} }}"));
        assert!(error.starts_with("test.toml:3:38: epsilon: expected a finite number, got number "), "{error}");
        let error = reading(&format!("{ENTRY}[input]\nmean = [0.5, {number}]"));
        assert!(error.starts_with("test.toml:5:14: mean: expected a finite number, got number "), "{error}");
    }
}

#[test]
fn sections_that_make_no_sense() {
    assert_eq!(
        reading(&format!("{ENTRY}[input]\nstd = [1, 0]")),
        "test.toml:5:7: std: must be greater than 0, got 0 (it is divided by; leave it out for 1)"
    );
    assert_eq!(
        reading(&format!("{ENTRY}[input]\nrange = [1, 0]")),
        "test.toml:5:9: range: must go from low to high, got 1 to 0 (the lowest value comes first: range = [0.0, 1.0])"
    );
    assert_eq!(
        reading(&format!("{ENTRY}[input]\nrange = [0, 1, 2]")),
        "test.toml:5:9: range: expected [low, high], or a list with such a pair for each channel (for example range = [0.0, 1.0])"
    );
    assert_eq!(
        reading(&format!("{ENTRY}[input]\nmean = [0, 0, 0]\nstd = [1, 1]")),
        "test.toml:6:7: `mean` is for 3 channels and `std` for 2 (give one value for all channels, or one for each)"
    );
    assert_eq!(
        reading("[compare]\nrecipes = ['lrp-0', 'lrp-gamma']\ntitles = ['A']"),
        "test.toml:2:1: 1 title for 2 recipes (give `recipes` a list of presets or files, and `titles` one for each of them, or leave it out)"
    );
    assert_eq!(
        reading(&format!("{ENTRY}[output]\nfigure = 'a.jpg'")),
        "test.toml:5:10: figure: a figure is a PNG or SVG file (let its name end in .png or .svg)"
    );
    assert_eq!(
        reading("name = 'nothing'"),
        "test.toml:1:1: the recipe gives no rule to any layer (add an entry ([[assign]] and below it, say, rule = \
         \"epsilon\"), or extend a preset (extends = \"epsilon-plus\"))"
    );
}

#[test]
fn selectors_that_cannot_be_read() {
    let forms = "(layers take 3, [0, 2, 5], \"0..=4\", \"5..\", \"..3\", \"first\", \"last\", \"0%..50%\")";
    let layers = |text: &str| reading(&format!("[[assign]]\nlayers = {text}\nrule = 'zero'"));
    assert_eq!(layers("'frist'"), format!("test.toml:3:10: layers: 'frist' is no layer {forms}"));
    assert_eq!(layers("'4..2'"), format!("test.toml:3:10: layers: the range '4..2' is empty {forms}"));
    assert_eq!(layers("[]"), format!("test.toml:3:10: layers: the list is empty {forms}"));
    assert_eq!(
        layers("[0, -1]"),
        "test.toml:3:14: layers: expected an integer from 0 up, got integer -1 (\"last\" is the last layer)"
    );
    assert!(reading("[[assign]]\nnames = '[a'\nrule = 'zero'").starts_with("test.toml:3:9: names: '[a' is no glob: "));
    assert_eq!(
        reading("[[assign]]\nops = []\nrule = 'zero'"),
        "test.toml:3:7: ops: the list is empty (give at least one, or leave the key out)"
    );
}

#[test]
fn layers_beyond_the_model() {
    let help = "(`lrp layers` lists them; `optional = true` allows models without them)";
    assert_eq!(
        resolving(&mlp(), "[[assign]]\nlayers = '0..=5'\nrule = 'flat'"),
        format!("test.toml:5:10: layer 5 is beyond the model, which has 5 weighted layers (0 to 4) {help}")
    );
    assert_eq!(
        resolving(&mlp(), "[[assign]]\nlayers = [1, 7]\nrule = 'flat'"),
        format!("test.toml:5:10: layer 7 is beyond the model, which has 5 weighted layers (0 to 4) {help}")
    );
}

#[test]
fn entries_that_match_nothing() {
    assert_eq!(
        resolving(&mlp(), "[[assign]]\nops = ['conv', 'add']\nrule = 'flat'"),
        "test.toml:5:7: entry 2 matches nothing in this model (the model has: dense, relu; `optional = true` allows models \
         without it)"
    );
    assert_eq!(
        resolving(&cnn(), "[[assign]]\nops = 'relu'\nlayers = 0\nrule = 'pass'"),
        "test.toml:4:1: entry 2 matches nothing in this model (`layers` counts weighted layers only, and selectors must all \
         match)"
    );
    assert_eq!(
        resolving(&mlp(), "[[assign]]\nlayers = '10%..15%'\nrule = 'flat'"),
        "test.toml:4:1: entry 2 matches nothing in this model (selectors must all match; `optional = true` allows that \
         nothing does)"
    );
}

#[test]
fn a_bare_name_is_no_substring_match() {
    assert_eq!(
        resolving(&cnn(), "[[assign]]\nnames = 'conv1'\nrule = 'flat'"),
        "test.toml:5:9: entry 2 matches nothing in this model (names are matched whole: '*conv1*' would match \
         '/features/conv1/Conv')"
    );
    assert_eq!(
        resolving(&mlp(), "[[assign]]\nnames = 'fcc1'\nrule = 'flat'"),
        "test.toml:5:9: entry 2 matches nothing in this model (did you mean 'fc1'? `lrp layers` lists the names)"
    );
}

#[test]
fn rules_that_mean_nothing_for_an_activation() {
    assert_eq!(
        resolving(&cnn(), "[[assign]]\nops = 'relu'\nrule = { type = 'gamma' }"),
        "test.toml:6:8: the rule 'gamma' is for affine operators, and the entry addresses '/features/relu1/Relu' (relu), \
         '/classifier/Relu' (relu) (activations, pooling and structural operators take pass, gradient, guided-backprop or \
         deconvnet)"
    );
    assert_eq!(
        resolving(&cnn(), "[[assign]]\nnames = '/classifier/Rel*'\nrule = 'flat'"),
        "test.toml:6:8: the rule 'flat' is for affine operators, and the entry addresses '/classifier/Relu' (relu) \
         (activations, pooling and structural operators take pass, gradient, guided-backprop or deconvnet)"
    );
    // A glob over a whole module addresses what the rule can mean: its layers, not its activations.
    let recipe = recipe("[[assign]]\nrule = 'zero'\n[[assign]]\nnames = '/classifier/*'\nrule = 'flat'").unwrap();
    let model = cnn();
    for (id, choice) in recipe.resolve(&model).unwrap().choices {
        let name = &model.node(id).name;
        assert_eq!(choice.rule.to_string().starts_with("flat"), name.starts_with("/classifier/"), "{name}");
    }
}

#[test]
fn layers_without_a_rule_are_all_listed() {
    let recipe = recipe("[[assign]]\nlayers = '1..3'\nrule = 'flat'").unwrap();
    assert_eq!(
        recipe.resolve(&mlp()).unwrap_err().to_string(),
        "test.toml:2:1: no entry gives a rule to these layers: 0 'fc0', 3 'fc3', 4 'fc4' (begin with an entry for all \
         layers: one without `layers`, `ops` and `names`)"
    );
}

#[test]
fn z_box_without_bounds() {
    assert_eq!(
        resolving(&mlp(), "[[assign]]\nlayers = 'first'\nrule = 'z-box'"),
        "test.toml:6:8: z-box needs to know the lowest and highest values of the model's input (give range = [0.0, 1.0] \
         under [input], with the model's mean and std if it has any; or low and high on the rule)"
    );
    assert_eq!(
        Recipe::preset("epsilon-gamma-box").unwrap().resolve(&mlp()).unwrap_err().to_string(),
        "preset epsilon-gamma-box:17:10: z-box needs to know the lowest and highest values of the model's input (write a \
         recipe with `extends = \"epsilon-gamma-box\"` and range = [0.0, 1.0] under [input], with the model's mean and std \
         if it has any)"
    );
}

#[test]
fn all_mistakes_are_shown_at_once_in_their_order() {
    let error = reading(
        "nam = 'x'\n[input]\nstd = 0\nmeen = 1\n[[assign]]\nrule = 'zeroo'\n[[assign]]\nlayer = 1\nops = 'conf'\n\
         rule = { type = 'epsilon', epsilon = -1, bia = 'x' }\n[[assign]]\n[output]\nsave = ['pnd']\n",
    );
    let places: Vec<&str> = error.lines().map(|line| line.split(": ").next().unwrap()).collect();
    let expected =
        ["2:1", "4:7", "5:1", "7:8", "9:1", "10:7", "11:38", "11:42", "14:9"].map(|p| format!("test.toml:{p}"));
    assert_eq!(places, expected, "{error}");
}

#[test]
fn a_misfit_found_later_can_point_to_its_entry() {
    let mlp = mlp();
    let recipe = recipe("[[assign]]\nrule = 'norm'").unwrap();
    let resolved = recipe.resolve(&mlp).unwrap();
    let error: RecipeError = resolved.diagnose(mlp.layers()[0], "'norm' is no rule for a layer with weights");
    assert_eq!(error.to_string(), "test.toml:3:8: 'norm' is no rule for a layer with weights");
    let unchosen = mlp.nodes().find(|(_, node)| node.name == "relu0").unwrap().0;
    assert!(resolved.diagnose(unchosen, "something").to_string().starts_with("something (no entry chose"));
}

#[test]
fn diagnostics_are_ready_to_be_drawn() {
    let error = recipe("[[assign]]\nrule = { type = 'gamma', gama = 1 }").unwrap_err();
    let diagnostic = &error.diagnostics()[0];
    let label = diagnostic.labels().unwrap().next().unwrap();
    assert_eq!((label.offset(), label.len(), label.label()), (47, 4, Some("not known here")));
    let drawn = diagnostic.source_code().unwrap().read_span(label.inner(), 0, 0).unwrap();
    assert_eq!((drawn.name(), drawn.line(), drawn.column()), (Some("test.toml"), 2, 25));
    assert_eq!(error.related().unwrap().count(), 1);
}

#[test]
fn no_text_makes_it_panic() {
    let text = include_str!("../presets/guided-backprop.toml");
    for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
        let _ = Recipe::parse(&text[..end], "cut.toml", "");
        let _ = Recipe::parse(&text.replace(&text[end..].chars().take(1).collect::<String>(), "9"), "mangled.toml", "");
    }
}
