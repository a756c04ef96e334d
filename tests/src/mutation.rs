//! Damaged ONNX files: the repository's files, changed at random, go through the importer, which must give a model or an
//! error, soon and within bounds of memory.
//!
//! Changes are made both to the bytes and to the tree of protobuf fields (with the lengths put right again, so that they
//! reach what comes after decoding). Case `n` of a seed is always the same file.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lrp_onnx::Options;

use crate::Random;

/// The limit of one allocation of an import for each byte of the file…
pub const MEMORY_PER_BYTE: usize = 512;
/// …and on top of that, whatever the size: a model's tables of positions and weights may have 512 MiB together (and while it
/// is made, the last one is there twice), constants that are computed 16 Mi elements (128 MiB).
pub const MEMORY: usize = 1 << 30;
/// The time limit of an import.
pub const TIME: Duration = Duration::from_secs(2);
/// Larger files are not mutated.
const LARGEST_SEED: u64 = 60_000;

/// The files that are changed.
#[derive(Debug)]
pub struct Seeds(Vec<(String, Vec<u8>)>);

/// A changed file.
#[derive(Debug, Clone)]
pub struct Mutant {
    /// The change, and its file.
    pub history: String,
    /// The file.
    pub bytes: Vec<u8>,
}

type Change = fn(&Seeds, &mut Random, &mut Vec<u8>);

const CHANGES: [(&str, Change); 14] = [
    ("bits flipped", flip_bits),
    ("bytes replaced", replace_bytes),
    ("truncated", truncate),
    ("spliced with another file", splice),
    ("a range duplicated", duplicate_range),
    ("a range deleted", delete_range),
    ("a varint overwritten in place", overwrite_varint),
    ("a number made huge", huge_number),
    ("a number in data made huge", huge_data),
    ("two fields swapped", swap_fields),
    ("a field duplicated", duplicate_field),
    ("a field deleted", delete_field),
    ("a field taken from another file", graft_field),
    ("a list of numbers lengthened", lengthen),
];

/// Where in the list the changes of the tree begin.
const TREE: usize = 7;

/// Numbers at which arithmetic on lengths breaks.
const HUGE: [u64; 24] = [
    0,
    1,
    2,
    3,
    7,
    64,
    1000,
    65_535,
    1 << 20,
    (1 << 24) - 1,
    1 << 24,
    100_000_007,
    (1 << 31) - 1,
    1 << 31,
    1 << 32,
    1 << 40,
    1 << 61,
    1 << 62,
    i64::MAX as u64,
    i64::MIN as u64,
    u64::MAX,
    u64::MAX - 1,
    u64::MAX - 2,
    u64::MAX - 65_535,
];

