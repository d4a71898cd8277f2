//! What is wrong with settings before anything is sent: templates are tried on an item that has everything.

use mihwar_sdk::{ChannelKind, ConfigProblem, Delivery, Event, Feedback, Person, StoredFeedback, WorkState};
use serde_json::Value as Json;

use crate::context::Context;
use crate::settings::{Auth, Encoding, Exchange, Method, Settings, StatusMapping};
use crate::template::Templates;

/// Headers that the host writes, or that hold what belongs into a secret.
const NOT_OURS: [&str; 9] = [
    "accept-encoding",
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "host",
    "transfer-encoding",
    "upgrade",
    "x-api-key",
];

/// What is wrong, each with its place.
struct Problems<'s> {
    settings: &'s Settings,
    templates: Templates<'s>,
    found: Vec<ConfigProblem>,
}

/// Everything that the schema cannot say.
pub(crate) fn problems(settings: &Settings) -> Vec<ConfigProblem> {
    let mut problems = Problems {
        settings,
        templates: Templates::new(),
        found: Vec::new(),
    };
    problems.in_the_address();
    for (name, value) in &settings.headers {
        problems.in_a_header(&format!("headers.{name}"), name);
        if value.chars().any(char::is_control) {
            problems.add(format!("headers.{name}"), "holds a control character");
        }
    }
    for (name, exchange) in settings.exchanges() {
        problems.in_an_exchange(name, exchange);
    }
    problems.in_answers();
    if let Some(mapping) = &settings.status {
        problems.in_reports(mapping);
    }
    problems.found
}

impl<'s> Problems<'s> {
    fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.found.push(ConfigProblem::new(path, message));
    }

    fn add_if(&mut self, path: &str, message: Option<String>) {
        if let Some(message) = message {
            self.add(path, message);
        }
    }

    fn in_the_address(&mut self) {
        let url = &self.settings.url;
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        let is_odd = |c: char| c.is_whitespace() || matches!(c, '?' | '#' | '@');
        let is_base =
            |rest: &str| !rest.is_empty() && !rest.starts_with('/') && !rest.contains(is_odd) && !rest.ends_with('/');
        if !rest.is_some_and(is_base) {
            self.add(
                "url",
                "must be an address such as https://crm.example.org, without a slash at its end",
            );
        }
        match (self.settings.auth, self.settings.user.as_deref()) {
            (Auth::Basic, None | Some("")) => self.add("user", "is needed for `auth = \"basic\"`"),
            (Auth::Bearer | Auth::Key | Auth::None, Some(_)) => {
                self.add("user", "is for `auth = \"basic\"` alone: take it out");
            }
            _ => {}
        }
    }

    fn in_a_header(&mut self, path: &str, name: &str) {
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_token) {
            self.add(path, "is no name of a header");
        } else if NOT_OURS.contains(&name.to_ascii_lowercase().as_str()) {
            self.add(path, "is set by the host; what is secret belongs into a secret");
        }
    }

    fn in_an_exchange(&mut self, name: &str, exchange: &'s Exchange) {
        let sample = sample(self.settings, name);
        let path = format!("{name}.path");
        if !exchange.path.starts_with('/') {
            self.add(path.as_str(), "must begin with a slash");
        }
        self.add_if(&path, self.templates.fault_in_path(&exchange.path, &sample));
        for (key, value) in &exchange.query {
            self.add_if(
                &format!("{name}.query.{key}"),
                self.templates.fault_in_text(value, &sample),
            );
        }
        for (key, value) in &exchange.headers {
            let path = format!("{name}.headers.{key}");
            self.in_a_header(&path, key);
            self.add_if(&path, self.templates.fault_in_text(value, &sample));
        }
        if let Some(body) = &exchange.body {
            let path = format!("{name}.body");
            if matches!(exchange.method, Method::Get | Method::Head) {
                self.add(path.as_str(), format!("{} carries no body", exchange.method.name()));
            }
            if exchange.encoding == Encoding::Form && !is_flat(body) {
                self.add(path.as_str(), "a form is a table of texts, numbers and truths");
            }
            self.in_a_body(&path, body, &sample);
        }
        self.in_the_answer(name, exchange);
    }

    fn in_the_answer(&mut self, name: &str, exchange: &Exchange) {
        match (name, &exchange.reference) {
            ("create" | "lookup", Some(pointer)) => self.in_a_pointer(&format!("{name}.reference"), pointer),
            ("lookup", None) => self.add(
                "lookup.reference",
                "says where in the answer the reference of the found item is, such as /results/0/id",
            ),
            (_, Some(_)) => self.add(format!("{name}.reference"), "is read from `create` and `lookup` alone"),
            (_, None) => {}
        }
        let is_harmless = matches!(exchange.method, Method::Get | Method::Head | Method::Post);
        if matches!(name, "lookup" | "check") && !is_harmless {
            self.add(
                format!("{name}.method"),
                "must be GET, HEAD or POST: nothing may change by it",
            );
        }
    }

    fn in_a_body(&mut self, path: &str, body: &'s Json, sample: &Json) {
        match body {
            Json::String(template) => self.add_if(path, self.templates.fault_in_value(template, sample)),
            Json::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    self.in_a_body(&format!("{path}[{at}]"), item, sample);
                }
            }
            Json::Object(fields) => {
                for (name, field) in fields {
                    self.in_a_body(&format!("{path}.{name}"), field, sample);
                }
            }
            _ => {}
        }
    }

    fn in_a_pointer(&mut self, path: &str, pointer: &str) {
        if !pointer.is_empty() && !pointer.starts_with('/') {
            self.add(path, "must be a JSON pointer, such as /data/id");
        }
    }

    fn in_answers(&mut self) {
        let settings = self.settings;
        if let Some(page) = &settings.page {
            let sample = sample(settings, "page");
            self.add_if("page", self.templates.fault_in_path(page, &sample));
        }
        for (path, pointer) in [("page_at", &settings.page_at), ("error_at", &settings.error_at)] {
            if let Some(pointer) = pointer {
                self.in_a_pointer(path, pointer);
            }
        }
        for status in settings.statuses.keys() {
            if !status.parse::<u16>().is_ok_and(|status| (200..600).contains(&status)) {
                self.add(format!("statuses.{status}"), "is no status: use 200 to 599");
            }
        }
    }

    fn in_reports(&mut self, mapping: &StatusMapping) {
        let optional = [
            ("changed_at", &mapping.changed_at),
            ("note", &mapping.note),
            ("page", &mapping.page),
        ];
        let optional = optional
            .into_iter()
            .filter_map(|(name, pointer)| Some((name, pointer.as_ref()?)));
        let needed = [
            ("items", &mapping.items),
            ("reference", &mapping.reference),
            ("state", &mapping.state),
        ];
        for (name, pointer) in needed.into_iter().chain(optional) {
            self.in_a_pointer(&format!("status.{name}"), pointer);
        }
        for pointer in mapping.when.keys() {
            self.in_a_pointer(&format!("status.when.{pointer}"), pointer);
        }
        for (state, ours) in &mapping.states {
            if !ours.is_empty() && !WorkState::is_name(ours) {
                self.add(
                    format!("status.states.{state}"),
                    format!(
                        "`{ours}` is no state: use open, in-progress, resolved, rejected, reopened, a lower-case slug of your own, \
                         or nothing to pass it over"
                    ),
                );
            }
        }
    }
}

