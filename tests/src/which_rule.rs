//! The numbers of `docs/which-rule.md`: measures of heatmaps on the bundled networks and digits, as Markdown tables.
//!
//! Everything is computed in f64 and with seeded noise: the same numbers every time.

#![allow(clippy::expect_used, reason = "the bundled networks, recipes and pictures are part of the repository")]

mod bundled;
pub mod measure;

use std::f64::consts::TAU;

use lrp_config::Recipe;
use lrp_core::ledger::Totals;
use lrp_core::{Target, Tensor};

use crate::{Random, Table};
use bundled::{Network, SIDE, batch, digits, patched_nines, root, rows};
use measure::{
    area, cosine, gini, in_patch, mean, negative_share, pixels_above, pixels_holding, relative_distance, roughness,
    share_in_patch, size,
};

/// Standard deviation of the noise that instability is measured with; white is 1.
const NOISE: f64 = 0.02;
/// How often noise is drawn for each picture.
const DRAWS: usize = 4;
/// How many random orders of pixels the baseline of pixel flipping is averaged over.
const ORDERS: u64 = 10;
/// How many pixels are flipped, and the shorter stretch that is reported as well; the logit is read after every `READ` flips.
const FLIPS: (usize, usize) = (20, 100);
const READ: usize = 4;
/// The height and width of the blocks that are flipped as a whole, and how many of them are.
const BLOCK: usize = 4;
const BLOCKS: usize = 10;

/// Everything, in the order of the page.
pub fn tables() -> Vec<Table> {
    let cnn = Network::load("cnn.onnx");
    let clever_hans = Network::load("clever-hans.onnx");
    let (digits, nines) = (digits(), patched_nines());
    vec![
        gradient_input(&[("cnn.onnx", &cnn, &digits), ("clever-hans.onnx", &clever_hans, &nines)]),
        noise(&cnn, &digits),
        growing_epsilon(&cnn, &digits),
        signs(&cnn, &digits, &clever_hans, &nines),
        growing_gamma(&cnn, &digits),
        patch(&clever_hans, &nines),
        without_patch(&clever_hans, &nines),
        flipping(&cnn, &digits),
        two_classes(&cnn, &digits),
        ledger(&cnn, &digits),
    ]
}

/// The six recipes of the figures.
fn candidates() -> Vec<(&'static str, Recipe)> {
    let preset = |name| Recipe::preset(name).expect("a preset");
    let config = |name| Recipe::load(root().join("configs").join(name)).expect("a recipe of the repository");
    vec![
        ("LRP-0", preset("lrp-0")),
        ("LRP-ε, ε = 0.25 rms(z)", config("epsilon-relative.toml")),
        ("LRP-γ, γ = 0.25", preset("lrp-gamma")),
        ("LRP-α1β0", preset("lrp-a1b0")),
        ("LRP-α2β1", preset("lrp-a2b1")),
        ("composite", config("montavon-composite.toml")),
    ]
}

/// One rule for everything affine, average pooling included.
fn uniform(rule: &str) -> Recipe {
    let entry = format!("[[assign]]\nrule = {{ {rule} }}\n");
    let text = format!("schema = 1\n{entry}{entry}ops = \"weightless\"\noptional = true\n");
    Recipe::parse(&text, "uniform.toml", "").expect("a valid recipe")
}

