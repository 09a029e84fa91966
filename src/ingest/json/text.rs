//! What can be done to a JSON text before it is parsed.

/// An upper bound of the values in a JSON text: its commas and opening brackets outside strings, and one.
pub(super) fn count_values(json: &str) -> usize {
    let mut count = 1;
    let (mut is_string, mut is_escaped) = (false, false);
    for byte in json.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_string => is_escaped = true,
            b'"' => is_string = !is_string,
            b',' | b'[' | b'{' if !is_string => count += 1,
            _ => {}
        }
    }
    count
}

/// JavaScript cuts long attributes between the halves of an emoji and writes the half it kept as `\ud83d`, which is no
/// text in Unicode. Such halves become U+FFFD.
pub(super) fn replace_lone_surrogates(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(start) = rest.find('\\') {
        let (before, escape) = rest.split_at(start);
        out.push_str(before);
        let end = match (surrogate(escape), surrogate(escape.get(6..).unwrap_or(""))) {
            (Some(false), Some(true)) => 12,
            (Some(_), _) => {
                out.push('\u{fffd}');
                rest = escape.get(6..).unwrap_or_default();
                continue;
            }
            (None, _) => escape.char_indices().nth(2).map_or(escape.len(), |c| c.0),
        };
        let (kept, after) = escape.split_at(end);
        out.push_str(kept);
        rest = after;
    }
    out + rest
}

/// Whether the text starts with the escape of a surrogate, and if so whether it is the low (second) one.
fn surrogate(text: &str) -> Option<bool> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    match u16::from_str_radix(digits, 16).ok()? {
        0xd800..=0xdbff => Some(false),
        0xdc00..=0xdfff => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_outside_strings() {
        assert_eq!(count_values(r#"{"a,[{":"\",","b":[1,2]}"#), 5);
    }

    proptest::proptest! {
        #[test]
        fn repairing_surrogates_never_breaks_a_text(text in "(\\\\|\\\\u|d83d|de00|\"|é|x){0,12}") {
            let _ = replace_lone_surrogates(&text);
            let quoted = serde_json::to_string(&text).unwrap();
            proptest::prop_assert_eq!(replace_lone_surrogates(&quoted), quoted);
        }
    }
}
