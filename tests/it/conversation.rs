//! What staff and reporters say and do on a ticket: who sees it, that it takes effect once, and what mails follow.

use std::io::Cursor;

use chrono::TimeDelta;
use image::{ImageFormat, RgbImage};
use reqwest::multipart::{Form, Part};
use reqwest::{Response, StatusCode};
use serde_json::Value;
use tracedesk::clock::new_id;
use tracedesk::outbox::admission::MAX_ASKED_AN_HOUR;

use crate::app::{Desk, TestApp, between, eventually};

const NOTE: &str = "Third one today, the converter is stuck";

fn desk_path(ticket: &Value) -> String {
    format!("/desk/tickets/{}", ticket["id"].as_str().unwrap())
}

fn own_path(ticket: &Value) -> String {
    let url = url::Url::parse(ticket["url"].as_str().unwrap()).unwrap();
    url.path().to_owned()
}

fn png() -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let picture = RgbImage::from_pixel(40, 30, image::Rgb([200, 30, 30]));
    picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// What the forms of a page carry of themselves.
fn stamp(page: &str) -> (String, String) {
    let field = |name: &str| between(page, &format!("name=\"{name}\" value=\""), "\"").to_owned();
    (field("once"), field("seen"))
}

async fn write(desk: &Desk, ticket: &Value, fields: &[(&str, &str)]) -> Response {
    desk.submit(&format!("{}/messages", desk_path(ticket)), fields)
        .await
}

async fn count(app: &TestApp, what: &'static str) -> i64 {
    sqlx::query_scalar(what).fetch_one(&app.pool).await.unwrap()
}

async fn own_page(app: &TestApp, ticket: &Value) -> String {
    let response = app.get(&own_path(ticket)).send().await.unwrap();
    assert_eq!(response.status(), 200);
    response.text().await.unwrap()
}

#[tokio::test]
async fn a_note_and_its_picture_are_for_staff_alone() {
    let app = TestApp::start().await;
    let ticket = app.open_ticket(&app.report()).await;
    let desk = app.sign_in("ada@example.com").await;
    let form = Form::new()
        .text("csrf_token", desk.csrf_token.clone())
        .text("visibility", "note")
        .text("body", NOTE)
        .part("screenshots", Part::bytes(png()).file_name("a.png"));
    let url = app.url(&format!("{}/messages", desk_path(&ticket)));
    let response = desk.http.post(url).multipart(form).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    let page = desk.page(&desk_path(&ticket)).await;
    assert!(page.contains(NOTE) && page.contains("Internal note"));
    let picture = between(&page, "/screenshots/", "\"").to_owned();
    let at_desk = desk
        .get(&format!("{}/screenshots/{picture}", desk_path(&ticket)))
        .await;
    assert_eq!(at_desk.status(), 200);
    let mine = own_page(&app, &ticket).await;
    assert!(!mine.contains(NOTE) && !mine.contains(&picture), "{mine}");
    let own = app.get(&format!("{}/screenshots/{picture}", own_path(&ticket)));
    assert_eq!(own.send().await.unwrap().status(), 404);
    // The state stays, and nobody is mailed.
    assert_eq!(
        app.ticket(ticket["id"].as_str().unwrap()).await["status"],
        "open"
    );
    assert_eq!(
        count(&app, "SELECT count(*) FROM outbox WHERE kind = 'answered'").await,
        0
    );
    // The next answer's mail says nothing of it either.
    write(&desk, &ticket, &[("body", "Please try the small one.")]).await;
    eventually("the answer is mailed", async || {
        app.mails()
            .iter()
            .any(|mail| mail.text.contains("small one"))
    })
    .await;
    assert!(
        app.mails()
            .iter()
            .all(|mail| !mail.text.contains(NOTE) && !mail.html.contains(NOTE))
    );
    app.finish().await;
}

