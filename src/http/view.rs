//! A moment, as all pages show it. Plain data, no business.

use askama::filters::Safe;
use chrono::{DateTime, Datelike as _, SecondsFormat, Timelike as _, Utc};

use crate::content::{Words, escape};

/// A moment as pages show it: short for the eye, exact in the tooltip, machine-readable in `datetime`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct When {
    /// `2026-11-25T10:31:04Z`, for `<time datetime>`.
    pub iso: String,
    /// `25 Nov 2026, 10:31:04 UTC`.
    pub full: String,
    /// `10:31:04 UTC`.
    pub clock: String,
    /// `4 min ago`, `in 2 h`, or the date when it is a week or more away.
    pub relative: String,
}

impl When {
    /// The moment `at`, seen at `now`.
    #[must_use]
    pub fn new(at: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        Self {
            iso: at.to_rfc3339_opts(SecondsFormat::Secs, true),
            full: at.format("%-d %b %Y, %H:%M:%S UTC").to_string(),
            clock: at.format("%H:%M:%S UTC").to_string(),
            relative: relative(at, now),
        }
    }

    /// The moment `at`, seen at `now`, in a reporter's language: to the minute, as the report is.
    #[must_use]
    pub fn for_reader(at: DateTime<Utc>, now: DateTime<Utc>, words: &Words) -> Self {
        let time = &words.time;
        let month = usize::try_from(at.month0()).unwrap_or(0);
        let (hour, minute) = (format!("{:02}", at.hour()), format!("{:02}", at.minute()));
        let full = time.full.fill(&[
            ("day", &at.day()),
            ("month", &time.months.get(month).map_or("", String::as_str)),
            ("year", &at.year()),
            ("hour", &hour),
            ("minute", &minute),
        ]);
        Self {
            iso: at.to_rfc3339_opts(SecondsFormat::Secs, true),
            clock: time.clock.fill(&[("hour", &hour), ("minute", &minute)]),
            relative: relative_in(words, at, now).unwrap_or_else(|| full.clone()),
            full,
        }
    }

    /// The clock's time as markup, which the page's script turns into the reader's own time.
    #[must_use]
    pub fn clock_tag(&self) -> Safe<String> {
        let (iso, full, clock) = (&self.iso, escape(&self.full), escape(&self.clock));
        Safe(format!(
            r#"<time datetime="{iso}" title="{full}" data-local="time">{clock}</time>"#
        ))
    }

    /// The moment `ns` nanoseconds after the epoch, cut to microseconds. The far future of hostile data stays as far
    /// as dates reach.
    #[must_use]
    pub fn from_unix_ns(ns: u64, now: DateTime<Utc>) -> Self {
        let micros = i64::try_from(ns / 1_000).unwrap_or(i64::MAX);
        let at = DateTime::from_timestamp_micros(micros).unwrap_or(DateTime::<Utc>::MAX_UTC);
        Self::new(at, now)
    }
}

/// As [`relative`], for a past that reporters speak of; `None` when it is a week or more away.
fn relative_in(words: &Words, at: DateTime<Utc>, now: DateTime<Utc>) -> Option<String> {
    let time = &words.time;
    let seconds = now.signed_duration_since(at).num_seconds().max(0);
    let count = |pattern: &crate::content::Pattern, count: i64| pattern.fill(&[("count", &count)]);
    match seconds {
        0..45 => Some(time.just_now.clone()),
        45..3_570 => Some(count(&time.minutes_ago, (seconds + 30) / 60)),
        3_570..86_400 => Some(count(&time.hours_ago, (seconds + 1_800) / 3_600)),
        86_400..172_800 => Some(time.yesterday.clone()),
        172_800..604_800 => Some(count(&time.days_ago, seconds / 86_400)),
        _ => None,
    }
}

fn relative(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let seconds = now.signed_duration_since(at).num_seconds();
    let amount = match seconds.unsigned_abs() {
        0..45 => return "just now".to_owned(),
        s @ 45..3_570 => format!("{} min", (s + 30) / 60),
        s @ 3_570..86_400 => format!("{} h", (s + 1_800) / 3_600),
        s @ 86_400..604_800 => match s / 86_400 {
            1 => "1 day".to_owned(),
            days => format!("{days} days"),
        },
        _ => return at.format("%-d %b %Y").to_string(),
    };
    if seconds < 0 {
        format!("in {amount}")
    } else {
        format!("{amount} ago")
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn moments_read_well_at_every_distance() {
        let now = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
        for (seconds, text) in [
            (0, "just now"),
            (44, "just now"),
            (-44, "just now"),
            (45, "1 min ago"),
            (3_569, "59 min ago"),
            (3_570, "1 h ago"),
            (86_399, "24 h ago"),
            (86_400, "1 day ago"),
            (200_000, "2 days ago"),
            (-7_200, "in 2 h"),
            (700_000, "10 Nov 2026"),
        ] {
            let at = now - TimeDelta::seconds(seconds);
            assert_eq!(When::new(at, now).relative, text, "{seconds} s");
        }
    }

    #[test]
    fn exact_forms_name_their_zone() {
        let at = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
        let when = When::new(at, at);
        assert_eq!(when.iso, "2026-11-18T11:06:40Z");
        assert_eq!(when.full, "18 Nov 2026, 11:06:40 UTC");
        assert_eq!(when.clock, "11:06:40 UTC");
    }

    #[test]
    fn hostile_times_do_not_panic() {
        let now = DateTime::from_timestamp(0, 0).unwrap();
        assert!(!When::from_unix_ns(u64::MAX, now).full.is_empty());
        assert_eq!(When::from_unix_ns(0, now).relative, "just now");
    }
}