fn fixed(value: f64, digits: usize) -> String {
    format!("{value:.digits$}")
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// As [`percent`], and a plain 0 for nothing at all.
fn percent_or_zero(share: f64) -> String {
    if share == 0.0 { "0".to_owned() } else { percent(share) }
}

/// The next power of ten above ten times a rounding error, which differs from machine to machine.
fn bound(error: f64) -> String {
    format!("< 1e{}", (10.0 * error).log10().ceil())
}

fn gradient_input(cases: &[(&str, &Network, &Tensor<f64>)]) -> Table {
    let recipe = |name| Recipe::preset(name).expect("a preset");
    let head = ["network", "pictures", "pixels not black", "difference / largest in the map", "difference / own size"];
    let mut table = Table::new("LRP-0 and gradient × input", &head);
    for (name, network, x) in cases {
        let (a, b) = (network.maps(&recipe("lrp-0"), x), network.maps(&recipe("gradient-input"), x));
        let (mut of_map, mut of_pixel) = (0.0, 0.0);
        for (a, b) in a.iter().zip(&b) {
            let largest = b.iter().fold(0.0, |m: f64, b| m.max(b.abs()));
            for (a, b) in a.iter().zip(b).filter(|(a, b)| a != b) {
                of_map = f64::max(of_map, (a - b).abs() / largest);
                of_pixel = f64::max(of_pixel, (a - b).abs() / b.abs());
            }
        }
        let lit = fixed(over(&rows(x), |picture| picture.iter().filter(|v| **v > 0.0).count() as f64), 0);
        table.row(*name, [a.len().to_string(), lit, bound(of_map), bound(of_pixel)]);
    }
    table
}

/// The mean of a measure over maps.
fn over(maps: &[Vec<f64>], measure: impl Fn(&[f64]) -> f64) -> f64 {
    mean(maps.iter().map(|map| measure(map)))
}

/// Copies of the pictures with Gaussian noise on the pixels that are not black, the same for every recipe.
fn noisy(x: &Tensor<f64>) -> Vec<Tensor<f64>> {
    let mut random = Random(1);
    let mut gauss = || {
        let (radius, angle) = (random.uniform(0.0, 1.0), random.uniform(0.0, TAU));
        (-2.0 * (1.0 - radius).ln()).sqrt() * angle.cos()
    };
    (0..DRAWS).map(|_| x.mapv(|v| if v > 0.0 { v + NOISE * gauss() } else { v })).collect()
}

/// The mean of `‖R(x + n) − R(x)‖₂ / ‖R(x)‖₂` over pictures and draws of the noise.
fn instability(network: &Network, recipe: &Recipe, x: &Tensor<f64>, noisy: &[Tensor<f64>]) -> f64 {
    let maps = network.maps(recipe, x);
    let predictions = network.predictions(x);
    mean(noisy.iter().flat_map(|n| {
        assert_eq!(network.predictions(n), predictions, "the noise must not change what is predicted");
        let changed = network.maps(recipe, n);
        changed.iter().zip(&maps).map(|(a, b)| relative_distance(a, b)).collect::<Vec<_>>()
    }))
}

/// The relevance of the pixels that are not black; the others have none.
fn ink(maps: &[Vec<f64>], x: &Tensor<f64>) -> Vec<Vec<f64>> {
    let pick = |(map, x): (&Vec<f64>, Vec<f64>)| map.iter().zip(x).filter(|(_, x)| *x > 0.0).map(|(r, _)| *r).collect();
    maps.iter().zip(rows(x)).map(pick).collect()
}

/// Roughness, Gini index, the number of pixels that hold 90 % of the relevance, and the number of those that can be seen.
fn shape(maps: &[Vec<f64>], x: &Tensor<f64>) -> [String; 4] {
    [
        fixed(over(maps, roughness), 2),
        fixed(over(&ink(maps, x), gini), 3),
        fixed(over(maps, |map| pixels_holding(0.9, map) as f64), 1),
        fixed(over(maps, |map| pixels_above(0.1, map) as f64), 1),
    ]
}

/// The heads of what [`shape`] returns.
const SHAPE: [&str; 4] = ["roughness", "Gini index", "90 % pixels", "visible pixels"];

fn noise(network: &Network, x: &Tensor<f64>) -> Table {
    let noisy = noisy(x);
    let mut table = Table::new("Noise and complexity", &[&["recipe", "instability"], &SHAPE[..]].concat());
    for (name, recipe) in candidates() {
        let unstable = fixed(instability(network, &recipe, x, &noisy), 3);
        table.row(name, std::iter::once(unstable).chain(shape(&network.maps(&recipe, x), x)));
    }
    table.row("*the picture itself*", std::iter::once("–".to_owned()).chain(shape(&rows(x), x)));
    table
}

/// LRP-0, and LRP-ε with growing ε.
fn epsilons() -> Vec<(&'static str, Recipe)> {
    let sizes = ["0.01", "0.03", "0.1", "0.25", "0.5", "1", "2", "1000"];
    let epsilon = |size: &str| uniform(&format!("type = \"epsilon\", epsilon = {{ relative = {size} }}"));
    let zero = ("0 (LRP-0)", uniform("type = \"zero\""));
    std::iter::once(zero).chain(sizes.iter().map(|size| (*size, epsilon(size)))).collect()
}

fn growing_epsilon(network: &Network, x: &Tensor<f64>) -> Table {
    let noisy = noisy(x);
    let head = [&["ε / rms(z)", "absorbed", "negative", "instability"], &SHAPE[..], &["sparser", "smoother"]].concat();
    let mut table = Table::new("Growing ε", &head);
    let mut before: Vec<[f64; 2]> = Vec::new();
    for (name, recipe) in epsilons() {
        let e = network.explain(&recipe, x, Target::Argmax);
        let totals = (0..e.ledger.samples()).map(|i| e.ledger.totals(i));
        let maps = rows(e.input_relevance());
        let measured: Vec<[f64; 2]> =
            ink(&maps, x).iter().zip(&maps).map(|(ink, map)| [gini(ink), -roughness(map)]).collect();
        // On how many pictures the map is sparser, and smoother, than with the ε before.
        let steps =
            [0, 1].map(|k| match measured.iter().zip(&before).filter(|(now, before)| now[k] > before[k]).count() {
                _ if before.is_empty() => "–".to_owned(),
                count => format!("{count} of {}", maps.len()),
            });
        before = measured;
        let shares = [mean(totals.map(|t| t.stabilizer / t.start)), over(&maps, negative_share)].map(percent);
        let unstable = fixed(instability(network, &recipe, x, &noisy), 3);
        table.row(name, shares.into_iter().chain([unstable]).chain(shape(&maps, x)).chain(steps));
    }
    table
}

fn signs(cnn: &Network, digits: &Tensor<f64>, clever_hans: &Network, nines: &Tensor<f64>) -> Table {
    let mut table =
        Table::new("Negative relevance", &["recipe", "36 digits, mean", "most", "nines with patch, mean", "most"]);
    for (name, recipe) in candidates() {
        let cells = |maps: Vec<Vec<f64>>| {
            let most = maps.iter().map(|map| negative_share(map)).fold(0.0, f64::max);
            [over(&maps, negative_share), most].map(percent_or_zero)
        };
        table.row(name, [cells(cnn.maps(&recipe, digits)), cells(clever_hans.maps(&recipe, nines))].concat());
    }
    table
}

fn growing_gamma(network: &Network, x: &Tensor<f64>) -> Table {
    let limit = network.maps(&Recipe::preset("lrp-a1b0").expect("a preset"), x);
    let mut table = Table::new("Growing γ", &["γ", "negative relevance", "distance to LRP-α1β0"]);
    for gamma in ["0", "0.25", "1", "10", "100", "1e4", "1e6"] {
        let text = format!("schema = 1\n[[assign]]\nrule = {{ type = \"gamma\", gamma = {gamma} }}\n");
        let maps = network.maps(&Recipe::parse(&text, "gamma.toml", "").expect("a valid recipe"), x);
        let distance = mean(maps.iter().zip(&limit).map(|(a, b)| relative_distance(a, b)));
        let distance = if distance < 1e-3 { format!("{distance:.1e}") } else { fixed(distance, 3) };
        table.row(gamma, [percent_or_zero(over(&maps, negative_share)), distance]);
    }
    table
}

fn patch(network: &Network, x: &Tensor<f64>) -> Table {
    let mut table = Table::new("Positive relevance in the patch", &["recipe", "mean", "least", "most"]);
    let all = candidates().into_iter().map(|(name, recipe)| (name, network.maps(&recipe, x)));
    for (name, maps) in all.chain([("*the picture itself*", rows(x))]) {
        let shares: Vec<f64> = maps.iter().map(|map| share_in_patch(map)).collect();
        let least = shares.iter().copied().fold(1.0, f64::min);
        let most = shares.iter().copied().fold(0.0, f64::max);
        table.row(name, [mean(shares), least, most].map(percent));
    }
    table
}

fn without_patch(network: &Network, x: &Tensor<f64>) -> Table {
    let black = |mut x: Vec<f64>| {
        x.iter_mut().enumerate().filter(|(i, _)| in_patch(*i)).for_each(|(_, v)| *v = 0.0);
        x
    };
    let blackened = batch(&rows(x).into_iter().map(black).collect::<Vec<_>>());
    let (with, without) = (network.logits(x), network.logits(&blackened));
    let predicted = [network.predictions(x), network.predictions(&blackened)];
    let names = ["nine_with_patch", "nine_1_with_patch", "nine_2_with_patch", "nine_3_with_patch", "nine_4_with_patch"];
    let head = ["picture", "predicted", "logit of zero", "patch black: predicted", "logit of zero"];
    let mut table = Table::new("The patch painted black", &head);
    for (i, name) in names.iter().enumerate() {
        let logit = |logits: &[Vec<f64>]| fixed(logits[i][0], 2).replace('-', "−");
        let [before, after] = [predicted[0][i], predicted[1][i]].map(|class| class.to_string());
        table.row(format!("`{name}.png`"), [before, logit(&with), after, logit(&without)]);
    }
    table
}

/// The order in which pixels are painted black: groups of pixels, all of a group at once.
type Order = Vec<Vec<usize>>;

/// Pixels in order of decreasing relevance.
fn pixels(map: &[f64]) -> Order {
    let mut order: Vec<usize> = (0..map.len()).collect();
    order.sort_by(|&a, &b| map[b].total_cmp(&map[a]));
    order.into_iter().map(|pixel| vec![pixel]).collect()
}

/// The blocks of 4 × 4 pixels that the picture consists of.
fn grid() -> Order {
    let corners = (0..SIDE / BLOCK).flat_map(|row| (0..SIDE / BLOCK).map(move |column| (row * SIDE + column) * BLOCK));
    let members = |corner| (0..BLOCK * BLOCK).map(move |i| corner + i / BLOCK * SIDE + i % BLOCK);
    corners.map(|corner| members(corner).collect()).collect()
}

/// A picture with one white pixel in each block that is not black.
fn one_per_block(picture: &[f64]) -> Vec<f64> {
    let mut marks = vec![0.0; picture.len()];
    let lit = grid().into_iter().filter(|block| block.iter().any(|&pixel| picture[pixel] > 0.0));
    lit.for_each(|block| marks[block[0]] = 1.0);
    marks
}

/// Blocks in order of decreasing sums of relevance.
fn blocks(map: &[f64]) -> Order {
    let sum = |block: &Vec<usize>| block.iter().map(|&pixel| map[pixel]).sum::<f64>();
    let mut order = grid();
    order.sort_by(|a, b| sum(b).total_cmp(&sum(a)));
    order
}

/// The logit of a class, in units of what it was, after so many steps of painting pixels black.
fn curve(network: &Network, picture: &[f64], class: usize, order: &Order, steps: &[usize]) -> Vec<(usize, f64)> {
    let flipped = |&step: &usize| {
        let mut picture = picture.to_vec();
        order.iter().take(step).flatten().for_each(|&pixel| picture[pixel] = 0.0);
        picture
    };
    let logits = network.logits(&batch(&steps.iter().map(flipped).collect::<Vec<_>>()));
    let start = logits[0][class];
    steps.iter().zip(logits).map(|(&step, logits)| (step, logits[class] / start)).collect()
}

fn flipping(network: &Network, x: &Tensor<f64>) -> Table {
    let pictures = rows(x);
    let classes = network.predictions(x);
    let pixel_steps: Vec<usize> = (0..=FLIPS.1).step_by(READ).collect();
    let block_steps: Vec<usize> = (0..=BLOCKS).collect();
    // The three areas of every picture, for maps that order pixels and maps that order blocks.
    let areas = |maps: &[Vec<f64>], block_maps: &[Vec<f64>]| -> Vec<[f64; 3]> {
        let of = |i: usize| {
            let curve = |order: Order, steps: &[usize]| curve(network, &pictures[i], classes[i], &order, steps);
            let by_pixel = curve(pixels(&maps[i]), &pixel_steps);
            let by_block = curve(blocks(&block_maps[i]), &block_steps);
            [area(&by_pixel, FLIPS.0), area(&by_pixel, FLIPS.1), area(&by_block, BLOCKS)]
        };
        (0..maps.len()).map(of).collect()
    };
    // Random orders of the pixels that are not black, and of the blocks that hold such pixels.
    let at_random = (0..ORDERS).map(|seed| {
        let mut random = Random(100 + seed);
        let mut shuffled = |picture: &Vec<f64>| -> Vec<f64> {
            picture.iter().map(|v| if *v > 0.0 { random.uniform(1.0, 2.0) } else { 0.0 }).collect()
        };
        let maps: Vec<Vec<f64>> = pictures.iter().map(&mut shuffled).collect();
        let of_blocks: Vec<Vec<f64>> = pictures.iter().map(|p| shuffled(&one_per_block(p))).collect();
        areas(&maps, &of_blocks)
    });
    let sums = at_random.reduce(|a, b| a.iter().zip(b).map(|(a, b)| [0, 1, 2].map(|k| a[k] + b[k])).collect());
    let at_random: Vec<[f64; 3]> = sums.unwrap_or_default().iter().map(|a| a.map(|a| a / ORDERS as f64)).collect();

    let head = ["order", "20 pixels", "100 pixels", "10 blocks", "beats LRP-0", "beats random"];
    let mut table = Table::new("Pixel flipping", &head);
    let mut zero: Vec<[f64; 3]> = Vec::new();
    let all = candidates().into_iter().map(|(name, recipe)| (name, network.maps(&recipe, x)));
    let all = all.chain([("*brightest first*", pictures.clone())]).map(|(name, maps)| (name, areas(&maps, &maps)));
    for (name, areas) in all.chain([("*random*", at_random.clone())]) {
        if zero.is_empty() {
            zero.clone_from(&areas);
        }
        let beats = |other: &[[f64; 3]]| {
            let count = |k: usize| areas.iter().zip(other).filter(|(a, b)| a[k] < b[k]).count();
            if areas == other { "–".to_owned() } else { [0, 1, 2].map(|k| count(k).to_string()).join(" / ") }
        };
        let means = [0, 1, 2].map(|k| fixed(mean(areas.iter().map(|a| a[k])), 3));
        table.row(name, means.into_iter().chain([beats(&zero), beats(&at_random)]));
    }
    table
}

fn two_classes(network: &Network, x: &Tensor<f64>) -> Table {
    // A class with a negative logit has no evidence for it.
    let second = |logits: &Vec<f64>| {
        let mut sorted = logits.clone();
        sorted.sort_by(|a, b| b.total_cmp(a));
        sorted[1]
    };
    let kept = rows(x).into_iter().zip(network.logits(x)).filter(|(_, logits)| second(logits) > 0.0);
    let x = batch(&kept.map(|(picture, _)| picture).collect::<Vec<_>>());
    let mut table = Table::new("The maps of two classes", &["recipe", "pictures", "cosine, mean", "least", "most"]);
    let mixed = ("preset `epsilon-plus`", Recipe::preset("epsilon-plus").expect("a preset"));
    for (name, recipe) in candidates().into_iter().chain([mixed]) {
        let maps = |rank| rows(network.explain(&recipe, &x, Target::Rank(rank)).input_relevance());
        let cosines: Vec<f64> = maps(0).iter().zip(maps(1)).map(|(a, b)| cosine(a, &b)).collect();
        let least = cosines.iter().copied().fold(1.0, f64::min);
        let most = cosines.iter().copied().fold(-1.0, f64::max);
        let count = cosines.len().to_string();
        let numbers = [mean(cosines), least, most].map(|c| fixed(c, 2).replace('-', "−"));
        table.row(name, std::iter::once(count).chain(numbers));
    }
    table
}

fn ledger(network: &Network, x: &Tensor<f64>) -> Table {
    let mut table = Table::new("Where the logit goes", &["recipe", "Σ R", "Σ abs. R", "biases", "stabilizer", "rule"]);
    for (name, recipe) in candidates() {
        let e = network.explain(&recipe, x, Target::Argmax);
        let totals: Vec<Totals> = (0..e.ledger.samples()).map(|i| e.ledger.totals(i)).collect();
        let maps = rows(e.input_relevance());
        let absolute = percent(mean(maps.iter().zip(&totals).map(|(map, t)| size(map) / t.start)));
        let share = |part: fn(&Totals) -> f64| match mean(totals.iter().map(|t| part(t) / t.start)) {
            // The stabilizer of 1e-6, and rounding.
            share if share.abs() < 5e-4 => "0.0 %".to_owned(),
            share => percent(share).replace('-', "−"),
        };
        table.row(name, [share(|t| t.input), absolute, share(|t| t.bias), share(|t| t.stabilizer), share(|t| t.rule)]);
    }
    table
}
