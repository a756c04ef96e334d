//! The kind of a sample, and the drawing of its relevance.

use image::imageops;
use lrp::text::TextPart;
use lrp::{Error, Layout};
use lrp_config::{Input, Kind};
use lrp_core::{Model, Scalar};
use ndarray::ArrayViewD;

use crate::arrangement::Arrangement;
use crate::canvas::Canvas;
use crate::heatmap::Heatmap;
use crate::look::Look;
use crate::picture::picture;
use crate::series;
use crate::tokens::{self, Tokens};

/// Draws relevance of one kind of samples.
pub struct Drawing {
    kind: Kind,
    look: Look,
    expected: Input,
    tokens: Option<Tokens>,
}

/// A sample and its relevance, ready to be drawn.
pub struct Drawn {
    /// The picture.
    pub picture: Canvas,
    /// The same as an HTML fragment, for text.
    pub html: Option<String>,
}

impl Drawing {
    /// Chooses the drawing of samples of this shape, given `[input]`, the texts of their tokens, and whether they come from
    /// tables.
    ///
    /// # Errors
    /// When the recipe or a flag gives a kind that samples of this shape cannot have.
    pub fn new<T: Scalar>(
        expected: &Input,
        tokens: Option<Tokens>,
        has_tables: bool,
        look: &Look,
        model: &Model<T>,
        shape: &[usize],
    ) -> Result<Self, Error> {
        let kind = match expected.kind {
            Some(kind) => {
                check(kind, shape)?;
                kind
            }
            None if tokens.is_some() => {
                check(Kind::Tokens, shape)?;
                Kind::Tokens
            }
            None if is_series(model, has_tables, shape) => Kind::Series,
            None => Kind::Image,
        };
        if tokens.is_some() && kind != Kind::Tokens {
            return Err(Error::user(
                "tokens are given, and samples are not texts",
                "let kind be \"tokens\", or leave it out",
            ));
        }
        Ok(Self { kind, look: look.clone(), expected: expected.clone(), tokens })
    }

    /// A remark for readers, if the pictures are not simply the samples.
    pub fn note(&self, shape: &[usize]) -> Option<String> {
        (self.kind == Kind::Image).then(|| Arrangement::of(shape).note(shape)).flatten()
    }

    /// Draws the relevance of the sample number `number` of its input, and of the parts of its text, if they are known. Sample and
    /// relevance are without the batch axis.
    ///
    /// # Errors
    /// When the tokens are not those of the sample, or the bundled font cannot be read.
    pub fn draw<T: Scalar>(
        &self,
        (number, text): (usize, Option<&[TextPart]>),
        sample: ArrayViewD<'_, T>,
        relevance: ArrayViewD<'_, T>,
    ) -> Result<Drawn, Error> {
        let no_picture = || Error::Internal(format!("samples of shape {:?} cannot be drawn", sample.shape()));
        let picture = match self.kind {
            Kind::Image => {
                let input = self.look.overlay.map(|_| picture(sample.view(), &self.expected));
                Canvas::of_image(Heatmap::new(relevance).picture(&self.look, input.as_ref()))
            }
            Kind::Series | Kind::SeriesLast => {
                let rows = |array: ArrayViewD<'_, T>| series::rows(array, self.kind == Kind::SeriesLast);
                let (values, relevance) = rows(sample.view()).zip(rows(relevance)).ok_or_else(no_picture)?;
                series::draw(&values, &relevance, &self.look)?
            }
            Kind::Tokens => {
                let scores = tokens::scores(relevance);
                let parts = match (&self.tokens, text) {
                    (Some(tokens), _) => tokens.of(number, scores.len())?.into_iter().map(TextPart::token).collect(),
                    (None, Some(parts)) => parts.to_vec(),
                    (None, None) => (0..scores.len()).map(|i| TextPart::token(i.to_string())).collect(),
                };
                let text = tokens::Scored::new(parts, &scores);
                return Ok(Drawn { picture: text.draw(&self.look)?, html: Some(text.html(&self.look)?) });
            }
        };
        Ok(Drawn { picture, html: None })
    }
}

impl Drawing {
    /// Whether samples of this shape are drawn as one image, over which maps inside the network can be laid.
    pub fn is_image(&self, shape: &[usize]) -> bool {
        self.kind == Kind::Image && Layout::of(shape).is_some_and(|layout| layout.size() > (1, 1))
    }

    /// Draws relevance `[C, H, W]` inside the network, channels summed, over the image of its sample.
    pub fn draw_map<T: Scalar>(&self, sample: ArrayViewD<'_, T>, relevance: ArrayViewD<'_, T>) -> Drawn {
        let input = picture(sample, &self.expected);
        let map = Heatmap::of_map(relevance).spread(input.width(), input.height());
        let (width, height) = map.size();
        // Of a map that is finer than the image.
        let input = imageops::resize(&input, width, height, imageops::FilterType::Nearest);
        Drawn { picture: Canvas::of_image(map.picture(&self.look, Some(&input))), html: None }
    }
}

/// Whether samples of two axes are channels and time: the model's convolutions go along one axis, or there are tables.
fn is_series<T: Scalar>(model: &Model<T>, has_tables: bool, shape: &[usize]) -> bool {
    let one_axis = |(_, node): (_, &lrp_core::graph::Node<T>)| {
        node.kind() == Some(lrp_core::operator::Kind::Conv) && node.shape.len() == 2
    };
    has_tables || (shape.len() == 2 && model.nodes().any(one_axis))
}

fn check(kind: Kind, shape: &[usize]) -> Result<(), Error> {
    let (fits, what, help) = match kind {
        Kind::Image => (Layout::of(shape).is_some(), "an image", "an image is [C, H, W], [H, W, C] or [H, W]"),
        Kind::Series => (series::is_one(shape), "a series", "a series is [C, L] or [L]"),
        Kind::SeriesLast => (shape.len() == 2, "a series", "a series whose last axis are channels is [L, C]"),
        Kind::Tokens => (matches!(shape.len(), 1 | 2), "a text", "a text is [L, D], a vector for each token, or [L]"),
    };
    if fits {
        return Ok(());
    }
    Err(Error::user(format!("the model's samples have the shape {shape:?}, which is not {what}"), help))
}
