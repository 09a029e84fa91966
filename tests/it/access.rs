//! Who may come in: API keys, and staff with their sessions.

use std::time::Duration as StdDuration;

use chrono::Duration;
use reqwest::{Client, Response};
use tracedesk::access::api_key::Scope;
use tracedesk::access::session::{Role, SESSION_DAYS};
use tracedesk::clock::Clock;

use crate::app::{PASSWORD, TestApp, between, noon};

async fn list_tickets(app: &TestApp, key: &str) -> Response {
    let request = app.get("/api/v1/tickets").bearer_auth(key);
    request.send().await.unwrap()
}

async fn detail(response: Response) -> String {
    let body: serde_json::Value = response.json().await.unwrap();
    body["detail"].as_str().unwrap().to_owned()
}

fn cookie_of(response: &Response) -> String {
    response.headers()["set-cookie"]
        .to_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn a_key_is_made_listed_and_revoked_on_the_command_line() {
    let app = TestApp::start().await;
    let scopes = "tickets:read,traces:write";
    let printed = app
        .cli(&[
            "key",
            "create",
            "--account",
            "globex",
            "--scope",
            scopes,
            "--label",
            "CI",
        ])
        .await;
    let key = printed.trim();
    assert_eq!(printed, format!("{key}\n"), "alone on its line");
    assert!(key.starts_with("td_") && key.len() == 51);
    assert_eq!(list_tickets(&app, key).await.status(), 200);

    let listed = app.cli(&["key", "list"]).await;
    let line = listed.lines().find(|line| line.contains("globex")).unwrap();
    assert!(line.contains("CI") && line.contains(scopes), "{line}");
    assert!(line.contains("last used"), "{line}");
    assert!(!listed.contains(key), "a key is shown once");
    let stored: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM api_keys WHERE position($1::bytea IN secret_hash) > 0",
    )
    .bind(&key.as_bytes()[3..20])
    .fetch_one(&app.pool)
    .await
    .unwrap();
    assert_eq!(stored, 0);

    let id = line.split_whitespace().next().unwrap();
    app.cli(&["key", "revoke", id]).await;
    assert_eq!(list_tickets(&app, key).await.status(), 401, "at once");
    let line_of = |listed: String| {
        listed
            .lines()
            .find(|line| line.contains(id))
            .unwrap()
            .to_owned()
    };
    assert!(line_of(app.cli(&["key", "list"]).await).contains("revoked"));
    let again = app.run(&["key", "revoke", id], "").await;
    assert_eq!(again.status.code(), Some(1));
    app.finish().await;
}

#[tokio::test]
async fn wrong_usage_of_the_command_line_is_told_from_failure() {
    let app = TestApp::start().await;
    for arguments in [
        &["key", "create", "--account", "a"][..],
        &["key", "create", "--account", "a", "--scope", "everything"],
        &["key", "create", "--scope", "admin"],
        &["key", "revoke", "7"],
        &["staff", "add"],
        &["staff", "add", "a@example.com", "--role", "king"],
        &["nonsense"],
        &["import"],
    ] {
        let status = app.run(arguments, "").await.status;
        assert_eq!(status.code(), Some(2), "{arguments:?}");
    }
    for (arguments, stdin) in [
        (&["staff", "add", "nobody"][..], ""),
        (
            &["staff", "add", "a@example.com", "--password-stdin"],
            "short\n",
        ),
        (&["key", "create", "--account", " ", "--scope", "admin"], ""),
    ] {
        let output = app.run(arguments, stdin).await;
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(told.lines().count(), 1, "{told}");
    }
    app.finish().await;
}

