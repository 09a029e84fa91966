//! The one table of URLs, and the server that serves them.

use std::net::TcpListener;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{Server, ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::{Method, StatusCode, header};
use actix_web::middleware::{Compress, Next, from_fn};
use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer, Resource, ResponseError as _, guard, web,
};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::http::error::{PageError, Problem};
use crate::http::{assets, csrf, health, reader, theme};
use crate::state::AppState;
use crate::telemetry::trace_request;
use crate::{api, desk, ingest, intake};

/// How long requests under way may take to end when the service stops.
const SHUTDOWN_SECS: u64 = 10;
/// An idle connection is kept this long: longer than proxies keep theirs (a minute, mostly), since one that we close
/// while a request is on its way to it is a failure to whoever sent that.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// A request's headers must be whole within this time.
const HEADERS_DEADLINE: Duration = Duration::from_secs(10);

/// Serves on a bound listener until stopped.
///
/// # Errors
/// When the listener can't be used.
pub fn serve(listener: TcpListener, state: AppState) -> std::io::Result<Server> {
    let metrics = metrics_handle();
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::new(state.clone()))
            .app_data(web::Data::new(state.pool.clone()))
            .app_data(web::Data::new(metrics.clone()))
            .app_data(web::Data::from(Arc::clone(&state.config.content)))
            .app_data(web::QueryConfig::default().error_handler(|error, request| {
                let detail = format!("The query could not be read: {error}.");
                let response = for_caller(request, Problem::new(StatusCode::BAD_REQUEST, detail));
                InternalError::from_response("the query can't be read", response).into()
            }))
            .configure(routes)
            .default_service(web::to(no_such_page))
            .wrap(from_fn(own_pages_only))
            .wrap(from_fn(in_readers_language))
            .wrap(Compress::default())
            .wrap(from_fn(trace_request))
    });
    Ok(server
        .listen(listener)?
        .keep_alive(KEEP_ALIVE)
        .shutdown_timeout(SHUTDOWN_SECS)
        .client_request_timeout(HEADERS_DEADLINE)
        .disable_signals()
        .run())
}

/// Every URL of the service.
fn routes(config: &mut web::ServiceConfig) {
    config
        // First what is called most: each pattern is tried in turn.
        .service(at("/v1/traces", "POST").route(web::post().to(ingest::otlp::export)))
        .service(
            at("/api/v1/tickets", "GET, POST, OPTIONS")
                .route(read().to(api::tickets::list))
                .route(web::post().to(intake::api::create))
                .route(web::method(Method::OPTIONS).to(intake::public_api::preflight)),
        )
        .service(at("/api/v1/tickets/{id}", "GET").route(read().to(api::tickets::show)))
        .service(at("/api/v1/traces/{trace_id}", "GET").route(read().to(api::traces::show)))
        .service(page("/").route(read().to(intake::form::show)))
        .service(page("/embed").route(read().to(intake::embed::show)))
        .service(at("/embed.js", "GET").route(read().to(assets::serve_embed)))
        .service(at("/challenge", "GET").route(read().to(intake::form::challenge)))
        .service(at("/tickets", "POST").route(web::post().to(intake::form::submit)))
        .service(
            page("/lost")
                .route(read().to(intake::lost::show))
                .route(web::post().to(intake::lost::ask)),
        )
        .service(page("/t/{token}").route(read().to(intake::ticket::show)))
        .service(at("/t/{token}/closure", "POST").route(web::post().to(intake::ticket::close)))
        .service(at("/drafts/{token}/{id}", "GET").route(read().to(intake::drafts::show)))
        .service(
            at("/t/{token}/screenshots/{id}", "GET").route(read().to(intake::ticket::screenshot)),
        )
        .service(at("/t/{token}/replies", "POST").route(web::post().to(intake::ticket::reply)))
        .service(at("/recoveries", "POST").route(web::post().to(intake::helped::recover)))
        .service(at("/helpfulness", "POST").route(web::post().to(intake::helped::vote)))
        .service(at("/t/{token}/ratings", "POST").route(web::post().to(intake::ticket::rate)))
        .service(at("/trace-findings", "POST").route(web::post().to(intake::finding::look_up)))
        .configure(desk_routes)
        .service(at("/livez", "GET").route(read().to(health::live)))
        .service(at("/readyz", "GET").route(read().to(health::ready)))
        .service(at("/metrics", "GET").route(read().to(show_metrics)))
        .service(at(theme::THEME_ROUTE, "GET").route(read().to(theme::serve)))
        .service(at(assets::ASSET_ROUTE, "GET").route(read().to(assets::serve)));
}

