//! The recipe as a text: known properties, choices with reasons, and points to check.

use lrp_config::{Input, InputPreset};
use lrp_core::operator::Kind;
use lrp_core::text::shown;
use serde_json::{Value, json};

use crate::given::GivenInput;
use crate::layout::Layout;
use crate::loaded::Loaded;
use crate::numbers;

use super::composite::{Composite, Entry};
use super::expected::{Expected, Stated};
use super::request::Request;
use super::survey::{Architecture, Survey};
use super::text::{Line, Text, clean};

/// Everything that goes into the text.
pub struct Document<'a> {
    /// The request.
    pub request: &'a Request,
    /// The model.
    pub loaded: &'a Loaded<f32>,
    /// The network at a glance.
    pub survey: Survey,
    /// The known properties of the input.
    pub expected: Expected,
    /// The rules.
    pub composite: Composite,
}

impl Document<'_> {
    /// The recipe.
    pub fn text(&self) -> String {
        let mut text = Text::default();
        self.header(&mut text);
        self.entries(&mut text);
        self.input(&mut text);
        self.model(&mut text);
        self.explain(&mut text);
        self.output(&mut text);
        text.finish()
    }

    /// The name of the model's file, without folders.
    fn file(&self) -> String {
        clean(&self.request.file)
    }

    /// The first part of it, to name things after: `resnet18` for `resnet18.ts.onnx`.
    fn stem(&self) -> String {
        let file = self.file();
        file.split('.').find(|part| !part.is_empty()).unwrap_or("model").to_owned()
    }

    /// The recipe's file as commands name it.
    fn recipe(&self) -> String {
        self.request.recipe.as_deref().map_or_else(|| "RECIPE.toml".to_owned(), clean)
    }

    fn header(&self, text: &mut Text) {
        let (file, recipe, import) = (self.file(), self.recipe(), &self.loaded.import);
        let version = env!("CARGO_PKG_VERSION");
        text.prose(&format!(
            "A recipe to start from, written by lrp {version} for {file}. It runs as it stands; what it could not know is marked CHECK."
        ));
        text.note("");
        for (command, what) in self.commands(&recipe) {
            text.note(&format!("  {command:40}{what}"));
        }
        text.note("");
        let producer = if import.producer.is_empty() { "an unnamed program" } else { &import.producer };
        text.prose(&format!(
            "{file} is {}: {}. {} parameters, opset {}, written by {producer}.",
            self.survey.name(),
            self.survey.why(),
            self.loaded.model.parameters(),
            import.opset
        ));
        for note in import.notes.iter().chain(&self.remarks()) {
            text.prose(&format!("Note: {note}."));
        }
        text.note("");
        self.layers(text);
        text.gap();
        text.table(&[
            Line::new("schema", 1),
            Line::new("name", self.stem()),
            Line::new("description", self.description()),
        ]);
    }

    /// Instructions for the recipe.
    fn commands(&self, recipe: &str) -> Vec<(String, &'static str)> {
        let mut commands = vec![(format!("lrp plan -r {recipe}"), "the rule of each layer")];
        match self.request.inputs.is_empty() && self.request.named.is_empty() {
            true => {
                commands.push((format!("lrp explain -r {recipe} -i INPUT…"), "heatmaps of images, .npy or .npz files"));
                commands.push((format!("lrp check -r {recipe} -i INPUT…"), "where relevance is lost, and to what"));
            }
            false => {
                commands.push((format!("lrp run {recipe}"), "heatmaps, arrays and a manifest"));
                commands.push((format!("lrp check -r {recipe}"), "where relevance is lost, and to what"));
            }
        }
        commands
    }

    /// Facts that the importer does not note.
    fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if !self.request.input_shape.is_empty() {
            let shape: Vec<String> = self.request.input_shape.iter().map(usize::to_string).collect();
            remarks.push(format!(
                "the model leaves axes of its input open: add --input-shape {} to the commands above, or let the first input be an \
                 .npy file, whose shape is taken",
                shape.join(",")
            ));
        }
        let norms = &self.survey.batch_norms;
        if let [first, ..] = norms.as_slice() {
            let (count, s) = (norms.len(), if norms.len() == 1 { "" } else { "s" });
            remarks
                .push(format!("{count} batch norm{s} could not be folded into a convolution ('{first}' is the first)"));
        }
        if !self.survey.undefined.is_empty() {
            let kinds: Vec<&str> = self.survey.undefined.iter().map(|kind| kind.name()).collect();
            remarks.push(format!("it has operators without a relevance behaviour ({}), see below", kinds.join(", ")));
        }
        remarks
    }

    /// The weighted layers.
    fn layers(&self, text: &mut Text) {
        let model = &self.loaded.model;
        if model.layers().is_empty() {
            return text.note("It has no layers with weights.");
        }
        let mut rows = vec![["index", "name", "operator", "", "output"].map(str::to_owned)];
        for (index, &id) in model.layers().iter().enumerate() {
            let node = model.node(id);
            let detail = node.op().map(|op| op.detail()).unwrap_or_default();
            let row = [
                index.to_string(),
                clean(&node.name),
                node.kind_name().to_owned(),
                detail,
                numbers::shape(&node.shape),
            ];
            rows.push(row.map(|cell| shown(&cell).into_owned()));
        }
        text.columns(&rows);
    }

    fn description(&self) -> &'static str {
        match self.survey.architecture {
            Architecture::Linear => "LRP-ε",
            Architecture::Mlp => "LRP-0 on top, LRP-ε below",
            Architecture::Cnn | Architecture::Residual => {
                "LRP-0 on top, LRP-ε in the middle, LRP-γ below (after Montavon et al. 2019, §10.3)"
            }
            Architecture::Transformer if self.survey.sees_pictures() => {
                "LRP-γ for convolutions and dense layers, LRP-ε for attention, softmax constant (after Achtibat et al. 2024)"
            }
            Architecture::Transformer => "AttnLRP (Achtibat et al. 2024)",
            Architecture::Normalized if self.survey.count(&[Kind::Conv, Kind::ConvTranspose]) > 0 => {
                "LRP-ε for dense layers, LRP-γ for convolutions (after Achtibat et al. 2024)"
            }
            Architecture::Normalized => "LRP-ε (after Achtibat et al. 2024)",
            Architecture::Recurrent => "LRP-ε, the signal of LSTM and GRU taking all (Arras et al. 2017)",
        }
    }

    fn entries(&self, text: &mut Text) {
        for Entry { reason, layers, rule } in &self.composite.entries {
            text.gap();
            text.prose(reason);
            text.line("[[assign]]");
            let selectors = layers.to_toml().into_iter().map(|(key, value)| Line::toml(key, value));
            let rule = rule.to_toml().map(|rule| Line::toml("rule", rule));
            text.table(&selectors.chain(rule).collect::<Vec<_>>());
        }
        if let Some(reason) = &self.composite.no_first {
            text.gap();
            text.prose(reason);
        }
    }

    fn input(&self, text: &mut Text) {
        let expected = &self.expected;
        text.gap();
        let [only] = self.loaded.given.all() else {
            let one = |input: &GivenInput| format!("'{}' {}", shown(&input.name), numbers::shape(&input.shape));
            let all: Vec<String> = self.loaded.given.all().iter().map(one).collect();
            return text.heading("[input]", &format!("several: {}", all.join(", ")));
        };
        let (shape, tensor) = (numbers::shape(&only.shape), format!(", '{}'", only.name));
        let Some(layout) = expected.picture else {
            text.heading("[input]", &format!("{shape}{tensor}: arrays, which go to the model as they are"));
            if let Some(seen) = expected.measured {
                let [low, high] = seen.widened();
                let comment = format!("the arrays' first {} samples lie between; z-box would need it", seen.samples);
                text.table(&[Line::off("range", vec![low, high]).comment(comment)]);
            }
            return;
        };
        if expected.bgr && layout.channels() == 1 {
            text.prose("CHECK: the file states the order blue, green, red, but the model has one channel: images are converted to grey.");
        }
        let mut known = self.pixels(text, layout);
        if expected.bgr && expected.preset.is_none() && layout.channels() == 3 {
            known.push(Line::new("channels", "bgr").comment("as the file states (Image.BitmapPixelFormat)"));
        }
        let channels = match layout.channels() {
            1 => "grey".to_owned(),
            n => format!("{n} channels"),
        };
        let (height, width) = layout.size();
        text.heading("[input]", &format!("{shape}{tensor}: {channels}, {width} × {height} pixels"));
        let mut lines = known;
        let crop = Line::new("resize", "crop").comment("the shorter side fits, the middle is cut out; or \"stretch\"");
        lines.push(match expected.resized {
            true => crop,
            false => Line::off("resize", "crop").comment("for images of another size, else an error; or \"stretch\""),
        });
        text.table(&lines);
    }

    /// `range`, `mean` and `std`, and above them their sources.
    fn pixels(&self, text: &mut Text, layout: Layout) -> Vec<Line> {
        let expected = &self.expected;
        let bounds = if self.composite.needs_range() { ", which gives z-box its bounds" } else { "" };
        let unit = Line::new("range", vec![0.0, 1.0]).comment(format!("of pixels before mean and std{bounds}"));
        if let Some(preset) = expected.preset {
            return preset_lines(preset, bounds);
        }
        match (expected.stated, expected.measured) {
            (Some(stated), _) if expected.inside.is_some() => {
                let (name, [low, high]) = stated.range();
                text.prose(&format!(
                    "The model scales pixels itself ({}), so that mean and std are not for here.",
                    self.inside()
                ));
                let range = vec![low, high];
                vec![Line::new("range", range).comment(format!("of pixels as the file states ({name}){bounds}"))]
            }
            (Some(Stated::ZeroToOne), _) => vec![unit.comment("as the file states (Normalized_0_1)")],
            (Some(Stated::MinusOneToOne), _) => {
                let range = Line::new("range", vec![-1.0, 1.0]);
                vec![range.comment("of pixels, as the file states (Normalized_1_1)")]
            }
            (Some(Stated::ZeroTo255), _) => {
                let range = Line::new("range", vec![0.0, 255.0]);
                vec![range.comment("of pixels, as the file states (NominalRange_0_255)")]
            }
            (None, _) if expected.inside.as_ref().is_some_and(|inside| expected.fits(inside.range)) => {
                let [low, high] = expected.inside.as_ref().map_or([0.0, 1.0], |inside| inside.range);
                text.prose(&format!(
                    "CHECK: the model scales pixels itself ({}), so that mean and std are not for here. That it takes pixels from 0 to {high} \
                     is judged from its constants.",
                    self.inside()
                ));
                let range = vec![low, high];
                vec![Line::new("range", range).comment(format!("of pixels as the model expects them{bounds}"))]
            }
            (None, Some(seen)) if expected.inside.is_some() => {
                let [low, high] = seen.widened();
                text.prose(&format!(
                    "CHECK: the model scales its input itself ({}), so that mean and std are not for here. The numbers in the first {} samples \
                     of the arrays lie within this range, which is theirs, widened a little.",
                    self.inside(),
                    seen.samples
                ));
                let range = vec![low, high];
                vec![Line::new("range", range).comment(format!("of the arrays{bounds}"))]
            }
            (None, Some(seen)) if !expected.unit_range() => {
                let [low, high] = seen.widened();
                text.prose(&format!(
                    "CHECK: the numbers in the first {} samples of the arrays lie within this range, which is theirs, widened a little. \
                     Better: range = [0.0, 1.0] and the mean and std that the network was trained with. From these the limits of its \
                     input follow, and images can be explained as well as arrays.",
                    seen.samples
                ));
                let range = vec![low, high];
                vec![Line::new("range", range).comment(format!("of the arrays{bounds}"))]
            }
            (None, _) if layout.channels() == 3 => {
                text.prose(
                    "CHECK: how pixels were scaled in training is not in the file. As it stands, the network gets red, green and blue from \
                     0 to 1. Most that were trained on ImageNet expect the mean and std below: take away the two '# ' if this one does.",
                );
                vec![
                    unit,
                    Line::off("mean", vec![0.485, 0.456, 0.406]).comment("subtracted from pixels"),
                    Line::off("std", vec![0.229, 0.224, 0.225]).comment("what the difference is divided by"),
                ]
            }
            (None, _) => {
                text.prose(
                    "CHECK: how pixels were scaled in training is not in the file. As it stands, the network gets pixels from 0 to 1. If it \
                     was trained on (pixel − mean) / std, give them here.",
                );
                vec![unit, Line::off("mean", 0.5).comment("subtracted from pixels"), Line::off("std", 0.5)]
            }
        }
    }

    /// The nodes that scale the input inside the model, in words.
    fn inside(&self) -> String {
        let nodes = self.expected.inside.as_ref().map_or(&[][..], |inside| &inside.nodes);
        let shown: Vec<String> = nodes.iter().take(3).map(|name| format!("'{}'", clean(name))).collect();
        let more = if nodes.len() > shown.len() { " and others" } else { "" };
        format!("{}{more}", shown.join(", "))
    }

    fn model(&self, text: &mut Text) {
        text.gap();
        let paths = if self.request.recipe.is_some() {
            "paths are relative to this file"
        } else {
            "paths are relative to the recipe's folder"
        };
        text.heading("[model]", paths);
        let classes = self.loaded.classes();
        let labels = match &self.request.labels {
            Some(path) => Line::new("labels", path.as_str()),
            None => {
                Line::off("labels", "labels.txt").comment(format!("one on a line for each of the {classes} outputs"))
            }
        };
        text.table(&[Line::new("path", self.request.model.as_str()), labels]);
    }

    fn explain(&self, text: &mut Text) {
        text.gap();
        text.line("[explain]");
        let several = self.loaded.given.only().is_none();
        let each = || self.loaded.given.all().iter().map(|input| (input.name.clone(), json!("…")));
        let inputs = match self.request.inputs.as_slice() {
            _ if !self.request.named.is_empty() => Line::new("inputs", json!(self.request.named)),
            [] if several => Line::off("inputs", Value::Object(each().collect())).comment("or with -i NAME=FILE"),
            [] => Line::off("inputs", vec!["…"]).comment("images, .npy, .npz, folders or globs; or with -i"),
            given => Line::new("inputs", given),
        };
        let explained: Vec<&str> = self.loaded.given.explained().map(|input| input.name.as_str()).collect();
        let sources = several.then(|| Line::off("sources", explained).comment("the inputs that are explained"));
        let fixed = (!self.request.fixed.is_empty())
            .then(|| Line::new("fixed", json!(self.request.fixed)).comment("the same for every sample"));
        let target = match self.loaded.classes() {
            0 | 1 => "the only output",
            _ => "or a class (index or label), \"all\", { top = 3 }, { contrast = [0, 1] }",
        };
        let mut lines: Vec<Line> = [Some(inputs), sources, fixed].into_iter().flatten().collect();
        if let Some(output) = &self.request.output {
            lines.push(Line::new("output", output.as_str()));
        }
        lines
            .extend([Line::new("target", "argmax").comment(target), Line::new("start", "logit").comment("or \"one\"")]);
        text.table(&lines);
    }

    fn output(&self, text: &mut Text) {
        text.gap();
        text.line("[output]");
        let draws = self.loaded.given.explained().any(|input| Layout::of(&input.shape).is_some());
        let save = if draws { &["npy", "png", "json", "html"][..] } else { &["npy", "json", "html"] };
        let mut lines = vec![
            Line::new("dir", format!("out/{}", self.stem())),
            Line::new("save", save).comment(if draws {
                "relevance, heatmaps, manifest, report"
            } else {
                "relevance, manifest, report"
            }),
        ];
        if draws {
            lines.push(Line::new("colormap", "bwr").comment("red: evidence for the target, blue: against it"));
        }
        text.table(&lines);
    }
}

/// The lines of `[input]` of a convention for pixels.
fn preset_lines(preset: InputPreset, bounds: &str) -> Vec<Line> {
    let Input { range, mean, std, channels, .. } = preset.input();
    // A value for each channel, or one for all.
    let list = |values: Value| match values.as_array().map(Vec::as_slice) {
        Some([one]) => one.clone(),
        _ => values,
    };
    let mut lines = Vec::new();
    let comment = format!("of pixels, as --input-preset {} says{bounds}", preset.name());
    lines.extend(range.map(|range| Line::new("range", list(json!(range))).comment(comment)));
    lines.extend(mean.map(|mean| Line::new("mean", list(json!(mean))).comment("subtracted from pixels")));
    lines.extend(std.map(|std| Line::new("std", list(json!(std))).comment("what the difference is divided by")));
    lines.extend(channels.map(|channels| Line::new("channels", channels.name())));
    lines
}
