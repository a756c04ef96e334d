//! The measures: each takes relevance maps as plain numbers, row by row.

use super::bundled::SIDE;

/// `Σ |R|`.
pub fn size(map: &[f64]) -> f64 {
    map.iter().map(|r| r.abs()).sum()
}

/// `Σ |R_i − R_j|` over all pairs of pixels that touch at an edge, in units of `Σ |R|`: total variation, normalised.
pub fn roughness(map: &[f64]) -> f64 {
    let pairs = (0..map.len()).flat_map(|i| {
        let right = (i % SIDE + 1 < SIDE).then_some((i, i + 1));
        let below = (i + SIDE < map.len()).then_some((i, i + SIDE));
        right.into_iter().chain(below)
    });
    pairs.map(|(i, j)| (map[i] - map[j]).abs()).sum::<f64>() / size(map)
}

/// The share of negative relevance, `Σ |R⁻| / Σ |R|`.
pub fn negative_share(map: &[f64]) -> f64 {
    map.iter().map(|r| (-r).max(0.0)).sum::<f64>() / size(map)
}

/// The Gini index of `|R|` (Hurley and Rickard 2009): with the `N` values in ascending order,
/// `1 − 2 Σ_k |R|_(k) / Σ |R| · (N − k + ½) / N`. 0 where all are equal, near 1 where one has everything.
pub fn gini(values: &[f64]) -> f64 {
    let mut sorted: Vec<f64> = values.iter().map(|r| r.abs()).collect();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len() as f64;
    let weighted: f64 = sorted.iter().zip(1..).map(|(r, k)| r * (n - f64::from(k) + 0.5) / n).sum();
    1.0 - 2.0 * weighted / size(values)
}

/// The smallest number of pixels that together hold this share of `Σ |R|`.
pub fn pixels_holding(share: f64, map: &[f64]) -> usize {
    let mut sorted: Vec<f64> = map.iter().map(|r| r.abs()).collect();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let goal = share * size(map);
    let held = sorted.iter().scan(0.0, |sum, r| Some(std::mem::replace(sum, *sum + r)));
    held.take_while(|held| *held < goal).count()
}

/// The number of pixels with more than this share of the largest `|R|`: those that a heatmap shows.
pub fn pixels_above(share: f64, map: &[f64]) -> usize {
    let largest = map.iter().fold(0.0, |m: f64, r| m.max(r.abs()));
    map.iter().filter(|r| r.abs() > share * largest).count()
}

/// `‖a − b‖₂ / ‖b‖₂`.
pub fn relative_distance(a: &[f64], b: &[f64]) -> f64 {
    let difference: f64 = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum();
    (difference / b.iter().map(|b| b * b).sum::<f64>()).sqrt()
}

/// The cosine of the angle between two maps: 1 where they are the same but for a factor, 0 where they have nothing in common.
pub fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// The share of positive relevance inside the patch (rows and columns 1 to 4), `Σ_patch R⁺ / Σ R⁺`.
pub fn share_in_patch(map: &[f64]) -> f64 {
    let positive = |(_, r): (usize, &f64)| r.max(0.0);
    let inside = map.iter().enumerate().filter(|(i, _)| in_patch(*i)).map(positive).sum::<f64>();
    inside / map.iter().enumerate().map(positive).sum::<f64>()
}

/// Whether a pixel lies in the patch.
pub fn in_patch(pixel: usize) -> bool {
    (1..5).contains(&(pixel / SIDE)) && (1..5).contains(&(pixel % SIDE))
}

/// The mean of the first `count` steps of a curve given at `(step, value)`, by the trapezoid rule.
pub fn area(curve: &[(usize, f64)], count: usize) -> f64 {
    let pieces = curve.windows(2).take_while(|w| w[1].0 <= count);
    pieces.map(|w| (w[1].0 - w[0].0) as f64 * (w[0].1 + w[1].1) / 2.0).sum::<f64>() / count as f64
}

/// The mean.
pub fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let (sum, n) = values.into_iter().fold((0.0, 0), |(sum, n), v| (sum + v, n + 1));
    sum / f64::from(n)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(pixels: &[(usize, usize, f64)]) -> Vec<f64> {
        let mut map = vec![0.0; SIDE * SIDE];
        pixels.iter().for_each(|&(row, column, r)| map[row * SIDE + column] = r);
        map
    }

    #[test]
    fn measures_by_hand() {
        // One pixel in the middle has four neighbours, one in a corner two; opposite neighbours make it rougher.
        assert_eq!(roughness(&picture(&[(9, 9, 2.0)])), 4.0);
        assert_eq!(roughness(&picture(&[(0, 0, 2.0)])), 2.0);
        assert_eq!(roughness(&picture(&[(9, 9, 1.0), (9, 10, 1.0)])), 3.0);
        assert_eq!(roughness(&picture(&[(9, 9, 1.0), (9, 10, -1.0)])), 4.0);
        assert_eq!(negative_share(&[3.0, -1.0, 0.0]), 0.25);
        assert_eq!(gini(&[1.0, -1.0, 1.0, 1.0]), 0.0);
        assert_eq!(gini(&[0.0, 0.0, -5.0, 0.0]), 0.75);
        assert_eq!(pixels_holding(0.9, &[1.0, -8.0, 0.5, 0.5]), 2);
        assert_eq!(pixels_holding(0.9, &[1.0; 10]), 9);
        assert_eq!(pixels_above(0.1, &[1.0, -8.0, 0.5, 0.7]), 2);
        assert_eq!(relative_distance(&[3.0, 4.0], &[3.0, 0.0]), 4.0 / 3.0);
        assert_eq!(cosine(&[1.0, 1.0], &[2.0, 2.0]), 1.0);
        assert_eq!(share_in_patch(&picture(&[(1, 4, 1.0), (5, 4, 3.0), (2, 2, -7.0)])), 0.25);
        assert_eq!(area(&[(0, 1.0), (1, 0.0), (3, 0.0), (4, 9.0)], 3), 0.5 / 3.0);
    }
}