#[tokio::test]
async fn a_mistyped_key_is_told_from_an_unknown_one_and_nothing_more() {
    let app = TestApp::start().await;
    let key = app.key(&[Scope::TicketsRead]).await;
    let request = app.get("/api/v1/tickets").send().await.unwrap();
    assert_eq!(request.headers()["www-authenticate"], "Bearer");
    assert!(detail(request).await.contains("is needed"));

    let last = if key.ends_with('A') { 'B' } else { 'A' };
    let mistyped = format!("{}{last}", &key[..key.len() - 1]);
    for malformed in [
        mistyped.as_str(),
        &key[..40],
        "td_",
        "hello",
        &key.to_uppercase(),
    ] {
        let response = list_tickets(&app, malformed).await;
        assert_eq!(response.status(), 401, "{malformed}");
        assert!(detail(response).await.contains("malformed"), "{malformed}");
    }
    let elsewhere = TestApp::start().await;
    let unknown = elsewhere.key(&[Scope::TicketsRead]).await;
    elsewhere.finish().await;
    let response = list_tickets(&app, &unknown).await;
    assert_eq!(response.status(), 401);
    let unknown = detail(response).await;
    sqlx::query("UPDATE api_keys SET revoked_at = now() WHERE scopes = '{tickets:read}'")
        .execute(&app.pool)
        .await
        .unwrap();
    let response = list_tickets(&app, &key).await;
    assert_eq!(response.status(), 401);
    assert_eq!(
        detail(response).await,
        unknown,
        "revoked and unknown are one"
    );
    app.finish().await;
}