impl Seeds {
    /// The operator cases and the small models of the repository.
    pub fn load() -> Self {
        let mut files = Vec::new();
        for folder in ["references/ops", "models", "shipped", "attention"] {
            let entries = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).into_iter().flatten();
            for path in entries.map(|entry| entry.unwrap().path()) {
                let small = path.metadata().is_ok_and(|m| m.len() <= LARGEST_SEED);
                if small && path.extension().is_some_and(|e| e == "onnx") {
                    let name = format!("{folder}/{}", path.file_name().unwrap().to_string_lossy());
                    files.push((name, std::fs::read(&path).unwrap()));
                }
            }
        }
        files.sort();
        assert!(!files.is_empty(), "there are no files to change");
        Self(files)
    }

    /// The number of files.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    fn any(&self, random: &mut Random) -> &(String, Vec<u8>) {
        // The names of networks come first. They are few and large, the operator cases many and small.
        let models = self.0.partition_point(|(name, _)| name.as_str() < "references");
        match random.below(4) {
            0 if models > 0 => &self.0[random.below(models)],
            _ => &self.0[random.below(self.0.len())],
        }
    }

    /// The file of a case: a seed with one to three changes.
    pub fn mutant(&self, seed: u64, case: usize) -> Mutant {
        let mut random =
            Random(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ (case as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let (name, bytes) = self.any(&mut random);
        let (mut history, mut bytes) = (name.clone(), bytes.clone());
        for _ in 0..=random.below(3) {
            if bytes.is_empty() {
                break;
            }
            // Those of the tree more often: most others end in decoding.
            let from = if random.below(2) == 0 { TREE } else { 0 };
            let (what, change) = CHANGES[from + random.below(CHANGES.len() - from)];
            change(self, &mut random, &mut bytes);
            history = format!("{history}, {what}");
        }
        Mutant { history, bytes }
    }
}

#[allow(clippy::ptr_arg, reason = "all mutations have one signature")]
fn flip_bits(_: &Seeds, random: &mut Random, bytes: &mut Vec<u8>) {
    for _ in 0..=random.below(8) {
        let at = random.below(bytes.len());
        bytes[at] ^= 1 << random.below(8);
    }
}

#[allow(clippy::ptr_arg, reason = "all mutations have one signature")]
fn replace_bytes(_: &Seeds, random: &mut Random, bytes: &mut Vec<u8>) {
    for _ in 0..=random.below(8) {
        let at = random.below(bytes.len());
        bytes[at] = match random.below(8) {
            n @ 0..=5 => [0, 1, 0x7f, 0x80, 0xfe, 0xff][n],
            _ => random.bits() as u8,
        };
    }
}

fn truncate(_: &Seeds, random: &mut Random, bytes: &mut Vec<u8>) {
    bytes.truncate(random.below(bytes.len()));
}

fn range(random: &mut Random, length: usize) -> std::ops::Range<usize> {
    let start = random.below(length);
    let longest = if random.below(4) == 0 { length } else { 32 };
    start..(start + 1 + random.below(longest)).min(length)
}

fn splice(seeds: &Seeds, random: &mut Random, bytes: &mut Vec<u8>) {
    let (_, other) = seeds.any(random);
    if random.below(2) == 0 {
        bytes.truncate(random.below(bytes.len()));
        bytes.extend_from_slice(&other[random.below(other.len())..]);
    } else {
        let (to, from) = (range(random, bytes.len()), range(random, other.len()));
        bytes.splice(to, other[from].iter().copied());
    }
}

fn duplicate_range(_: &Seeds, random: &mut Random, bytes: &mut Vec<u8>) {
    let part = bytes[range(random, bytes.len())].to_vec();
    let at = random.below(bytes.len());
    bytes.splice(at..at, part);
}

fn delete_range(_: &Seeds, random: &mut Random, bytes: &mut Vec<u8>) {
    bytes.drain(range(random, bytes.len()));
}

fn overwrite_varint(_: &Seeds, random: &mut Random, bytes: &mut Vec<u8>) {
    let at = random.below(bytes.len());
    let old = bytes[at..].iter().take(10).position(|b| b & 0x80 == 0).map_or(1, |n| n + 1);
    let mut new = Vec::new();
    put_varint(&mut new, huge(random));
    bytes.splice(at..(at + old).min(bytes.len()), new);
}

fn huge(random: &mut Random) -> u64 {
    match random.below(8) {
        0 => random.bits() >> random.below(64),
        _ => HUGE[random.below(HUGE.len())],
    }
}

/// A field of a protobuf message.
#[derive(Debug, Clone, PartialEq)]
struct Field {
    number: u64,
    body: Body,
}

#[derive(Debug, Clone, PartialEq)]
enum Body {
    Varint(u64),
    Fixed32([u8; 4]),
    Fixed64([u8; 8]),
    Bytes(Vec<u8>),
    /// Bytes that can be read as a message. Some of them are none, which does no harm.
    Message(Vec<Field>),
}

fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for i in 0..10 {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << (7 * i).min(63);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn take<'a>(bytes: &mut &'a [u8], length: u64) -> Option<&'a [u8]> {
    let (part, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
    *bytes = rest;
    Some(part)
}

/// The fields of a message, and of those within it, if the bytes are one.
fn parse(mut bytes: &[u8], depth: usize) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = take_varint(&mut bytes)?;
        let body = match key & 7 {
            0 => Body::Varint(take_varint(&mut bytes)?),
            1 => Body::Fixed64(take(&mut bytes, 8)?.try_into().ok()?),
            5 => Body::Fixed32(take(&mut bytes, 4)?.try_into().ok()?),
            2 => {
                let length = take_varint(&mut bytes)?;
                let part = take(&mut bytes, length)?;
                let inner = if depth > 0 && !part.is_empty() { parse(part, depth - 1) } else { None };
                inner.map_or_else(|| Body::Bytes(part.to_vec()), Body::Message)
            }
            _ => return None,
        };
        match key >> 3 {
            number @ 1..=100 => fields.push(Field { number, body }),
            _ => return None,
        }
    }
    Some(fields)
}

