//! The ten spans of a trace that tell most about its failure, as rows of plain text. Pure; bounded over hostile input:
//! parents that are missing or go in circles.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::outbox::message::one_line;
use crate::traces::duration_text::format_duration;
use crate::traces::ids::SpanId;
use crate::traces::trace::{Span, SpanStatus, Trace};

/// Most rows: what fits a screen of a mail without scrolling.
pub(super) const MAX_ROWS: usize = 10;

/// Widest service column, in characters. With name, bar, duration (8), mark and gaps (5) a row is at most 75.
const MAX_SERVICE_CHARS: usize = 14;

/// Widest column of names, in characters; the deepest of ten rows is indented by 18 of them.
const MAX_NAME_CHARS: usize = 32;

/// Width of the bar that stands for the whole trace, in characters.
const BAR_CHARS: u8 = 16;

/// One span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// Aligned under the other rows in a font of fixed width; starts with `>` for the failing span, `x` for others that
    /// failed.
    pub(super) line: String,
    /// Whether the span failed.
    pub(super) is_error: bool,
}

/// When the trace starts, in nanoseconds since the epoch.
pub(super) fn started_ns(trace: &Trace) -> u64 {
    trace
        .spans
        .iter()
        .map(|span| span.start_ns)
        .min()
        .unwrap_or(0)
}

/// The rows of the most relevant spans, as a tree: the failing span with what led to it, its failed children and
/// siblings, other failed spans, then the longest.
pub(super) fn rows(trace: &Trace, failing: Option<SpanId>) -> Vec<Row> {
    let tree = Tree::new(&trace.spans);
    let failing = failing.and_then(|id| tree.index.get(&id).copied());
    let placed = tree.place(&tree.most_relevant(failing));
    layout(trace, &placed, failing)
}

/// A span in its place: index, depth among the spans shown, and whether its parent is the one shown above it.
struct Placed {
    index: usize,
    depth: usize,
    is_child: bool,
}

struct Tree<'a> {
    spans: &'a [Span],
    index: HashMap<SpanId, usize>,
}

impl<'a> Tree<'a> {
    fn new(spans: &'a [Span]) -> Self {
        let index = spans.iter().enumerate().map(|(i, span)| (span.id, i));
        Self {
            spans,
            index: index.collect(),
        }
    }

    fn parent(&self, index: usize) -> Option<usize> {
        let id = self.spans.get(index)?.parent_id?;
        self.index.get(&id).copied()
    }

    /// Parent, grandparent and so on; ends where a circle would begin again.
    fn ancestors(&self, index: usize) -> Vec<usize> {
        let mut seen = HashSet::from([index]);
        let mut path = Vec::new();
        let mut next = self.parent(index);
        while let Some(ancestor) = next.filter(|ancestor| seen.insert(*ancestor)) {
            path.push(ancestor);
            next = self.parent(ancestor);
        }
        path
    }

    fn most_relevant(&self, failing: Option<usize>) -> BTreeSet<usize> {
        let all = || 0..self.spans.len();
        let failed = |i: &usize| {
            self.spans
                .get(*i)
                .is_some_and(|span| span.status == SpanStatus::Error)
        };
        let path = failing.map_or_else(Vec::new, |i| self.ancestors(i));
        let parent = path.first().copied();
        let is_near = |i: &usize| {
            let above = self.parent(*i);
            above.is_some() && (above == failing || above == parent)
        };
        let mut longest: Vec<usize> = all().collect();
        longest.sort_by_key(|i| std::cmp::Reverse(self.spans.get(*i).map_or(0, Span::duration_ns)));
        let mut chosen = BTreeSet::new();
        let by_relevance = failing
            .into_iter()
            .chain(path.last().copied())
            .chain(path)
            .chain(all().filter(failed).filter(is_near))
            .chain(all().filter(failed))
            .chain(longest);
        for i in by_relevance {
            if chosen.len() == MAX_ROWS {
                break;
            }
            chosen.insert(i);
        }
        chosen
    }

    /// Puts each chosen span under its nearest chosen ancestor, siblings by start.
    fn place(&self, chosen: &BTreeSet<usize>) -> Vec<Placed> {
        let above: HashMap<usize, usize> = chosen
            .iter()
            .filter_map(|i| {
                let nearest = self
                    .ancestors(*i)
                    .into_iter()
                    .find(|a| chosen.contains(a))?;
                Some((*i, nearest))
            })
            .collect();
        let mut placed = Vec::new();
        let roots = chosen.iter().filter(|i| !above.contains_key(i));
        // After the roots, all others: spans in a circle hang under no root, and one of them has to be first.
        for i in roots.chain(chosen) {
            self.place_under(*i, 0, &above, &mut placed);
        }
        placed
    }

    /// Places a span and what hangs under it; at most [`MAX_ROWS`] deep.
    fn place_under(
        &self,
        index: usize,
        depth: usize,
        above: &HashMap<usize, usize>,
        placed: &mut Vec<Placed>,
    ) {
        if placed.iter().any(|row| row.index == index) {
            return;
        }
        let is_child = above.get(&index).copied() == self.parent(index);
        placed.push(Placed {
            index,
            depth,
            is_child,
        });
        let mut below: Vec<usize> = above
            .iter()
            .filter(|(_, parent)| **parent == index)
            .map(|(child, _)| *child)
            .collect();
        below.sort_unstable();
        for child in below {
            self.place_under(child, depth + 1, above, placed);
        }
    }
}

