//! Writing a report, sample by sample.

use std::io::{self, Write};

use serde::Serialize;

use crate::numbers::{Coding, Numbers};
use crate::report::{Kind, Report, Shape, Stage};
use crate::sample::{Accounts, Sample, Score, Shown, Target};
use crate::{json, page, picture};

/// Numbers are written in single precision where all of them take less than this.
const SINGLE: f64 = (8 << 20) as f64;

/// The number of channels that are shown one by one, at most.
const CHANNELS: usize = 16;

/// Limits of the size of a report. Samples beyond them are omitted, and the report says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of samples.
    pub samples: usize,
    /// Maximum number of bytes of the file, the last sample excepted.
    pub bytes: u64,
}

impl Default for Limits {
    /// 1000 samples and 64 MiB: what browsers open within seconds.
    fn default() -> Self {
        Self { samples: 1000, bytes: 64 << 20 }
    }
}

/// Why a report cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A template or a value cannot be rendered.
    #[error("the page cannot be rendered: {0}")]
    Page(#[from] askama::Error),
    /// A value cannot be written as JSON.
    #[error("the data cannot be written: {0}")]
    Json(#[from] serde_json::Error),
    /// A picture cannot be encoded.
    #[error("a picture cannot be encoded: {0}")]
    Picture(#[from] image::ImageError),
    /// A sample that does not go with the report.
    #[error("'{name}' has {got} numbers where the report expects {expected}")]
    Length {
        /// The sample.
        name: String,
        /// The expected number.
        expected: usize,
        /// The actual number.
        got: usize,
    },
}

/// Summary of a written report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The number of samples in the report.
    pub samples: usize,
    /// The size of the file.
    pub bytes: u64,
    /// Omissions that keep the report small, a sentence for each. The report says the same.
    pub left_out: Vec<String>,
}

/// A report that is being written.
#[derive(Debug)]
pub struct Writer<W: Write> {
    out: W,
    shape: Shape,
    nodes: usize,
    /// The numbers of each stage's map.
    stages: Vec<usize>,
    limits: Limits,
    coding: Coding,
    /// The number of channels that are shown one by one.
    channels: usize,
    /// The bytes that the report ends with.
    end: u64,
    written: Written,
}

impl<W: Write> Writer<W> {
    /// Starts a report: everything but the samples.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(out: W, report: &Report, limits: Limits) -> Result<Self, Error> {
        let shape = report.shape;
        let samples = report.samples.min(limits.samples);
        let stages: Vec<usize> = report.stages.iter().map(Stage::plane).collect();
        let of_stages: usize = stages.iter().sum();
        let planes = |channels: usize| (samples * report.targets * ((1 + channels) * shape.plane() + of_stages)) as f64;
        let several = if shape.channels > 1 { shape.channels.min(CHANNELS) } else { 0 };
        let coding = if planes(several) * 4.0 <= SINGLE { Coding::Single } else { Coding::Byte };
        // Rather all samples than all channels.
        let fits = planes(several) * coding.size() <= 0.75 * limits.bytes as f64;
        let channels = if fits { several } else { 0 };
        let names = (0..channels).map(|channel| channel_name(shape, channel)).collect();
        let left_out = left_out(shape, channels, coding);
        let written = Written { samples: 0, bytes: 0, left_out: left_out.clone() };
        let (nodes, end) = (report.nodes.len(), page::end(0)?.len() as u64);
        let mut writer = Self { out, shape, nodes, stages, limits, coding, channels, end, written };
        writer.write(&page::start(report, names, coding == Coding::Single, left_out)?)?;
        Ok(writer)
    }

    /// Whether the limits leave room for another sample.
    pub fn has_room(&self) -> bool {
        self.written.samples < self.limits.samples && self.written.bytes + self.end < self.limits.bytes
    }

    /// Adds a sample, unless the limits are reached: says whether it did.
    ///
    /// # Errors
    /// When it cannot be written, or has another shape than the report.
    pub fn add(&mut self, sample: &Sample) -> Result<bool, Error> {
        if !self.has_room() {
            return Ok(false);
        }
        let data = self.data(sample)?;
        self.write("<script type=\"application/json\" class=\"sample\">")?;
        self.write(&json::embedded(&data)?)?;
        self.write("</script>\n")?;
        self.written.samples += 1;
        Ok(true)
    }

    /// Ends the report.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> Result<Written, Error> {
        self.write(&page::end(self.written.samples)?)?;
        self.out.flush()?;
        Ok(self.written)
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        self.written.bytes += text.len() as u64;
        self.out.write_all(text.as_bytes())
    }

    fn data<'a>(&self, sample: &'a Sample) -> Result<SampleData<'a>, Error> {
        let all = self.shape.channels * self.shape.plane();
        let checked = |got: usize, expected: usize| match got == expected {
            true => Ok(()),
            false => Err(Error::Length { name: sample.name.clone(), expected, got }),
        };
        let mut data = SampleData { name: &sample.name, top: &sample.top, ..SampleData::default() };
        match &sample.input {
            Shown::Picture(input) => data.picture = Some(picture::address(input)?),
            Shown::Values(values) => {
                checked(values.len(), all)?;
                let several = if self.shape.channels == 1 { 1 } else { self.channels };
                let planes = values.chunks(self.shape.plane().max(1)).take(several);
                data.values = Some(planes.map(|plane| Numbers::new(plane, self.coding)).collect());
            }
            Shown::Nothing(why) => data.missing = Some(why),
        }
        for target in &sample.targets {
            if !target.relevance.is_empty() {
                checked(target.relevance.len(), all)?;
            }
            if !target.ledger.is_empty() {
                checked(target.ledger.len(), self.nodes)?;
            }
            if !target.stages.is_empty() {
                checked(target.stages.len(), self.stages.len())?;
                target.stages.iter().zip(&self.stages).try_for_each(|(map, stage)| checked(map.len(), *stage))?;
            }
            data.targets.push(self.target(target));
        }
        Ok(data)
    }

    fn target<'a>(&self, target: &'a Target) -> TargetData<'a> {
        let Target { title, class, against, score, probability, totals, relevance, stages, ledger } = target;
        let maps = match relevance.is_empty() {
            true => Vec::new(),
            false => {
                let sum = Numbers::new(&summed(relevance, self.shape.plane()), self.coding);
                let planes = relevance.chunks(self.shape.plane().max(1)).take(self.channels);
                std::iter::once(sum).chain(planes.map(|plane| Numbers::new(plane, self.coding))).collect()
            }
        };
        let (class, against, score, probability, totals) = (*class, *against, *score, *probability, *totals);
        let stages = stages.iter().map(|map| Numbers::new(map, self.coding)).collect();
        TargetData { title, class, against, score, probability, totals, maps, stages, ledger }
    }
}

