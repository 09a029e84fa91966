//! Finding values that a text names: `trace_id=...`, `Trace ID: ...`, `"traceId":"..."`, `X-B3-TraceId: ...`,
//! `/trace/...`.

/// The longest value looked at: the longest shape, a `traceparent` of 55 characters, with room for what hangs on it.
const MAX_VALUE_CHARS: usize = 128;

/// Characters between a name and its value.
const BETWEEN: &[char] = &[
    ' ', '"', '\'', '`', '\\', ':', '=', '>', '(', '[', '{', '<', ';', '/', '#', ',', '|', '*',
];
/// One of these shows that a name without "ID" is a name and no ordinary word.
const ASSIGNMENTS: &[char] = &[':', '=', ';', '/'];
/// Words between a name and its value.
const FILLERS: [&str; 6] = ["is", "was", "id", "desc", "root", "value"];
/// Characters that end a value.
const ENDS: &[char] = &[
    ' ', '"', '\'', '`', '\\', ',', ';', '&', '?', '#', '<', '>', '(', ')', '[', ']', '{', '}',
    '|', '*',
];

/// A value with a name in front.
pub(super) struct Value<'a> {
    /// The value, at most [`MAX_VALUE_CHARS`] long, without trailing punctuation.
    pub(super) text: &'a str,
    /// Whether the name had one of the suffixes.
    pub(super) is_named: bool,
}

/// The values behind every `name` that is followed by one of `suffixes`, or without one by an assignment. `lower` is
/// the text in ASCII lowercase.
pub(super) fn values<'a>(
    text: &'a str,
    lower: &'a str,
    name: &'a str,
    suffixes: &'a [&str],
) -> impl Iterator<Item = Value<'a>> {
    lower.match_indices(name).filter_map(move |(start, _)| {
        let behind = lower.get(start + name.len()..)?;
        let named = strip_suffix_word(behind, suffixes);
        let rest = named.unwrap_or_else(|| behind.strip_prefix('s').unwrap_or(behind));
        let value = skip_between(rest, named.is_some())?;
        let value = text.get(text.len() - value.len()..)?;
        Some(Value {
            text: cut(value)?,
            is_named: named.is_some(),
        })
    })
}

/// What is behind `_id`, `-id`, `Id`, ` ID`; `None` if there is no such suffix.
fn strip_suffix_word<'a>(text: &'a str, suffixes: &[&str]) -> Option<&'a str> {
    let text = text.strip_prefix(['-', '_', '.', ' ']).unwrap_or(text);
    suffixes.iter().find_map(|suffix| {
        let rest = text.strip_prefix(suffix)?;
        let rest = rest.strip_prefix('s').unwrap_or(rest);
        (!rest.starts_with(|c: char| c.is_ascii_alphanumeric())).then_some(rest)
    })
}

/// What is behind the separators and filler words. `None` if there are too few of them.
fn skip_between(text: &str, is_named: bool) -> Option<&str> {
    let mut rest = text.trim_start_matches(BETWEEN);
    let skipped = text.get(..text.len() - rest.len())?;
    if skipped.is_empty() || !(is_named || skipped.contains(ASSIGNMENTS)) {
        return None;
    }
    for _ in 0..2 {
        let filler = FILLERS.iter().find_map(|filler| {
            let behind = rest.strip_prefix(filler)?;
            behind.starts_with(BETWEEN).then_some(behind)
        });
        rest = filler.unwrap_or(rest).trim_start_matches(BETWEEN);
    }
    Some(rest)
}

/// The value at the start of the text, without trailing punctuation. `None` if it is too long to be one.
fn cut(text: &str) -> Option<&str> {
    let head = text
        .char_indices()
        .nth(MAX_VALUE_CHARS)
        .map_or(text, |(end, _)| text.get(..end).unwrap_or_default());
    let end = match head.find(ENDS) {
        Some(end) => end,
        None if head.len() == text.len() => head.len(),
        None => return None,
    };
    let value = head.get(..end)?;
    Some(value.trim_end_matches(|c: char| !(c.is_ascii_alphanumeric() || "+/=-_".contains(c))))
}