fn layout(trace: &Trace, placed: &[Placed], failing: Option<usize>) -> Vec<Row> {
    let start = started_ns(trace);
    let end = trace.spans.iter().map(|s| s.end_ns.max(s.start_ns)).max();
    let total = end.unwrap_or(0).saturating_sub(start);
    let cells: Vec<_> = placed
        .iter()
        .filter_map(|row| {
            let span = trace.spans.get(row.index)?;
            let resource = trace.resources.get(span.resource);
            let service = resource.map_or("unknown_service", |r| r.service.as_str());
            let gap = if row.is_child || row.depth == 0 {
                ""
            } else {
                "… "
            };
            let indent = "  ".repeat(row.depth);
            let used = 2 * row.depth + gap.chars().count();
            let name = one_line(&span.name, MAX_NAME_CHARS.saturating_sub(used));
            Some((
                row,
                span,
                one_line(service, MAX_SERVICE_CHARS),
                format!("{indent}{gap}{name}"),
            ))
        })
        .collect();
    let width = |texts: Vec<&String>| texts.iter().map(|t| t.chars().count()).max().unwrap_or(0);
    let service_width = width(cells.iter().map(|cell| &cell.2).collect());
    let name_width = width(cells.iter().map(|cell| &cell.3).collect());
    cells
        .iter()
        .map(|(row, span, service, name)| {
            let is_error = span.status == SpanStatus::Error || failing == Some(row.index);
            let mark = match is_error {
                true if failing == Some(row.index) => '>',
                true => 'x',
                false => ' ',
            };
            let bar = bar(span, start, total);
            let took = format_duration(span.duration_ns());
            let line =
                format!("{mark} {service:service_width$} {name:name_width$} {bar} {took:>8}");
            Row { line, is_error }
        })
        .collect()
}

/// The span's place in the whole trace, at least one block long.
fn bar(span: &Span, start_ns: u64, total_ns: u64) -> String {
    let cells = u128::from(BAR_CHARS);
    let total = u128::from(total_ns.max(1));
    let from = u128::from(span.start_ns.saturating_sub(start_ns)) * cells / total;
    let to = (u128::from(span.end_ns.saturating_sub(start_ns)) * cells).div_ceil(total);
    let from = from.min(cells - 1);
    (0..cells)
        .map(|cell| {
            let is_inside = cell == from || (from..to).contains(&cell);
            if is_inside { '█' } else { '·' }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::traces::ids::TraceId;
    use crate::traces::trace::{Resource, SpanKind};

    /// Parent (0 for none), start, end and whether it failed; IDs count from 1.
    type Sketch = (u64, u64, u64, bool);

    fn id(number: u64) -> SpanId {
        SpanId::from_bytes(&number.to_be_bytes()).unwrap()
    }

    fn trace(sketches: &[Sketch]) -> Trace {
        let span = |(number, (parent, start_ns, end_ns, failed)): (u64, &Sketch)| Span {
            id: id(number),
            parent_id: SpanId::from_bytes(&parent.to_be_bytes()),
            resource: 0,
            scope: String::new(),
            name: format!("step {number}"),
            kind: SpanKind::Internal,
            start_ns: *start_ns,
            end_ns: *end_ns,
            status: if *failed {
                SpanStatus::Error
            } else {
                SpanStatus::Unset
            },
            status_message: String::new(),
            attributes: Vec::new(),
            events: Vec::new(),
            links: Vec::new(),
        };
        Trace {
            id: TraceId::from_hex("1").unwrap(),
            resources: vec![Resource {
                service: "api".to_owned(),
                attributes: Vec::new(),
            }],
            spans: (1..).zip(sketches).map(span).collect(),
            duplicate_count: 0,
            is_truncated: false,
        }
    }

    fn shown(trace: &Trace, failing: Option<u64>) -> String {
        let lines: Vec<String> = rows(trace, failing.map(id))
            .into_iter()
            .map(|row| row.line)
            .collect();
        lines.join("\n")
    }

    #[test]
    fn a_deep_path_keeps_both_ends_and_marks_the_gap() {
        let chain: Vec<Sketch> = (0..20)
            .map(|parent| (parent, parent, 40 - parent, parent >= 18))
            .collect();
        insta::assert_snapshot!(shown(&trace(&chain), Some(20)));
    }

    #[test]
    fn without_a_failure_the_longest_are_shown() {
        let spans = [(0, 0, 100, false), (1, 10, 20, false), (9, 30, 90, false)];
        insta::assert_snapshot!(shown(&trace(&spans), None));
    }

    #[test]
    fn an_empty_trace_has_no_rows() {
        assert!(rows(&trace(&[]), Some(id(1))).is_empty());
    }

    proptest! {
        #[test]
        fn any_trace_makes_aligned_rows(
            sketches in proptest::collection::vec((0u64..40, any::<u64>(), any::<u64>(), any::<bool>()), 0..40),
            failing in 1u64..40,
        ) {
            let trace = trace(&sketches);
            let rows = rows(&trace, Some(id(failing)));
            prop_assert_eq!(rows.len(), sketches.len().min(MAX_ROWS));
            let failing_is_there = usize::try_from(failing).unwrap() <= sketches.len();
            prop_assert_eq!(rows.iter().filter(|row| row.line.starts_with('>')).count(), usize::from(failing_is_there));
            let bars: HashSet<_> = rows.iter().map(|row| row.line.chars().position(|c| "█·".contains(c))).collect();
            prop_assert!(bars.len() <= 1);
        }
    }
}