fn write(fields: &[Field]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for Field { number, body } in fields {
        let mut key = |wire| put_varint(&mut bytes, number << 3 | wire);
        match body {
            Body::Varint(value) => {
                key(0);
                put_varint(&mut bytes, *value);
            }
            Body::Fixed64(value) => {
                key(1);
                bytes.extend_from_slice(value);
            }
            Body::Fixed32(value) => {
                key(5);
                bytes.extend_from_slice(value);
            }
            Body::Bytes(value) => {
                key(2);
                put_varint(&mut bytes, value.len() as u64);
                bytes.extend_from_slice(value);
            }
            Body::Message(fields) => {
                key(2);
                let value = write(fields);
                put_varint(&mut bytes, value.len() as u64);
                bytes.extend_from_slice(&value);
            }
        }
    }
    bytes
}

/// The whole file as a tree, or what is left of it that is one.
fn tree(bytes: &[u8]) -> Vec<Field> {
    parse(bytes, 10).unwrap_or_default()
}

/// The positions of the fields that are wanted, each as the way to it from the root.
fn ways(fields: &[Field], wanted: fn(&Field) -> bool) -> Vec<Vec<usize>> {
    let mut ways = Vec::new();
    let mut open: Vec<(Vec<usize>, &[Field])> = vec![(Vec::new(), fields)];
    while let Some((way, fields)) = open.pop() {
        for (i, field) in fields.iter().enumerate() {
            let way = [way.as_slice(), &[i]].concat();
            if let Body::Message(inner) = &field.body {
                open.push((way.clone(), inner));
            }
            if wanted(field) {
                ways.push(way);
            }
        }
    }
    ways
}

/// The list of fields that the last step of a way goes into, and that step.
fn place<'a>(mut fields: &'a mut Vec<Field>, way: &[usize]) -> Option<(&'a mut Vec<Field>, usize)> {
    let (&last, before) = way.split_last()?;
    for &step in before {
        fields = match &mut fields.get_mut(step)?.body {
            Body::Message(inner) => inner,
            _ => return None,
        };
    }
    (last < fields.len()).then_some((fields, last))
}

/// Changes one field of the wanted kind, if there is one.
fn change_field(
    random: &mut Random,
    bytes: &mut Vec<u8>,
    wanted: fn(&Field) -> bool,
    change: impl FnOnce(&mut Random, &mut Vec<Field>, usize),
) {
    let mut fields = tree(bytes);
    let ways = ways(&fields, wanted);
    if ways.is_empty() {
        return;
    }
    if let Some((siblings, at)) = place(&mut fields, &ways[random.below(ways.len())]) {
        change(random, siblings, at);
        *bytes = write(&fields);
    }
}

fn huge_number(_: &Seeds, random: &mut Random, bytes: &mut Vec<u8>) {
    let wanted = |f: &Field| matches!(f.body, Body::Varint(_));
    change_field(random, bytes, wanted, |random, fields, at| fields[at].body = Body::Varint(huge(random)));
}

