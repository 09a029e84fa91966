//! A trace made ready for pages: every number a text, every bar a pair of percentages. The page of a trace and the
//! panel beside a ticket show the same view.

use chrono::{DateTime, Utc};

use super::span_view::SpanDetails;
use crate::http::view::When;
use crate::traces::duration_text::{format_count, format_duration, format_percent};
use crate::traces::failure::{Failure, FailureClass};
use crate::traces::trace::Trace;
use crate::traces::waterfall::{self, Row, Waterfall};

/// Rows in the page itself, for browsers without the script; with it, all rows come as JSON. At about 3 kB a row with
/// its details, 500 rows are 1.5 MB before compression.
pub const MAX_PAGE_ROWS: usize = 500;

/// Deepest indentation, so that names stay readable: the CSS classes `d0` to `d30`.
const MAX_INDENT: u32 = 30;

/// A trace made ready for pages.
#[derive(Debug, Clone)]
pub struct TraceView {
    /// 32 hex digits.
    pub trace_id: String,
    /// Name of the topmost span.
    pub root_name: String,
    /// Services by order of appearance.
    pub services: Vec<ServiceView>,
    /// All spans.
    pub span_count: usize,
    /// Spans with status ERROR.
    pub error_count: usize,
    /// [`Self::span_count`] with its thousands apart.
    pub span_count_text: String,
    /// From the earliest start to the latest end.
    pub duration: String,
    /// The earliest start.
    pub started: When,
    /// What went wrong.
    pub failure: Option<FailureView>,
    /// The marks of the time axis: 0, 25, 50, 75 and 100 percent of the duration.
    pub ticks: [String; 5],
    /// The rows of the page itself, at most [`MAX_PAGE_ROWS`].
    pub rows: Vec<RowView>,
    /// Rows that the page leaves out.
    pub hidden_count: usize,
    /// What is odd about the trace, in sentences.
    pub notes: Vec<String>,
}

/// A service of a trace.
#[derive(Debug, Clone)]
pub struct ServiceView {
    /// `service.name`.
    pub name: String,
    /// The number in its colour's class.
    pub colour: usize,
    /// Its spans.
    pub span_count: usize,
}

/// What went wrong, for the top of the panel.
#[derive(Debug, Clone)]
pub struct FailureView {
    /// What kind.
    pub class: FailureClass,
    /// What the reporter can do about it.
    pub advice: String,
    /// The failing span, 16 hex digits.
    pub span_id: String,
    /// Its name.
    pub span_name: String,
    /// Its service.
    pub service: String,
    /// The number in the service's colour's class.
    pub colour: usize,
    /// What it said.
    pub message: String,
    /// Its start after the trace's.
    pub after: String,
    /// How long it took.
    pub duration: String,
}

/// One row.
#[derive(Debug, Clone)]
pub struct RowView {
    /// The number in the class of its indentation.
    pub indent: u32,
    /// `aria-level`, from 1.
    pub level: u32,
    /// The service's name.
    pub service: String,
    /// The number in the service's colour's class.
    pub colour: usize,
    /// The bar's left edge, in percent.
    pub x: String,
    /// The bar's width, in percent.
    pub width: String,
    /// Exceptions, in percent.
    pub exceptions: Vec<String>,
    /// Whether this is the failing span.
    pub is_failing: bool,
    /// What its span said, when it failed.
    pub message: Option<String>,
    /// What opens under it.
    pub details: SpanDetails,
}

impl TraceView {
    /// The view of `trace`, whose failure is `failure`, seen at `now`.
    #[must_use]
    pub fn new(trace: &Trace, failure: Option<&Failure>, now: DateTime<Utc>) -> Self {
        let waterfall = Waterfall::build(trace, failure.map(|failure| failure.span_id));
        let shown = waterfall.most_relevant(MAX_PAGE_ROWS);
        let top = waterfall.rows.first();
        Self {
            trace_id: trace.id.to_string(),
            root_name: top.map_or_else(String::new, |row| trace.spans[row.span].name.clone()),
            services: services(&waterfall),
            span_count: waterfall.rows.len(),
            error_count: waterfall.error_count,
            span_count_text: format_count(waterfall.rows.len()),
            duration: format_duration(waterfall.duration_ns),
            started: When::from_unix_ns(waterfall.started_ns, now),
            failure: failure.map(|failure| failure_view(failure, &waterfall)),
            ticks: [0, 1, 2, 3, 4]
                .map(|quarter| format_duration(quarter_of(waterfall.duration_ns, quarter))),
            hidden_count: waterfall.rows.len() - shown.len(),
            rows: shown
                .into_iter()
                .map(|row| row_view(row, &waterfall, trace))
                .collect(),
            notes: notes(trace, &waterfall),
        }
    }