#[tokio::test]
async fn a_form_sent_twice_acts_once_and_another_text_in_it_is_kept() {
    let app = TestApp::start().await;
    let ticket = app.open_ticket(&app.report()).await;
    let desk = app.sign_in("ada@example.com").await;
    let (once, seen) = stamp(&desk.page(&desk_path(&ticket)).await);
    let form = [
        ("body", "Try again, please."),
        ("once", &once),
        ("seen", &seen),
    ];
    for _ in 0..2 {
        assert_eq!(write(&desk, &ticket, &form).await.status(), 303);
    }
    let staff = "SELECT count(*) FROM messages WHERE author = 'staff'";
    assert_eq!(count(&app, staff).await, 1);
    // As a browser's Back button brings it.
    let other = [
        ("body", "And restart it."),
        ("once", &once),
        ("seen", &seen),
    ];
    assert_eq!(write(&desk, &ticket, &other).await.status(), 303);
    assert_eq!(count(&app, staff).await, 2);
    // At the same time, by the reporter.
    let once = new_id().to_string();
    let replies = (0..8).map(|_| {
        let form = [("body", "It works."), ("once", &once)];
        app.post(&format!("{}/replies", own_path(&ticket)))
            .form(&form)
            .send()
    });
    for reply in futures_util::future::join_all(replies).await {
        assert_eq!(reply.unwrap().status(), 303);
    }
    let reporter = "SELECT count(*) FROM messages WHERE author = 'reporter'";
    assert_eq!(count(&app, reporter).await, 1);
    app.finish().await;
}

#[tokio::test]
async fn who_did_not_see_what_a_colleague_did_is_told_and_loses_nothing() {
    let app = TestApp::start().await;
    let ticket = app.open_ticket(&app.report()).await;
    let (ada, joe) = (
        app.sign_in("ada@example.com").await,
        app.sign_in("joe@example.com").await,
    );
    let (_, seen) = stamp(&ada.page(&desk_path(&ticket)).await);
    write(&joe, &ticket, &[("body", "I am on it.")]).await;
    let form = [("body", "Which browser is it?"), ("seen", seen.as_str())];
    let response = write(&ada, &ticket, &form).await;
    assert_eq!(response.status(), StatusCode::CONFLICT);
    let page = response.text().await.unwrap();
    let told = between(&page, "id=\"overtaken\"", "</div>");
    assert!(
        told.contains("Answered") && told.contains("joe@example.com"),
        "{told}"
    );
    assert!(
        page.contains("Which browser is it?</textarea>"),
        "what was typed is kept"
    );
    assert_eq!(count(&app, "SELECT count(*) FROM messages").await, 1);
    // What was seen by now goes.
    let (_, seen) = stamp(&page);
    let form = [("body", "Which browser is it?"), ("seen", seen.as_str())];
    assert_eq!(write(&ada, &ticket, &form).await.status(), 303);
    // The reporter may have written, too; buttons are told alike.
    app.post(&format!("{}/replies", own_path(&ticket)))
        .form(&[("body", "Firefox.")])
        .send()
        .await
        .unwrap();
    let solve = format!("{}/closure", desk_path(&ticket));
    let response = ada.submit(&solve, &[("seen", &seen)]).await;
    assert_eq!(response.status(), StatusCode::CONFLICT);
    assert!(
        response
            .text()
            .await
            .unwrap()
            .contains("The reporter wrote")
    );
    assert_eq!(
        app.ticket(ticket["id"].as_str().unwrap()).await["status"],
        "open"
    );
    app.finish().await;
}

#[tokio::test]
async fn a_ticket_is_given_to_somebody_and_that_can_be_undone() {
    let app = TestApp::start().await;
    let ticket = app.open_ticket(&app.report()).await;
    app.open_ticket(&app.report()).await;
    let (ada, joe) = (
        app.sign_in("ada@example.com").await,
        app.sign_in("joe@example.com").await,
    );
    let page = ada.page(&desk_path(&ticket)).await;
    let id_of = |email: &str| {
        let option = page
            .split("<option value=\"")
            .find(|option| option.contains(email));
        option.unwrap().split('"').next().unwrap().to_owned()
    };
    let assignee = format!("{}/assignee", desk_path(&ticket));
    let response = ada.submit(&assignee, &[("assignee", &id_of("joe@"))]).await;
    let done = response.headers()["location"].to_str().unwrap().to_owned();
    let page = ada.page(&done).await;
    assert!(page.contains("Assigned to joe@example.com") && page.contains(">Undo</button>"));
    let mine = joe.page("/desk?view=mine").await;
    assert_eq!(mine.matches("class=\"q-open\"").count(), 1);
    assert!(
        mine.contains("Mine <span class=\"count\">1</span>"),
        "{mine}"
    );
    assert!(mine.contains("Unassigned <span class=\"count\">1</span>"));
    assert_eq!(
        ada.page("/desk?view=unassigned")
            .await
            .matches("class=\"q-open\"")
            .count(),
        1
    );
    // Taken back, and only once.
    let event = done.split("?done=").nth(1).unwrap();
    let undo = format!("{}/undo", desk_path(&ticket));
    assert_eq!(
        joe.submit(&undo, &[("event", event)]).await.status(),
        409,
        "not hers to undo"
    );
    assert_eq!(ada.submit(&undo, &[("event", event)]).await.status(), 303);
    assert_eq!(ada.submit(&undo, &[("event", event)]).await.status(), 409);
    let page = ada.page(&desk_path(&ticket)).await;
    assert!(
        page.contains("Unassigned</summary>") && page.contains("Taken back:"),
        "{page}"
    );
    let nobody = new_id().to_string();
    assert_eq!(
        ada.submit(&assignee, &[("assignee", &nobody)])
            .await
            .status(),
        422
    );
    assert_eq!(
        ada.submit(&assignee, &[("assignee", "x")]).await.status(),
        422
    );
    app.finish().await;
}