/// The numbers of shapes, axes and slices lie in small tensors.
fn huge_data(_: &Seeds, random: &mut Random, bytes: &mut Vec<u8>) {
    let wanted = |f: &Field| matches!(&f.body, Body::Bytes(b) if b.len() % 4 == 0 && (4..=64).contains(&b.len()));
    change_field(random, bytes, wanted, |random, fields, at| {
        if let Body::Bytes(data) = &mut fields[at].body {
            let size = if data.len() % 8 == 0 { 8 } else { 4 };
            let slot = size * random.below(data.len() / size);
            let value = if random.below(4) == 0 {
                [f32::NAN, f32::INFINITY, f32::MAX, f32::MIN_POSITIVE, -0.0][random.below(5)].to_bits().into()
            } else {
                huge(random)
            };
            data[slot..slot + size].copy_from_slice(&value.to_le_bytes()[..size]);
        }
    });
}

fn swap_fields(_: &Seeds, random: &mut Random, bytes: &mut Vec<u8>) {
    let mut fields = tree(bytes);
    let ways = ways(&fields, |f| matches!(f.body, Body::Bytes(_) | Body::Message(_)));
    if ways.len() < 2 {
        return;
    }
    let (a, b) = (&ways[random.below(ways.len())], &ways[random.below(ways.len())]);
    let body = |fields: &mut Vec<Field>, way: &[usize]| place(fields, way).map(|(list, at)| list[at].body.clone());
    let (old_a, old_b) = (body(&mut fields, a), body(&mut fields, b));
    for (way, new) in [(a, old_b), (b, old_a)] {
        if let (Some((list, at)), Some(new)) = (place(&mut fields, way), new) {
            list[at].body = new;
        }
    }
    *bytes = write(&fields);
}

fn duplicate_field(_: &Seeds, random: &mut Random, bytes: &mut Vec<u8>) {
    change_field(
        random,
        bytes,
        |_| true,
        |random, fields, at| {
            let copy = fields[at].clone();
            let size = write(std::slice::from_ref(&copy)).len();
            // Many copies of small ones, such as the numbers in lists.
            let times = 1 + if size < 64 && random.below(4) == 0 { random.below(2000) } else { random.below(2) };
            let to = random.below(fields.len() + 1);
            fields.splice(to..to, std::iter::repeat_n(copy, times));
        },
    );
}

fn delete_field(_: &Seeds, random: &mut Random, bytes: &mut Vec<u8>) {
    change_field(random, bytes, |_| true, |_, fields, at| drop(fields.remove(at)));
}

/// In the place of a field one of the same number from another file: another operator's name, another tensor.
fn graft_field(seeds: &Seeds, random: &mut Random, bytes: &mut Vec<u8>) {
    let mut others = tree(&seeds.any(random).1);
    let ways = ways(&others, |_| true);
    change_field(
        random,
        bytes,
        |_| true,
        |random, fields, at| {
            let start = random.below(ways.len().max(1));
            for way in ways.iter().cycle().skip(start).take(ways.len()) {
                if let Some((list, other)) = place(&mut others, way)
                    && list[other].number == fields[at].number
                {
                    fields[at] = list[other].clone();
                    return;
                }
            }
        },
    );
}

/// More axes, more inputs, more pads: another number beside one that is there.
fn lengthen(_: &Seeds, random: &mut Random, bytes: &mut Vec<u8>) {
    let wanted = |f: &Field| matches!(f.body, Body::Varint(_));
    change_field(random, bytes, wanted, |random, fields, at| {
        let number = fields[at].number;
        for _ in 0..=random.below(4) {
            fields.insert(at, Field { number, body: Body::Varint(huge(random)) });
        }
    });
}

/// Reads the numbers that a counting allocator keeps.
#[derive(Debug, Clone, Copy)]
pub struct Meter {
    /// Sets the peak to what is in use, and returns that.
    pub reset: fn() -> usize,
    /// The peak since.
    pub peak: fn() -> usize,
}

/// The results of the cases.
#[derive(Debug, Default)]
pub struct Report {
    cases: usize,
    loaded: usize,
    bytes: usize,
    time: Duration,
    slowest: Duration,
    slowest_case: String,
    most: usize,
    most_case: String,
    steepest: f64,
    steepest_case: String,
    /// Panics, and cases beyond the bounds.
    pub failures: Vec<String>,
}

