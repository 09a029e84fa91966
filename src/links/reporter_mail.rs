//! Mails in plain words: to reporters, who learn nothing internal, and the short one to staff when a reporter writes
//! again. Pure.

use askama::Template;

use crate::outbox::message::{MailContent, clean_lines, one_line, shorten};
use crate::traces::failure::FailureClass;

/// How much of what was written stands in a mail, in characters: all that may be written.
const MAX_TEXT_CHARS: usize = 10_000;
/// How much of an action stands in a subject, in characters.
const MAX_SUBJECT_ACTION_CHARS: usize = 60;

/// A mail about a ticket: a headline, some sentences, what was written, a link.
#[derive(Debug)]
pub struct PlainMail {
    subject: String,
    headline: String,
    sentences: Vec<String>,
    /// What was received, a line each: a name and a value.
    facts: Vec<(&'static str, String)>,
    /// Further links: what they lead to, and where.
    links: Vec<(String, String)>,
    /// Whose words, and the words.
    quote: Option<(String, String)>,
    link_text: &'static str,
    link: String,
    footer: String,
}

#[derive(Template)]
#[template(path = "mail/plain/body.txt")]
struct Text<'a> {
    mail: &'a PlainMail,
}

#[derive(Template)]
#[template(path = "mail/plain/body.html")]
struct Html<'a> {
    mail: &'a PlainMail,
}

/// What all of these mails know of a ticket.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// `TD-7F3K2Q`.
    pub reference: &'a str,
    /// What the reporter was doing.
    pub action: &'a str,
    /// The page that the mail leads to.
    pub link: &'a str,
}

const FOOTER: &str = "You get this because this address was given with a report. Whoever has the link can read and \
                      answer, so keep it to yourself.";

