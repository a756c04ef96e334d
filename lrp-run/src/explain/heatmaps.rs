//! The heatmaps of a piece: those of the explained inputs, and those of maps inside the network, laid over an input.

use lrp::{Error, Explained, Outcome};
use lrp_core::{Scalar, Target, Tensor};
use lrp_render::{Drawing, Drawn, Format};
use ndarray::Axis;
use rayon::prelude::*;

use super::reader::Place;
use super::subject::Subject;
use crate::files;
use crate::manifest::{FileRecord, HeatmapRecord, InsideRecord, MapRecord};

/// Draws the heatmaps of a run.
pub struct Heatmaps<'a> {
    subject: Subject<'a>,
    /// The drawing of heatmaps for each explained input, if they are written.
    drawings: Vec<Drawing>,
    /// The names of the explained inputs in the names of files, if there are several.
    names: Vec<String>,
    formats: Vec<Format>,
    /// The explained input that maps inside the network are laid over: the first that is an image.
    under: Option<usize>,
}

/// The heatmaps of one target of a sample: the starts of their names.
#[derive(Debug, Default)]
pub struct Stems {
    /// For each explained input.
    inputs: Vec<String>,
    /// For each map inside the network.
    maps: Vec<String>,
}

impl<'a> Heatmaps<'a> {
    /// Those of a run, given the drawing of each explained input, if heatmaps are written.
    pub fn new(subject: Subject<'a>, drawings: Vec<Drawing>) -> Self {
        let mut explained = subject.given.explained().zip(&drawings);
        let under = explained.position(|(input, drawing)| drawing.is_image(&input.shape));
        let formats = subject.job.output.formats().collect();
        Self { subject, names: files::input_names(subject.given), drawings, formats, under }
    }

    /// The names of the explained inputs in the names of files, if there are several.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The nodes inside the network that have heatmaps, by their number among all whose relevance is saved.
    fn maps(&self) -> impl Iterator<Item = (usize, &'a InsideRecord)> {
        let drawn = self.under.is_some();
        self.subject.inside.iter().enumerate().filter(move |(_, node)| drawn && node.is_map())
    }

    /// The starts of the names of a piece's heatmaps, per sample, per target.
    pub fn stems<T: Scalar>(&self, place: &Place, explained: &Explained<T>) -> Vec<Vec<Stems>> {
        let of_sample = |(i, outcomes): (usize, &Vec<Outcome>)| {
            let of_target = |(k, outcome): (usize, &Outcome)| self.stems_of(place, i, k, outcome.class.unwrap_or(k));
            outcomes.iter().enumerate().map(of_target).collect()
        };
        explained.outcomes.iter().enumerate().map(of_sample).collect()
    }

    /// Of the sample `i` of a piece, and target `k`.
    fn stems_of(&self, place: &Place, i: usize, k: usize, class: usize) -> Stems {
        if self.drawings.is_empty() {
            return Stems::default();
        }
        let sample = if place.of > 1 { format!(".{}", place.first + i) } else { String::new() };
        let target = match (self.subject.several(), self.subject.targets.get(k)) {
            (false, _) => String::new(),
            (true, Some(Target::Rank(rank))) => format!(".top-{}", rank + 1),
            (true, _) => format!(".class-{class}"),
        };
        let stem = format!("{}{sample}{target}", self.subject.stem(place.input));
        let maps = self.maps().map(|(_, node)| files::map(&stem, &node.key)).collect();
        let inputs = match self.names.is_empty() {
            true => vec![stem],
            false => self.names.iter().map(|name| format!("{stem}.{name}")).collect(),
        };
        Stems { inputs, maps }
    }

    /// The file of the picture that records name, in the first of its formats.
    fn file(&self, stem: &str) -> Option<String> {
        self.formats.first().map(|format| files::heatmap(stem, *format))
    }

    /// The files of all heatmaps of a target that records name.
    pub fn files(&self, stems: &Stems) -> impl Iterator<Item = String> {
        stems.inputs.iter().chain(&stems.maps).filter_map(|stem| self.file(stem))
    }