impl Report {
    /// Imports the files of these cases. `before` hears of each case first.
    pub fn of(seeds: &Seeds, seed: u64, cases: std::ops::Range<usize>, meter: Meter, before: &dyn Fn(usize)) -> Self {
        let mut report = Self::default();
        let panic = Arc::new(Mutex::new(String::new()));
        let hook = std::panic::take_hook();
        let message = Arc::clone(&panic);
        std::panic::set_hook(Box::new(move |info| *message.lock().unwrap() = info.to_string().replace('\n', " ")));
        for case in cases {
            before(case);
            report.run(case, seeds.mutant(seed, case), meter, &panic);
        }
        std::panic::set_hook(hook);
        report
    }

    fn run(&mut self, case: usize, mutant: Mutant, meter: Meter, panic: &Mutex<String>) {
        let Mutant { history, bytes } = mutant;
        let size = bytes.len();
        let used = (meter.reset)();
        let start = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| {
            let import = lrp_onnx::from_bytes::<f32>("mutant", bytes, &Options::default());
            import.map(drop).map_err(|error| error.to_string().len())
        }));
        let time = start.elapsed();
        let peak = (meter.peak)().saturating_sub(used);

        let case = format!("case {case} ({size} bytes: {history})");
        match result {
            Ok(Ok(())) => self.loaded += 1,
            Ok(Err(length)) if length > 16_384 => self.failures.push(format!("{case}: a message of {length} bytes")),
            Ok(Err(_)) => {}
            Err(_) => self.failures.push(format!("{case}: {}", panic.lock().unwrap())),
        }
        if time > TIME {
            self.failures.push(format!("{case}: took {time:.1?}"));
        }
        if peak > MEMORY + MEMORY_PER_BYTE * size {
            self.failures.push(format!("{case}: allocated {:.1} MiB", mebi(peak)));
        }
        self.cases += 1;
        self.bytes += size;
        self.time += time;
        if time > self.slowest {
            (self.slowest, self.slowest_case) = (time, case.clone());
        }
        if peak > self.most {
            (self.most, self.most_case) = (peak, case.clone());
        }
        // What the file itself takes, apart from what it asks to be computed.
        let ratio = peak as f64 / size.max(1) as f64;
        if peak < 1 << 20 && size >= 100 && ratio > self.steepest {
            (self.steepest, self.steepest_case) = (ratio, case);
        }
    }
}

fn mebi(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cases, loaded, slowest, slowest_case, most_case, steepest, steepest_case, .. } = self;
        let refused = cases - loaded;
        writeln!(f, "{cases} files, {:.0} bytes on average: {loaded} loaded, {refused} refused", {
            self.bytes as f64 / (*cases).max(1) as f64
        })?;
        writeln!(f, "time: {:.1?} in all, at most {slowest:.1?}: {slowest_case}", self.time)?;
        writeln!(f, "memory: at most {:.1} MiB: {most_case}", mebi(self.most))?;
        writeln!(f, "        below 1 MiB at most {steepest:.0} bytes per byte: {steepest_case}")?;
        write!(
            f,
            "{} beyond the bounds ({} bytes per byte and {:.0} MiB; {TIME:?}; no panic)",
            self.failures.len(),
            MEMORY_PER_BYTE,
            mebi(MEMORY)
        )?;
        for failure in self.failures.iter().take(50) {
            write!(f, "\n  {failure}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_of_each_file_is_written_back_as_it_was() {
        let seeds = Seeds::load();
        for (name, bytes) in &seeds.0 {
            let fields = tree(bytes);
            assert!(fields.len() > 2, "{name}");
            assert_eq!(&write(&fields), bytes, "{name}");
        }
    }

    #[test]
    fn a_case_is_always_the_same_file() {
        let seeds = Seeds::load();
        let of = |seed, case| seeds.mutant(seed, case).bytes;
        assert_eq!(of(1, 7), of(1, 7));
        assert_ne!(of(1, 7), of(1, 8));
        assert_ne!(of(1, 7), of(2, 7));
    }
}