/// Whether a body can be written as a form.
fn is_flat(body: &Json) -> bool {
    let is_single = |value: &Json| !value.is_array() && !value.is_object();
    body.as_object().is_some_and(|fields| fields.values().all(is_single))
}

/// The values that the templates of a request see, with everything in them.
fn sample(settings: &Settings, name: &str) -> Json {
    let item = sample_item();
    let known = Context::new(settings);
    let context = match name {
        "check" => return known.json(),
        "create" | "update" => known.item(&item),
        _ => known.id(&item.id),
    };
    let context = match name {
        "update" | "erase" | "page" => context.reference("7"),
        _ => context,
    };
    if name == "page" {
        return context.json();
    }
    let delivery = Delivery {
        id: "d-1".into(),
        attempt: 1,
        event: Event::Created(item),
        external_ref: None,
    };
    context.delivery(&delivery).json()
}

fn sample_item() -> StoredFeedback {
    let mut feedback = Feedback::new("m-1", ChannelKind::Form)
        .subject("فاتورة")
        .body("خُصم المبلغ مرتين")
        .kind("complaint")
        .language("ar")
        .revision("1")
        .occurred_at(0)
        .author(
            Person::new()
                .named("خالد")
                .identifier("email", "khalid@example.org")
                .identifier("tel", "+966500000001"),
        )
        .score("nps", 2.0, 0.0, 10.0)
        .tag("billing")
        .attribute("order", "7");
    feedback.thread_id = Some("t-1".into());
    feedback.in_reply_to = Some("m-0".into());
    StoredFeedback {
        id: "fb-1".into(),
        connector: "form".into(),
        received_at: 0,
        version: 1,
        feedback,
    }
}