#[tokio::test]
async fn undoing_a_closure_takes_its_mail_back() {
    let app = TestApp::start().await;
    let ticket = app.open_ticket(&app.report()).await;
    let desk = app.sign_in("ada@example.com").await;
    let close = format!("{}/closure", desk_path(&ticket));
    let response = desk.submit(&close, &[]).await;
    let done = response.headers()["location"].to_str().unwrap().to_owned();
    let solved = "SELECT count(*) FROM outbox WHERE kind = 'solved'";
    assert_eq!(count(&app, solved).await, 1);
    let event = done.split("?done=").nth(1).unwrap();
    desk.submit(&format!("{}/undo", desk_path(&ticket)), &[("event", event)])
        .await;
    assert_eq!(count(&app, solved).await, 0);
    assert_eq!(
        app.ticket(ticket["id"].as_str().unwrap()).await["status"],
        "open"
    );
    // Closed twice is closed once, with one mail.
    for _ in 0..2 {
        assert_eq!(desk.submit(&close, &[]).await.status(), 303);
    }
    assert_eq!(count(&app, solved).await, 1);
    app.finish().await;
}

#[tokio::test]
async fn an_answer_is_rated_and_counted_by_day() {
    let app = TestApp::start().await;
    let ticket = app.open_ticket(&app.report()).await;
    let desk = app.sign_in("ada@example.com").await;
    assert!(
        !own_page(&app, &ticket)
            .await
            .contains("Was this answer helpful?")
    );
    write(&desk, &ticket, &[("body", "Try the small model.")]).await;
    let page = own_page(&app, &ticket).await;
    assert!(page.contains("Was this answer helpful?"));
    let message = between(&page, "name=\"message\" value=\"", "\"");
    let rate = async |fields: &[(&str, &str)]| {
        let fields: Vec<_> = [("message", message)]
            .iter()
            .chain(fields)
            .copied()
            .collect();
        let path = format!("{}/ratings", own_path(&ticket));
        app.post(&path).form(&fields).send().await.unwrap()
    };
    assert_eq!(rate(&[("helpful", "maybe")]).await.status(), 422);
    let long = "x".repeat(501);
    let refused = rate(&[("helpful", "no"), ("line", &long)]).await;
    assert_eq!(refused.status(), 422);
    assert!(
        refused.text().await.unwrap().contains(&long),
        "what was typed is kept"
    );
    assert_eq!(
        rate(&[("helpful", "no"), ("line", "Still the same.")])
            .await
            .status(),
        303
    );
    let days = async || -> (i32, i32) {
        let days = "SELECT helpful, not_helpful FROM answer_rating_days";
        sqlx::query_as(days).fetch_one(&app.pool).await.unwrap()
    };
    assert_eq!(days().await, (0, 1));
    assert!(
        desk.page(&desk_path(&ticket))
            .await
            .contains("says the reporter: Still the same.")
    );
    // Changed, and sent twice.
    for _ in 0..2 {
        assert_eq!(rate(&[("helpful", "yes")]).await.status(), 303);
    }
    assert_eq!(days().await, (1, 0));
    let failures = desk.page("/desk/failures").await;
    assert!(
        failures.contains("1 helpful, 0 not, say reporters"),
        "{failures}"
    );
    // A note is nothing that a reporter can judge.
    write(&desk, &ticket, &[("body", NOTE), ("visibility", "note")]).await;
    let note: uuid::Uuid = sqlx::query_scalar("SELECT id FROM messages WHERE is_internal")
        .fetch_one(&app.pool)
        .await
        .unwrap();
    app.post(&format!("{}/ratings", own_path(&ticket)))
        .form(&[("message", note.to_string().as_str()), ("helpful", "yes")])
        .send()
        .await
        .unwrap();
    assert_eq!(days().await, (1, 0));
    app.finish().await;
}

