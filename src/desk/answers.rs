//! `GET /desk/answers`: what the start page saves, and which of its answers need work.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use chrono::Duration;

use super::answers_page::{AnswersPage, NoteView};
use super::day_plot::DayPlot;
use crate::access::extract::{Staff, StaffError};
use crate::help::store::{self as help, DayCounts};
use crate::http::page::{Frame, Section, html};
use crate::http::view::When;
use crate::links::failures;
use crate::state::AppState;

/// How far back the page looks.
const DAYS: i64 = 30;

/// Shows the counts.
///
/// # Errors
/// [`StaffError`].
pub async fn show(staff: Staff, state: web::Data<AppState>) -> Result<HttpResponse, StaffError> {
    let now = state.clock.now();
    let today = now.date_naive();
    let since = today - Duration::days(DAYS - 1);
    let mut conn = state.pool.acquire().await?;
    let by_day = help::by_day(&mut conn, since, today).await?;
    let page = AnswersPage {
        frame: Frame::desk(staff.viewer(), Section::Answers),
        days: DAYS,
        fixed: fixed_plot(&by_day),
        votes: votes_plot(&by_day),
        by_day: by_day.into_iter().rev().filter(has_any).collect(),
        by_answer: help::by_answer(&mut conn, since).await?,
        by_kind: help::by_kind(&mut conn, since).await?,
        by_class: failures::solved_since(&mut conn, since).await?,
        notes: help::notes(&mut conn)
            .await?
            .into_iter()
            .map(|note| NoteView {
                answer: note.answer.label(),
                is_helpful: note.is_helpful,
                note: note.note,
                language: note.language,
                at: When::new(note.created_at, now),
            })
            .collect(),
    };
    Ok(html(StatusCode::OK, &page))
}

fn fixed_plot(days: &[DayCounts]) -> DayPlot {
    let counts: Vec<_> = days
        .iter()
        .map(|day| (day.day, vec![day.retried, day.switched, day.advised]))
        .collect();
    let series = [
        ("s-retry", "by a retry"),
        ("s-switch", "by another model"),
        ("s-advice", "by advice from the trace"),
    ];
    DayPlot::new("plot-fixed", "Fixed without a report", &series, &counts)
}

fn votes_plot(days: &[DayCounts]) -> DayPlot {
    let counts: Vec<_> = days
        .iter()
        .map(|day| (day.day, vec![day.helpful, day.unhelpful]))
        .collect();
    let series = [("s-yes", "helpful"), ("s-no", "not helpful")];
    DayPlot::new("plot-votes", "Was this helpful?", &series, &counts)
}

fn has_any(day: &DayCounts) -> bool {
    day.retried + day.switched + day.advised + day.helpful + day.unhelpful > 0
}
