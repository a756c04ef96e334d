//! The progress bar, on a terminal.

use std::collections::VecDeque;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use indicatif::style::ProgressTracker;
use indicatif::{HumanDuration, ProgressBar, ProgressState, ProgressStyle};

use crate::input;

/// The rate is that of so much time: the first samples, for which much is made once, are soon forgotten.
const WINDOW: Duration = Duration::from_secs(8);

/// A progress bar on a terminal, nothing elsewhere.
pub fn bar(inputs: &[PathBuf]) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} samples, {window}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar()).with_key("window", Window::default());
    let progress = ProgressBar::new(0).with_style(style);
    // To count them, every file has to be opened.
    if !progress.is_hidden() {
        progress.set_length(count(inputs) as u64);
    }
    progress
}

/// How many samples these inputs promise.
pub fn count(inputs: &[PathBuf]) -> usize {
    inputs.iter().map(|path| input::expected_samples(path)).sum()
}

/// From now on, the bar says what is written at the end.
pub fn say(progress: &ProgressBar, what: &'static str) {
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
        progress.set_style(style);
        progress.set_message(what);
        progress.enable_steady_tick(Duration::from_millis(100));
    }
}

/// Samples a second, and the time that is left.
#[derive(Debug, Clone, Default)]
struct Window {
    /// When how many samples were done.
    points: VecDeque<(Instant, u64)>,
    /// How many are left.
    left: u64,
}

impl Window {
    fn add(&mut self, now: Instant, done: u64, of: u64) {
        self.left = of.saturating_sub(done);
        if self.points.back().is_none_or(|(_, last)| *last != done) {
            self.points.push_back((now, done));
        }
        // One point before the window stays, to measure from.
        while self.points.get(1).is_some_and(|(then, _)| now.duration_since(*then) >= WINDOW) {
            self.points.pop_front();
        }
    }

    /// Samples a second.
    fn rate(&self) -> Option<f64> {
        let ((first, from), (last, to)) = (self.points.front()?, self.points.back()?);
        let seconds = last.duration_since(*first).as_secs_f64();
        (seconds > 0.0).then(|| to.saturating_sub(*from) as f64 / seconds).filter(|rate| *rate > 0.0)
    }
}

impl ProgressTracker for Window {
    fn clone_box(&self) -> Box<dyn ProgressTracker> {
        Box::new(self.clone())
    }

    fn tick(&mut self, state: &ProgressState, now: Instant) {
        self.add(now, state.pos(), state.len().unwrap_or(0));
    }

    fn reset(&mut self, _: &ProgressState, _: Instant) {
        self.points.clear();
    }

    fn write(&self, _: &ProgressState, w: &mut dyn Write) {
        let Some(rate) = self.rate() else { return };
        let left = Duration::try_from_secs_f64(self.left as f64 / rate).unwrap_or(Duration::MAX);
        let _ = write!(w, "{rate:.1}/s, {} left", HumanDuration(left));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let (start, mut window) = (Instant::now(), Window::default());
        window.add(start, 0, 1000);
        assert_eq!(window.rate(), None);
        // The first sample takes ten seconds, and then there are ten a second.
        window.add(start + Duration::from_secs(10), 1, 1000);
        for i in 1..=200 {
            window.add(start + Duration::from_secs(10) + Duration::from_millis(100 * i), 1 + i, 1000);
        }
        let rate = window.rate().unwrap();
        assert!((rate - 10.0).abs() < 0.5, "{rate}");
        assert_eq!(window.left, 799);
        assert!(window.points.len() < 100);
    }
}
