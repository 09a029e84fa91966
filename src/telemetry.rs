//! Logs, and our own request spans: every request is a trace that is stored like any other, so that a failure of
//! tracedesk can be looked up by the ID it showed.

use std::fmt::{Debug, Write as _};
use std::io::IsTerminal as _;
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, TracesData};
use prost::Message as _;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Level, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer};

use crate::clock::unix_ns;
use crate::ingest::split::split;
use crate::state::AppState;
use crate::trace_context::{self, TraceContext, new_span_id};

/// The header that names a request's trace in every response.
pub const TRACE_ID_HEADER: HeaderName = HeaderName::from_static("trace-id");
/// Child spans and events kept of a request: a request makes a dozen; a loop must not grow without bound.
const MAX_CHILDREN: usize = 200;
/// Paths that are asked for every few seconds and tell nothing: stored only when they fail.
const QUIET_PATHS: [&str; 4] = ["/livez", "/readyz", "/metrics", "/assets/"];

/// Sets up the log of the process, and the layer that gathers our own spans. Once a process.
///
/// # Errors
/// A sentence when `directives` can't be read.
pub fn init(directives: &str, as_json: bool) -> Result<(), String> {
    let filter =
        EnvFilter::try_new(directives).map_err(|error| format!("TRACEDESK_LOG: {error}"))?;
    let log = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let log = if as_json {
        log.json().boxed()
    } else {
        log.compact().boxed()
    };
    let registry = tracing_subscriber::registry()
        .with(log.with_filter(filter))
        .with(OwnSpans.with_filter(LevelFilter::INFO));
    registry.try_init().map_err(|error| error.to_string())
}

/// What a request's children have told so far.
#[derive(Default)]
struct Gathered {
    spans: Vec<Span>,
    /// Errors logged outside of any child: they are the request's own.
    events: Vec<Event>,
}

tokio::task_local! {
    static REQUEST: Arc<Mutex<Gathered>>;
}

fn gather(add: impl FnOnce(&mut Gathered)) {
    // Outside of a request nothing is gathered.
    let _outside = REQUEST.try_with(|gathered| {
        let mut gathered = gathered.lock().unwrap_or_else(PoisonError::into_inner);
        if gathered.spans.len() + gathered.events.len() < MAX_CHILDREN {
            add(&mut gathered);
        }
    });
}

/// Middleware, outermost: gives the request its trace, answers with its ID, and stores its spans.
///
/// # Errors
/// Those of the services within.
pub async fn trace_request(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let context = TraceContext::start();
    let gathered = Arc::new(Mutex::new(Gathered::default()));
    let mut root = RootSpan::begin(&request);
    let work = REQUEST.scope(Arc::clone(&gathered), next.call(request));
    let mut response = trace_context::scope(context, work).await?;
    if let Ok(value) = HeaderValue::from_str(&context.trace_id.to_string()) {
        response.headers_mut().insert(TRACE_ID_HEADER, value);
    }
    root.status = response.status().as_u16();
    root.route = response.request().match_pattern();
    if root.is_worth_storing(response.request()) {
        let gathered =
            std::mem::take(&mut *gathered.lock().unwrap_or_else(PoisonError::into_inner));
        store(response.request(), root.finish(context, gathered));
    }
    Ok(response)
}

fn store(request: &actix_web::HttpRequest, spans: Vec<Span>) {
    let Some(state) = request.app_data::<web::Data<AppState>>() else {
        return;
    };
    let data = TracesData {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: vec![
                    text_attribute("service.name", "tracedesk"),
                    text_attribute("service.version", env!("CARGO_PKG_VERSION")),
                ],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                scope: Some(InstrumentationScope {
                    name: "tracedesk".to_owned(),
                    ..InstrumentationScope::default()
                }),
                spans,
                schema_url: String::new(),
            }],
            schema_url: String::new(),
        }],
    };
    match split(&data.encode_to_vec(), &state.config.failure_rules) {
        Ok(split) => state.ingest.offer(split.parts),
        Err(error) => tracing::error!(error = %error, "Our own spans could not be packed"),
    }
}

/// The SERVER span of a request.
struct RootSpan {
    method: String,
    path: String,
    route: Option<String>,
    status: u16,
    start_ns: u64,
    link: Option<Link>,
}

impl RootSpan {
    fn begin(request: &ServiceRequest) -> Self {
        let traceparent = request
            .headers()
            .get("traceparent")
            .and_then(|value| value.to_str().ok());
        Self {
            method: request.method().to_string(),
            path: request.path().to_owned(),
            route: None,
            status: 0,
            start_ns: unix_ns(),
            link: traceparent.and_then(caller_link),
        }
    }

    /// Failures always; all else as far as nobody floods us with it.
    fn is_worth_storing(&self, request: &actix_web::HttpRequest) -> bool {
        let is_quiet = QUIET_PATHS.iter().any(|quiet| self.path.starts_with(quiet));
        let state = request.app_data::<web::Data<AppState>>();
        self.status >= 500 || (!is_quiet && state.is_some_and(|state| state.limits.own_trace()))
    }

