//! A recipe, loaded and checked as far as that goes without a model.

mod check_target;
mod from_composite;
mod lint;
mod places;
mod resolve;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lrp_core::file::{self, Limit};
use lrp_core::{NodeId, Scalar};
use toml::Spanned;

use crate::build::Unbuildable;
use crate::composite::{Composite, Head};
use crate::diagnostic::{Diagnostic, RecipeError};
use crate::entry::Entry;
use crate::experiment::{Compare, Explain, ModelFiles, Output};
use crate::fix::Fix;
use crate::format::{Assign, RecipeFile};
use crate::input::{Bounds, Input, Mismatch};
use crate::origin::{Origin, Place};
use crate::preset::{self, Preset};
use crate::reader::{self, KeySpans, Reading};
use crate::reference::Reference;
use crate::source::Source;
use crate::suggest::closest_file;

pub(crate) use self::places::Places;
pub use self::resolve::{Choice, Resolved};

/// The rules of layers; with a model and inputs, a whole experiment.
#[derive(Debug, Clone)]
pub struct Recipe {
    source: Arc<Source>,
    /// The extended recipes, from the nearest to the farthest.
    ancestors: Vec<Arc<Source>>,
    composite: Composite,
    input: Input,
    model: ModelFiles,
    explain: Explain,
    output: Output,
    compare: Compare,
    places: Places,
}

/// One of the recipes of a comparison.
#[derive(Debug, Clone)]
pub struct Compared {
    /// The title above its heatmaps.
    pub title: String,
    /// The recipe.
    pub recipe: Recipe,
}

