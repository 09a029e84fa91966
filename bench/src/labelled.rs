//! Reports without a trace ID whose trace is known: some hours of a product's traffic, made from the shapes in
//! `demo/traces`, with outages, retries and many at work on the same pages, and the reports that people write about what
//! failed, with the noise of people. Seeded, so that every run weighs the same.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use chrono::{DateTime, Duration, Utc};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use tracedesk::clock::new_id;
use tracedesk::failure_rule::FailureRules;
use tracedesk::ingest::{json, split::split};
use tracedesk::links::candidates::Wanted;
use tracedesk::traces::ids::TraceId;
use tracedesk::traces::part::{TracePart, user_ref};
use uuid::Uuid;

const SEED: u64 = 0x7d_0511;
/// People at work; each has a few chats and projects.
const USERS: usize = 600;
/// One in so many actions fails outside of outages, and in them.
const FAILS: f64 = 0.03;
const FAILS_IN_OUTAGE: f64 = 0.5;
/// An outage of the model's provider every so often, and how long.
const OUTAGE_EVERY: Duration = Duration::minutes(150);
const OUTAGE: Duration = Duration::minutes(20);
/// Whoever failed tries again, up to three times, and mostly fails again.
const RETRIES: f64 = 0.6;
const FAILS_AGAIN: f64 = 0.6;
const MAX_RETRIES: usize = 3;
/// Products that name their users in spans do so by address; others by an ID of their own, or not at all.
const NAMED_BY_ADDRESS: f64 = 0.6;
/// Reporters who leave their address, who say what kind it was, and who say a wrong one.
const LEAVES_ADDRESS: f64 = 0.6;
const SAYS_KIND: f64 = 0.7;
const SAYS_WRONG_KIND: f64 = 0.1;
/// Reporters who name the page they were sent to afterwards, or the product's start page.
const NAMES_OTHER_PAGE: f64 = 0.1;

/// What people do, with the shapes of it that work and that fail. `page` is where they see it, `object` what stands for
/// the thing they work on in the shape's paths; pages and calls have different paths.
struct Action {
    kind: &'static str,
    weight: u32,
    works: &'static str,
    fails: &'static [&'static str],
    object: &'static str,
    page: &'static str,
    is_of_provider: bool,
}

const ACTIONS: [Action; 7] = [
    Action {
        kind: "chat",
        weight: 50,
        works: "chat-answered",
        fails: &["chat-overloaded", "chat-stuck", "chat-prompt-too-long"],
        object: "",
        page: "/chats/{object}",
        is_of_provider: true,
    },
    Action {
        kind: "upload",
        weight: 15,
        works: "upload-processed",
        fails: &[
            "upload-pdf-unreadable",
            "upload-too-large",
            "upload-plan-limit",
        ],
        object: "-",
        page: "/projects/{object}/documents",
        is_of_provider: false,
    },
    Action {
        kind: "workflow",
        weight: 8,
        works: "workflow-timeout",
        fails: &["workflow-timeout"],
        object: "blueprint",
        page: "/workflows/{object}/runs/{run}",
        is_of_provider: true,
    },
    Action {
        kind: "api",
        weight: 10,
        works: "api-rate-limited",
        fails: &["api-rate-limited"],
        object: "-",
        page: "/v1/answers",
        is_of_provider: false,
    },
    Action {
        kind: "other",
        weight: 12,
        works: "project-summary-error",
        fails: &["project-summary-error"],
        object: "ocean-drilling",
        page: "/projects/{object}/summary",
        is_of_provider: false,
    },
    Action {
        kind: "chat",
        weight: 3,
        works: "agent-reply",
        fails: &["agent-reply"],
        object: "-",
        page: "/assistant",
        is_of_provider: true,
    },
    Action {
        kind: "other",
        weight: 2,
        works: "sign-in-refused",
        fails: &["sign-in-refused"],
        object: "-",
        page: "/connections/new",
        is_of_provider: false,
    },
];

const PROJECTS: [&str; 12] = [
    "ocean-drilling",
    "river-atlas",
    "cadastre",
    "choir",
    "land-register",
    "north-harbour",
    "tender-2026",
    "archive",
    "glossary",
    "handbook",
    "annual-report",
    "lab-7",
];

/// A shape: the parts of a trace, one a service, as collectors export them.
struct Shape {
    name: &'static str,
    object: String,
    began: DateTime<Utc>,
    parts: Vec<TracePart>,
}

