//! The waterfall of a trace: every span once, as a tree in order of time, with what is odd about it marked. Pure, and
//! total over hostile input: parents may be missing, form cycles, or chains of any depth.

use std::collections::HashMap;

use serde::Serialize;

use super::forest::Forest;
pub use super::forest::Marks;
use super::ids::{SpanId, TraceId};
use super::trace::{AttributeValue, Span, SpanEvent, SpanStatus, Trace};

/// Colours that services get in order of appearance: CSS classes `c0` to `c11`, then from the start again.
pub const COLOUR_COUNT: usize = 12;

/// Characters of a message that a row shows; the rest is in the span's details.
const MAX_ROW_MESSAGE_CHARS: usize = 200;

/// A trace laid out in rows.
#[derive(Debug, Clone)]
pub struct Waterfall {
    /// Earliest start, nanoseconds since the epoch.
    pub started_ns: u64,
    /// From the earliest start to the latest end, in nanoseconds.
    pub duration_ns: u64,
    /// Services in order of appearance.
    pub services: Vec<Service>,
    /// The rows from top to bottom: a span, then its children by start.
    pub rows: Vec<Row>,
    /// The failing span's row.
    pub failing: Option<usize>,
    /// Rows whose span has status ERROR.
    pub error_count: usize,
}

/// A service's part in a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// `service.name`.
    pub name: String,
    /// Its spans.
    pub span_count: usize,
    /// Its spans with status ERROR.
    pub error_count: usize,
}

/// One span's row.
#[derive(Debug, Clone)]
pub struct Row {
    /// Index into [`Trace::spans`].
    pub span: usize,
    /// The row it hangs under.
    pub parent: Option<usize>,
    /// Rows between it and the top.
    pub depth: u32,
    /// Rows that directly follow and hang under it, at any depth.
    pub descendant_count: usize,
    /// Start, in nanoseconds after [`Waterfall::started_ns`].
    pub offset_ns: u64,
    /// Duration in nanoseconds.
    pub duration_ns: u64,
    /// Index into [`Waterfall::services`].
    pub service: usize,
    /// Whether the span's status is ERROR.
    pub has_error: bool,
    /// What is odd about its place in the tree.
    pub marks: Marks,
    /// When exceptions were recorded, in nanoseconds after [`Waterfall::started_ns`].
    pub exceptions_ns: Vec<u64>,
}

impl Waterfall {
    /// Lays `trace` out; `failing` is the span to mark.
    #[must_use]
    pub fn build(trace: &Trace, failing: Option<SpanId>) -> Self {
        let spans = &trace.spans;
        let forest = Forest::plant(spans);
        let (started_ns, duration_ns) = extent(spans);
        let mut waterfall = Self {
            started_ns,
            duration_ns,
            services: Vec::new(),
            rows: Vec::with_capacity(spans.len()),
            failing: None,
            error_count: 0,
        };
        let service_of = waterfall.list_services(trace);
        // A stack instead of recursion: chains of any depth must not overflow the thread's.
        let mut stack: Vec<(usize, Option<usize>)> =
            forest.tops.iter().rev().map(|&top| (top, None)).collect();
        while let Some((index, parent)) = stack.pop() {
            let row = waterfall.row(spans, index, parent, &forest, &service_of);
            let own = waterfall.rows.len();
            waterfall.error_count += usize::from(row.has_error);
            if waterfall.failing.is_none() && Some(spans[index].id) == failing {
                waterfall.failing = Some(own);
            }
            waterfall.rows.push(row);
            stack.extend(
                forest.children[index]
                    .iter()
                    .rev()
                    .map(|&child| (child, Some(own))),
            );
        }
        waterfall.count_descendants();
        waterfall
    }

    /// Fills [`Self::services`] in order of start; answers each span's index into it.
    fn list_services(&mut self, trace: &Trace) -> Vec<usize> {
        let mut known: HashMap<&str, usize> = HashMap::new();
        let mut service_of = Vec::with_capacity(trace.spans.len());
        for span in &trace.spans {
            let name = trace
                .resources
                .get(span.resource)
                .map_or("unknown_service", |resource| resource.service.as_str());
            let index = *known.entry(name).or_insert_with(|| {
                self.services.push(Service {
                    name: name.to_owned(),
                    span_count: 0,
                    error_count: 0,
                });
                self.services.len() - 1
            });
            self.services[index].span_count += 1;
            self.services[index].error_count += usize::from(span.status == SpanStatus::Error);
            service_of.push(index);
        }
        service_of
    }