impl Recipe {
    /// Loads a recipe file, and the recipes that it extends.
    ///
    /// # Errors
    /// When a file cannot be read, or has mistakes: all of them are listed.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, RecipeError> {
        let path = path.as_ref();
        let source = read_source(path).map_err(|Unreadable { message, help, .. }| {
            let nothing = Arc::new(Source::new(path.display().to_string(), ""));
            Diagnostic::about(&nothing, message).help(help)
        })?;
        Self::from_source(Arc::new(source), folder_of(path), &[path.to_owned()])
    }

    /// Reads a recipe's text. Errors call it `file_name`, and paths in it are relative to `folder`.
    ///
    /// # Errors
    /// As [`load`](Recipe::load).
    pub fn parse(text: &str, file_name: &str, folder: impl AsRef<Path>) -> Result<Self, RecipeError> {
        Self::from_source(Arc::new(Source::new(file_name, text)), folder.as_ref(), &[])
    }

    /// One of [`presets`](crate::presets). Underscores are as good as hyphens.
    ///
    /// # Errors
    /// When there is no preset of this name.
    pub fn preset(name: &str) -> Result<Self, RecipeError> {
        match preset::find(name) {
            Some(preset) => Self::from_preset(preset),
            None => {
                let nothing = Arc::new(Source::new(name, ""));
                Err(Diagnostic::about(&nothing, format!("there is no preset '{name}'"))
                    .help(preset::choices(name))
                    .into())
            }
        }
    }

    /// The recipe that another one, or the command line, refers to.
    ///
    /// # Errors
    /// As [`load`](Recipe::load).
    pub fn of(reference: &Reference) -> Result<Self, RecipeError> {
        match reference {
            Reference::Preset(preset) => Self::from_preset(preset),
            Reference::File(path) => Self::load(path),
        }
    }

    /// The recipe of `-r`: a preset's name, or a file.
    ///
    /// # Errors
    /// As [`load`](Recipe::load), and when it is neither.
    pub fn find(name_or_path: &str) -> Result<Self, RecipeError> {
        match Reference::parse(name_or_path) {
            Some(reference) => Self::of(&reference),
            None if Path::new(name_or_path).exists() => Self::load(name_or_path),
            None => {
                let nothing = Arc::new(Source::new(name_or_path, ""));
                let problem = Diagnostic::about(&nothing, format!("there is no preset and no file '{name_or_path}'"));
                let file = closest_recipe(Path::new(&format!("{name_or_path}.toml")));
                let help = match (preset::closest(name_or_path), file) {
                    // Whoever writes a name without .toml means a preset, unless it is exactly that of a file.
                    (_, Some(file))
                        if file.file_stem().is_some_and(|stem| stem == Path::new(name_or_path).as_os_str()) =>
                    {
                        format!("did you mean the file '{}'?", file.display())
                    }
                    (Some(_), Some(file)) => {
                        format!("{}; or the file '{}'?", preset::choices(name_or_path), file.display())
                    }
                    (None, Some(file)) => format!("did you mean the file '{}'?", file.display()),
                    (_, None) => preset::choices(name_or_path),
                };
                Err(problem.help(help).into())
            }
        }
    }

    /// The recipe's name, if it says one.
    pub fn name(&self) -> Option<&str> {
        self.composite.head().name.as_deref()
    }

    /// The description of the recipe.
    pub fn description(&self) -> Option<&str> {
        self.composite.head().description.as_deref()
    }

    /// The recipe's own text (not that of the recipe it extends), and its name.
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// All texts that the recipe is made of: its own, then those of the recipes that it extends.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        std::iter::once(&self.source).chain(&self.ancestors).map(Arc::as_ref)
    }

    /// Whether the relevance at the input is multiplied with the input.
    pub fn times_input(&self) -> bool {
        self.composite.head().times_input()
    }

    /// The rules of the layers, those of extended recipes first.
    pub fn composite(&self) -> &Composite {
        &self.composite
    }

    /// `[input]`: the input that the model expects.
    pub fn input(&self) -> &Input {
        &self.input
    }

    /// `[model]`: the network.
    pub fn model(&self) -> &ModelFiles {
        &self.model
    }

    /// `[explain]`: inputs, outputs and computation.
    pub fn explain(&self) -> &Explain {
        &self.explain
    }

    /// `[output]`: where results go.
    pub fn output(&self) -> &Output {
        &self.output
    }

    /// `[compare]`: the recipes to show side by side, as they are named.
    pub fn compare(&self) -> &Compare {
        &self.compare
    }

    /// Loads the recipes of `[compare]`, with their titles. This recipe's `[input]` holds for all of them.
    ///
    /// # Errors
    /// As [`load`](Recipe::load), for the first of them that has mistakes.
    pub fn compared(&self) -> Result<Vec<Compared>, RecipeError> {
        let mut compared = Vec::new();
        for (i, reference) in self.compare.recipes.iter().flatten().enumerate() {
            let recipe = Self::of(reference)?.with_input(&self.input);
            let title = self.compare.titles.as_ref().and_then(|titles| titles.get(i)).cloned();
            let title = title.or_else(|| recipe.name().map(str::to_owned)).unwrap_or_else(|| reference.short_name());
            compared.push(Compared { title, recipe });
        }
        Ok(compared)
    }

    /// This recipe for a model whose input is known: the keys of `input` override the recipe's own.
    #[must_use]
    pub fn with_input(mut self, input: &Input) -> Self {
        let own = std::mem::replace(&mut self.input, input.clone());
        self.input.inherit(&own);
        self
    }

    /// This recipe with another `[input]`, whatever its own says.
    #[must_use]
    pub fn replace_input(mut self, input: Input) -> Self {
        self.input = input;
        self
    }

    /// The boxes of the z-box rules that entries chose, in units of the model's input: of each node, its lowest and highest values.
    pub fn boxes<T: Scalar>(&self, resolved: &Resolved<T>) -> Vec<(NodeId, Bounds)> {
        let of = |place: &Place| self.entry_at(place)?.assign.rule.get_ref().z_box(&self.input);
        let chosen = resolved.choices.iter().filter_map(|(id, choice)| match &choice.origin {
            Origin::Entry(place) => Some((*id, of(place)?)),
            _ => None,
        });
        chosen.collect()
    }

    /// The positions of the keys of sections.
    pub(crate) fn places(&self) -> &Places {
        &self.places
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        self.composite.entries()
    }

    /// The entry of this position.
    pub(crate) fn entry_at(&self, place: &Place) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.place == *place)
    }

    fn from_preset(preset: &Preset) -> Result<Self, RecipeError> {
        Self::from_source(Arc::new(Source::preset(preset.name, preset.source)), Path::new(""), &[])
    }

    /// Reads a recipe, and one after the other the recipes that it extends. `files` has the recipe's own file, if it is one.
    fn from_source(source: Arc<Source>, folder: &Path, files: &[PathBuf]) -> Result<Self, RecipeError> {
        let mut chain: Vec<PathBuf> = files.iter().map(|path| identity(path)).collect();
        let mut shown: Vec<PathBuf> = files.to_vec();
        // From the recipe to its farthest ancestor, each with its mistakes and the place that names the next one.
        let mut read: Vec<(Self, Vec<Diagnostic>, Range<usize>)> = Vec::new();
        let (mut source, mut folder) = (source, folder.to_path_buf());
        let mut parent = loop {
            let (recipe, problems, extends) = match Self::read_one(source, &folder) {
                Ok(read) => read,
                Err(error) => break Err(error),
            };
            let Some(extends) = extends else { break finished(recipe, problems) };
            let next = match extends.get_ref() {
                Reference::Preset(preset) => {
                    Ok(Next { source: Source::preset(preset.name, preset.source), file: None })
                }
                Reference::File(path) => {
                    recipe.parent_file(&folder.join(path), extends.span(), &folder, &chain, &shown)
                }
            };
            read.push((recipe, problems, extends.span()));
            match next {
                Ok(Next { source: text, file }) => {
                    source = Arc::new(text);
                    folder = file.as_deref().map(folder_of).unwrap_or(Path::new("")).to_path_buf();
                    chain.extend(file.as_deref().map(identity));
                    shown.extend(file);
                }
                Err(error) => break Err(error),
            }
        };
        for (mut recipe, mut problems, extends) in read.into_iter().rev() {
            match parent {
                Ok(parent) => problems.extend(recipe.inherit(parent, extends)),
                Err(error) => problems.extend(error.into_diagnostics()),
            }
            parent = finished(recipe, problems);
        }
        parent
    }

    /// Reads a single text: the recipe, its mistakes, and the recipe that it extends.
    #[allow(clippy::type_complexity)] // Three things that are taken apart at once.
    fn read_one(
        source: Arc<Source>,
        folder: &Path,
    ) -> Result<(Self, Vec<Diagnostic>, Option<Spanned<Reference>>), RecipeError> {
        let Reading { file, mut problems, rule_keys, keys } = reader::read(&source);
        let Some(file) = file else {
            RecipeError::check(in_order(&source, problems))?;
            return Err(Diagnostic::about(&source, format!("{} cannot be read", source.name())).into());
        };
        if problems.is_empty() {
            problems.extend(no_rules(&source, &file));
        }
        let places = Places::new(&source, keys);
        problems.extend(checks(&source, &file, &places));
        let head = Head { name: file.name, description: file.description, times_input: file.times_input };
        let composite = Composite::read(head, entries(&source, file.assign, rule_keys));
        problems.extend(composite.entries().iter().filter_map(parameter_problem));
        let mut recipe = Self {
            source,
            ancestors: Vec::new(),
            composite,
            input: file.input.map(Spanned::into_inner).unwrap_or_default(),
            model: file.model,
            explain: file.explain,
            output: file.output,
            compare: file.compare.map(Spanned::into_inner).unwrap_or_default(),
            places,
        };
        recipe.join(folder);
        Ok((recipe, problems, file.extends))
    }

    /// Reads the file that this recipe extends. `chain` has the files on the way here by their identity, `shown` as they are named.
    fn parent_file(
        &self,
        path: &Path,
        span: Range<usize>,
        folder: &Path,
        chain: &[PathBuf],
        shown: &[PathBuf],
    ) -> Result<Next, RecipeError> {
        let problem = |message: String| Diagnostic::at(&self.source, span.clone(), message);
        let identity = identity(path);
        if let Some(start) = chain.iter().position(|seen| *seen == identity) {
            let mut round: Vec<String> = shown.iter().skip(start).map(|path| path.display().to_string()).collect();
            round.push(path.display().to_string());
            let message = format!("the recipe extends itself: {}", round.join(" -> "));
            let problem = problem(message).label("closes the circle");
            let help = "a recipe may extend a preset or another file, which does not lead back to it";
            return Err(problem.help(help).fix(self.source.line_of(&span).map(|line| Fix::replace(line, ""))).into());
        }
        if chain.len() >= MOST_FILES {
            let problem = problem(format!("recipes extend each other over more than {MOST_FILES} files"));
            let help = "put what is common into fewer files: a recipe needs one or two that it extends";
            return Err(problem.label("one file too many").help(help).into());
        }
        let source = read_source(path).map_err(|Unreadable { message, help, meant }| {
            let meant = meant.and_then(|file| Some(folder_relative(&file, folder)?.display().to_string()));
            let fix = meant.map(|meant| Fix::replace(span.clone(), format!("{meant:?}")));
            problem(message).label("extended here").help(help).fix(fix)
        })?;
        Ok(Next { source, file: Some(path.to_path_buf()) })
    }

    /// Puts the parent's entries before the own ones, and takes its sections' keys that are not given here.
    fn inherit(&mut self, parent: Recipe, extends: Range<usize>) -> Option<Diagnostic> {
        self.composite.extend(parent.composite);
        self.ancestors = [vec![parent.source], parent.ancestors].concat();
        self.input.inherit(&parent.input);
        self.model.inherit(&parent.model);
        self.explain.inherit(&parent.explain);
        self.output.inherit(&parent.output);
        self.compare.inherit(&parent.compare);
        self.places.inherit(parent.places);
        let Mismatch { message: problem, .. } = self.input.check().err()?;
        Some(
            Diagnostic::at(&self.source, extends, format!("with what is extended here, {problem}"))
                .label("extended here")
                .help(ONE_OR_EACH),
        )
    }

    fn join(&mut self, folder: &Path) {
        self.input.join(folder);
        self.model.join(folder);
        self.explain.join(folder);
        self.output.join(folder);
        self.compare.join(folder);
    }
}

