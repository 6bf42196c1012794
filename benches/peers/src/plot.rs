//! Draws what was measured, as SVG that follows the reader's light or dark mode.

use std::fmt::Write as _;
use std::path::Path;

use crate::Result;
use crate::fresh::{DESERIALIZED, OPEN_IN_MEMORY, SANDBOX};
use crate::measure::{COLD, FOR_A_TEST, NOTHING_TO_DO};
use crate::tools::{
    BARE, DIESEL, LANDFALL, REFINERY, RUSQLITE_MIGRATION, RUSQLITE_MIGRATION_FOLDER, SQLX,
};

/// Landfall's own are drawn with a thicker line.
const OURS: [&str; 3] = [LANDFALL, OPEN_IN_MEMORY, SANDBOX];

/// A tool's name, its colours on light and on dark, and whether its line is dashed.
const SERIES: [(&str, &str, &str, bool); 10] = [
    (LANDFALL, "#1d4ed8", "#7aa7ff", false),
    (OPEN_IN_MEMORY, "#1d4ed8", "#7aa7ff", false),
    (SANDBOX, "#0f766e", "#2dd4bf", false),
    (DESERIALIZED, "#c2410c", "#fb923c", true),
    (BARE, "#57606a", "#9198a1", false),
    (RUSQLITE_MIGRATION, "#c2410c", "#fb923c", false),
    (RUSQLITE_MIGRATION_FOLDER, "#c2410c", "#fb923c", true),
    (REFINERY, "#0f766e", "#2dd4bf", false),
    (DIESEL, "#7c3aed", "#c4a5ff", false),
    (SQLX, "#be185d", "#f472b6", false),
];

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 520.0;
const TOP: f64 = 72.0;
const BOTTOM: f64 = 348.0;
const LABELS: f64 = RIGHT + 28.0;
const LINE_HEIGHT: f64 = 18.0;

/// What was measured of one tool for one number of migrations.
struct Number<'a> {
    measure: &'a str,
    tool: &'a str,
    size: f64,
    value: f64,
}

struct Chart {
    title: &'static str,
    subtitle: &'static str,
    scale: Scale,
    unit: fn(f64) -> String,
    /// Sizes and values, for each of `SERIES` that was measured.
    lines: Vec<(usize, Vec<(f64, f64)>)>,
}

/// How values become heights. The highest tick is at or above the highest value.
enum Scale {
    /// From 0.
    Linear,
    /// From 1, each tick ten times the one below.
    Decades,
}

pub fn draw(numbers: &Path, folder: &Path) -> Result<()> {
    let text = std::fs::read_to_string(numbers)?;
    let numbers: Vec<Number<'_>> = text.lines().map(read).collect::<Result<_>>()?;
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("cold-apply.svg"), cold_apply(&numbers).svg()?)?;
    std::fs::write(folder.join("nothing-to-do.svg"), nothing_to_do(&numbers).svg()?)?;
    std::fs::write(folder.join("for-a-test.svg"), for_a_test(&numbers).svg()?)?;
    Ok(())
}

fn read(line: &str) -> Result<Number<'_>> {
    let columns: Vec<&str> = line.split('\t').collect();
    let [measure, tool, size, value] = columns[..] else {
        return Err(format!("not a line of numbers: {line}").into());
    };
    Ok(Number { measure, tool, size: size.parse()?, value: value.parse()? })
}

