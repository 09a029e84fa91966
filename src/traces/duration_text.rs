//! Durations, shares and counts as people read them.

const US: u64 = 1_000;
const MS: u64 = 1_000 * US;
const S: u64 = 1_000 * MS;

/// A duration with three digits that count: `850 ns`, `12.5 µs`, `1.2 s`, `2 min 5 s`, `3 h 20 min`, `2 d 4 h`.
#[must_use]
pub fn format_duration(ns: u64) -> String {
    let seconds = ns / S;
    // Each unit ends where its rounded value would read 1000.
    match ns {
        0 => "0".to_owned(),
        1..US => format!("{ns} ns"),
        US..999_500 => format!("{} µs", three_digits(ns, US)),
        999_500..999_500_000 => format!("{} ms", three_digits(ns, MS)),
        999_500_000..59_950_000_000 => format!("{} s", three_digits(ns, S)),
        _ if seconds < 3_600 => {
            let rounded = (ns + S / 2) / S;
            two_units(rounded / 60, "min", rounded % 60, "s")
        }
        _ if seconds < 86_400 => two_units(seconds / 3_600, "h", seconds % 3_600 / 60, "min"),
        _ => two_units(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

fn two_units(large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    if small == 0 {
        format!("{large} {large_unit}")
    } else {
        format!("{large} {large_unit} {small} {small_unit}")
    }
}

/// `ns / unit`, rounded to three digits, without zeros at the end of the fraction.
fn three_digits(ns: u64, unit: u64) -> String {
    let (scale, places) = match ns / unit {
        0..10 => (100, 2),
        10..100 => (10, 1),
        _ => (1, 0),
    };
    let rounded = (ns.saturating_mul(scale) + unit / 2) / unit;
    if places == 0 {
        return rounded.to_string();
    }
    let text = format!("{}.{:0places$}", rounded / scale, rounded % scale);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `part` of `whole` in percent with three decimals, as SVG attributes take it: `12.345`; at most 100.
#[must_use]
pub fn format_percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "0".to_owned();
    }
    let thousandths = u128::from(part.min(whole)) * 100_000 / u128::from(whole);
    format!("{}.{:03}", thousandths / 1_000, thousandths % 1_000)
}

/// A count with its thousands apart: `10,000`.
#[must_use]
pub fn format_count(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well_at_every_size() {
        for (ns, text) in [
            (0, "0"),
            (850, "850 ns"),
            (1_000, "1 µs"),
            (12_500, "12.5 µs"),
            (999_499, "999 µs"),
            (999_500, "1 ms"),
            (1_234_567, "1.23 ms"),
            (45_000_000, "45 ms"),
            (999_499_999, "999 ms"),
            (999_500_000, "1 s"),
            (1_200_000_000, "1.2 s"),
            (59_940_000_000, "59.9 s"),
            (59_960_000_000, "1 min"),
            (125_000_000_000, "2 min 5 s"),
            (12_000_000_000_000, "3 h 20 min"),
            (187_200_000_000_000, "2 d 4 h"),
            (u64::MAX, "213503 d 23 h"),
        ] {
            assert_eq!(format_duration(ns), text, "{ns}");
        }
    }

    #[test]
    fn counts_have_their_thousands_apart() {
        for (count, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(format_count(count), text);
        }
    }

    #[test]
    fn percents_stay_within_the_whole() {
        assert_eq!(format_percent(1, 8), "12.500");
        assert_eq!(format_percent(9, 8), "100.000");
        assert_eq!(format_percent(5, 0), "0");
        assert_eq!(format_percent(u64::MAX, u64::MAX), "100.000");
    }
}