impl Shape {
    fn read(folder: &Path, name: &'static str) -> anyhow::Result<Self> {
        let text = std::fs::read(folder.join(name).with_extension("json")).context(name)?;
        let whole =
            ExportTraceServiceRequest::decode(json::to_protobuf(&text)?.request.as_slice())?;
        let mut parts = Vec::new();
        for resource in whole.resource_spans {
            let one = ExportTraceServiceRequest {
                resource_spans: vec![resource],
            };
            parts.extend(split(&one.encode_to_vec(), &FailureRules::default())?.parts);
        }
        let began = parts.iter().map(|part| part.started_at).min();
        // The chat's ID in its path differs from shape to shape.
        let chat = parts
            .iter()
            .find_map(|part| part.page_path.as_deref()?.strip_prefix("/api/chats/"));
        let object = chat.and_then(|rest| rest.split('/').next());
        Ok(Self {
            name,
            object: object.unwrap_or_default().to_owned(),
            began: began.context("a shape without spans")?,
            parts,
        })
    }
}

/// A trace that was made.
#[derive(Clone)]
pub struct Made {
    pub trace_id: Uuid,
    pub at: DateTime<Utc>,
    pub parts: Vec<TracePart>,
    /// Set when it failed.
    failure: Option<Failed>,
}

#[derive(Clone)]
struct Failed {
    action: usize,
    page: String,
    user: usize,
    /// Equal for the tries of one person at one thing.
    attempt: usize,
}

/// A report, and which trace it is about.
pub struct Labelled {
    pub wanted: Wanted,
    pub trace_id: Uuid,
    /// The other tries of the same person at the same thing, that failed as well.
    pub same_attempt: Vec<Uuid>,
}

/// The traffic of some hours up to `until`, and the reports about it.
pub fn make(
    folder: &Path,
    until: DateTime<Utc>,
    hours: i64,
    traces_an_hour: usize,
    reports: usize,
) -> anyhow::Result<(Vec<Made>, Vec<Labelled>)> {
    let mut world = World::new(folder, until - Duration::hours(hours))?;
    let seconds = hours * 3_600;
    let count = traces_an_hour * usize::try_from(hours)?;
    for _ in 0..count {
        let at = world.began + Duration::seconds(world.rng.random_range(0..seconds));
        world.act(at);
    }
    let labelled = world.reports(reports);
    world.made.sort_by_key(|made| made.at);
    Ok((world.made, labelled))
}

struct World {
    rng: StdRng,
    shapes: Vec<Shape>,
    began: DateTime<Utc>,
    named_by_address: Vec<bool>,
    made: Vec<Made>,
    attempts: usize,
}

impl World {
    fn new(folder: &Path, began: DateTime<Utc>) -> anyhow::Result<Self> {
        let mut shapes: Vec<Shape> = Vec::new();
        for action in &ACTIONS {
            for name in [action.works].iter().chain(action.fails) {
                if shapes.iter().all(|shape| shape.name != *name) {
                    shapes.push(Shape::read(folder, name)?);
                }
            }
        }
        let mut rng = StdRng::seed_from_u64(SEED);
        let named_by_address = (0..USERS)
            .map(|_| rng.random_bool(NAMED_BY_ADDRESS))
            .collect();
        Ok(Self {
            rng,
            shapes,
            began,
            named_by_address,
            made: Vec::new(),
            attempts: 0,
        })
    }

    /// Somebody does something, and tries again when it fails.
    fn act(&mut self, at: DateTime<Utc>) {
        let user = self.rng.random_range(0..USERS);
        let action = self.choose();
        let object = self.object_of(action, user);
        let page = self.page_of(action, &object);
        let chance = if ACTIONS[action].is_of_provider && is_outage(at - self.began) {
            FAILS_IN_OUTAGE
        } else {
            FAILS
        };
        self.attempts += 1;
        let (mut at, mut fails) = (at, self.rng.random_bool(chance));
        for _ in 0..=MAX_RETRIES {
            self.trace(action, user, &object, &page, at, fails);
            if !fails || !self.rng.random_bool(RETRIES) {
                break;
            }
            at += Duration::seconds(self.rng.random_range(15..150));
            fails = self.rng.random_bool(FAILS_AGAIN);
        }
    }

    fn choose(&mut self) -> usize {
        let total: u32 = ACTIONS.iter().map(|action| action.weight).sum();
        let mut left = self.rng.random_range(0..total);
        for (index, action) in ACTIONS.iter().enumerate() {
            if left < action.weight {
                return index;
            }
            left -= action.weight;
        }
        0
    }

    /// Chats are a person's own, projects are shared.
    fn object_of(&mut self, action: usize, user: usize) -> String {
        match ACTIONS[action].kind {
            "chat" => format!(
                "{:04x}",
                user * 37 + self.rng.random_range(0..3_usize) * 7_001
            ),
            "workflow" => ["blueprint", "quarterly", "tenders"][user % 3].to_owned(),
            _ => (*PROJECTS.choose(&mut self.rng).unwrap_or(&"archive")).to_owned(),
        }
    }