impl PlainMail {
    /// We have the report. The advice is that of the failure, if the trace showed one already. The facts say what was
    /// received, and have none of the report's words either.
    #[must_use]
    pub fn received(
        about: About<'_>,
        facts: Vec<(&'static str, String)>,
        failure: Option<FailureClass>,
    ) -> Self {
        let mut sentences = vec![format!(
            "Thank you. We have your report {} and will look at it. The link below shows what became of it, and lets you add to it.",
            about.reference
        )];
        if let Some(class) = failure {
            sentences.push(format!(
                "What we can tell so far: {}. {}",
                class.label().to_lowercase(),
                class.advice()
            ));
        }
        // None of the report's words: anybody can give anybody's address.
        let about = About {
            action: "",
            ..about
        };
        Self {
            headline: "We have your report".to_owned(),
            facts,
            ..Self::to_reporter(about, "We have your report", sentences)
        }
    }

    /// Staff wrote `answer`, and may have closed the ticket with it.
    #[must_use]
    pub fn answered(about: About<'_>, answer: &str, is_solved: bool) -> Self {
        let mut sentences = Vec::new();
        if is_solved {
            sentences.push("Your report is closed as solved. If it still fails, say so by the link below, and it is open again.".to_owned());
        }
        sentences.push("Answer by the link below, not to this mail.".to_owned());
        Self {
            headline: "Support answered your report".to_owned(),
            quote: Some(("Support wrote".to_owned(), words(answer))),
            ..Self::to_reporter(about, "Answer to your report", sentences)
        }
    }

    /// Staff closed the ticket.
    #[must_use]
    pub fn solved(about: About<'_>) -> Self {
        let sentences = vec![
            "Support closed your report as solved.".to_owned(),
            "If it still fails, say so by the link below, and it is open again.".to_owned(),
        ];
        Self {
            headline: "Your report is solved".to_owned(),
            ..Self::to_reporter(about, "Your report is solved", sentences)
        }
    }

    /// Fresh links to the reporter's open tickets, which they asked for: what they lead to, and where. Says none of the
    /// reports' words, since anybody can give anybody's address.
    #[must_use]
    pub fn lost_links(links: Vec<(String, String)>, start: &str) -> Self {
        let sentences = vec![
            "Somebody, most likely you, asked for the links to the reports that were sent with this address. \
             These are open; links that you had before work as well."
                .to_owned(),
        ];
        Self {
            subject: "The links to your reports".to_owned(),
            headline: "The links to your reports".to_owned(),
            sentences,
            facts: Vec::new(),
            links,
            quote: None,
            link_text: "Report something else",
            link: start.to_owned(),
            footer: FOOTER.to_owned(),
        }
    }

    /// The reporter wrote `reply`: to staff.
    #[must_use]
    pub fn reply_notice(about: About<'_>, reply: &str) -> Self {
        Self {
            headline: format!(
                "The reporter of {} wrote again",
                one_line(about.reference, MAX_SUBJECT_ACTION_CHARS)
            ),
            quote: Some(("The reporter wrote".to_owned(), words(reply))),
            link_text: "Open the ticket",
            footer: String::new(),
            ..Self::to_reporter(about, "The reporter wrote", Vec::new())
        }
    }

    fn to_reporter(about: About<'_>, what: &str, sentences: Vec<String>) -> Self {
        let action = one_line(about.action, MAX_SUBJECT_ACTION_CHARS);
        let action = if action.is_empty() {
            action
        } else {
            format!(": {action}")
        };
        Self {
            subject: format!(
                "[{}] {what}{action}",
                one_line(about.reference, MAX_SUBJECT_ACTION_CHARS)
            ),
            headline: String::new(),
            sentences,
            facts: Vec::new(),
            links: Vec::new(),
            quote: None,
            link_text: "Open your report",
            link: about.link.to_owned(),
            footer: FOOTER.to_owned(),
        }
    }

    /// Renders subject, text and HTML.
    ///
    /// # Errors
    /// When a template fails, which none does on valid input.
    pub fn render(self) -> Result<MailContent, askama::Error> {
        let (text, html) = (
            Text { mail: &self }.render()?,
            Html { mail: &self }.render()?,
        );
        Ok(MailContent {
            subject: self.subject,
            text,
            html,
        })
    }

    fn quoted(&self) -> String {
        let text = self.quote.as_ref().map_or("", |(_, text)| text.as_str());
        text.lines()
            .map(|line| format!("> {line}"))
            .collect::<Vec<_>>()
            .join("\n")
    }
}

fn words(text: &str) -> String {
    shorten(clean_lines(text).trim(), MAX_TEXT_CHARS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABOUT: About<'static> = About {
        reference: "TD-7F3K2Q",
        action: "uploading a\r\nBcc: x@example.com <b>40-page</b> PDF",
        link: "https://desk.example.com/t/secret",
    };

    #[test]
    fn the_reporter_gets_link_and_advice() {
        let facts = vec![("What failed", "Chat".to_owned())];
        let mail = PlainMail::received(ABOUT, facts, Some(FailureClass::ProviderError))
            .render()
            .unwrap();
        assert_eq!(mail.subject, "[TD-7F3K2Q] We have your report");
        for part in [&mail.text, &mail.html] {
            assert!(part.contains("https://desk.example.com/t/secret"), "{part}");
            assert!(
                part.contains("What failed") && part.contains("Chat"),
                "{part}"
            );
            assert!(
                part.contains("Switching the model usually fixes this."),
                "{part}"
            );
        }
        assert!(!mail.html.contains("40-page"), "{}", mail.html);
        let mail = PlainMail::solved(ABOUT).render().unwrap();
        assert_eq!(
            mail.subject,
            "[TD-7F3K2Q] Your report is solved: uploading a Bcc: x@example.com <b>40-page</b> PDF"
        );
    }

    #[test]
    fn an_answer_is_quoted_and_staff_get_no_footer() {
        let mail = PlainMail::answered(ABOUT, "Try the other model.\nIt works.", false)
            .render()
            .unwrap();
        assert!(
            mail.text.contains("> Try the other model.\n> It works."),
            "{}",
            mail.text
        );
        let mail = PlainMail::reply_notice(ABOUT, "still broken")
            .render()
            .unwrap();
        assert!(!mail.text.contains("keep it to yourself"), "{}", mail.text);
        assert!(
            PlainMail::solved(ABOUT)
                .render()
                .unwrap()
                .text
                .contains("still fails")
        );
    }
}
