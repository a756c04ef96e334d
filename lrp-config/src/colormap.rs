//! Colour maps: the ones that people know by zennit's names, and sources in its colour-map language.
//!
//! A source is a list of colours, `00f,80:fff,f00`, three or six hexadecimal digits each, from the most negative value to the most
//! positive one. Colours are at equal steps, or at a position of their own, one or two hexadecimal digits from `00` to `ff`. Between
//! colours the map is linear. Zero is always at `80`: the centre of a diverging map.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use lrp_core::text::shown;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error};

use crate::suggest;
use crate::values::ValueError;

/// Names of the colour maps there are.
pub const COLORMAPS: &[&str] =
    &["bwr", "france", "seismic", "coolio", "coleus", "coldnhot", "gray", "wred", "wblue", "hot", "cold"];

/// Their sources, and their appearance.
const SOURCES: [(&str, &str); COLORMAPS.len()] = [
    ("00f,80:fff,f00", "blue, white, red"),
    ("0055a4,80:fff,ef4135", "blue, white, red, as in the flag"),
    ("0000d0,80:d0d0d0,d00000", "dark blue, light grey, dark red"),
    ("00d0d0,80:d0d0d0,d000d0", "cyan, light grey, magenta"),
    ("00d000,80:d0d0d0,d000d0", "green, light grey, magenta"),
    ("0ff,00f,80:000,f00,ff0,fff", "cyan, blue, black, red, yellow, white"),
    ("000,fff", "black to white"),
    ("fff,f00", "white to red"),
    ("fff,00f", "white to blue"),
    ("000,f00,ff0,fff", "black, red, yellow, white"),
    ("000,00f,0ff", "black, blue, cyan"),
];

/// The position of zero, between 0 and [`LAST`].
const ZERO: u8 = 0x80;
/// The position of the most positive value.
const LAST: u8 = 0xff;

/// The form of a source, for help.
const EXAMPLE: &str = "\"00f,80:fff,f00\"";

/// A colour map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Colormap {
    name: String,
    /// Positions in ascending order, the first 0 and the last [`LAST`], with their colours.
    nodes: Vec<(u8, [u8; 3])>,
}

impl Colormap {
    /// The maps of [`COLORMAPS`].
    pub fn all() -> impl Iterator<Item = Self> {
        COLORMAPS.iter().zip(SOURCES).filter_map(|(name, (source, _))| compile(name, source).ok())
    }

    /// The name, or the source of a map that has none.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The source.
    pub fn source(&self) -> &str {
        self.known().map_or(&self.name, |(source, _)| source)
    }

    /// The appearance of the map, if it has a name.
    pub fn description(&self) -> Option<&'static str> {
        self.known().map(|(_, description)| description)
    }

    fn known(&self) -> Option<(&'static str, &'static str)> {
        COLORMAPS.iter().position(|name| *name == self.name).map(|i| SOURCES[i])
    }

    /// Whether the map falls into a negative and a positive half: zero is the lightest colour, or the darkest.
    pub fn is_diverging(&self) -> bool {
        let [low, zero, high] = [0, ZERO, LAST].map(|position| lightness(self.mix(f64::from(position))));
        (zero > low && zero > high) || (zero < low && zero < high)
    }

    /// The colour of a value in −1…1, zero being the centre. What lies beyond gets the colour of the end, and what is not a number that
    /// of zero.
    // Asked for each pixel: with `#[inline]`, here and below, it is compiled in the crate that draws, with optimisation.
    #[inline]
    pub fn color(&self, value: f64) -> [u8; 3] {
        let value = if value.is_nan() { 0.0 } else { value.clamp(-1.0, 1.0) };
        let side = if value < 0.0 { ZERO } else { LAST - ZERO };
        rounded(self.mix(f64::from(ZERO) + value * f64::from(side)))
    }

    /// The colour of a value in 0…1, from the first of the map's colours to the last: for relevance of one sign.
    #[inline]
    pub fn color_from_start(&self, value: f64) -> [u8; 3] {
        let value = if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) };
        rounded(self.mix(value * f64::from(LAST)))
    }

    /// The colour, red, green and blue from 0 to 255, at a position from 0 to 255.
    #[inline]
    pub fn mix(&self, position: f64) -> [f64; 3] {
        let next = self.nodes.partition_point(|(p, _)| f64::from(*p) <= position);
        let wide = |node: Option<&(u8, [u8; 3])>| node.map(|(p, color)| (f64::from(*p), color.map(f64::from)));
        match (wide(self.nodes.get(next.saturating_sub(1))), wide(self.nodes.get(next))) {
            (Some((low, a)), Some((high, b))) if high > low => {
                let part = ((position - low) / (high - low)).clamp(0.0, 1.0);
                [0, 1, 2].map(|channel| a[channel] + (b[channel] - a[channel]) * part)
            }
            (Some((_, a)), _) => a,
            _ => [0.0; 3],
        }
    }
}