    fn row(
        &self,
        spans: &[Span],
        index: usize,
        parent: Option<usize>,
        forest: &Forest,
        service_of: &[usize],
    ) -> Row {
        let span = &spans[index];
        let mut marks = forest.marks[index];
        let above = parent.and_then(|row| self.rows.get(row));
        if let Some(above) = above.filter(|_| !marks.is_orphan) {
            marks.is_skewed = span.start_ns < spans[above.span].start_ns;
        }
        Row {
            span: index,
            parent,
            depth: above.map_or(0, |above| above.depth + 1),
            descendant_count: 0,
            offset_ns: span.start_ns.saturating_sub(self.started_ns),
            duration_ns: known_duration(span),
            service: service_of[index],
            has_error: span.status == SpanStatus::Error,
            marks,
            exceptions_ns: span
                .events
                .iter()
                .filter(|event| is_exception(event))
                .map(|event| event.time_ns.saturating_sub(self.started_ns))
                .collect(),
        }
    }

    /// Rows come parents first, so that going backwards each row's count is complete when it reaches its parent.
    fn count_descendants(&mut self) {
        for index in (0..self.rows.len()).rev() {
            if let Some(parent) = self.rows[index].parent {
                self.rows[parent].descendant_count += self.rows[index].descendant_count + 1;
            }
        }
    }

    /// At most `limit` rows that tell most, in the order of the waterfall: the failing span and the path down to it,
    /// then errors, then what started earliest.
    #[must_use]
    pub fn most_relevant(&self, limit: usize) -> Vec<usize> {
        let mut is_chosen = vec![false; self.rows.len()];
        let path = std::iter::successors(self.failing, |&row| self.rows[row].parent);
        let errors = (0..self.rows.len()).filter(|&row| self.rows[row].has_error);
        let mut by_start: Vec<usize> = (0..self.rows.len()).collect();
        by_start.sort_by_key(|&row| (self.rows[row].offset_ns, row));
        let mut left = limit;
        for row in path.chain(errors).chain(by_start) {
            if left == 0 {
                break;
            }
            if !is_chosen[row] {
                is_chosen[row] = true;
                left -= 1;
            }
        }
        (0..self.rows.len()).filter(|&row| is_chosen[row]).collect()
    }

    /// How many rows have a mark that `is_marked` looks for.
    #[must_use]
    pub fn count_marked(&self, is_marked: impl Fn(Marks) -> bool) -> usize {
        self.rows.iter().filter(|row| is_marked(row.marks)).count()
    }

    /// The waterfall as the script of the trace page reads it.
    #[must_use]
    pub fn to_json<'a>(&'a self, trace: &'a Trace) -> WaterfallJson<'a> {
        WaterfallJson::new(self, trace)
    }
}

/// The class number of a service's colour.
#[must_use]
pub fn colour(service: usize) -> usize {
    service % COLOUR_COUNT
}

/// Whether the event records an exception.
#[must_use]
pub fn is_exception(event: &SpanEvent) -> bool {
    event.name == "exception"
}

/// What a failed span says in one line: its status message, else its first exception's message or type.
#[must_use]
pub fn message(span: &Span) -> Option<&str> {
    if !span.status_message.is_empty() {
        return Some(&span.status_message);
    }
    let exception = span.events.iter().find(|event| is_exception(event))?;
    ["exception.message", "exception.type"]
        .into_iter()
        .find_map(|key| {
            exception
                .attributes
                .iter()
                .find_map(|(name, value)| match value {
                    AttributeValue::String(text) if name == key && !text.is_empty() => {
                        Some(text.as_str())
                    }
                    _ => None,
                })
        })
}

