//! What the start page helped with, as a page.

use askama::Template;

use super::day_plot::DayPlot;
use crate::help::store::{AnswerCounts, DayCounts, RecoveryCounts};
use crate::http::page::Frame;
use crate::http::view::When;
use crate::traces::failure::FailureClass;

/// `GET /desk/answers`.
#[derive(Debug, Template)]
#[template(path = "desk/answers.html")]
pub struct AnswersPage {
    /// The frame.
    pub frame: Frame,
    /// Over how many days.
    pub days: i64,
    /// What ended without a report.
    pub fixed: DayPlot,
    /// "Was this helpful?"
    pub votes: DayPlot,
    /// Days on which anything was counted, newest first.
    pub by_day: Vec<DayCounts>,
    /// Answers, those first that helped least often.
    pub by_answer: Vec<AnswerCounts>,
    /// "That fixed it", by what had failed.
    pub by_kind: Vec<RecoveryCounts>,
    /// "That solved it", by failure class.
    pub by_class: Vec<(FailureClass, i64)>,
    /// Lines that came with votes, newest first.
    pub notes: Vec<NoteView>,
}

/// A line that came with a vote.
#[derive(Debug, Clone)]
pub struct NoteView {
    /// To which answer.
    pub answer: &'static str,
    /// Whether that was helpful.
    pub is_helpful: bool,
    /// The line.
    pub note: String,
    /// BCP 47 tag of its page.
    pub language: String,
    /// When.
    pub at: When,
}

impl AnswersPage {
    fn is_empty(&self) -> bool {
        self.by_day.is_empty() && self.notes.is_empty()
    }

    fn share(counts: &AnswerCounts) -> String {
        let all = (counts.helpful + counts.unhelpful).max(1);
        format!("{} %", counts.helpful * 100 / all)
    }
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::*;
    use crate::help::answer::HelpAnswer;
    use crate::http::page::{Section, testing};

    fn page(by_day: Vec<DayCounts>) -> AnswersPage {
        let plot = |id| DayPlot::new(id, "Help", &[("s-yes", "helpful")], &[]);
        AnswersPage {
            frame: testing::desk_frame(Section::Answers),
            days: 30,
            fixed: plot("a"),
            votes: plot("b"),
            by_day,
            by_answer: vec![AnswerCounts {
                answer: HelpAnswer::PlanLimit,
                helpful: 1,
                unhelpful: 2,
            }],
            by_kind: Vec::new(),
            by_class: vec![(FailureClass::Timeout, 7)],
            notes: Vec::new(),
        }
    }

    #[test]
    fn counts_are_shown_as_numbers_too() {
        let day = DayCounts {
            day: NaiveDate::from_ymd_opt(2026, 11, 25).unwrap(),
            retried: 5,
            switched: 0,
            advised: 7,
            helpful: 1,
            unhelpful: 2,
        };
        let html = testing::render("answers", &page(vec![day]));
        for words in ["25 Nov", "At a plan limit", "33 %", "Took too long"] {
            assert!(html.contains(words), "{words}");
        }
        let empty = testing::render("answers-empty", &page(Vec::new()));
        assert!(empty.contains("Nothing was counted"));
    }
}