    /// Whether the failing span has its row in the page.
    #[must_use]
    pub fn shows_failing(&self) -> bool {
        self.rows.iter().any(|row| row.is_failing)
    }
}

fn quarter_of(duration_ns: u64, quarter: u64) -> u64 {
    // Divides first where the product would not fit; the rest lost is under 4 ns of centuries.
    duration_ns
        .checked_mul(quarter)
        .map_or(duration_ns / 4 * quarter, |product| product / 4)
}

fn services(waterfall: &Waterfall) -> Vec<ServiceView> {
    waterfall
        .services
        .iter()
        .enumerate()
        .map(|(index, service)| ServiceView {
            name: service.name.clone(),
            colour: waterfall::colour(index),
            span_count: service.span_count,
        })
        .collect()
}

fn failure_view(failure: &Failure, waterfall: &Waterfall) -> FailureView {
    let service = waterfall
        .services
        .iter()
        .position(|service| service.name == failure.service);
    FailureView {
        class: failure.class,
        advice: failure.advice.clone(),
        span_id: failure.span_id.to_string(),
        span_name: failure.span_name.clone(),
        service: failure.service.clone(),
        colour: waterfall::colour(service.unwrap_or(0)),
        message: failure.message.clone(),
        after: format_duration(failure.started_ns.saturating_sub(waterfall.started_ns)),
        duration: format_duration(failure.duration_ns),
    }
}

fn row_view(index: usize, waterfall: &Waterfall, trace: &Trace) -> RowView {
    let row = &waterfall.rows[index];
    let span = &trace.spans[row.span];
    let percent = |ns| format_percent(ns, waterfall.duration_ns);
    RowView {
        indent: row.depth.min(MAX_INDENT),
        level: row.depth + 1,
        service: waterfall.services[row.service].name.clone(),
        colour: waterfall::colour(row.service),
        x: percent(row.offset_ns),
        width: if waterfall.duration_ns == 0 {
            "100".to_owned()
        } else {
            percent(row.duration_ns)
        },
        exceptions: row.exceptions_ns.iter().map(|&ns| percent(ns)).collect(),
        is_failing: waterfall.failing == Some(index),
        message: row
            .has_error
            .then(|| waterfall::message(span).map(str::to_owned))
            .flatten(),
        details: SpanDetails::new(trace, waterfall, index),
    }
}

fn notes(trace: &Trace, waterfall: &Waterfall) -> Vec<String> {
    let count =
        |is_marked: fn(&Row) -> bool| waterfall.rows.iter().filter(|r| is_marked(r)).count();
    let spans = |n: usize| {
        if n == 1 {
            "1 span".to_owned()
        } else {
            format!("{} spans", format_count(n))
        }
    };
    let mut notes = Vec::new();
    let orphans = count(|row| row.marks.is_orphan);
    if orphans > 0 {
        notes.push(format!(
            "The parent of {} never arrived, so the place in the tree is not known. A service may not be instrumented, or its spans are still on the way.",
            spans(orphans)
        ));
    }
    let skewed = count(|row| row.marks.is_skewed);
    if skewed > 0 {
        notes.push(format!(
            "{} started before the parent: the clocks of the machines differ. Times are shown as they were sent.",
            spans(skewed)
        ));
    }
    let cycles = count(|row| row.marks.is_in_cycle);
    if cycles > 0 {
        notes.push(format!(
            "Parents go round in a circle through {}. It is cut at the earliest one.",
            spans(cycles)
        ));
    }
    if trace.duplicate_count > 0 {
        notes.push(format!(
            "Repeats left out: {} arrived more than once.",
            spans(trace.duplicate_count)
        ));
    }
    if trace.is_truncated {
        notes.push(
            "This trace is too large to be read whole; its latest parts are left out.".to_owned(),
        );
    }
    notes
}