/// For keys with a value for each channel.
const ONE_OR_EACH: &str = "give one value for all channels, or one for each";

/// The first item of a list, as it is written.
fn first_item(list: &str) -> Option<String> {
    let inner = list.strip_prefix('[')?.trim_start();
    let end = if inner.starts_with('[') { inner.find(']')? + 1 } else { inner.find([',', ']'])? };
    inner.get(..end).map(|item| item.trim().to_owned())
}

/// A recipe file with nearly this name.
fn closest_recipe(path: &Path) -> Option<PathBuf> {
    closest_file(path).filter(|file| file.extension().is_some_and(|extension| extension == "toml"))
}

/// The file's path as seen from the folder that it is below.
fn folder_relative(file: &Path, folder: &Path) -> Option<PathBuf> {
    file.strip_prefix(folder).ok().map(Path::to_owned)
}

/// Mistakes in this text by position, then those in the recipes that it extends.
fn in_order(source: &Source, mut problems: Vec<Diagnostic>) -> Vec<Diagnostic> {
    problems.sort_by_key(|problem| match problem.span() {
        Some(span) if problem.source_file() == source => span.start,
        _ => usize::MAX,
    });
    problems
}

/// Mistakes of sections as a whole.
fn checks(source: &Arc<Source>, file: &RecipeFile, places: &Places) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    if let Some(input) = &file.input
        && let Err(Mismatch { key, channels, message }) = input.get_ref().check()
    {
        let spot = places.within(source, &format!("input.{key}"));
        // One for all channels: the first of the values that are there.
        let first = spot.as_ref().and_then(|spot| first_item(source.text().get(spot.clone())?));
        let fix = spot.clone().zip(first).map(|(spot, first)| Fix::replace(spot, first));
        let problem = Diagnostic::at(source, spot.unwrap_or_else(|| input.span()), message);
        problems.push(problem.label(format!("for {channels} channels")).help(ONE_OR_EACH).fix(fix));
    }
    if let Some(compare) = &file.compare
        && let Err(problem) = compare.get_ref().check()
    {
        let problem = Diagnostic::at(source, compare.span(), problem).label("recipes and titles belong together");
        problems.push(
            problem
                .help("give `recipes` a list of presets or files, and `titles` one for each of them, or leave it out"),
        );
    }
    problems
}