/// A span without a start (zero on the wire) has no duration worth showing: it would be decades.
fn known_duration(span: &Span) -> u64 {
    if span.start_ns == 0 {
        0
    } else {
        span.duration_ns()
    }
}

/// Earliest start and duration of the whole, in nanoseconds; spans without a start don't count.
fn extent(spans: &[Span]) -> (u64, u64) {
    let timed = || spans.iter().filter(|span| span.start_ns > 0);
    let start = timed().map(|span| span.start_ns).min().unwrap_or(0);
    let end = timed().map(|span| span.end_ns.max(span.start_ns)).max();
    (start, end.unwrap_or(0).saturating_sub(start))
}

/// The waterfall in columns, one entry a row, so that ten thousand rows stay small: `depth[i]` belongs to `id[i]`.
#[derive(Debug, Serialize)]
pub struct WaterfallJson<'a> {
    /// The trace.
    pub trace_id: TraceId,
    /// Duration of the whole, in nanoseconds.
    pub total_ns: u64,
    /// Names that `service` points into.
    pub services: Vec<&'a str>,
    /// Names that `name` points into.
    pub names: Vec<&'a str>,
    /// The failing span's row.
    pub failing: Option<usize>,
    /// Span IDs.
    pub id: Vec<SpanId>,
    /// Depths.
    pub depth: Vec<u32>,
    /// Indexes into `services`.
    pub service: Vec<usize>,
    /// Indexes into `names`.
    pub name: Vec<usize>,
    /// Starts after the trace's, in nanoseconds.
    pub offset_ns: Vec<u64>,
    /// Durations in nanoseconds.
    pub duration_ns: Vec<u64>,
    /// Sums of 1 (error), 2 (orphan), 4 (starts before its parent), 8 (in a cycle).
    pub flags: Vec<u8>,
    /// Pairs of a row and what its span said when it failed, shortened.
    pub messages: Vec<(usize, String)>,
    /// Pairs of a row and when an exception was recorded, in nanoseconds after the trace's start.
    pub exceptions: Vec<(usize, u64)>,
}

impl<'a> WaterfallJson<'a> {
    fn new(waterfall: &'a Waterfall, trace: &'a Trace) -> Self {
        let rows = &waterfall.rows;
        let spans = || rows.iter().map(|row| &trace.spans[row.span]);
        let mut known: HashMap<&str, usize> = HashMap::new();
        let mut names = Vec::new();
        let name = spans()
            .map(|span| {
                *known.entry(&span.name).or_insert_with(|| {
                    names.push(span.name.as_str());
                    names.len() - 1
                })
            })
            .collect();
        Self {
            trace_id: trace.id,
            total_ns: waterfall.duration_ns,
            services: waterfall.services.iter().map(|s| s.name.as_str()).collect(),
            names,
            failing: waterfall.failing,
            id: spans().map(|span| span.id).collect(),
            depth: rows.iter().map(|row| row.depth).collect(),
            service: rows.iter().map(|row| row.service).collect(),
            name,
            offset_ns: rows.iter().map(|row| row.offset_ns).collect(),
            duration_ns: rows.iter().map(|row| row.duration_ns).collect(),
            flags: rows.iter().map(flags).collect(),
            messages: spans()
                .enumerate()
                .filter(|(_, span)| span.status == SpanStatus::Error)
                .filter_map(|(row, span)| Some((row, shorten(message(span)?))))
                .collect(),
            exceptions: rows
                .iter()
                .enumerate()
                .flat_map(|(index, row)| row.exceptions_ns.iter().map(move |&at| (index, at)))
                .collect(),
        }
    }
}

fn flags(row: &Row) -> u8 {
    u8::from(row.has_error)
        | u8::from(row.marks.is_orphan) << 1
        | u8::from(row.marks.is_skewed) << 2
        | u8::from(row.marks.is_in_cycle) << 3
}

