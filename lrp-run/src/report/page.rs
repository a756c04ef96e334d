//! The parts of a report that do not depend on the inputs, from a manifest.

use lrp::numbers::{rule, typeset};
use lrp_config::{Colormap, Resize};
use lrp_report::{Accounts, Failed, File, Kind, Layer, Node, Palette, Report, Score, Shape, Stage, Text};

use crate::manifest::{ExpectedInput, FileRecord, InputRecord, InsideRecord, LedgerRecord, Manifest, ScoreRecord};

/// Colours of a palette: as many as one byte can tell apart, and one in the middle.
const COLORS: u16 = 255;

/// Everything but the samples.
pub fn report(manifest: &Manifest, shape: Shape) -> Report {
    let samples = || manifest.inputs.iter().flat_map(|input| input.explained().map(|(_, sample)| sample));
    let layers = || manifest.layers.iter();
    let file = |role: &str, record: &FileRecord| File {
        role: role.to_owned(),
        path: record.path.clone(),
        sha256: record.sha256.clone(),
    };
    let files = std::iter::once(file("model", &manifest.model.file))
        .chain(manifest.model.external.iter().map(|weights| file("weights", weights)))
        .chain(manifest.labels.iter().map(|labels| file("labels", labels)))
        .chain(manifest.tokens.iter().map(|tokens| file("tokens", tokens)))
        .chain(manifest.tokenizer.iter().map(|tokenizer| file("tokenizer", tokenizer)))
        .chain(manifest.target_files.iter().map(|target| file("target", target)))
        .chain(manifest.recipe.sources.iter().map(|source| file("recipe", &source.file)))
        .chain(manifest.fixed.iter().filter_map(|fixed| fixed.file.as_ref()).map(|value| file("fixed input", value)))
        .chain(manifest.inputs.iter().flat_map(InputRecord::sources).map(|source| file("input", source)));
    let recipes = manifest.recipe.sources.iter();
    Report {
        samples: samples().count(),
        targets: samples().next().map_or(1, |sample| sample.targets.len()),
        palettes: palettes(&manifest.colormap),
        palette: manifest.colormap.clone(),
        nodes: nodes(manifest),
        stages: stages(manifest, shape).into_iter().map(|(_, node)| stage(node)).collect(),
        plan: layers()
            .map(|layer| Layer {
                index: layer.index,
                name: layer.name.clone(),
                op: layer.operator(),
                rule: rule(&layer.rule),
                origin: layer.origin.clone(),
            })
            .collect(),
        recipes: recipes.map(|source| Text { name: source.file.path.clone(), text: source.text.clone() }).collect(),
        facts: facts(manifest),
        files: files.collect(),
        failed: manifest
            .failed
            .iter()
            .map(|failed| Failed { path: failed.path.clone(), reason: failed.reason.clone() })
            .collect(),
        notes: manifest.notes.clone(),
        ..Report::new(&manifest.recipe.name, &manifest.model.file.path, shape)
    }
}

/// All colour maps that have a name, and that of the run if it has none.
fn palettes(of_run: &str) -> Vec<Palette> {
    let own = of_run.parse().ok().filter(|map: &Colormap| map.description().is_none());
    own.into_iter().chain(Colormap::all()).map(|map| palette(&map)).collect()
}

fn palette(map: &Colormap) -> Palette {
    let middle = f64::from(COLORS / 2);
    let colors = (0..COLORS).map(|i| map.color(f64::from(i) / middle - 1.0)).collect();
    Palette { name: map.name().to_owned(), colors }
}

/// The rows of a ledger, with the plan of them.
fn nodes(manifest: &Manifest) -> Vec<Node> {
    let layer = |name: &str| manifest.layers.iter().find(|layer| layer.name == name);
    let place = |name: &String| manifest.ledger.iter().position(|node| node.name == *name);
    let node = |node: &crate::manifest::LedgerNode| Node {
        name: node.name.clone(),
        op: node.op.to_string(),
        index: layer(&node.name).and_then(|layer| layer.index),
        rule: layer(&node.name).map_or_else(String::new, |layer| rule(&layer.rule)),
        inputs: node.inputs.iter().filter_map(place).collect(),
    };
    manifest.ledger.iter().map(node).collect()
}

/// The maps inside the network that are shown, where samples are pictures: by their number among the nodes whose relevance was saved.
pub fn stages(manifest: &Manifest, shape: Shape) -> Vec<(usize, &InsideRecord)> {
    let is_shown = |(_, node): &(usize, &InsideRecord)| shape.kind == Kind::Picture && node.is_map();
    manifest.at.iter().enumerate().filter(is_shown).collect()
}