#[tokio::test]
async fn the_desk_opens_by_a_cookie_that_scripts_cannot_read() {
    for (base_url, name, is_secure) in [
        ("http://desk.example.com", "tracedesk=", false),
        ("https://desk.example.com", "__Host-tracedesk=", true),
    ] {
        let app = TestApp::builder()
            .setting("TRACEDESK_BASE_URL", base_url)
            .start()
            .await;
        app.add_staff("Ada@Example.com", Role::Admin).await;
        let response = app
            .try_sign_in(&app.http, " ada@example.com ", PASSWORD)
            .await;
        assert_eq!(response.status(), 303);
        assert_eq!(response.headers()["location"], "/desk");
        let cookie = cookie_of(&response);
        assert!(cookie.starts_with(name), "{cookie}");
        for flag in ["HttpOnly", "SameSite=Lax", "Path=/"] {
            assert!(cookie.contains(flag), "{cookie}");
        }
        assert_eq!(cookie.contains("Secure"), is_secure, "{cookie}");
        assert!(!cookie.contains("Domain"), "{cookie}");
        let pair = cookie.split(';').next().unwrap().to_owned();
        let desk = app
            .get("/desk")
            .header("cookie", &pair)
            .send()
            .await
            .unwrap();
        assert_eq!(desk.status(), 200);
        assert_eq!(desk.headers()["cache-control"], "no-store");
        let secret = pair.split_once('=').unwrap().1.as_bytes().to_vec();
        let stored: i64 = sqlx::query_scalar("SELECT count(*) FROM sessions WHERE token_hash = $1")
            .bind(secret)
            .fetch_one(&app.pool)
            .await
            .unwrap();
        assert_eq!(stored, 0, "only a hash is kept");
        app.finish().await;
    }
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_address_are_answered_alike() {
    let app = TestApp::start().await;
    app.add_staff("ada@example.com", Role::Staff).await;
    let mut bodies = Vec::new();
    for (email, password) in [
        ("ada@example.com", "wrong"),
        ("eve@example.com", "wrong"),
        ("ada@example.com", ""),
        ("\0", &"long".repeat(1000)),
    ] {
        let response = app.try_sign_in(&app.http, email, password).await;
        assert_eq!(response.status(), 422);
        assert!(!response.headers().contains_key("set-cookie"));
        let body = response.text().await.unwrap();
        // What was typed comes back, as does the request's trace ID.
        bodies.push(body.replace(email.trim_matches('\0'), ""));
    }
    let (first, second) = (bodies[0].as_str(), bodies[1].as_str());
    assert_eq!(alert(first), alert(second));
    assert_eq!(first.len(), second.len());
    app.finish().await;
}

fn alert(html: &str) -> &str {
    between(html, "role=\"alert\"", "</p>")
}

#[tokio::test]
async fn who_guesses_is_slowed_down() {
    let app = TestApp::start().await;
    app.add_staff("ada@example.com", Role::Staff).await;
    for n in 0..10 {
        let response = app.try_sign_in(&app.http, "ada@example.com", "wrong").await;
        assert_eq!(response.status(), 422, "try {n}");
    }
    let response = app
        .try_sign_in(&app.http, "ada@example.com", PASSWORD)
        .await;
    assert_eq!(response.status(), 429, "even with the right password");
    let wait = response.headers()["retry-after"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!((1..=13).contains(&wait.parse::<u64>().unwrap()), "{wait}");
    assert!(response.text().await.unwrap().contains(&wait));
    app.finish().await;
}

#[tokio::test]
async fn signing_out_ends_the_session_for_good() {
    let app = TestApp::start().await;
    let desk = app.sign_in("ada@example.com").await;
    let response = desk.submit("/desk/sign-out", &[]).await;
    assert_eq!(response.status(), 303);
    assert!(cookie_of(&response).contains("Max-Age=0"));
    assert_eq!(desk.get("/desk").await.status(), 303);
    let sessions: i64 = sqlx::query_scalar("SELECT count(*) FROM sessions")
        .fetch_one(&app.pool)
        .await
        .unwrap();
    assert_eq!(sessions, 0, "not only the cookie is gone");
    app.finish().await;
}

#[tokio::test]
async fn a_session_ends_after_its_days() {
    let clock = Clock::fixed(noon());
    let app = TestApp::builder().clock(clock.clone()).start().await;
    let desk = app.sign_in("ada@example.com").await;
    clock.set(noon() + Duration::days(SESSION_DAYS) - Duration::seconds(1));
    assert_eq!(desk.get("/desk").await.status(), 200);
    clock.set(noon() + Duration::days(SESSION_DAYS));
    assert_eq!(desk.get("/desk").await.status(), 303);
    app.finish().await;
}

#[tokio::test]
async fn a_new_password_ends_all_sessions() {
    let app = TestApp::start().await;
    let desk = app.sign_in("ada@example.com").await;
    let other = app.sign_in("bob@example.com").await;
    let output = app
        .run(
            &["staff", "add", "ADA@example.com", "--password-stdin"],
            "another good password\n",
        )
        .await;
    assert!(output.status.success());
    assert_eq!(desk.get("/desk").await.status(), 303);
    assert_eq!(other.get("/desk").await.status(), 200);
    let client = Client::builder().cookie_store(true).build().unwrap();
    let response = app.try_sign_in(&client, "ada@example.com", PASSWORD).await;
    assert_eq!(response.status(), 422, "the old one");
    let response = app
        .try_sign_in(&app.http, "ada@example.com", "another good password")
        .await;
    assert_eq!(response.status(), 303);
    app.finish().await;
}

#[tokio::test]
async fn a_password_is_made_up_when_none_is_given() {
    let app = TestApp::start().await;
    let printed = app
        .cli(&["staff", "add", "ada@example.com", "--role", "admin"])
        .await;
    let password = printed.split_whitespace().last().unwrap();
    assert!(password.len() >= 22, "{printed}");
    let response = app
        .try_sign_in(&app.http, "ada@example.com", password)
        .await;
    assert_eq!(response.status(), 303);
    app.finish().await;
}

#[tokio::test]
async fn nothing_of_the_desk_is_shown_to_strangers() {
    let app = TestApp::start().await;
    let ticket = app.open_ticket(&app.report()).await;
    let path = format!("/desk/tickets/{}", ticket["id"].as_str().unwrap());
    for path in [
        "/desk",
        "/desk/mail",
        "/desk/search?q=x",
        "/desk/traces/1",
        path.as_str(),
    ] {
        let response = app.get(path).send().await.unwrap();
        assert_eq!(response.status(), 303, "{path}");
        let location = response.headers()["location"].to_str().unwrap();
        let next = url::Url::parse(&app.url(location)).unwrap();
        assert_eq!(next.path(), "/desk/sign-in");
        let next = next.query_pairs().find(|(name, _)| name == "next").unwrap();
        assert_eq!(next.1, path);
        let form = app
            .get(location)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        let kept = between(&form, "name=\"next\" value=\"", "\"").replace("&#38;", "&");
        assert_eq!(kept, path, "and back there after the sign-in");
    }
    let forged = app.get("/desk").header("cookie", "tracedesk=AAAA");
    assert_eq!(forged.send().await.unwrap().status(), 303);
    let response = app.post(&format!("{path}/closure")).send().await.unwrap();
    assert!([303, 403].contains(&response.status().as_u16()));
    assert_eq!(
        app.ticket(ticket["id"].as_str().unwrap()).await["status"],
        "open"
    );
    app.finish().await;
}

#[tokio::test]
async fn a_sign_in_leads_nowhere_else() {
    let app = TestApp::start().await;
    app.add_staff("ada@example.com", Role::Staff).await;
    for next in [
        "https://evil.example/",
        "//evil.example",
        "/desk/../..//evil",
        "\\evil",
        "/t/x",
    ] {
        let form = [
            ("email", "ada@example.com"),
            ("password", PASSWORD),
            ("next", next),
        ];
        let response = app.post("/desk/sign-in").form(&form).send().await.unwrap();
        assert_eq!(response.status(), 303);
        let location = response.headers()["location"].to_str().unwrap();
        let target = url::Url::parse(&app.url("/"))
            .unwrap()
            .join(location)
            .unwrap();
        assert_eq!(target.origin().ascii_serialization(), app.address, "{next}");
        assert!(target.path().starts_with("/desk"), "{next}: {target}");
    }
    app.finish().await;
}

#[tokio::test]
async fn a_desk_form_works_only_with_the_sessions_own_token() {
    let app = TestApp::start().await;
    let desk = app.sign_in("ada@example.com").await;
    let other = app.sign_in("bob@example.com").await;
    let ticket = app.open_ticket(&app.report()).await;
    let path = format!("/desk/tickets/{}/closure", ticket["id"].as_str().unwrap());
    let send = async |fields: &[(&str, &str)], origin: Option<&str>| {
        let mut request = desk.http.post(app.url(&path)).form(fields);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        request.send().await.unwrap().status().as_u16()
    };
    let token = [("csrf_token", desk.csrf_token.as_str())];
    assert_eq!(send(&[], None).await, 403, "no token");
    assert_eq!(send(&[("csrf_token", "")], None).await, 403);
    let theirs = [("csrf_token", other.csrf_token.as_str())];
    assert_eq!(send(&theirs, None).await, 403, "another session's token");
    assert_eq!(send(&token, Some("https://evil.example")).await, 403);
    assert_eq!(send(&token, Some("null")).await, 403);
    assert_eq!(
        app.ticket(ticket["id"].as_str().unwrap()).await["status"],
        "open"
    );
    assert_eq!(send(&token, Some(&app.address)).await, 303);
    assert_eq!(
        app.ticket(ticket["id"].as_str().unwrap()).await["status"],
        "solved"
    );
    // A sign-in from another site's page would put the victim into the attacker's account.
    let form = [("email", "ada@example.com"), ("password", PASSWORD)];
    let request = app.post("/desk/sign-in").form(&form);
    let request = request.header("origin", "https://evil.example");
    assert_eq!(request.send().await.unwrap().status(), 403);
    app.finish().await;
}

#[tokio::test]
async fn a_slow_head_holds_no_connection_for_ever() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let app = TestApp::start().await;
    let address = app.address.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    tokio::time::timeout(StdDuration::from_secs(40), read)
        .await
        .expect("the connection is closed")
        .unwrap();
    assert!(
        answer.starts_with(b"HTTP/1.1 408 "),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    app.finish().await;
}