/// The relative luminance of a colour, its gamma left aside.
fn lightness([red, green, blue]: [f64; 3]) -> f64 {
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

#[inline]
fn rounded(color: [f64; 3]) -> [u8; 3] {
    color.map(|c| c.round().clamp(0.0, 255.0) as u8)
}

impl Default for Colormap {
    /// `bwr`.
    fn default() -> Self {
        Self { name: "bwr".to_owned(), nodes: vec![(0, [0, 0, 255]), (ZERO, [255; 3]), (LAST, [255, 0, 0])] }
    }
}

impl fmt::Display for Colormap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name)
    }
}

impl FromStr for Colormap {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if let Some(i) = COLORMAPS.iter().position(|name| *name == text) {
            return compile(text, SOURCES[i].0);
        }
        let is_source = text.contains([',', ':']) || (!text.is_empty() && text.chars().all(|c| c.is_ascii_hexdigit()));
        match is_source {
            true => compile(text, text),
            false => {
                let names = suggest::choices(text, COLORMAPS);
                let meant = suggest::closest(text, COLORMAPS.iter().copied()).map(|meant| format!("\"{meant}\""));
                let error = ValueError::new(format_args!("there is no colour map '{}'", shown(text)));
                Err(error.help(format_args!("{names}; or write colours: {EXAMPLE}")).meant(meant))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Colormap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(Error::custom)
    }
}

impl JsonSchema for Colormap {
    fn schema_name() -> Cow<'static, str> {
        "Colormap".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let color = "(?:[0-9a-fA-F]{1,2} *: *)?(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})";
        json_schema!({ "anyOf": [
            { "type": "string", "enum": COLORMAPS },
            { "title": "colours", "type": "string", "pattern": format!("^ *{color}(?: *, *{color})+ *,? *$") },
        ] })
    }
}

/// A colour of a source, at a position if one is given.
type Item = (Option<u8>, [u8; 3]);

fn compile(name: &str, source: &str) -> Result<Colormap, ValueError> {
    let mut parts: Vec<&str> = source.split(',').map(str::trim).collect();
    // A comma at the end is no harm.
    parts.pop_if(|last| last.is_empty());
    let items = parts.iter().enumerate().map(|(i, part)| item(i + 1, part)).collect::<Result<Vec<_>, _>>()?;
    Ok(Colormap { name: name.to_owned(), nodes: placed(&items)? })
}

/// `80:fff`, or `fff`: the `number`th of a source.
fn item(number: usize, text: &str) -> Result<Item, ValueError> {
    let (position, color) = match text.split_once(':') {
        Some((position, color)) => (Some(position.trim()), color.trim()),
        None => (None, text),
    };
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_hexdigit());
    if !matches!(color.len(), 3 | 6) || !digits(color) {
        return Err(ValueError::new(format_args!("colour {number}, '{color}', is none")).help(format_args!(
            "a colour has 3 or 6 hexadecimal digits, as f00 or ff0000, and may have a position before it, as in {EXAMPLE}"
        )));
    }
    let hex = |text: &str| u8::from_str_radix(text, 16).unwrap_or_default();
    let position = position
        .map(|p| match p.len() {
            // One digit stands for two of the same, as in colours.
            1 if digits(p) => Ok(hex(p) * 0x11),
            2 if digits(p) => Ok(hex(p)),
            _ => Err(ValueError::new(format_args!("the position of colour {number}, '{p}', is none"))
                .help("a position has one or two hexadecimal digits, from 00 to ff; zero is at 80")),
        })
        .transpose()?;
    let width = color.len() / 3;
    let channel =
        |c: usize| color.get(c * width..(c + 1) * width).map_or(0, |d| hex(d) * if width == 1 { 0x11 } else { 1 });
    Ok((position, [0, 1, 2].map(channel)))
}

