//! Mails in plain words: to reporters, who learn nothing internal, and the short one to staff when a reporter writes
//! again. Pure.

use askama::Template;

use crate::content::{Pattern, Words};
use crate::outbox::message::{MailContent, clean_lines, one_line, shorten};
use crate::traces::failure::FailureClass;

/// How much of what was written stands in a mail, in characters: all that may be written.
const MAX_TEXT_CHARS: usize = 10_000;
/// How much of an action stands in a subject, in characters.
const MAX_SUBJECT_ACTION_CHARS: usize = 60;

/// A mail about a ticket: a headline, some sentences, what was written, a link.
#[derive(Debug)]
pub struct PlainMail {
    /// BCP 47 tag of its language.
    language: String,
    subject: String,
    headline: String,
    sentences: Vec<String>,
    /// What was received, a line each: a name and a value.
    facts: Vec<(String, String)>,
    /// Further links: what they lead to, and where.
    links: Vec<(String, String)>,
    /// Whose words, and the words.
    quote: Option<(String, String)>,
    link_text: String,
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

impl PlainMail {
    /// We have the report. With what failed and what helps, if the trace showed it already. None of the report's
    /// words, in the facts neither: anybody can give anybody's address.
    #[must_use]
    pub fn received(
        about: About<'_>,
        words: &Words,
        facts: Vec<(String, String)>,
        failure: Option<(FailureClass, &str)>,
    ) -> Self {
        let mails = &words.mails;
        let failure = failure.map(|(class, advice)| {
            let found = &words.failures.of(class).found;
            mails
                .failure
                .fill(&[("failure", found), ("advice", &advice)])
        });
        let thanks = mails.received_text.fill(&[("reference", &about.reference)]);
        Self {
            headline: mails.received.clone(),
            sentences: [thanks].into_iter().chain(failure).collect(),
            facts,
            ..Self::to_reporter(about, words, &mails.received_subject)
        }
    }

    /// Staff wrote `answer`, and may have closed the ticket with it.
    #[must_use]
    pub fn answered(about: About<'_>, words: &Words, answer: &str, is_solved: bool) -> Self {
        let mails = &words.mails;
        let solved = is_solved.then(|| mails.answered_solved.clone());
        Self {
            headline: mails.answered.clone(),
            sentences: solved
                .into_iter()
                .chain([mails.answered_text.clone()])
                .collect(),
            quote: Some((mails.wrote.clone(), clean(answer))),
            ..Self::to_reporter(about, words, &mails.answered_subject)
        }
    }

    /// Staff closed the ticket.
    #[must_use]
    pub fn solved(about: About<'_>, words: &Words) -> Self {
        let mails = &words.mails;
        Self {
            headline: mails.solved.clone(),
            sentences: vec![mails.solved_text.clone()],
            ..Self::to_reporter(about, words, &mails.solved_subject)
        }
    }

    /// Fresh links to the reporter's open tickets, which they asked for: what they lead to, and where. Says none of the
    /// reports' words either.
    #[must_use]
    pub fn lost_links(words: &Words, links: Vec<(String, String)>, start: &str) -> Self {
        let mails = &words.mails;
        Self {
            language: words.tag().to_owned(),
            subject: mails.links_subject.clone(),
            headline: mails.links_subject.clone(),
            sentences: vec![mails.links_text.clone()],
            facts: Vec::new(),
            links,
            quote: None,
            link_text: mails.links_more.clone(),
            link: start.to_owned(),
            footer: mails.footer.clone(),
        }
    }

    /// The reporter wrote `reply`: to staff.
    #[must_use]
    pub fn reply_notice(about: About<'_>, reply: &str) -> Self {
        let reference = one_line(about.reference, MAX_SUBJECT_ACTION_CHARS);
        let action = one_line(about.action, MAX_SUBJECT_ACTION_CHARS);
        Self {
            language: "en".to_owned(),
            subject: format!("[{reference}] The reporter wrote: {action}"),
            headline: format!("The reporter of {reference} wrote again"),
            sentences: Vec::new(),
            facts: Vec::new(),
            links: Vec::new(),
            quote: Some(("The reporter wrote".to_owned(), clean(reply))),
            link_text: "Open the ticket".to_owned(),
            link: about.link.to_owned(),
            footer: String::new(),
        }
    }

    fn to_reporter(about: About<'_>, words: &Words, subject: &Pattern) -> Self {
        let reference = one_line(about.reference, MAX_SUBJECT_ACTION_CHARS);
        let action = one_line(about.action, MAX_SUBJECT_ACTION_CHARS);
        Self {
            language: words.tag().to_owned(),
            subject: subject.fill(&[("reference", &reference), ("action", &action)]),
            headline: String::new(),
            sentences: Vec::new(),
            facts: Vec::new(),
            links: Vec::new(),
            quote: None,
            link_text: words.mails.open.clone(),
            link: about.link.to_owned(),
            footer: words.mails.footer.clone(),
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

fn clean(text: &str) -> String {
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
        let facts = vec![("What failed".to_owned(), "Chat".to_owned())];
        let advice = "Switching the model usually fixes this.";
        let failure = Some((FailureClass::ProviderError, advice));
        let mail = PlainMail::received(ABOUT, &Words::english(), facts, failure)
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
        let mail = PlainMail::solved(ABOUT, &Words::english())
            .render()
            .unwrap();
        assert_eq!(
            mail.subject,
            "[TD-7F3K2Q] Your report is solved: uploading a Bcc: x@example.com <b>40-page</b> PDF"
        );
    }

    #[test]
    fn an_answer_is_quoted_and_staff_get_no_footer() {
        let mail = PlainMail::answered(
            ABOUT,
            &Words::english(),
            "Try the other model.\nIt works.",
            false,
        )
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
            PlainMail::solved(ABOUT, &Words::english())
                .render()
                .unwrap()
                .text
                .contains("still fails")
        );
    }
}