fn desk_routes(config: &mut web::ServiceConfig) {
    config
        .service(page("/desk").route(read().to(desk::queue::show)))
        .service(
            page("/desk/sign-in")
                .route(read().to(desk::sign_in::show))
                .route(web::post().to(desk::sign_in::sign_in)),
        )
        .service(at("/desk/sign-out", "POST").route(web::post().to(desk::sign_in::sign_out)))
        .service(page("/desk/search").route(read().to(desk::search::search)))
        .service(page("/desk/failures").route(read().to(desk::failures::list)))
        .service(page("/desk/failures/{fingerprint}").route(read().to(desk::failures::show)))
        .service(page("/desk/answers").route(read().to(desk::answers::show)))
        .service(page("/desk/mail").route(read().to(desk::mail::show)))
        .service(at("/desk/mail/{id}/resend", "POST").route(web::post().to(desk::mail::resend)))
        .service(page("/desk/tickets/{id}").route(read().to(desk::ticket::show)))
        .service(
            at("/desk/tickets/{id}/screenshots/{picture}", "GET")
                .route(read().to(desk::ticket::screenshot)),
        )
        .service(at("/desk/tickets/{id}/messages", "POST").route(web::post().to(desk::act::write)))
        .service(at("/desk/tickets/{id}/closure", "POST").route(web::post().to(desk::act::close)))
        .service(
            at("/desk/tickets/{id}/reopening", "POST").route(web::post().to(desk::act::reopen)),
        )
        .service(at("/desk/tickets/{id}/spam", "POST").route(web::post().to(desk::act::mark_spam)))
        .service(at("/desk/tickets/{id}/assignee", "POST").route(web::post().to(desk::act::assign)))
        .service(at("/desk/tickets/{id}/undo", "POST").route(web::post().to(desk::act::undo)))
        .service(at("/desk/tickets/{id}/link", "POST").route(web::post().to(desk::ticket::link)))
        .service(
            at("/desk/tickets/{id}/link-rejection", "POST")
                .route(web::post().to(desk::ticket::reject_link)),
        )
        // Before the page itself, whose pattern would take ".json" for part of an ID.
        .service(page("/desk/traces/{trace_id}.json").route(read().to(desk::trace::download)))
        .service(page("/desk/traces/{trace_id}").route(read().to(desk::trace::show)))
        .service(
            page("/desk/traces/{trace_id}/waterfall.json").route(read().to(desk::trace::waterfall)),
        )
        .service(
            page("/desk/traces/{trace_id}/spans/{span_id}").route(read().to(desk::trace::span)),
        );
}

/// Reads: GET, and HEAD, whose answer has no body.
fn read() -> actix_web::Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// A page that people read.
fn page(path: &'static str) -> Resource {
    at(path, "GET")
}

/// A URL that answers 405 to other methods than `allowed`.
fn at(path: &'static str, allowed: &'static str) -> Resource {
    web::resource(path).default_service(web::to(move |request: HttpRequest| async move {
        let detail = format!("{} is not possible here; {allowed} is.", request.method());
        let mut response = for_caller(
            &request,
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail),
        );
        response
            .headers_mut()
            .insert(header::ALLOW, header::HeaderValue::from_static(allowed));
        response
    }))
}

async fn no_such_page(request: HttpRequest) -> HttpResponse {
    for_caller(
        &request,
        Problem::not_found("There is nothing at this address."),
    )
}

/// An error as whoever called can read it: OTLP's own for OTLP, problem JSON for programs, a page for people.
fn for_caller(request: &HttpRequest, problem: Problem) -> HttpResponse {
    if request.path().starts_with("/v1/") {
        ingest::otlp::refuse(request, &problem)
    } else if is_for_programs(request.path()) {
        problem.error_response()
    } else {
        PageError(problem).error_response()
    }
}

fn is_for_programs(path: &str) -> bool {
    path.starts_with("/api/") || path.starts_with("/v1/")
}

/// Programs carry keys; browsers carry cookies, so what changes something must come from our own pages.
async fn own_pages_only(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    if !is_for_programs(request.path()) && request.method() != Method::OPTIONS {
        let state = request.app_data::<web::Data<AppState>>();
        let checked = state.map_or(Ok(()), |state| {
            csrf::check(request.request(), &state.config.base_url)
        });
        if let Err(problem) = checked {
            let response = PageError(problem).error_response();
            return Ok(request.into_response(response).map_into_right_body());
        }
    }
    Ok(next.call(request).await?.map_into_left_body())
}

/// What people read, but not what programs and staff do: that is English.
async fn in_readers_language(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let state = request.app_data::<web::Data<AppState>>();
    let is_public = !is_for_programs(request.path()) && !request.path().starts_with("/desk");
    match state.filter(|_state| is_public) {
        Some(state) => {
            let config = Arc::clone(&state.config);
            let is_secure = config.base_url.is_https();
            reader::read_in(&config.content, is_secure, request, next).await
        }
        None => next.call(request).await,
    }
}

async fn show_metrics(handle: web::Data<PrometheusHandle>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(handle.render())
}

/// The recorder of the process; tests start several servers in one.
fn metrics_handle() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let recorder = PrometheusBuilder::new().build_recorder();
            let handle = recorder.handle();
            if metrics::set_global_recorder(recorder).is_err() {
                tracing::warn!("Another metrics recorder is in place; /metrics stays empty");
            }
            handle
        })
        .clone()
}