    /// A path may hold a secret token, so the route stands for it; of a path without a route, its first segment.
    fn finish(self, context: TraceContext, gathered: Gathered) -> Vec<Span> {
        let route = self.route.as_deref();
        let mut attributes = vec![
            text_attribute("http.request.method", &self.method),
            text_attribute(
                "url.path",
                route.unwrap_or_else(|| first_segment(&self.path)),
            ),
            attribute(
                "http.response.status_code",
                any_value::Value::IntValue(self.status.into()),
            ),
        ];
        attributes.extend(route.map(|route| text_attribute("http.route", route)));
        let has_failed = self.status >= 500;
        if has_failed {
            attributes.push(text_attribute("error.type", &self.status.to_string()));
        }
        let root = Span {
            trace_id: context.trace_id.as_bytes().to_vec(),
            span_id: context.span_id.as_bytes().to_vec(),
            name: format!("{} {}", self.method, route.unwrap_or("(no route)")),
            kind: SpanKind::Server.into(),
            start_time_unix_nano: self.start_ns,
            end_time_unix_nano: unix_ns(),
            attributes,
            events: gathered.events,
            links: self.link.into_iter().collect(),
            status: has_failed.then(|| Status {
                code: 2,
                message: String::new(),
            }),
            ..Span::default()
        };
        let mut spans = gathered.spans;
        spans.push(root);
        spans
    }
}

fn first_segment(path: &str) -> &str {
    let end = path
        .char_indices()
        .filter(|(_, c)| *c == '/')
        .nth(1)
        .map_or(path.len(), |(at, _)| at);
    path.get(..end).unwrap_or("/")
}

/// The span that a caller's `traceparent` names.
fn caller_link(traceparent: &str) -> Option<Link> {
    let mut fields = traceparent.split('-').skip(1);
    let (trace_id, span_id) = (fields.next()?, fields.next()?);
    if trace_id.len() != 32 || span_id.len() != 16 {
        return None;
    }
    Some(Link {
        trace_id: crate::traces::ids::TraceId::from_hex(trace_id)?
            .as_bytes()
            .to_vec(),
        span_id: crate::traces::ids::SpanId::from_hex(span_id)?
            .as_bytes()
            .to_vec(),
        ..Link::default()
    })
}

fn attribute(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn text_attribute(key: &str, text: &str) -> KeyValue {
    attribute(key, any_value::Value::StringValue(text.to_owned()))
}

/// Turns `tracing` spans within a request into spans of its trace.
struct OwnSpans;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for OwnSpans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let (Some(request), Some(span)) = (trace_context::current(), context.span(id)) else {
            return;
        };
        if !attributes.metadata().target().starts_with("tracedesk") {
            return;
        }
        let above = span
            .scope()
            .skip(1)
            .find_map(|above| Some(above.extensions().get::<Span>()?.span_id.clone()));
        let mut own = Span {
            trace_id: request.trace_id.as_bytes().to_vec(),
            span_id: new_span_id().as_bytes().to_vec(),
            parent_span_id: above.unwrap_or_else(|| request.span_id.as_bytes().to_vec()),
            name: attributes.metadata().name().to_owned(),
            kind: SpanKind::Internal.into(),
            start_time_unix_nano: unix_ns(),
            ..Span::default()
        };
        attributes.record(&mut FieldReader(&mut own.attributes));
        span.extensions_mut().insert(own);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(own) = span.extensions_mut().get_mut::<Span>()
        {
            values.record(&mut FieldReader(&mut own.attributes));
        }
    }

    fn on_event(&self, event: &tracing::Event<'_>, context: Context<'_, S>) {
        if *event.metadata().level() > Level::WARN {
            return;
        }
        let failed = *event.metadata().level() == Level::ERROR;
        let told = told_event(event, failed);
        let own = context
            .event_span(event)
            .filter(|span| span.extensions().get::<Span>().is_some());
        match own {
            Some(span) => {
                if let Some(own) = span.extensions_mut().get_mut::<Span>() {
                    own.events.push(told);
                    if failed {
                        own.status = Some(Status {
                            code: 2,
                            message: String::new(),
                        });
                    }
                }
            }
            None => gather(|gathered| gathered.events.push(told)),
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let own = context
            .span(&id)
            .and_then(|span| span.extensions_mut().remove::<Span>());
        if let Some(mut own) = own {
            own.end_time_unix_nano = unix_ns();
            gather(|gathered| gathered.spans.push(own));
        }
    }
}

/// An error of the log is an exception of the span; a warning is an event.
fn told_event(event: &tracing::Event<'_>, failed: bool) -> Event {
    let mut attributes = Vec::new();
    event.record(&mut FieldReader(&mut attributes));
    for attribute in attributes.iter_mut().filter(|_| failed) {
        match attribute.key.as_str() {
            "message" => "exception.type".clone_into(&mut attribute.key),
            "error" => "exception.message".clone_into(&mut attribute.key),
            _ => {}
        }
    }
    let name = if failed { "exception" } else { "warning" };
    Event {
        time_unix_nano: unix_ns(),
        name: name.to_owned(),
        attributes,
        ..Event::default()
    }
}

/// Turns fields into attributes.
struct FieldReader<'a>(&'a mut Vec<KeyValue>);

impl Visit for FieldReader<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = String::new();
        let _written = write!(text, "{value:?}");
        self.0.push(text_attribute(field.name(), &text));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push(text_attribute(field.name(), value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0
            .push(attribute(field.name(), any_value::Value::IntValue(value)));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.record_i64(field, i64::try_from(value).unwrap_or(i64::MAX));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0
            .push(attribute(field.name(), any_value::Value::BoolValue(value)));
    }
}
