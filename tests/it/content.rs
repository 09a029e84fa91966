//! The reporter's side in the reporter's language, and in the operator's words.

use std::fs;

use chrono::TimeDelta;

use crate::app::{TestApp, between, eventually};

const GERMAN: &str = "de-AT,de;q=0.9,en;q=0.5";

async fn page(app: &TestApp, path: &str, languages: &str, cookie: &str) -> (u16, String) {
    let request = app.get(path).header("accept-language", languages);
    let response = request.header("cookie", cookie).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test]
async fn the_browsers_language_chooses_and_the_switch_is_remembered() {
    let app = TestApp::start().await;
    let (_, html) = page(&app, "/", GERMAN, "").await;
    assert!(html.contains("<html lang=\"de\">") && html.contains("Wenn etwas schiefgeht"));
    let (status, html) = page(&app, "/nothing", GERMAN, "").await;
    assert!(status == 404 && html.contains("Diese Seite gibt es nicht"));
    assert!(!html.contains("There is nothing"), "half of it is English");
    let response = app.get("/?lang=zh-Hans").send().await.unwrap();
    let cookie = response.headers()["set-cookie"].to_str().unwrap();
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let (_, html) = page(&app, "/", GERMAN, &cookie).await;
    assert!(html.contains("<html lang=\"zh-Hans\">") && html.contains("遇到问题时"));
    for path in ["/desk/sign-in", "/desk/nothing"] {
        let (_, html) = page(&app, path, GERMAN, &cookie).await;
        assert!(html.contains("<html lang=\"en\">"), "{path}");
    }
    app.finish().await;
}

#[tokio::test]
async fn a_report_is_refused_and_answered_in_its_language() {
    let app = TestApp::start().await;
    let seal = app.seal(TimeDelta::minutes(1)).await;
    let send = |action: &str| {
        let fields = [
            ("seal", seal.clone()),
            ("action", action.to_owned()),
            ("page_url", "https://app.example.com/docs/7".to_owned()),
            ("email", "lena@example.com".to_owned()),
        ];
        let request = app.post("/tickets").form(&fields);
        request.header("accept-language", GERMAN).send()
    };
    let refused = send("x").await.unwrap();
    assert_eq!(refused.status(), 422);
    let html = refused.text().await.unwrap();
    assert!(html.contains("Schreiben Sie etwas mehr: mindestens 3 Zeichen."));
    let taken = send("ein PDF mit 40 Seiten hochladen").await.unwrap();
    assert_eq!(taken.status(), 303);
    let location = taken.headers()["location"].to_str().unwrap();
    let path = location.strip_prefix(&app.address).unwrap().to_owned();
    let (_, html) = page(&app, &path, "en", "").await;
    assert!(html.contains("<html lang=\"de\">") && html.contains("Wir kümmern uns darum"));
    let (_, html) = page(&app, &path, "de", "lang=en").await;
    assert!(
        html.contains("We are looking at it"),
        "the switch counts more"
    );
    let german = || {
        let mut mails = app.mails().into_iter();
        mails.find(|mail| mail.to == "lena@example.com")
    };
    eventually("the receipt is sent", async || german().is_some()).await;
    let mail = german().unwrap();
    assert!(
        mail.subject.contains("Wir haben Ihre Meldung"),
        "{}",
        mail.subject
    );
    assert!(mail.text.contains("Meldung öffnen: "), "{}", mail.text);
    assert!(mail.html.contains("<html lang=\"de\">"));
    app.finish().await;
}

#[tokio::test]
async fn the_operators_file_is_laid_over_the_built_in_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.toml");
    fs::write(
        folder.path().join("logo.svg"),
        "<svg xmlns=\"http://www.w3.org/2000/svg\"/>",
    )
    .unwrap();
    fs::write(
        &file,
        "product.name = \"Focus <b>\"\nproduct.logo = \"logo.svg\"\ncolours.accent_light = \"#3b3fb6\"\n",
    )
    .unwrap();
    let setting = file.to_str().unwrap();
    let app = TestApp::builder()
        .setting("TRACEDESK_CONTENT", setting)
        .start()
        .await;
    let (_, html) = page(&app, "/", "en", "").await;
    assert!(html.contains("When something goes wrong · Focus &#60;b&#62;</title>"));
    let css = between(&html, "href=\"/theme/", "\"");
    let response = app.get(&format!("/theme/{css}")).send().await.unwrap();
    assert!(response.text().await.unwrap().contains("--accent:#3b3fb6"));
    let logo = between(&html, "<img src=\"", "\"");
    let response = app.get(logo).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "image/svg+xml");
    let policy = response.headers()["content-security-policy"]
        .to_str()
        .unwrap();
    assert!(policy.contains("sandbox"));

    fs::write(
        &file,
        "links.plans = \"plans\"\n[languages.fr]\nname = \"Français\"",
    )
    .unwrap();
    let output = app
        .run_with(&["doctor"], &[("TRACEDESK_CONTENT", setting)])
        .await;
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    for fault in [
        "languages.fr.form is missing",
        "languages.fr.mails is missing",
    ] {
        assert!(told.contains(fault), "{told}");
    }
    app.finish().await;
}