#[tokio::test]
async fn a_reply_keeps_its_files_through_an_error_and_shows_them() {
    let app = TestApp::start().await;
    let ticket = app.open_ticket(&app.report()).await;
    let send = async |form: Form| {
        let url = app.url(&format!("{}/replies", own_path(&ticket)));
        app.http.post(url).multipart(form).send().await.unwrap()
    };
    let file = || Part::bytes(png()).file_name("failure.png");
    let response = send(Form::new().text("body", " ").part("screenshots", file())).await;
    assert_eq!(response.status(), 422);
    let page = response.text().await.unwrap();
    assert!(page.contains("Write something first."));
    let draft = between(&page, "name=\"draft\" value=\"", "\"").to_owned();
    let preview = between(&page, "src=\"/drafts/", "\"").to_owned();
    assert_eq!(
        app.get(&format!("/drafts/{preview}"))
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    // A file that is no picture is refused beside the one that is kept.
    let text = Part::bytes(b"no picture".to_vec()).file_name("a.png");
    let form = Form::new()
        .text("body", "See here.")
        .text("draft", draft.clone());
    let response = send(form.part("screenshots", text)).await;
    assert_eq!(response.status(), 422);
    let page = response.text().await.unwrap();
    assert!(page.contains("See here.</textarea>") && page.contains("must be a PNG"));
    let form = Form::new().text("body", "See here.").text("draft", draft);
    assert_eq!(send(form).await.status(), 303);
    let page = own_page(&app, &ticket).await;
    let picture = between(&page, "/screenshots/", "\"").to_owned();
    let own = app.get(&format!("{}/screenshots/{picture}", own_path(&ticket)));
    assert_eq!(
        own.send().await.unwrap().headers()["content-type"],
        "image/png"
    );
    let desk = app.sign_in("ada@example.com").await;
    assert!(desk.page(&desk_path(&ticket)).await.contains(&picture));
    app.finish().await;
}

#[tokio::test]
async fn who_has_the_page_as_it_is_gets_it_only_when_something_changes() {
    let app = TestApp::start().await;
    let ticket = app.open_ticket(&app.report()).await;
    let desk = app.sign_in("ada@example.com").await;
    let get = async |tag: &str| {
        let request = app.get(&own_path(&ticket)).header("if-none-match", tag);
        request.send().await.unwrap()
    };
    let tag_of = |response: &Response| response.headers()["etag"].to_str().unwrap().to_owned();
    let mut tag = tag_of(&get("").await);
    let asked = get(&tag).await;
    assert_eq!(asked.status(), 304);
    assert_eq!(asked.headers()["cache-control"], "no-store");
    for path in ["messages", "closure", "reopening"] {
        desk.submit(
            &format!("{}/{path}", desk_path(&ticket)),
            &[("body", "Hello.")],
        )
        .await;
        let response = get(&tag).await;
        assert_eq!(response.status(), 200, "{path}");
        tag = tag_of(&response);
        assert_eq!(get(&tag).await.status(), 304);
    }
    app.finish().await;
}

#[tokio::test]
async fn lost_links_come_by_mail_and_the_answer_tells_nothing() {
    let app = TestApp::start().await;
    let first = app.open_ticket(&app.report()).await;
    let second = app.open_ticket(&app.report()).await;
    let closed = app.open_ticket(&app.report()).await;
    app.post(&format!("{}/closure", own_path(&closed)))
        .send()
        .await
        .unwrap();
    let ask = async |email: &str| {
        let response = app
            .post("/lost")
            .form(&[("email", email)])
            .send()
            .await
            .unwrap();
        let status = response.status();
        (
            status,
            response.text().await.unwrap().replace(email, "ADDRESS"),
        )
    };
    let known = ask("Reporter@Example.com").await;
    let unknown = ask("somebody@example.org").await;
    assert_eq!(known, unknown);
    assert_eq!(known.0, 200);
    let is_links = |mail: &&crate::app::Mail| mail.subject == "The links to your reports";
    eventually("the links are mailed", async || {
        app.mails().iter().any(|mail| is_links(&mail))
    })
    .await;
    let taken = async || count(&app, "SELECT count(*) FROM link_requests").await == 0;
    // Once an hour.
    ask("reporter@example.com").await;
    eventually("all requests are taken", taken).await;
    let written = "SELECT count(*) FROM outbox WHERE kind = 'lost_links'";
    assert_eq!(count(&app, written).await, 1);
    let mails = app.mails();
    let mail = mails.iter().find(is_links).unwrap();
    assert_eq!(mail.to.to_lowercase(), "reporter@example.com");
    assert_eq!(mails.iter().filter(is_links).count(), 1);
    assert!(
        !mail.text.contains("PDF"),
        "none of the report's words: {}",
        mail.text
    );
    for (ticket, is_there) in [(&first, true), (&second, true), (&closed, false)] {
        assert_eq!(
            mail.text.contains(ticket["reference"].as_str().unwrap()),
            is_there
        );
    }
    // Both the fresh link and the old one open it.
    let fresh = between(&mail.text, &app.url("/t/"), "\n").trim();
    for path in [format!("/t/{fresh}"), own_path(&first)] {
        assert_eq!(app.get(&path).send().await.unwrap().status(), 200);
    }
    let refused = ask("no address").await;
    assert!(
        refused.0 == 422 && refused.1.contains("not a mail address"),
        "{refused:?}"
    );
    for _ in 0..10 {
        ask("flood@example.org").await;
    }
    assert_eq!(ask("flood@example.org").await.0, 429);
    app.finish().await;
}

#[tokio::test]
async fn an_address_gets_so_many_mails_an_hour_and_the_rest_is_held_not_lost() {
    let app = TestApp::builder()
        .setting("TRACEDESK_LINK_GRACE_SECS", "0")
        .start()
        .await;
    let over = 2;
    let mut ticket = Value::Null;
    for _ in 0..MAX_ASKED_AN_HOUR + over {
        ticket = app.open_ticket(&app.report()).await;
    }
    let held = "SELECT count(*) FROM outbox WHERE state = 'queued' AND last_response LIKE 'Held:%'";
    eventually("the rest is held", async || count(&app, held).await == over).await;
    let sent = "SELECT count(*) FROM outbox WHERE state = 'sent' AND kind = 'report_received'";
    eventually("the others are sent", async || {
        count(&app, sent).await == MAX_ASKED_AN_HOUR
    })
    .await;
    let desk = app.sign_in("ada@example.com").await;
    let page = desk.page("/desk/mail").await;
    assert_eq!(
        page.matches("<span class=\"tag warn\">Held</span>").count(),
        2,
        "{page}"
    );
    // Reports in somebody's name keep no answer away.
    write(&desk, &ticket, &[("body", "Hello.")]).await;
    let answered = "SELECT count(*) FROM outbox WHERE state = 'sent' AND kind = 'answered'";
    eventually("the answer is sent", async || {
        count(&app, answered).await == 1
    })
    .await;
    // An hour later.
    sqlx::query("UPDATE outbox SET admitted_at = admitted_at - interval '1 hour', due_at = due_at - interval '1 hour'")
        .execute(&app.pool)
        .await
        .unwrap();
    eventually("the rest is sent", async || {
        count(&app, sent).await == MAX_ASKED_AN_HOUR + over
    })
    .await;
    app.finish().await;
}

#[tokio::test]
async fn a_mail_that_gets_no_place_for_a_day_says_so() {
    let clock = tracedesk::clock::Clock::fixed(crate::app::noon());
    let app = TestApp::builder()
        .setting("TRACEDESK_LINK_GRACE_SECS", "0")
        .clock(clock.clone())
        .start()
        .await;
    for _ in 0..=MAX_ASKED_AN_HOUR {
        app.open_ticket(&app.report()).await;
    }
    let held = "SELECT count(*) FROM outbox WHERE state = 'queued' AND last_response LIKE 'Held:%'";
    eventually("one is held", async || count(&app, held).await == 1).await;
    clock.set(crate::app::noon() + TimeDelta::hours(25));
    sqlx::query("UPDATE outbox SET due_at = now() WHERE state = 'queued'")
        .execute(&app.pool)
        .await
        .unwrap();
    let failed =
        "SELECT count(*) FROM outbox WHERE state = 'failed' AND last_response LIKE 'Not sent:%'";
    eventually("it is given up", async || count(&app, failed).await == 1).await;
    app.finish().await;
}