/// Every colour at its position: those without a position at equal steps between those with one.
fn placed(items: &[Item]) -> Result<Vec<(u8, [u8; 3])>, ValueError> {
    let [(first, color), rest @ ..] = items else { return Err(too_few()) };
    let Some(end) = rest.len().checked_sub(1) else { return Err(too_few()) };
    let mut nodes = vec![(0, *color)];
    nodes.extend(first.filter(|position| *position > 0).map(|position| (position, *color)));
    let mut waiting = Vec::new();
    for (i, (position, color)) in rest.iter().enumerate() {
        let Some(position) = position.or_else(|| (i == end).then_some(LAST)) else {
            waiting.push(*color);
            continue;
        };
        let before = nodes.last().map_or(0, |(position, _)| *position);
        if position < before {
            let number = i + 2;
            let error = format!("colour {number} is at {position:02x}, behind it {before:02x} has passed");
            return Err(ValueError::new(error).help("write colours in the order of their positions"));
        }
        let step = f64::from(position - before) / (waiting.len() + 1) as f64;
        for (k, color) in waiting.drain(..).enumerate() {
            nodes.push((whole(f64::from(before) + step * (k + 1) as f64), color));
        }
        nodes.push((position, *color));
    }
    nodes.extend(nodes.last().filter(|(position, _)| *position < LAST).map(|(_, color)| (LAST, *color)));
    Ok(nodes)
}

/// A position as a whole number: the one below, as in zennit, but that the exact middle is where zero is.
fn whole(position: f64) -> u8 {
    if position == f64::from(LAST) / 2.0 { ZERO } else { position as u8 }
}

fn too_few() -> ValueError {
    let help = format_args!("write them from the most negative value to the most positive: {EXAMPLE}");
    ValueError::new("a colour map has at least two colours").help(help)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(source: &str) -> Colormap {
        source.parse().unwrap()
    }

    #[test]
    fn zero_is_neutral_and_the_ends_are_the_ends() {
        let bwr = map("bwr");
        assert_eq!(bwr, Colormap::default());
        assert_eq!(bwr.color(0.0), [255, 255, 255]);
        assert_eq!((bwr.color(1.0), bwr.color(7.0)), ([255, 0, 0], [255, 0, 0]));
        assert_eq!(bwr.color(-1.0), [0, 0, 255]);
        assert_eq!(bwr.color(f64::NAN), [255, 255, 255]);
        assert_eq!(map("seismic").color(0.0), [0xd0; 3]);
        assert_eq!(map("coldnhot").color(0.0), [0; 3]);
        assert_eq!(map("gray").color(0.0), [128; 3]);
        assert_eq!(map("wred").color_from_start(0.0), [255; 3]);
        assert_eq!(map("wred").color_from_start(1.0), [255, 0, 0]);
    }

    #[test]
    fn every_name_has_a_map() {
        let names: Vec<String> = Colormap::all().map(|map| map.name().to_owned()).collect();
        assert_eq!(names, COLORMAPS);
        for map in Colormap::all() {
            assert_eq!(map.is_diverging(), map.source().contains("80:"), "{map}");
            assert_eq!(map.nodes, super::tests::map(map.source()).nodes);
        }
    }

    #[test]
    fn colours_stand_where_the_source_puts_them() {
        assert_eq!(map("f00, 4:00ff00 ,fff,").nodes, [(0, [255, 0, 0]), (0x44, [0, 255, 0]), (255, [255; 3])]);
        // What is set inside holds to the ends, and two colours at one place make a step.
        assert_eq!(map("40:000,40:fff,c0:f00").nodes.first(), Some(&(0, [0; 3])));
        assert_eq!(map("40:000,40:fff,c0:f00").nodes.last(), Some(&(255, [255, 0, 0])));
        assert_eq!(map("0:000,80:000,80:fff,fff").color(0.0), [255; 3]);
        assert_eq!(map("0:000,80:000,80:fff,fff").color(-0.001), [0; 3]);
        // Three colours at equal steps: zero has the one in the middle, exactly.
        assert_eq!(map("00f,fff,f00").color(0.0), [255; 3]);
        assert!(map("00f,fff,f00").is_diverging() && !map("000,888,fff").is_diverging());
    }

    #[test]
    fn what_is_no_map_is_named() {
        for (source, message) in [
            ("fff", "at least two colours"),
            ("", "there is no colour map ''"),
            (",", "colour 1, '', is none"),
            ("fff,ff", "colour 2, 'ff', is none"),
            ("fff,g00", "colour 2, 'g00', is none"),
            ("fff,123:f00", "the position of colour 2, '123', is none"),
            ("80:fff,40:f00", "colour 2 is at 40"),
            ("fff,f00:", "colour 2, '', is none"),
            ("sesmic", "did you mean 'seismic'?"),
            ("ääa,fff", "colour 1, 'ääa', is none"),
        ] {
            let error = source.parse::<Colormap>().unwrap_err();
            assert!(error.to_string().contains(message), "{source}: {error}");
        }
    }
}
