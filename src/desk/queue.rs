//! `GET /desk`: the queue.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use url::Url;

use super::queue_page::{FailureTag, QueuePage, QueueRow};
use crate::access::extract::{Staff, StaffError};
use crate::http::cursor;
use crate::http::page::{Frame, Section, html};
use crate::http::view::When;
use crate::links::queue::{self, QueueTicket, View};
use crate::state::AppState;
use crate::tickets::spam::in_words;

/// Tickets in a page.
const PAGE_ROWS: i64 = 50;

/// The query of the page; what can't be read shows the start.
#[derive(Debug, Deserialize)]
pub struct QueueQuery {
    view: Option<String>,
    /// As `view` was called before; in bookmarks.
    status: Option<String>,
    before: Option<String>,
}

/// Shows a page of the queue, newest first.
///
/// # Errors
/// [`StaffError`].
pub async fn show(
    staff: Staff,
    query: web::Query<QueueQuery>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, StaffError> {
    let named = query.view.as_deref().or(query.status.as_deref());
    let view = named.and_then(View::parse).unwrap_or(View::Open);
    let before = query.before.as_deref().and_then(cursor::decode);
    let mut conn = state.pool.acquire().await?;
    let mut rows = queue::list(&mut conn, view, staff.id(), before, PAGE_ROWS + 1).await?;
    let has_more = rows.len() > usize::try_from(PAGE_ROWS).unwrap_or(usize::MAX);
    rows.truncate(usize::try_from(PAGE_ROWS).unwrap_or(usize::MAX));
    let older = rows
        .last()
        .filter(|_| has_more)
        .map(|last| cursor::encode(last.created_at, last.id));
    let has_any = !rows.is_empty()
        || !queue::list(&mut conn, View::All, staff.id(), None, 1)
            .await?
            .is_empty();
    let now = state.clock.now();
    let me = staff.viewer().email;
    let page = QueuePage {
        frame: Frame::desk(staff.viewer(), Section::Queue),
        view,
        counts: queue::counts(&mut conn, staff.id()).await?,
        rows: rows
            .into_iter()
            .map(|row| row_view(row, &me, now))
            .collect(),
        is_first: before.is_none(),
        has_any,
        older,
        form_url: state.config.base_url.join("/"),
        otlp_endpoint: state.config.base_url.to_string(),
    };
    Ok(html(StatusCode::OK, &page))
}

fn row_view(row: QueueTicket, me: &str, now: DateTime<Utc>) -> QueueRow {
    QueueRow {
        href: format!("/desk/tickets/{}", row.id),
        reference: row.reference,
        status: row.status,
        action: row.action,
        page: host_and_path(&row.page_url),
        occurred: When::new(row.occurred_at, now),
        created: When::new(row.created_at, now),
        link: row.link_state,
        spam: in_words(&row.spam_signs),
        failure: row.failure_class.map(|class| FailureTag {
            class,
            service: row.failing_service.unwrap_or_default(),
        }),
        is_recovered: row.recovered_at.is_some(),
        is_mine: row.assignee.as_deref() == Some(me),
        assignee: row.assignee,
    }
}

/// A URL without scheme and query.
fn host_and_path(url: &str) -> String {
    Url::parse(url).map_or_else(
        |_never| url.to_owned(),
        |url| {
            format!(
                "{}{}",
                url.host_str().unwrap_or_default(),
                url.path().trim_end_matches('/')
            )
        },
    )
}