fn shorten(text: &str) -> String {
    text.chars().take(MAX_ROW_MESSAGE_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::traces::trace::{Resource, SpanKind};

    fn span(id: u8, parent: Option<u8>, start_ns: u64) -> Span {
        let span_id = |n: u8| SpanId::from_bytes(&[0, 0, 0, 0, 0, 0, 1, n]).unwrap();
        Span {
            id: span_id(id),
            parent_id: parent.map(span_id),
            resource: 0,
            scope: String::new(),
            name: format!("span {id}"),
            kind: SpanKind::Internal,
            start_ns,
            end_ns: start_ns + 10,
            status: SpanStatus::Unset,
            status_message: String::new(),
            attributes: Vec::new(),
            events: Vec::new(),
            links: Vec::new(),
        }
    }

    fn trace(spans: Vec<Span>) -> Trace {
        let resource = |name: &str| Resource {
            service: name.to_owned(),
            attributes: Vec::new(),
        };
        Trace {
            id: TraceId::from_hex("a").unwrap(),
            resources: vec![resource("web"), resource("api")],
            spans,
            duplicate_count: 0,
            is_truncated: false,
        }
    }

    /// The rows as `depth:last byte of the span's ID`, with `o`, `s`, `c` for the marks.
    fn shape(spans: Vec<Span>) -> String {
        let trace = trace(spans);
        let rows = Waterfall::build(&trace, None).rows;
        let text = rows.iter().map(|row| {
            let id = trace.spans[row.span].id.as_bytes()[7];
            let mark = |is: bool, letter: &'static str| if is { letter } else { "" };
            format!(
                "{}:{id}{}{}{}",
                row.depth,
                mark(row.marks.is_orphan, "o"),
                mark(row.marks.is_skewed, "s"),
                mark(row.marks.is_in_cycle, "c")
            )
        });
        text.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn children_follow_their_parent_by_start() {
        let spans = vec![
            span(1, None, 100),
            span(2, Some(1), 130),
            span(3, Some(1), 110),
            span(4, Some(3), 115),
        ];
        assert_eq!(shape(spans), "0:1 1:3 2:4 1:2");
    }

    #[test]
    fn orphans_hang_under_the_earliest_root() {
        let spans = vec![
            span(1, None, 200),
            span(2, None, 100),
            span(3, Some(99), 150),
            span(4, Some(3), 160),
        ];
        assert_eq!(shape(spans), "0:2 1:3o 2:4 0:1");
    }

    #[test]
    fn orphans_without_a_root_stand_at_the_top() {
        assert_eq!(
            shape(vec![span(1, Some(98), 20), span(2, Some(99), 10)]),
            "0:2o 0:1o"
        );
    }

    #[test]
    fn children_before_their_parent_are_marked() {
        assert_eq!(
            shape(vec![span(1, None, 50), span(2, Some(1), 40)]),
            "0:1 1:2s"
        );
    }

    #[test]
    fn cycles_are_cut_at_their_earliest_span() {
        let own_parent = vec![span(1, Some(1), 5)];
        assert_eq!(shape(own_parent), "0:1c");
        let spans = vec![
            span(1, Some(3), 30),
            span(2, Some(1), 10),
            span(3, Some(2), 20),
            span(4, Some(3), 25),
            span(5, None, 1),
        ];
        assert_eq!(shape(spans), "0:5 1:2c 2:3c 3:4 3:1c");
    }

    #[test]
    fn chains_of_any_depth_are_laid_out() {
        let count = 100_000_u32;
        let id = |n: u32| SpanId::from_i64(i64::from(n) + 1).unwrap();
        let spans = (0..count)
            .map(|n| Span {
                id: id(n),
                parent_id: n.checked_sub(1).map(id),
                ..span(1, None, u64::from(n) + 1)
            })
            .collect();
        let waterfall = Waterfall::build(&trace(spans), Some(id(count - 1)));
        assert_eq!(waterfall.rows.last().unwrap().depth, count - 1);
        assert_eq!(waterfall.rows[0].descendant_count, 99_999);
        assert_eq!(waterfall.failing, Some(99_999));
    }

    #[test]
    fn times_are_relative_to_the_earliest_start() {
        let mut unset = span(3, Some(1), 0);
        unset.end_ns = 2_000;
        let trace = trace(vec![span(1, None, 1_000), span(2, Some(1), 1_200), unset]);
        let waterfall = Waterfall::build(&trace, None);
        assert_eq!((waterfall.started_ns, waterfall.duration_ns), (1_000, 210));
        let times: Vec<_> = waterfall
            .rows
            .iter()
            .map(|row| (row.offset_ns, row.duration_ns))
            .collect();
        assert_eq!(times, [(0, 10), (0, 0), (200, 10)]);
    }

    #[test]
    fn services_are_numbered_by_appearance_and_counted() {
        let mut second = span(2, Some(1), 20);
        second.resource = 1;
        second.status = SpanStatus::Error;
        let mut stray = span(3, Some(1), 30);
        stray.resource = 7;
        let trace = trace(vec![span(1, None, 10), second, stray]);
        let waterfall = Waterfall::build(&trace, None);
        let services: Vec<_> = waterfall
            .services
            .iter()
            .map(|s| (s.name.as_str(), s.span_count, s.error_count))
            .collect();
        assert_eq!(
            services,
            [("web", 1, 0), ("api", 1, 1), ("unknown_service", 1, 0)]
        );
        assert_eq!(waterfall.error_count, 1);
    }

    #[test]
    fn the_most_relevant_rows_lead_to_the_failing_span() {
        let mut spans: Vec<Span> = (1..=50).map(|n| span(n, Some(1), u64::from(n))).collect();
        spans[0].parent_id = None;
        spans[48].parent_id = spans.get(39).map(|s| s.id);
        spans[30].status = SpanStatus::Error;
        let failing = spans[48].id;
        let trace = trace(spans);
        let waterfall = Waterfall::build(&trace, Some(failing));
        let chosen: Vec<u8> = waterfall
            .most_relevant(5)
            .into_iter()
            .map(|row| trace.spans[waterfall.rows[row].span].id.as_bytes()[7])
            .collect();
        assert_eq!(chosen, [1, 2, 31, 40, 49]);
        assert_eq!(waterfall.most_relevant(500).len(), 50);
        assert_eq!(waterfall.most_relevant(0), [0_usize; 0]);
    }

    #[test]
    fn json_has_a_column_for_each_field_and_every_name_once() {
        let mut failed = span(2, Some(1), 20);
        failed.name = "span 1".to_owned();
        failed.status = SpanStatus::Error;
        failed.events.push(SpanEvent {
            time_ns: 25,
            name: "exception".to_owned(),
            attributes: vec![(
                "exception.message".to_owned(),
                AttributeValue::String("boom".to_owned()),
            )],
        });
        let failing = failed.id;
        let trace = trace(vec![span(1, None, 10), failed]);
        let waterfall = Waterfall::build(&trace, Some(failing));
        let json = serde_json::to_value(waterfall.to_json(&trace)).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "trace_id": "0000000000000000000000000000000a",
                "total_ns": 20,
                "services": ["web"],
                "names": ["span 1"],
                "failing": 1,
                "id": ["0000000000000101", "0000000000000102"],
                "depth": [0, 1],
                "service": [0, 0],
                "name": [0, 0],
                "offset_ns": [0, 10],
                "duration_ns": [10, 10],
                "flags": [0, 1],
                "messages": [[1, "boom"]],
                "exceptions": [[1, 15]],
            })
        );
    }

    proptest! {
        #[test]
        fn every_span_appears_exactly_once(
            pointers in prop::collection::vec((0_u8..30, prop::option::of(0_u8..30), 0_u64..100), 0..60)
        ) {
            let spans: Vec<Span> = pointers.into_iter().map(|(id, parent, start)| span(id, parent, start)).collect();
            let trace = trace(spans);
            let waterfall = Waterfall::build(&trace, None);
            let mut seen: Vec<usize> = waterfall.rows.iter().map(|row| row.span).collect();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..trace.spans.len()).collect::<Vec<_>>());
            for (index, row) in waterfall.rows.iter().enumerate() {
                if let Some(parent) = row.parent {
                    let above = &waterfall.rows[parent];
                    prop_assert!(parent < index && index <= parent + above.descendant_count);
                    prop_assert_eq!(row.depth, above.depth + 1);
                } else {
                    prop_assert_eq!(row.depth, 0);
                }
            }
        }
    }
}