    /// The records of a target's heatmaps: that of the only explained input, those of several, and those of maps inside the network.
    pub fn records(&self, stems: &Stems) -> (Option<String>, Vec<HeatmapRecord>, Vec<MapRecord>) {
        let files = |stems: &[String]| stems.iter().filter_map(|stem| self.file(stem)).collect::<Vec<_>>();
        let of_maps = self.maps().zip(files(&stems.maps));
        let maps = of_maps.map(|((_, node), file)| MapRecord { node: node.node.clone(), file }).collect();
        let mut inputs = files(&stems.inputs).into_iter();
        match self.names.is_empty() {
            true => (inputs.next(), Vec::new(), maps),
            false => {
                let record =
                    |(input, file): (&lrp::GivenInput, String)| HeatmapRecord { input: input.name.clone(), file };
                (None, self.subject.given.explained().zip(inputs).map(record).collect(), maps)
            }
        }
    }

    /// Writes the heatmaps of a piece, whose samples are those of all given inputs, joined.
    ///
    /// # Errors
    /// When one cannot be drawn or written.
    pub fn write<T: Scalar>(
        &self,
        place: &Place,
        stems: &[Vec<Stems>],
        explained: &Explained<T>,
        samples: &Tensor<T>,
    ) -> Result<Vec<FileRecord>, Error> {
        if self.drawings.is_empty() {
            return Ok(Vec::new());
        }
        let given = self.subject.given;
        // Of one input, nothing is copied.
        let several = given.only().is_none();
        let split = |batch: &Tensor<T>| given.split(batch.clone()).into_iter().zip(given.all());
        let inputs: Vec<Tensor<T>> = match several {
            true => split(samples).filter(|(_, input)| input.is_explained).map(|(batch, _)| batch).collect(),
            false => Vec::new(),
        };
        let inputs: Vec<&Tensor<T>> = if several { inputs.iter().collect() } else { vec![samples] };
        let of_targets: Vec<Vec<Tensor<T>>> = match self.names.is_empty() {
            true => Vec::new(),
            false => explained.relevance.iter().map(|relevance| given.split_relevance(relevance.clone())).collect(),
        };
        let relevance_of = |k: usize, j: usize| match self.names.is_empty() {
            true => explained.relevance.get(k),
            false => of_targets.get(k).and_then(|inputs| inputs.get(j)),
        };
        let draw = |(i, targets): (usize, &Vec<Stems>)| {
            let mut files = Vec::new();
            for (k, stems) in targets.iter().enumerate() {
                for (j, ((stem, input), drawing)) in stems.inputs.iter().zip(&inputs).zip(&self.drawings).enumerate() {
                    let Some(relevance) = relevance_of(k, j) else { continue };
                    let (sample, relevance) = (input.index_axis(Axis(0), i), relevance.index_axis(Axis(0), i));
                    let text = place.texts.get(i).map(Vec::as_slice);
                    self.save(stem, drawing.draw((place.first + i, text), sample, relevance)?, &mut files)?;
                }
                let under = self.under.and_then(|j| inputs.get(j).zip(self.drawings.get(j)));
                let Some((input, drawing)) = under else { continue };
                for ((number, _), stem) in self.maps().zip(&stems.maps) {
                    let Some(relevance) = explained.inside.get(number).and_then(|of_targets| of_targets.get(k)) else {
                        continue;
                    };
                    let (sample, relevance) = (input.index_axis(Axis(0), i), relevance.index_axis(Axis(0), i));
                    self.save(stem, drawing.draw_map(sample, relevance), &mut files)?;
                }
            }
            Ok(files)
        };
        let files = stems.par_iter().enumerate().map(draw).collect::<Result<Vec<_>, Error>>()?;
        Ok(files.into_iter().flatten().collect())
    }

    /// Writes one heatmap, in each of its formats.
    fn save(&self, stem: &str, drawn: Drawn, files: &mut Vec<FileRecord>) -> Result<(), Error> {
        let dir = &self.subject.job.output.dir;
        for format in &self.formats {
            let bytes = drawn.picture.encode(*format)?;
            files.push(files::save(dir, files::heatmap(stem, *format), &bytes)?);
        }
        if let Some(html) = drawn.html {
            files.push(files::save(dir, files::html(stem), html.as_bytes())?);
        }
        Ok(())
    }
}