/// The mistake of a recipe without effect.
fn no_rules(source: &Arc<Source>, file: &RecipeFile) -> Option<Diagnostic> {
    let help = "add an entry ([[assign]] and below it, say, rule = \"epsilon\"), or extend a preset (extends = \"epsilon-plus\")";
    let nothing = file.assign.is_empty() && file.extends.is_none() && file.compare.is_none();
    let problem = Diagnostic::at(source, 0..0, "the recipe gives no rule to any layer");
    let end = source.text().len();
    let fix = Fix::replace(end..end, "\n[[assign]]\nrule = \"epsilon\"\n");
    nothing.then(|| problem.label("an [[assign]] entry is missing").help(help).fix(Some(fix)))
}

fn entries(source: &Arc<Source>, assign: Vec<Spanned<Assign>>, mut rule_keys: BTreeMap<usize, KeySpans>) -> Vec<Entry> {
    let entry = |(i, assign): (usize, Spanned<Assign>)| {
        let span = assign.span();
        let assign = assign.into_inner();
        let rule = assign.rule.span();
        let rule_keys = rule_keys.remove(&rule.start).unwrap_or_default();
        Entry { place: Place { source: Arc::clone(source), number: i + 1, span, rule }, assign, rule_keys }
    };
    assign.into_iter().enumerate().map(entry).collect()
}

