//! The growth curve as a picture.

use std::fmt::Write as _;

use super::table::grouped;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 380.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 56.0;
/// Horizontal lines above the first.
const LINES: u32 = 5;

/// One side's records per second over the records that were there.
#[derive(Debug, Clone)]
pub(super) struct Curve {
    pub(super) name: &'static str,
    /// Records that were there after the load, and its records per second.
    pub(super) points: Vec<(f64, f64)>,
}

/// An SVG that is readable on light and on dark ground; nothing when there is nothing to draw.
pub(super) fn svg(curves: &[Curve]) -> Option<String> {
    let frame = Frame::around(curves)?;
    let mut text = head();
    frame.rates(&mut text);
    frame.sizes(&mut text);
    for (number, curve) in curves.iter().enumerate() {
        let places = curve.points.iter().map(|(size, rate)| (frame.x(*size), frame.y(*rate)));
        let path: Vec<_> = places.clone().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
        let path = path.join("L");
        add(
            &mut text,
            format_args!(r#"<path class="curve c{number}" d="M{path}"/>"#),
        );
        for (x, y) in places {
            add(
                &mut text,
                format_args!(r#"<circle class="dot c{number}" cx="{x:.1}" cy="{y:.1}" r="3"/>"#),
            );
        }
        let (x, name) = (LEFT + 13.0 + 120.0 * number as f64, curve.name);
        add(
            &mut text,
            format_args!(r#"<circle class="dot c{number}" cx="{x}" cy="18" r="5"/>"#),
        );
        label(&mut text, x + 11.0, 22.0, "start", name);
    }
    text.push_str("</svg>\n");
    Some(text)
}

/// What the axes reach over.
struct Frame {
    /// Powers of ten at the left and at the right.
    first: f64,
    last: f64,
    /// Records per second between two lines.
    step: f64,
}

impl Frame {
    fn around(curves: &[Curve]) -> Option<Self> {
        let points = || curves.iter().flat_map(|curve| curve.points.iter().copied());
        let least = points()
            .map(|(size, _)| size)
            .reduce(f64::min)?
            .max(1.0)
            .log10()
            .floor();
        let most = points().map(|(size, _)| size).reduce(f64::max)?.log10();
        Some(Self {
            first: least,
            last: (most + 0.05).max(least + 1.0),
            step: round_step(points().map(|(_, rate)| rate).reduce(f64::max)?),
        })
    }

    fn x(&self, size: f64) -> f64 {
        LEFT + (size.log10() - self.first) / (self.last - self.first) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, rate: f64) -> f64 {
        HEIGHT - BOTTOM - rate / (self.step * f64::from(LINES)) * (HEIGHT - TOP - BOTTOM)
    }

    /// The vertical axis.
    fn rates(&self, text: &mut String) {
        for line in 0..=LINES {
            let rate = self.step * f64::from(line);
            let (y, end) = (self.y(rate), WIDTH - RIGHT);
            add(text, format_args!(r#"<path class="grid" d="M{LEFT} {y:.1}H{end}"/>"#));
            label(text, LEFT - 8.0, y + 4.0, "end", &grouped(rate));
        }
        let middle = (TOP + HEIGHT - BOTTOM) / 2.0;
        let place = format_args!(r#"transform="translate(16 {middle}) rotate(-90)" text-anchor="middle""#);
        add(text, format_args!("<text {place}>records/s acknowledged</text>"));
    }

    /// The horizontal axis.
    fn sizes(&self, text: &mut String) {
        let base = HEIGHT - BOTTOM;
        let mut power = self.first;
        while power <= self.last {
            for (factor, named) in [(1.0, true), (2.0, false), (5.0, true)] {
                let size = factor * 10f64.powf(power);
                if size.log10() <= self.last {
                    let x = self.x(size);
                    add(text, format_args!(r#"<path class="grid" d="M{x:.1} {base}v6"/>"#));
                    let name = if named { grouped(size) } else { String::new() };
                    label(text, x, base + 22.0, "middle", &name);
                }
            }
            power += 1.0;
        }
        let middle = (LEFT + WIDTH - RIGHT) / 2.0;
        label(text, middle, HEIGHT - 10.0, "middle", "records kept (logarithmic)");
    }
}

fn label(text: &mut String, x: f64, y: f64, anchor: &str, words: &str) {
    if !words.is_empty() {
        add(
            text,
            format_args!(r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{words}</text>"#),
        );
    }
}

fn head() -> String {
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Records per second over the number of records kept">
<style>
text {{ font: 13px sans-serif; fill: #1f2328 }}
.grid {{ stroke: #8c959f; stroke-opacity: .4; fill: none }}
.curve {{ fill: none; stroke-width: 2.5 }}
.c0 {{ stroke: #0a7d4f }} .dot.c0 {{ fill: #0a7d4f }}
.c1 {{ stroke: #b35900 }} .dot.c1 {{ fill: #b35900 }}
@media (prefers-color-scheme: dark) {{
text {{ fill: #e6edf3 }}
.c0 {{ stroke: #3fce8f }} .dot.c0 {{ fill: #3fce8f }}
.c1 {{ stroke: #ffa657 }} .dot.c1 {{ fill: #ffa657 }}
}}
</style>
"#
    )
}

/// The distance of lines at which the highest of them lies at or above this rate.
fn round_step(most: f64) -> f64 {
    let least = (most / f64::from(LINES)).max(1.0);
    let power = 10f64.powf(least.log10().floor());
    let fitting = [1.0, 2.0, 2.5, 5.0].map(|factor| factor * power);
    fitting.into_iter().find(|step| *step >= least).unwrap_or(10.0 * power)
}

fn add(text: &mut String, element: std::fmt::Arguments<'_>) {
    writeln!(text, "{element}").expect("a String takes everything");
}

#[cfg(test)]
mod tests {
    use super::{Curve, round_step, svg};

    #[test]
    fn every_point_lies_within_the_picture() {
        let curve = |name, points: &[(f64, f64)]| Curve {
            name,
            points: points.to_vec(),
        };
        let curves = [
            curve("محور", &[(10_000.0, 31_000.0), (1e6, 29_500.0), (5e6, 28_000.0)]),
            curve("PostgreSQL", &[(10_000.0, 12_000.0), (5e6, 3_000.0)]),
        ];
        let text = svg(&curves).unwrap();
        let value = |circle: &str, key: &str| {
            let rest = circle.split_once(key).map_or("", |(_, rest)| rest);
            rest.split('"')
                .next()
                .and_then(|value| value.parse::<f64>().ok())
                .unwrap()
        };
        let circles: Vec<_> = text.split("<circle").skip(1).collect();
        assert_eq!(circles.len(), 5 + 2);
        for circle in circles {
            let (x, y) = (value(circle, "cx=\""), value(circle, "cy=\""));
            assert!((84.0..=696.0).contains(&x) && (10.0..=324.0).contains(&y), "{x} {y}");
        }
        assert!(text.contains("محور") && text.contains("5 000 000") && text.ends_with("</svg>\n"));
        assert!(svg(&[]).is_none());
    }

    #[test]
    fn lines_reach_above_the_highest_rate() {
        assert_eq!(round_step(31_000.0), 10_000.0);
        assert_eq!(round_step(25_000.0), 5_000.0);
        assert_eq!(round_step(4_400.0), 1_000.0);
    }
}
