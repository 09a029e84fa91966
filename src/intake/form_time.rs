//! "When was that?", as a moment.

use chrono::{DateTime, Duration, FixedOffset, NaiveDateTime, SecondsFormat, TimeZone as _, Utc};

use super::form_page::FormValues;

/// "Within the hour", as a time: its middle.
const HALF_AN_HOUR: Duration = Duration::minutes(30);

/// The time that was chosen, with an offset; what can't be read stays as typed, for the report to refuse.
pub(super) fn occurred_at(values: &FormValues, now: DateTime<Utc>) -> String {
    let typed = values.occurred_at.trim();
    let offset = offset_of(&values.utc_offset);
    match values.when.as_str() {
        "at" => local(typed, offset).unwrap_or_else(|| typed.to_owned()),
        "hour" => rfc3339(now - HALF_AN_HOUR),
        "today" => rfc3339(middle_of_today(now, offset)),
        "" if !typed.is_empty() => local(typed, offset).unwrap_or_else(|| typed.to_owned()),
        _ => rfc3339(now),
    }
}

/// `datetime-local` has no offset: it is the one that the browser's script gave, or UTC.
fn local(typed: &str, offset: FixedOffset) -> Option<String> {
    let naive = [
        "%Y-%m-%dT%H:%M",
        "%Y-%m-%dT%H:%M:%S",
        "%Y-%m-%dT%H:%M:%S%.f",
    ]
    .iter()
    .find_map(|format| NaiveDateTime::parse_from_str(typed, format).ok())?;
    offset
        .from_local_datetime(&naive)
        .single()
        .map(|time| time.to_rfc3339())
}

/// Minutes ahead of UTC, at most a day.
fn offset_of(minutes: &str) -> FixedOffset {
    const UTC_OFFSET: FixedOffset = FixedOffset::east_opt(0).expect("zero is an offset");
    minutes
        .trim()
        .parse::<i32>()
        .ok()
        .and_then(|minutes| minutes.checked_mul(60))
        .and_then(FixedOffset::east_opt)
        .unwrap_or(UTC_OFFSET)
}

/// "Earlier today": halfway between the reporter's midnight and now.
fn middle_of_today(now: DateTime<Utc>, offset: FixedOffset) -> DateTime<Utc> {
    let here = now.with_timezone(&offset);
    let since_midnight = here.time().signed_duration_since(chrono::NaiveTime::MIN);
    now - since_midnight / 2
}

fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(when: &str, occurred_at: &str, utc_offset: &str) -> String {
        let values = FormValues {
            when: when.to_owned(),
            occurred_at: occurred_at.to_owned(),
            utc_offset: utc_offset.to_owned(),
            ..FormValues::default()
        };
        super::occurred_at(&values, "2026-11-25T10:00:00Z".parse().unwrap())
    }

    #[test]
    fn chosen_times_become_moments() {
        assert_eq!(time("now", "", ""), "2026-11-25T10:00:00Z");
        assert_eq!(time("", "", ""), "2026-11-25T10:00:00Z");
        assert_eq!(time("hour", "", ""), "2026-11-25T09:30:00Z");
        assert_eq!(time("today", "", ""), "2026-11-25T05:00:00Z");
        assert_eq!(time("today", "", "120"), "2026-11-25T04:00:00Z");
        assert_eq!(
            time("at", "2026-11-25T10:30", "60"),
            "2026-11-25T10:30:00+01:00"
        );
        assert_eq!(
            time("at", "2026-11-25T10:30:05", "x"),
            "2026-11-25T10:30:05+00:00"
        );
        assert_eq!(time("", "2026-11-25T10:30:00Z", ""), "2026-11-25T10:30:00Z");
        assert_eq!(time("at", "soon", "99999999999"), "soon");
    }
}
