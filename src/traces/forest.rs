//! The spans of a trace as trees, from parent pointers that may be missing or go round in circles. Pure.

use std::collections::{HashMap, HashSet};

use super::trace::Span;

/// What is odd about a span's place in the tree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Marks {
    /// It names a parent that never came; it hangs under the earliest root, or at the top if there is none.
    pub is_orphan: bool,
    /// It starts before its parent: the clocks of two machines differ.
    pub is_skewed: bool,
    /// It is its own ancestor; the cycle was cut at its earliest span.
    pub is_in_cycle: bool,
}

/// The spans as trees, by their indexes.
pub(super) struct Forest {
    /// Spans that hang under none.
    pub(super) tops: Vec<usize>,
    /// By span: those that hang under it, by start.
    pub(super) children: Vec<Vec<usize>>,
    /// By span.
    pub(super) marks: Vec<Marks>,
}

impl Forest {
    /// Hangs every span under exactly one other or at the top, whatever the parents say.
    pub(super) fn plant(spans: &[Span]) -> Self {
        let mut by_id = HashMap::with_capacity(spans.len());
        for (index, span) in spans.iter().enumerate() {
            by_id.entry(span.id).or_insert(index);
        }
        let mut parents: Vec<Option<usize>> = spans
            .iter()
            .map(|span| by_id.get(&span.parent_id?).copied())
            .collect();
        let mut marks = vec![Marks::default(); spans.len()];
        let cuts = cut_cycles(spans, &mut parents, &mut marks);
        let first_root = (0..spans.len())
            .filter(|&index| spans[index].parent_id.is_none())
            .min_by_key(|&index| (spans[index].start_ns, index));
        for (index, span) in spans.iter().enumerate() {
            let is_orphan = span.parent_id.is_some_and(|id| !by_id.contains_key(&id));
            marks[index].is_orphan = is_orphan;
            if is_orphan || cuts.contains(&index) {
                parents[index] = first_root;
            }
        }
        Self::grow(spans, &parents, marks)
    }

    fn grow(spans: &[Span], parents: &[Option<usize>], marks: Vec<Marks>) -> Self {
        let mut forest = Self {
            tops: Vec::new(),
            children: vec![Vec::new(); spans.len()],
            marks,
        };
        let mut by_start: Vec<usize> = (0..spans.len()).collect();
        by_start.sort_by_key(|&index| (spans[index].start_ns, index));
        for index in by_start {
            match parents[index] {
                Some(parent) => forest.children[parent].push(index),
                None => forest.tops.push(index),
            }
        }
        forest
    }
}

/// Follows parents upwards from every span once; a walk that meets itself has found a cycle. Marks its members and cuts
/// it above its earliest one. Answers the spans cut off.
fn cut_cycles(
    spans: &[Span],
    parents: &mut [Option<usize>],
    marks: &mut [Marks],
) -> HashSet<usize> {
    let mut walk_of: Vec<Option<usize>> = vec![None; spans.len()];
    let mut cuts = HashSet::new();
    for start in 0..spans.len() {
        let mut next = Some(start);
        while let Some(index) = next {
            match walk_of[index] {
                Some(walk) if walk != start => break,
                Some(_) => {
                    let members = cycle_through(index, parents);
                    for &member in &members {
                        marks[member].is_in_cycle = true;
                    }
                    let cut = members
                        .into_iter()
                        .min_by_key(|&member| (spans[member].start_ns, member));
                    if let Some(cut) = cut {
                        parents[cut] = None;
                        cuts.insert(cut);
                    }
                    break;
                }
                None => {
                    walk_of[index] = Some(start);
                    next = parents[index];
                }
            }
        }
    }
    cuts
}

fn cycle_through(start: usize, parents: &[Option<usize>]) -> Vec<usize> {
    let mut members = vec![start];
    let mut next = parents[start];
    while let Some(index) = next.filter(|&index| index != start) {
        members.push(index);
        next = parents[index];
    }
    members
}
