//! Counts over days as stacked bars, drawn on the server. Pure.

use chrono::NaiveDate;

/// Of the drawing, in its own units.
const WIDTH: i64 = 720;
/// Of the tallest bar.
const HEIGHT: i64 = 120;

/// A drawing.
#[derive(Debug, Clone)]
pub struct DayPlot {
    /// Unique on the page.
    pub id: &'static str,
    /// What it shows.
    pub title: String,
    /// The series, from the bottom up: style class, name, sum.
    pub series: Vec<(&'static str, &'static str, i64)>,
    /// A bar a day.
    pub bars: Vec<Bar>,
    /// The value at the top.
    pub top: i64,
    /// The first and the last day.
    pub ends: (String, String),
}

/// One day.
#[derive(Debug, Clone)]
pub struct Bar {
    /// Left edge.
    pub x: i64,
    /// The day and its counts, in words.
    pub label: String,
    /// From the bottom up.
    pub parts: Vec<Part>,
}

/// One series of a day.
#[derive(Debug, Clone)]
pub struct Part {
    /// Style class.
    pub class: &'static str,
    /// Upper edge.
    pub y: i64,
    /// In units of the drawing; at least 2 for a count of one.
    pub height: i64,
}

impl DayPlot {
    /// `series` are class and name; `counts` has a value for each, by day.
    #[must_use]
    pub fn new(
        id: &'static str,
        title: &str,
        series: &[(&'static str, &'static str)],
        counts: &[(NaiveDate, Vec<i64>)],
    ) -> Self {
        let highest = counts.iter().map(|(_, values)| values.iter().sum()).max();
        let top = round_up(highest.unwrap_or(0));
        let sum = |at: usize| counts.iter().filter_map(|(_, values)| values.get(at)).sum();
        let sums = series.iter().enumerate();
        let day = |day: Option<&(NaiveDate, Vec<i64>)>| {
            day.map_or_else(String::new, |(day, _)| day.format("%-d %b").to_string())
        };
        Self {
            id,
            title: title.to_owned(),
            series: sums
                .map(|(at, (class, name))| (*class, *name, sum(at)))
                .collect(),
            bars: bars(series, counts, top),
            top,
            ends: (day(counts.first()), day(counts.last())),
        }
    }

    /// Of each bar.
    #[must_use]
    pub fn bar_width(&self) -> i64 {
        step(self.bars.len()) * 7 / 10
    }

    /// Whether there is anything to show.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.series.iter().all(|(_, _, sum)| *sum == 0)
    }
}

fn step(days: usize) -> i64 {
    WIDTH / i64::try_from(days).unwrap_or(WIDTH).max(1)
}

fn bars(
    series: &[(&'static str, &'static str)],
    counts: &[(NaiveDate, Vec<i64>)],
    top: i64,
) -> Vec<Bar> {
    let (mut x, mut bars) = (0, Vec::new());
    for (day, values) in counts {
        let (mut below, mut parts, mut said) = (0, Vec::new(), Vec::new());
        for ((class, name), value) in series.iter().zip(values).filter(|(_, value)| **value > 0) {
            let height = (value * HEIGHT / top).max(2);
            below += height;
            let y = HEIGHT - below;
            parts.push(Part { class, y, height });
            said.push(format!("{value} {name}"));
        }
        let label = format!("{}: {}", day.format("%-d %b"), said.join(", "));
        bars.push(Bar { x, label, parts });
        x += step(counts.len());
    }
    bars
}

/// The next of 1, 2, 5, 10, 20, 50 and so on.
fn round_up(value: i64) -> i64 {
    let mut size = 1_i64;
    loop {
        for factor in [1, 2, 5] {
            let top = size.saturating_mul(factor);
            if top >= value {
                return top;
            }
        }
        size = size.saturating_mul(10);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(day: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 11, day).unwrap()
    }

    #[test]
    fn bars_stack_up_to_the_top() {
        let counts = [(day(24), vec![0, 0]), (day(25), vec![6, 2])];
        let plot = DayPlot::new("p", "Help", &[("good", "yes"), ("bad", "no")], &counts);
        assert_eq!(plot.top, 10);
        assert_eq!(plot.series, [("good", "yes", 6), ("bad", "no", 2)]);
        assert!(plot.bars[0].parts.is_empty());
        let [yes, no] = &plot.bars[1].parts[..] else {
            panic!("two parts")
        };
        assert_eq!((yes.y, yes.height), (48, 72));
        assert_eq!((no.y, no.height), (24, 24));
        assert_eq!(plot.bars[1].label, "25 Nov: 6 yes, 2 no");
    }

    #[test]
    fn tops_are_round_and_extremes_harmless() {
        for (value, top) in [(0, 1), (1, 1), (3, 5), (11, 20), (200, 200), (501, 1_000)] {
            assert_eq!(round_up(value), top, "{value}");
        }
        assert_eq!(round_up(i64::MAX), i64::MAX);
        assert!(DayPlot::new("p", "", &[], &[]).is_empty());
    }
}
