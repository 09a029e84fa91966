//! `GET /desk/failures`: the same failure is answered once, not once a ticket.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use chrono::Duration;

use super::failures_page::{FailurePage, FailureRow, FailureTicket, FailuresPage};
use crate::access::extract::{Staff, StaffError};
use crate::http::error::Problem;
use crate::http::page::{Frame, Section, html};
use crate::http::view::When;
use crate::links::failures;
use crate::state::AppState;
use crate::tickets::rating;

/// How far back the page looks.
const DAYS: i64 = 30;

/// Shows what failed lately.
///
/// # Errors
/// [`StaffError`].
pub async fn list(staff: Staff, state: web::Data<AppState>) -> Result<HttpResponse, StaffError> {
    let now = state.clock.now();
    let since = now - Duration::days(DAYS);
    let mut conn = state.pool.acquire().await?;
    let groups = failures::groups_since(&mut conn, since).await?;
    let solved = failures::solved_since(&mut conn, since.date_naive()).await?;
    let days = rating::days_since(&mut conn, since.date_naive()).await?;
    let rows = groups.into_iter().map(|group| FailureRow {
        href: format!("/desk/failures/{}", group.fingerprint),
        class: group.class,
        service: group.service,
        span: group.span,
        message: group.message,
        ticket_count: group.ticket_count,
        open_count: group.open_count,
        first: When::new(group.first_at, now),
        last: When::new(group.last_at, now),
    });
    let frame = Frame::desk(staff.viewer(), Section::Failures);
    Ok(html(
        StatusCode::OK,
        &FailuresPage {
            frame,
            days: DAYS,
            rows: rows.collect(),
            solved,
            helpful: days.iter().map(|day| day.helpful).sum(),
            not_helpful: days.iter().map(|day| day.not_helpful).sum(),
            rated: days,
        },
    ))
}

/// Shows every ticket of one failure.
///
/// # Errors
/// [`StaffError`].
pub async fn show(
    staff: Staff,
    path: web::Path<String>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, StaffError> {
    let missing = || Problem::not_found("No ticket has this failure.");
    let fingerprint = path.parse().map_err(|_not_a_number| missing())?;
    let listed = failures::tickets_of(&mut *state.pool.acquire().await?, fingerprint).await?;
    let newest = listed.first().ok_or_else(missing)?;
    let (class, service) = (
        newest.failure_class.ok_or_else(missing)?,
        newest.failing_service.clone(),
    );
    let now = state.clock.now();
    let page = FailurePage {
        frame: Frame::desk(staff.viewer(), Section::Failures),
        class,
        service: service.unwrap_or_default(),
        tickets: listed
            .into_iter()
            .map(|ticket| FailureTicket {
                href: format!("/desk/tickets/{}", ticket.id),
                reference: ticket.reference,
                status: ticket.status,
                action: ticket.action,
                created: When::new(ticket.created_at, now),
            })
            .collect(),
    };
    Ok(html(StatusCode::OK, &page))
}