    fn page_of(&mut self, action: usize, object: &str) -> String {
        let run = format!("run-{}", self.rng.random_range(1_000..90_000_u32));
        ACTIONS[action]
            .page
            .replace("{object}", object)
            .replace("{run}", &run)
    }

    fn trace(
        &mut self,
        action: usize,
        user: usize,
        object: &str,
        page: &str,
        at: DateTime<Utc>,
        fails: bool,
    ) {
        let Action {
            works,
            fails: failing,
            object: place,
            ..
        } = &ACTIONS[action];
        let name = if fails {
            failing.choose(&mut self.rng).unwrap_or(works)
        } else {
            works
        };
        let trace_id = Uuid::from_bytes(self.rng.random());
        let Some(shape) = self.shapes.iter().find(|shape| shape.name == *name) else {
            return;
        };
        let place = if place.is_empty() {
            &shape.object
        } else {
            *place
        };
        let user_name = if self.named_by_address[user] {
            address_of(user)
        } else {
            format!("u-{user}")
        };
        let parts = shape.parts.iter().map(|part| {
            let mut part = part.clone();
            part.part_id = new_id();
            part.trace_id = TraceId::from_uuid(trace_id).unwrap_or(part.trace_id);
            part.ended_at = at + (part.ended_at - shape.began);
            part.started_at = at + (part.started_at - shape.began);
            part.page_path = part.page_path.map(|path| path.replace(place, object));
            part.user_ref = part.user_ref.map(|_| user_ref(&user_name));
            if !fails {
                part.failure = None;
                part.error_count = 0;
                part.http_status = part.http_status.map(|_| 200);
            }
            part
        });
        self.made.push(Made {
            trace_id,
            at,
            parts: parts.collect(),
            failure: fails.then(|| Failed {
                action,
                page: page.to_owned(),
                user,
                attempt: self.attempts,
            }),
        });
    }

    /// Of each thing that failed the last try is what people write about.
    fn reports(&mut self, count: usize) -> Vec<Labelled> {
        let mut last: BTreeMap<usize, (usize, Vec<Uuid>)> = BTreeMap::new();
        for (index, made) in self.made.iter().enumerate() {
            if let Some(failed) = &made.failure {
                let entry = last.entry(failed.attempt).or_default();
                entry.0 = index;
                entry.1.push(made.trace_id);
            }
        }
        let all: Vec<_> = last.into_values().collect();
        let chosen: Vec<_> = all.choose_multiple(&mut self.rng, count).cloned().collect();
        chosen
            .into_iter()
            .filter_map(|(index, same_attempt)| {
                let made = &self.made[index];
                let (trace_id, at, failed) = (made.trace_id, made.at, made.failure.clone()?);
                Some(Labelled {
                    wanted: self.words(at, &failed),
                    trace_id,
                    same_attempt,
                })
            })
            .collect()
    }

    /// What the person says of it.
    fn words(&mut self, at: DateTime<Utc>, failed: &Failed) -> Wanted {
        let rng = &mut self.rng;
        let minutes = |minutes| Duration::minutes(minutes);
        let (occurred_at, reported_at) = match rng.random_range(0..10) {
            // "Just now", a moment later.
            0..4 => {
                let now = at + Duration::seconds(rng.random_range(20..180));
                (now, now)
            }
            // A time that was picked, some minutes off.
            4..6 => {
                let off = Duration::seconds(rng.random_range(-300..300));
                (at + off, at + minutes(rng.random_range(6..40)))
            }
            // "Within the hour", which counts as half an hour before the report.
            6..9 => {
                let now = at + minutes(rng.random_range(1..59));
                (now - minutes(30), now)
            }
            // From memory, the same day.
            _ => {
                let off = minutes(rng.random_range(-55..56));
                (at + off, at + minutes(rng.random_range(60..240)))
            }
        };
        let kind = ACTIONS[failed.action].kind;
        let kind = match rng.random::<f64>() {
            roll if roll < SAYS_WRONG_KIND => "upload",
            roll if roll < SAYS_WRONG_KIND + SAYS_KIND => kind,
            _ => "other",
        };
        let page = if rng.random_bool(NAMES_OTHER_PAGE) {
            "/".to_owned()
        } else {
            failed.page.clone()
        };
        let leaves_address = rng.random_bool(LEAVES_ADDRESS);
        Wanted {
            page_path: page,
            occurred_at,
            reported_at,
            kind: kind.to_owned(),
            user_ref: leaves_address.then(|| user_ref(&address_of(failed.user))),
        }
    }
}

fn is_outage(since: Duration) -> bool {
    let into = since.num_seconds() % OUTAGE_EVERY.num_seconds();
    into > OUTAGE_EVERY.num_seconds() - OUTAGE.num_seconds()
}

fn address_of(user: usize) -> String {
    format!("person-{user}@example.org")
}