fn stage(node: &InsideRecord) -> Stage {
    let axis = |axis: usize| node.shape.get(axis).copied().unwrap_or(1);
    Stage { name: node.node.clone(), op: node.op.to_string(), channels: axis(0), height: axis(1), width: axis(2) }
}

fn facts(manifest: &Manifest) -> Vec<(String, String)> {
    let timings = &manifest.timings;
    let seconds = [
        ("preparing", timings.prepare),
        ("reading", timings.read),
        ("explaining", timings.explain),
        ("writing", timings.write),
    ];
    let seconds = seconds.map(|(what, seconds)| format!("{what} {} s", typeset(seconds)));
    let axes = |shape: &[usize]| {
        std::iter::once("N".to_owned()).chain(shape.iter().map(usize::to_string)).collect::<Vec<_>>().join("×")
    };
    let list = |numbers: &[f64]| numbers.iter().map(f64::to_string).collect::<Vec<_>>().join(", ");
    let mut input = match manifest.expects.inputs.as_slice() {
        [] => vec![axes(&manifest.expects.shape)],
        several => {
            let one = |input: &ExpectedInput| {
                let explained = if input.explained { "" } else { ", not explained" };
                format!("{} {}{explained}", input.name, axes(&input.shape))
            };
            several.iter().map(one).collect()
        }
    };
    input.extend(manifest.fixed.iter().map(|fixed| format!("{} fixed to {}", fixed.name, fixed.value)));
    input.extend(manifest.expects.mean.as_deref().map(|mean| format!("mean {}", list(mean))));
    input.extend(manifest.expects.std.as_deref().map(|std| format!("standard deviation {}", list(std))));
    let resized = |how: Resize| format!("images of another size: {}", format!("{how:?}").to_lowercase());
    input.extend(manifest.expects.resize.map(resized));
    let start = match &*manifest.start {
        "logit" => "the target's own output",
        other => other,
    };
    let fact = |name: &str, value: String| (name.to_owned(), value);
    let mut facts = vec![
        fact("Program", format!("{} {}", manifest.program.name, manifest.program.version)),
        fact("Command", manifest.command.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")),
        fact("Model", manifest.model.file.path.clone()),
        fact("Recipe", manifest.recipe.name.clone()),
        fact("Input", input.join("; ")),
        fact("Output", manifest.output.clone()),
        fact("Target", manifest.target.trim_matches('"').to_owned()),
        fact("Relevance put on it", start.to_owned()),
        fact("Numbers", manifest.precision.to_string()),
        fact("Times", format!("{} (they overlap)", seconds.join(", "))),
    ];
    if manifest.times_input {
        facts.push(fact("At the end", "the relevance at the input is multiplied with the input".to_owned()));
    }
    // An earlier version's manifest has no command.
    facts.retain(|(_, value)| !value.is_empty());
    facts
}

/// A word of a command as a shell reads it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./,=:+%@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Where relevance went in total.
pub fn totals(record: &LedgerRecord) -> Accounts {
    let LedgerRecord { start, input, bias, stabilizer, rule, .. } = *record;
    Accounts { start, input, bias, stabilizer, rule }
}

/// The largest outputs.
pub fn scores(records: &[ScoreRecord]) -> Vec<Score> {
    let label = |record: &ScoreRecord| record.label.clone().unwrap_or_else(|| record.class.to_string());
    let score = |record: &ScoreRecord| Score {
        class: record.class,
        label: label(record),
        score: record.score,
        probability: record.probability,
    };
    records.iter().map(score).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_can_be_copied_to_a_shell() {
        let words = ["lrp", "-i", "my files/a.png", "{ top = 3 }", "it's", "", "a=1,b=2"].map(quoted);
        assert_eq!(words, ["lrp", "-i", "'my files/a.png'", "'{ top = 3 }'", r"'it'\''s'", "''", "a=1,b=2"]);
    }

    #[test]
    fn zero_is_in_the_middle_of_every_palette() {
        let named: Vec<String> = Colormap::all().map(|map| map.name().to_owned()).collect();
        let source = "00f,80:eee,fa0";
        let names = |of_run: &str| palettes(of_run).into_iter().map(|palette| palette.name).collect::<Vec<_>>();
        assert_eq!(names("hot"), named);
        assert_eq!(names(source), [&[source.to_owned()], &*named].concat());
        for palette in palettes(source) {
            let map: Colormap = palette.name.parse().unwrap();
            assert_eq!(palette.colors.len(), usize::from(COLORS));
            assert_eq!(palette.colors[127], map.color(0.0));
            assert_eq!((palette.colors[0], palette.colors[254]), (map.color(-1.0), map.color(1.0)));
        }
    }
}