fn cold_apply(numbers: &[Number<'_>]) -> Chart {
    Chart {
        title: "Applying every migration to a fresh database in memory",
        subtitle: "Times bare SQL in one transaction, over the number of migrations",
        scale: Scale::Linear,
        unit: |ratio| format!("{ratio:.2}"),
        lines: lines(numbers, COLD),
    }
}

fn nothing_to_do(numbers: &[Number<'_>]) -> Chart {
    Chart {
        title: "A start with nothing to do",
        subtitle: "Apply alone, the schema parsed already, over the number of migrations",
        scale: Scale::Decades,
        unit: time,
        lines: lines(numbers, NOTHING_TO_DO),
    }
}

fn for_a_test(numbers: &[Number<'_>]) -> Chart {
    Chart {
        title: "A fresh database in memory, for a test",
        subtitle: "Until the first query is answered, over the number of migrations",
        scale: Scale::Decades,
        unit: time,
        lines: lines(numbers, FOR_A_TEST),
    }
}

fn time(micros: f64) -> String {
    match micros {
        ..1000.0 => format!("{micros:.0} µs"),
        ..1_000_000.0 => format!("{} ms", (micros / 100.0).round() / 10.0),
        _ => format!("{} s", (micros / 100_000.0).round() / 10.0),
    }
}

fn lines(numbers: &[Number<'_>], measure: &str) -> Vec<(usize, Vec<(f64, f64)>)> {
    let line = |tool: &str| -> Vec<(f64, f64)> {
        let of = numbers.iter().filter(|number| (number.measure, number.tool) == (measure, tool));
        of.map(|number| (number.size, number.value)).collect()
    };
    let lines = SERIES.iter().enumerate().map(|(at, (tool, ..))| (at, line(tool)));
    lines.filter(|(_, points)| !points.is_empty()).collect()
}

impl Chart {
    fn svg(&self) -> Result<String> {
        let mut svg = String::new();
        self.head(&mut svg)?;
        self.axes(&mut svg)?;
        for (series, points) in &self.lines {
            self.line(&mut svg, *series, points)?;
        }
        self.labels(&mut svg)?;
        svg.push_str("</svg>\n");
        Ok(svg)
    }

    fn head(&self, svg: &mut String) -> Result<()> {
        let (title, subtitle) = (self.title, self.subtitle);
        writeln!(
            svg,
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">
<title>{title}. {subtitle}.</title>
<style>
  text {{ font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328; }}
  .title {{ font-size: 16px; font-weight: 600; }}
  .quiet {{ fill: #59636e; }}
  .landfall {{ font-weight: 600; }}
  .paper {{ fill: #ffffff; }}
  .grid {{ stroke: #d1d9e0; stroke-width: 1; }}"#
        )?;
        for (at, (_, light, ..)) in SERIES.iter().enumerate() {
            writeln!(svg, "  .s{at} {{ stroke: {light}; fill: {light}; }}")?;
        }
        writeln!(
            svg,
            "  @media (prefers-color-scheme: dark) {{
    text {{ fill: #f0f6fc; }}
    .quiet {{ fill: #9198a1; }}
    .paper {{ fill: #0d1117; }}
    .grid {{ stroke: #3d444d; }}"
        )?;
        for (at, (_, _, dark, _)) in SERIES.iter().enumerate() {
            writeln!(svg, "    .s{at} {{ stroke: {dark}; fill: {dark}; }}")?;
        }
        writeln!(
            svg,
            r#"  }}
</style>
<rect class="paper" width="{WIDTH}" height="{HEIGHT}" rx="6"/>
<text class="title" x="24" y="32">{title}</text>
<text class="quiet" x="24" y="52">{subtitle}</text>"#
        )?;
        Ok(())
    }

    fn axes(&self, svg: &mut String) -> Result<()> {
        for step in 0..=self.steps() {
            let (value, name) = match self.scale {
                Scale::Linear => (f64::from(step), step.to_string()),
                Scale::Decades => {
                    let value = 10_f64.powf(f64::from(step));
                    (value, (self.unit)(value))
                }
            };
            let (x, y) = (LEFT - 8.0, self.y(value));
            let below = y + 4.0;
            writeln!(svg, r#"<path class="grid" d="M{LEFT} {y:.1}H{RIGHT}"/>"#)?;
            writeln!(
                svg,
                r#"<text class="quiet" x="{x}" y="{below:.1}" text-anchor="end">{name}</text>"#
            )?;
        }
        for size in [10.0, 100.0, 1000.0] {
            let (x, below) = (x(size), BOTTOM + 24.0);
            writeln!(
                svg,
                r#"<text class="quiet" x="{x:.1}" y="{below}" text-anchor="middle">{size}</text>"#
            )?;
        }
        Ok(())
    }

    fn line(&self, svg: &mut String, series: usize, points: &[(f64, f64)]) -> Result<()> {
        let (tool, _, _, dashed) = SERIES[series];
        let width = if OURS.contains(&tool) { 3.0 } else { 1.75 };
        let dash = if dashed { r#" stroke-dasharray="5 4""# } else { "" };
        let at = |(size, value): &(f64, f64)| format!("{:.1},{:.1}", x(*size), self.y(*value));
        let path: Vec<String> = points.iter().map(at).collect();
        writeln!(
            svg,
            r#"<polyline class="s{series}" style="fill:none" stroke-width="{width}"{dash} points="{}"/>"#,
            path.join(" ")
        )?;
        for (size, value) in points {
            writeln!(
                svg,
                r#"<circle class="s{series}" cx="{:.1}" cy="{:.1}" r="{}"/>"#,
                x(*size),
                self.y(*value),
                width + 1.5
            )?;
        }
        Ok(())
    }

    /// Names the lines at their right ends, moved apart as far as they need to be.
    fn labels(&self, svg: &mut String) -> Result<()> {
        let end = |(series, points): &(usize, Vec<(f64, f64)>)| {
            points.last().map(|(_, value)| (self.y(*value), *series, (self.unit)(*value)))
        };
        let mut ends: Vec<(f64, usize, String)> = self.lines.iter().filter_map(end).collect();
        ends.sort_by(|one, other| one.0.total_cmp(&other.0));
        let mut places: Vec<f64> = ends.iter().map(|(y, ..)| *y).collect();
        for at in 1..places.len() {
            places[at] = places[at].max(places[at - 1] + LINE_HEIGHT);
        }
        let mut lowest = BOTTOM;
        for place in places.iter_mut().rev() {
            *place = place.min(lowest);
            lowest = *place - LINE_HEIGHT;
        }
        for ((y, series, value), place) in ends.iter().zip(places) {
            let (from, to, text) = (x(1000.0), LABELS - 6.0, place + 4.0);
            let name = SERIES[*series].0;
            let class = if OURS.contains(&name) { "landfall" } else { "tool" };
            writeln!(
                svg,
                r#"<path class="s{series}" style="fill:none" d="M{from} {y:.1}H{RIGHT}L{to} {place:.1}"/>"#
            )?;
            writeln!(
                svg,
                r#"<text x="{LABELS}" y="{text:.1}" class="{class}">{name} <tspan class="quiet">{value}</tspan></text>"#
            )?;
        }
        Ok(())
    }

    fn steps(&self) -> u32 {
        let values = self.lines.iter().flat_map(|(_, points)| points).map(|(_, value)| *value);
        (1..12)
            .find(|step| values.clone().all(|value| self.stepped(value) <= f64::from(*step)))
            .unwrap_or(12)
    }

    fn stepped(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => value,
            Scale::Decades => value.log10(),
        }
    }

    fn y(&self, value: f64) -> f64 {
        BOTTOM - (BOTTOM - TOP) * self.stepped(value) / f64::from(self.steps())
    }
}

/// 10 at the left, 1,000 at the right, and each step a multiplication.
fn x(size: f64) -> f64 {
    let inset = 24.0;
    LEFT + inset + (RIGHT - LEFT - 2.0 * inset) * (size.log10() - 1.0) / 2.0
}
