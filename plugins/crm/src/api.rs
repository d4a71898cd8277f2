//! Making the requests that the settings describe.

use mihwar_sdk::{Health, Host, PluginError, Request, Response, Setback};
use serde_json::Value as Json;

use crate::answer::judged;
use crate::context::Context;
use crate::settings::{Encoding, Exchange, Settings};
use crate::template::{Templates, percent_encoded};

/// Time that is left for what follows a request.
const RESERVE_MS: u64 = 500;

/// The other system, as one call sees it.
pub(crate) struct Api<'a> {
    pub(crate) host: &'a Host,
    pub(crate) settings: &'a Settings,
    templates: Templates<'a>,
}

impl<'a> Api<'a> {
    pub(crate) fn new(host: &'a Host, settings: &'a Settings) -> Self {
        Self {
            host,
            settings,
            templates: Templates::new(),
        }
    }

    /// Makes the request of that name, and hands its answer back if it was done.
    pub(crate) fn send(&self, name: &str, exchange: &'a Exchange, context: &Json) -> Result<Response, Setback> {
        let left = self.host.remaining_ms().saturating_sub(RESERVE_MS);
        let left = u32::try_from(left).unwrap_or(u32::MAX);
        let mut request = self
            .filled(exchange, context)
            .map_err(|error| unfit(name, &error))?
            .timeout_ms(self.settings.timeout_ms.min(left));
        if let Some(secret) = self.settings.secret() {
            request = request.credential(secret);
        }
        let response = self.host.http(&request)?;
        judged(self.settings, name, &response, self.host.now())?;
        Ok(response)
    }

    /// Where people see an item, if a template says so.
    pub(crate) fn page(&self, id: &str, reference: &str) -> Option<String> {
        let page = self.settings.page.as_deref()?;
        let context = Context::new(self.settings).id(id).reference(reference).json();
        self.templates.path(page, &context).ok()
    }

    pub(crate) fn check(&self) -> Result<Health, PluginError> {
        let mut notes = Vec::new();
        match &self.settings.check {
            None => notes.push("no request is set for `check`: nothing was asked".to_owned()),
            Some(exchange) => match self.send("check", exchange, &Context::new(self.settings).json()) {
                Ok(_) => {}
                Err(Setback::Item(error) | Setback::All(error)) => return Err(error),
                Err(Setback::Missing(status)) => {
                    let why = format!("the other system answers {status}: the address may be another one");
                    return Err(PluginError::misconfigured("check.path", why));
                }
            },
        }
        if self.settings.erase.is_none() {
            notes.push("no request is set for `erase`: what was delivered cannot be removed".into());
        }
        if self.settings.lookup.is_none() {
            notes.push("no request is set for `lookup`: an answer that is lost can make a second item".into());
        }
        let secrets = ["webhook", "webhook-token", "webhook-signing"];
        let is_heard = secrets.iter().any(|name| self.host.secret_is_set(name));
        if self.settings.status.is_some() && !is_heard {
            notes.push(format!("none of {} is set: no report is taken", secrets.join(", ")));
        }
        Ok(Health { account: None, notes })
    }

    /// The request, without secret and time.
    fn filled(&self, exchange: &'a Exchange, context: &Json) -> Result<Request, minijinja::Error> {
        let mut url = format!("{}{}", self.settings.url, self.templates.path(&exchange.path, context)?);
        for (name, value) in &exchange.query {
            let value = self.templates.text(value, context)?;
            if !value.is_empty() {
                let joint = if url.contains('?') { '&' } else { '?' };
                url.push_str(&format!("{joint}{}={}", percent_encoded(name), percent_encoded(&value)));
            }
        }
        let mut request = Request::new(exchange.method.name(), url);
        for (name, value) in &self.settings.headers {
            request = request.header(name, value);
        }
        for (name, value) in &exchange.headers {
            request = request.header(name, self.templates.text(value, context)?);
        }
        if !has_header(&request, "accept") {
            request = request.header("accept", "application/json");
        }
        let Some(body) = &exchange.body else {
            return Ok(request);
        };
        let body = self.templates.body(body, context)?;
        let (media_type, text) = match exchange.encoding {
            Encoding::Json => ("application/json", body.to_string()),
            Encoding::Form => ("application/x-www-form-urlencoded", form(&body)),
        };
        if !has_header(&request, "content-type") {
            request = request.header("content-type", media_type);
        }
        Ok(request.body(text))
    }
}

fn has_header(request: &Request, name: &str) -> bool {
    request
        .headers
        .iter()
        .any(|header| header.name.eq_ignore_ascii_case(name))
}

/// A flat table as a web form writes it.
fn form(body: &Json) -> String {
    let fields = body.as_object().into_iter().flatten();
    let pairs = fields.map(|(name, value)| {
        let text = match value {
            Json::String(text) => text.clone(),
            other => other.to_string(),
        };
        format!("{}={}", percent_encoded(name), percent_encoded(&text))
    });
    pairs.collect::<Vec<_>>().join("&")
}

/// A template that does not take the values of one item. What the values are is not told.
fn unfit(name: &str, error: &minijinja::Error) -> Setback {
    let line = error.line().map_or_else(String::new, |line| format!(" in line {line}"));
    Setback::Item(PluginError::permanent(
        "template",
        format!(
            "a template of `{name}` cannot be filled in with this item: {:?}{line}",
            error.kind()
        ),
    ))
}
