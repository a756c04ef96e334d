//! `lrp init`: writes a commented recipe to start from, made for a model.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use lrp::init::{Draft, Request, Seen};
use lrp::{Error, ModelOptions};
use lrp_config::FixedInput;
use lrp_run::Guard;
use lrp_run::input::measure::measure;
use lrp_run::input::{self, FileSet, Pattern};
use lrp_run::job::ModelJob;
use serde_json::json;

use crate::args::{Fix, InitArgs};
use crate::output::{named, note, print, say};
use crate::relative::Base;
use crate::{job, threads};

/// Writes a recipe for a model.
pub fn init(args: &InitArgs) -> Result<(), Error> {
    // Errors of the output path come before the work.
    let base = Base::of(args.out.as_deref())?;
    if let Some(path) = args.out.as_deref().filter(|path| path.exists() && !args.force) {
        return Err(exists(path));
    }
    let patterns: Vec<Pattern> = args.input.iter().map(|text| Pattern::parse(text)).collect();
    let fixed = args.fix.iter().filter_map(|Fix(_, value)| value.file());
    let paths = patterns.iter().map(|pattern| pattern.path.as_path());
    for path in std::iter::once(args.model.as_path()).chain(args.labels.as_deref()).chain(fixed).chain(paths) {
        base.check(path)?;
    }
    let files = input::sets(&patterns)?;
    let shape = Some(args.input_shape.clone()).filter(|shape| !shape.is_empty());
    let model = ModelJob {
        options: ModelOptions {
            sample_shape: shape,
            output: args.model_output.clone(),
            ..ModelOptions::new(&args.model)
        },
        example: job::example(&files),
        labels: args.labels.clone(),
        fixed: args.fix.iter().map(|Fix(name, value)| (name.clone(), value.clone())).collect(),
        ..ModelJob::default()
    };
    threads::start(None)?;
    let loaded = model.load::<f32>()?;
    if let Some(path) = &args.out {
        Guard::new()
            .with_model(&loaded)
            .with("the labels", args.labels.as_ref())
            .with("a fixed input", args.fix.iter().filter_map(|Fix(_, value)| value.file()))
            .with("an input", files.iter().flat_map(FileSet::files).map(|file| &file.path))
            .check(path)?;
    }
    let files = input::in_order(&files, &loaded.given)?;
    let seen = match loaded.given.only() {
        Some(only) => measure(&files, &only.shape)?,
        None => Seen::default(),
    };
    let Draft { text, family } = lrp::init::recipe(&loaded, &request(args, &patterns, &base), seen)?;
    let Some(path) = &args.out else { return print(format_args!("{text}")) };
    if args.schema {
        let copy = path.with_file_name(SCHEMA_FILE);
        let schema = serde_json::to_string_pretty(&lrp_config::schema());
        let schema = schema.map_err(|e| Error::Internal(format!("schema: {e}")))?;
        // One that is there may be older, and is nobody's own work.
        write(&copy, &(schema + "\n"), true)?;
    }
    let text = schema_line(path).unwrap_or_default() + &text;
    write(path, &text, args.force)?;
    let count = loaded.model.layers().len();
    let layers = if count == 1 { "1 weighted layer".to_owned() } else { format!("{count} weighted layers") };
    let (path, model) = (named(path), named(&args.model));
    say!("{path}: a recipe for {model} ({layers}), {family}")?;
    say!("see what it does with lrp plan -r {path}")?;
    loaded.notes().for_each(|text| note(&text));
    Ok(())
}

/// The names in the recipe.
fn request(args: &InitArgs, patterns: &[Pattern], base: &Base) -> Request {
    let mut named: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for Pattern { name, path } in patterns {
        if let Some(name) = name {
            named.entry(name.clone()).or_default().push(base.path(path));
        }
    }
    let value = |value: &FixedInput| match value {
        FixedInput::Number(number) => json!(number),
        FixedInput::Numbers(numbers) => json!(numbers),
        FixedInput::File(path) => json!(base.path(path)),
        word @ (FixedInput::Zeros | FixedInput::Ones) => json!(word.to_string()),
    };
    let unnamed = patterns.iter().filter(|pattern| pattern.name.is_none());
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    Request {
        file: name(&args.model).unwrap_or_default(),
        model: base.path(&args.model),
        recipe: args.out.as_deref().and_then(name),
        inputs: unnamed.map(|pattern| base.path(&pattern.path)).collect(),
        named,
        fixed: args.fix.iter().map(|Fix(name, fixed)| (name.clone(), value(fixed))).collect(),
        input_shape: args.input_shape.clone(),
        output: args.model_output.clone(),
        labels: args.labels.as_deref().map(|path| base.path(path)),
        preset: args.input_preset,
    }
}

/// The name of the schema of recipes as a file.
const SCHEMA_FILE: &str = "recipe.schema.json";

/// The line that tells editors of the schema, where there is one: beside the recipe, or in `configs` of a folder above, as in this repository.
fn schema_line(recipe: &Path) -> Option<String> {
    let folder = recipe.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if folder.join(SCHEMA_FILE).is_file() {
        return Some(format!("#:schema ./{SCHEMA_FILE}\n"));
    }
    let folder = folder.canonicalize().ok()?;
    let (up, _) =
        folder.ancestors().enumerate().find(|(_, above)| above.join("configs").join(SCHEMA_FILE).is_file())?;
    Some(format!("#:schema {}configs/{SCHEMA_FILE}\n", if up == 0 { "./".to_owned() } else { "../".repeat(up) }))
}

fn exists(path: &Path) -> Error {
    Error::user(
        format!("'{}' is there already", path.display()),
        "choose another file, or pass --force to write over it",
    )
}

/// Writes a file; one that is there already only where that is meant.
fn write(path: &PathBuf, text: &str, force: bool) -> Result<(), Error> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(force).create_new(!force);
    options.open(path).and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => exists(path),
        _ => Error::plain(format!("cannot write '{}': {error}", path.display())),
    })
}