/// Mistakes of the parameters of an entry's rule. Bounds may still come from a recipe that extends this one.
fn parameter_problem(entry: &Entry) -> Option<Diagnostic> {
    match entry.assign.rule.get_ref().build::<f64>(&Input::default()).err()? {
        Unbuildable::NoBounds => None,
        problem => Some(entry.unbuildable(problem)),
    }
}

/// More files than these do not extend each other.
const MOST_FILES: usize = 32;

/// The extended recipe: its text, and its file unless it is a preset.
struct Next {
    source: Source,
    file: Option<PathBuf>,
}

/// The error of a recipe file that cannot be read, with a fix and a similar file.
struct Unreadable {
    message: String,
    help: String,
    meant: Option<PathBuf>,
}

fn read_source(path: &Path) -> Result<Source, Unreadable> {
    let shown = path.display();
    match file::read_text(path, Limit::RECIPE) {
        Ok(text) => Ok(Source::new(shown.to_string(), text)),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let meant = closest_recipe(path);
            let help = match &meant {
                Some(file) => format!("did you mean '{}'?", file.display()),
                None => "`lrp presets` lists recipes that need no file; `lrp presets NAME` prints one to start from"
                    .to_owned(),
            };
            Err(Unreadable { message: format!("there is no file '{shown}'"), help, meant })
        }
        Err(error) => {
            let help = "a recipe is a file of TOML text, in UTF-8".to_owned();
            Err(Unreadable { message: format!("'{shown}' cannot be read: {error}"), help, meant: None })
        }
    }
}

/// The recipe, unless there are mistakes.
fn finished(recipe: Recipe, problems: Vec<Diagnostic>) -> Result<Recipe, RecipeError> {
    RecipeError::check(in_order(&recipe.source, problems))?;
    Ok(recipe)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// The identity of a file, the same for all its paths.
fn identity(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}
