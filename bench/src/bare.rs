//! Handlers that do nothing but the statement: what actix and sqlx leave of Postgres's speed on this machine. The
//! same allocator, runtime, workers and pool as tracedesk has; no keys, no checks, no spans of their own.

use std::net::SocketAddr;

use actix_web::http::header;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use sqlx::PgPool;
use tracedesk::clock::{Clock, new_id};
use tracedesk::tickets::reference::Reference;
use tracedesk::token::Token;
use tracedesk::traces::assemble::RawTrace;
use tracedesk::traces::ids::TraceId;
use tracedesk::traces::json;
use tracedesk::traces::store::{StoredPart, StoredTrace};
use uuid::Uuid;

/// As many as `tracedesk serve` has.
const CONNECTIONS: u32 = 24;

type Answer = Result<HttpResponse, actix_web::Error>;

/// Serves until killed.
pub async fn serve(address: SocketAddr, database_url: &str) -> anyhow::Result<()> {
    let pool = tracedesk::db::connect(database_url.parse()?, CONNECTIONS).await?;
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::new(pool.clone()))
            .route("/ready", web::get().to(HttpResponse::Ok))
            .route("/traces/{id}", web::get().to(trace))
            .route("/decoded/{id}", web::get().to(decoded))
            .route("/tickets", web::post().to(ticket))
    });
    Ok(server.bind(address)?.run().await?)
}

async fn trace(id: web::Path<Uuid>, pool: web::Data<PgPool>) -> Answer {
    let rows: Vec<(Uuid, i32, Vec<u8>)> = sqlx::query_as(include_str!("../sql/lookup.sql"))
        .bind(*id)
        .fetch_all(&**pool)
        .await
        .map_err(actix_web::error::ErrorInternalServerError)?;
    let mut payloads = rows.into_iter().map(|(_, _, payload)| payload);
    let Some(mut body) = payloads.next() else {
        return Ok(HttpResponse::NotFound().finish());
    };
    for payload in payloads {
        body.extend_from_slice(&payload);
    }
    Ok(HttpResponse::Ok().body(body))
}

/// The same select, and the answer that ours gives: what is left between them is the key, our own spans and the frame.
async fn decoded(request: HttpRequest, id: web::Path<Uuid>, pool: web::Data<PgPool>) -> Answer {
    let rows: Vec<(Uuid, i32, Vec<u8>)> = sqlx::query_as(include_str!("../sql/lookup.sql"))
        .bind(*id)
        .fetch_all(&**pool)
        .await
        .map_err(actix_web::error::ErrorInternalServerError)?;
    let (Some(trace_id), false) = (TraceId::from_uuid(*id), rows.is_empty()) else {
        return Ok(HttpResponse::NotFound().finish());
    };
    let parts = rows
        .into_iter()
        .map(|(part_id, raw_bytes, payload)| StoredPart {
            part_id,
            raw_bytes,
            payload,
        });
    let stored = StoredTrace {
        parts: parts.collect(),
        is_truncated: false,
    };
    let accept = request.headers().get(header::ACCEPT);
    let body = RawTrace::unpack(trace_id, &stored).and_then(|raw| {
        if accept.is_some_and(|accept| accept == "application/x-protobuf") {
            raw.protobuf()
        } else {
            json::write(&raw)
        }
    });
    let body = body.map_err(actix_web::error::ErrorInternalServerError)?;
    Ok(HttpResponse::Ok().body(body))
}

#[derive(Deserialize)]
struct Report {
    action: String,
    page_url: String,
    occurred_at: DateTime<Utc>,
}

async fn ticket(report: web::Json<Report>, pool: web::Data<PgPool>) -> Answer {
    let (id, token) = (new_id(), Token::generate());
    let path = report
        .page_url
        .splitn(4, '/')
        .nth(3)
        .map_or_else(|| "/".to_owned(), |rest| format!("/{rest}"));
    // Again when the reference is taken, as ours does.
    loop {
        let reference = Reference::generate();
        let inserted: i64 = sqlx::query_scalar(include_str!("../sql/open_ticket.sql"))
            .bind(id)
            .bind(reference.as_str())
            .bind(&token.hash[..])
            .bind(Clock::system().now())
            .bind(&report.action)
            .bind(&report.page_url)
            .bind(&path)
            .bind(report.occurred_at)
            .bind(new_id())
            .bind(new_id())
            .bind(format!("<{}@localhost>", new_id()))
            .fetch_one(&**pool)
            .await
            .map_err(actix_web::error::ErrorInternalServerError)?;
        if inserted == 1 {
            let answer =
                serde_json::json!({"id": id, "reference": reference.as_str(), "url": token.text});
            return Ok(HttpResponse::Created().json(answer));
        }
    }
}