/// Omissions: channels that are only in the sum, and digits.
fn left_out(shape: Shape, channels: usize, coding: Coding) -> Vec<String> {
    let mut said = Vec::new();
    match shape.channels {
        all if all > 1 && channels == 0 => {
            said.push(format!("maps show the sum over the {all} channels; the channels by themselves are left out"));
        }
        all if all > 1 && channels < all => {
            said.push(format!("of {all} channels, maps show the sum and the first {channels} by themselves"));
        }
        _ => {}
    }
    if coding == Coding::Byte {
        said.push(
            "relevance is rounded to 127 steps of each sign, finest near zero: the error is at most 0.8 % of a map's largest value".to_owned(),
        );
    }
    said
}

/// The sum over channels.
fn summed(relevance: &[f64], plane: usize) -> Vec<f64> {
    let mut sum = vec![0.0; plane];
    for channel in relevance.chunks(plane.max(1)) {
        sum.iter_mut().zip(channel).for_each(|(sum, r)| *sum += r);
    }
    sum
}

fn channel_name(shape: Shape, channel: usize) -> String {
    match (shape.kind, shape.channels, channel) {
        (Kind::Picture, 3, 0) => "red".to_owned(),
        (Kind::Picture, 3, 1) => "green".to_owned(),
        (Kind::Picture, 3, 2) => "blue".to_owned(),
        _ => format!("channel {channel}"),
    }
}

/// The data of a sample for the script.
#[derive(Default, Serialize)]
struct SampleData<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    picture: Option<String>,
    /// Channel by channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    values: Option<Vec<Numbers>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<&'a str>,
    top: &'a [Score],
    targets: Vec<TargetData<'a>>,
}

#[derive(Serialize)]
struct TargetData<'a> {
    title: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    against: Option<usize>,
    score: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    probability: Option<f64>,
    totals: Accounts,
    /// The sum over channels, then the channels that are shown one by one.
    maps: Vec<Numbers>,
    /// The sum over channels at each stage.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stages: Vec<Numbers>,
    ledger: &'a [[f64; 5]],
}
