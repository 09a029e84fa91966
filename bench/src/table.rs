//! Medians, and the table.

use crate::client::Outcome;

/// What was measured in each round, in order.
#[derive(Default, Clone)]
pub struct Series(Vec<f64>);

impl Series {
    pub fn add(&mut self, value: f64) {
        self.0.push(value);
    }

    fn sorted(&self) -> Vec<f64> {
        let mut values = self.0.clone();
        values.sort_by(f64::total_cmp);
        values
    }

    pub fn median(&self) -> f64 {
        self.sorted().get(self.0.len() / 2).copied().unwrap_or(0.0)
    }

    /// What this part of the values is at most.
    pub fn quantile(&self, part: f64) -> f64 {
        let sorted = self.sorted();
        let last = sorted.len().saturating_sub(1);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a position in a list of some hundred values"
        )]
        let at = (last as f64 * part).ceil() as usize;
        sorted.get(at.min(last)).copied().unwrap_or(0.0)
    }

    /// The median of the rounds' ratios: what slows the machine for some rounds slows both sides of those.
    pub fn ratio(&self, limit: &Self) -> f64 {
        let ratios = self
            .0
            .iter()
            .zip(&limit.0)
            .map(|(ours, limit)| ours / limit);
        Self(ratios.collect()).median()
    }

    /// `median (least-most)`.
    pub fn text(&self) -> String {
        let sorted = self.sorted();
        let (Some(least), Some(most)) = (sorted.first(), sorted.last()) else {
            return "-".to_owned();
        };
        format!(
            "{} ({}-{})",
            short(self.median()),
            short(*least),
            short(*most)
        )
    }
}

/// Requests a second, and the time in which 99 of 100 were answered.
#[derive(Default, Clone)]
pub struct Rates {
    pub per_second: Series,
    pub p99_ms: Series,
    pub server_us: Series,
    pub postgres_us: Series,
}

impl Rates {
    pub fn add(&mut self, outcome: &Outcome) {
        self.per_second.add(outcome.per_second());
        self.p99_ms.add(outcome.p99_ms());
        self.server_us.add(outcome.server_us);
        self.postgres_us.add(outcome.postgres_us);
    }

    pub fn text(&self) -> String {
        format!(
            "{}, p99 {} ms, CPU {:.0} + {:.0} us",
            self.per_second.text(),
            short(self.p99_ms.median()),
            self.server_us.median(),
            self.postgres_us.median()
        )
    }
}

fn short(value: f64) -> String {
    if value < 10.0 {
        return format!("{value:.2}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A line of the table.
pub struct Row {
    pub what: String,
    pub ours: String,
    pub limit: String,
    pub ratio: String,
    pub aim: String,
}

impl Row {
    /// Ours beside a limit, with an aim that `is_met` judges by the ratio.
    pub fn judged(
        what: impl Into<String>,
        ours: String,
        limit: String,
        ratio: f64,
        aim: &str,
        is_met: impl Fn(f64) -> bool,
    ) -> Self {
        let verdict = if is_met(ratio) { "met" } else { "missed" };
        Self {
            what: what.into(),
            ours,
            limit,
            ratio: format!("{ratio:.2}"),
            aim: format!("{aim}: {verdict}"),
        }
    }

    /// A line that has no aim.
    pub fn told(what: impl Into<String>, ours: String, limit: String, ratio: String) -> Self {
        Self {
            what: what.into(),
            ours,
            limit,
            ratio,
            aim: String::new(),
        }
    }
}

/// The table in Markdown.
pub fn render(rows: &[Row]) -> String {
    let head = "| what | ours | limit beside it | ratio | aim |\n|---|---|---|---|---|".to_owned();
    let lines = rows.iter().map(|row| {
        let Row {
            what,
            ours,
            limit,
            ratio,
            aim,
        } = row;
        format!("| {what} | {ours} | {limit} | {ratio} | {aim} |")
    });
    [head]
        .into_iter()
        .chain(lines)
        .collect::<Vec<_>>()
        .join("\n")
}
