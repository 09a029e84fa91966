//! All texts as types, so that a template with a wrong name does not compile. The names are those of
//! `content/tracedesk.toml`, where each text says what it is.

use serde::{Deserialize, Serialize};

use super::text::Pattern;
pub use super::ticket::{Lost, Mails, Ticket};
use crate::failure_class::FailureClass;

macro_rules! sections {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $kind:ty),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Deserialize)]
        #[serde(deny_unknown_fields)]
        #[expect(missing_docs, reason = "the texts say what they are")]
        pub struct $name { $(pub $field: $kind),* }
    )*};
}

pub(super) use sections;

sections! {
    /// All texts of one language; `name` is what it calls itself.
    Wording {
        name: String,
        frame: Frame,
        script: Script,
        time: Time,
        kinds: Kinds,
        help: Help,
        trace: Trace,
        direct: Direct,
        codes: Codes,
        helpful: Helpful,
        solved: Solved,
        form: Form,
        shapes: Shapes,
        errors: Errors,
        finding: Finding,
        failures: Failures,
        ticket: Ticket,
        lost: Lost,
        mails: Mails,
        problems: Problems,
    }
    /// Around every page.
    Frame {
        skip: String,
        language: String,
    }
    /// Moments.
    Time {
        months: [String; 12],
        full: Pattern,
        clock: Pattern,
        just_now: String,
        minutes_ago: Pattern,
        hours_ago: Pattern,
        yesterday: String,
        days_ago: Pattern,
    }
    /// What can fail.
    Kinds {
        chat: String,
        upload: String,
        workflow: String,
        api: String,
        other: String,
    }
    /// The recovery flow.
    Help {
        title: String,
        lead: String,
        kinds: String,
        to_report: String,
        status: String,
        fixed: String,
        failing: String,
        retry: String,
        retry_why: String,
        switch: String,
        switch_why: String,
        switch_link: String,
        ask: String,
        ask_why: String,
        ask_how: String,
        chat: Moves,
        upload: Moves,
        workflow: Moves,
        api: Moves,
        other: Moves,
    }
    /// Where the trace ID is.
    Trace {
        title: String,
        text: String,
        drawing: String,
        drawn_question: String,
        drawn_failure: String,
        drawn_label: String,
        drawn_copy: String,
        none: String,
        none_link: String,
    }
    /// Failures with a more direct way out.
    Direct {
        title: String,
        plan: String,
        plan_text: String,
        plans_link: String,
        credits_link: String,
        prompt: String,
        prompt_text: String,
        document: String,
        document_text: String,
        document_link: String,
    }
    /// Errors of the API.
    Codes {
        title: String,
        text: String,
        unauthorized: String,
        unauthorized_text: String,
        keys_link: String,
        too_large: String,
        too_large_text: String,
        rate_limited: String,
        rate_limited_text: String,
        limits_link: String,
        server: String,
        server_text: String,
    }
    /// "Was this helpful?"
    Helpful {
        question: String,
        yes: String,
        no: String,
        thanks: String,
        note: String,
        optional: String,
        send: String,
        noted: String,
    }
    /// Thanks, nothing else asked.
    Solved {
        title: String,
        text: String,
        again: String,
    }
    /// The form.
    Form {
        title: String,
        correct: String,
        one_error: String,
        errors: Pattern,
        optional: String,
        action: String,
        action_example: String,
        page_url: String,
        page_url_hint: String,
        when: String,
        when_now: String,
        when_hour: String,
        when_today: String,
        when_at: String,
        occurred_at: String,
        in_utc: String,
        trace_id: String,
        check: String,
        trace_id_hint: String,
        read_as: Pattern,
        or: String,
        screenshots: String,
        screenshots_hint: Pattern,
        screenshot: Pattern,
        remove: String,
        remove_screenshot: Pattern,
        email: String,
        email_hint: String,
        send: String,
        not_saved: String,
        too_often: Pattern,
        stale: String,
        text_long: Pattern,
        no_room: String,
        trap: String,
    }
    /// How a trace ID was read.
    Shapes {
        hex: String,
        short_hex: String,
        decimal: String,
        uuid: String,
        base64: String,
        traceparent: String,
        b3: String,
        jaeger: String,
        sentry: String,
        x_ray: String,
        google_cloud: String,
        server_timing: String,
        labelled: String,
        json: String,
        url: String,
        text: String,
    }
    /// What is wrong with a field, and how to mend it.
    Errors {
        action_missing: String,
        action_short: Pattern,
        action_long: Pattern,
        url_missing: String,
        url_long: Pattern,
        url_broken: String,
        url_scheme: String,
        time_missing: String,
        time_broken: String,
        time_future: String,
        time_old: Pattern,
        kind_unknown: String,
        email_long: Pattern,
        email_broken: String,
        trace_empty: String,
        trace_zero: String,
        trace_long: Pattern,
        trace_none: String,
        file_large: Pattern,
        file_format: String,
        file_pixels: Pattern,
        file_broken: String,
        file_unpacked: String,
        files_many: Pattern,
        message_missing: String,
        message_long: Pattern,
        rating_choose: String,
        files_again: String,
        email_missing: String,
    }
    /// What a trace ID tells whoever has it.
    Finding {
        title: String,
        found: Pattern,
        no_failure: Pattern,
        solved: String,
        else_send: String,
        unknown: String,
    }
    /// By failure class.
    Failures {
        plan_limit: Failed,
        prompt_too_long: Failed,
        document_failed: Failed,
        upload_too_large: Failed,
        unauthorized: Failed,
        rate_limited: Failed,
        provider_error: Failed,
        timeout: Failed,
        internal_error: Failed,
        cancelled: Failed,
    }
    /// Pages in place of others.
    Problems {
        trace_id: String,
        copy: String,
        home: String,
        too_large: Pattern,
        too_often: Pattern,
        no_report: String,
        no_picture: String,
        bad_request: Instead,
        unauthorized: Instead,
        forbidden: Instead,
        not_found: Instead,
        wrong_method: Instead,
        large: Instead,
        invalid: Instead,
        often: Instead,
        unavailable: Instead,
        fault: Instead,
        other: Instead,
    }
    /// The first two moves for what failed.
    Moves {
        retry: String,
        switch: String,
    }
    /// A failure class: a few words, the same as a part of a sentence, and what to do.
    Failed {
        label: String,
        found: String,
        advice: String,
    }
    /// What happened in a few words, and what to do next.
    Instead {
        title: String,
        next: String,
    }
}

/// What scripts say; they get it as JSON.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the texts say what they are")]
pub struct Script {
    pub copied: String,
    pub copy_by_hand: String,
    pub not_a_picture: String,
    pub screenshot: String,
    pub black_out: String,
    pub black_out_hint: String,
    pub remove: String,
    pub undo: String,
    pub cancel: String,
    pub done: String,
}

impl Failures {
    /// The texts of a class.
    #[must_use]
    pub fn of(&self, class: FailureClass) -> &Failed {
        match class {
            FailureClass::PlanLimit => &self.plan_limit,
            FailureClass::PromptTooLong => &self.prompt_too_long,
            FailureClass::DocumentFailed => &self.document_failed,
            FailureClass::UploadTooLarge => &self.upload_too_large,
            FailureClass::Unauthorized => &self.unauthorized,
            FailureClass::RateLimited => &self.rate_limited,
            FailureClass::ProviderError => &self.provider_error,
            FailureClass::Timeout => &self.timeout,
            FailureClass::InternalError => &self.internal_error,
            FailureClass::Cancelled => &self.cancelled,
        }
    }
}
