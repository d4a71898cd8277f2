//! Settings: the requests of the other system, as templates.

use std::collections::BTreeMap;

use serde_json::Value as Json;

/// What an admin says about one system.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where the API is, such as `https://crm.example.org`. Paths of requests are put behind it.
    pub url: String,
    /// Which secret goes along: `bearer` (`token`), `basic` (`user` and `password`), `key` (`key`, in `X-Api-Key`) or `none`.
    #[serde(default)]
    pub auth: Auth,
    /// The user of `auth = "basic"`.
    #[serde(default)]
    pub user: Option<String>,
    /// Headers of every request.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Values of your own for the templates, as `values.NAME`: numbers of teams, tables from kinds to categories.
    #[serde(default)]
    pub values: BTreeMap<String, Json>,
    /// Creates an item. Its templates know `item`, `delivery` and `values`.
    pub create: Exchange,
    /// Writes a new version of an item. Its templates know `reference`, `item`, `delivery` and `values`.
    #[serde(default)]
    pub update: Option<Exchange>,
    /// Removes an item, or what is personal in it. Its templates know `reference`, `item.id`, `delivery` and `values`.
    #[serde(default)]
    pub erase: Option<Exchange>,
    /// Finds the item with the hub's id, before one is created: its creation may not have been answered. Its templates know
    /// `item.id`, `delivery` and `values`; its `reference` says where in the answer the found one is.
    #[serde(default)]
    pub lookup: Option<Exchange>,
    /// Asks something harmless, to test address and secret. Its templates know `values`.
    #[serde(default)]
    pub check: Option<Exchange>,
    /// Where people see an item: a template that knows `reference`, `item.id` and `values`.
    #[serde(default)]
    pub page: Option<String>,
    /// Where in the answer to `create` or `update` that address is, as a JSON pointer.
    #[serde(default)]
    pub page_at: Option<String>,
    /// Where an answer of success tells of a failure, as a JSON pointer: something else than `null` and `false` there is one.
    #[serde(default)]
    pub error_at: Option<String>,
    /// What a status means in this system, where it is not the usual, such as `"409" = "done"`.
    #[serde(default)]
    pub statuses: BTreeMap<String, Meaning>,
    /// What happens to a new version of an item that is not there any more: `skip` or `create`.
    #[serde(default)]
    pub on_missing: OnMissing,
    /// How reports of what became of items are read.
    #[serde(default)]
    pub status: Option<StatusMapping>,
    /// How long one request may take, in milliseconds.
    #[serde(default = "default_timeout_ms")]
    #[schemars(range(min = 1000, max = 60000))]
    pub timeout_ms: u32,
}

/// One request, and what of its answer matters.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    /// The method.
    #[serde(default)]
    pub method: Method,
    /// The path, with a slash first: a template. What it puts in is percent-encoded.
    pub path: String,
    /// Parameters of the address: each value is a template, and left out if it comes to nothing.
    #[serde(default)]
    pub query: BTreeMap<String, String>,
    /// Headers of this request: each value is a template.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// How the body is written: `json` or `form`.
    #[serde(default)]
    pub encoding: Encoding,
    /// The body. Every text in it is a template; one that is nothing but `{{ … }}` keeps the type of its value, and a field
    /// whose value is not known is left out.
    #[serde(default)]
    pub body: Option<Json>,
    /// Where in the answer the item's reference is, as a JSON pointer such as `/data/id`.
    #[serde(default)]
    pub reference: Option<String>,
}

/// Which secret goes along.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Auth {
    /// `token`, as `Authorization: Bearer`.
    #[default]
    Bearer,
    /// `user` and `password`, as `Authorization: Basic`.
    Basic,
    /// `key`, as `X-Api-Key`.
    Key,
    /// None.
    None,
}

/// A method of HTTP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `POST`
    #[default]
    Post,
    /// `PUT`
    Put,
    /// `PATCH`
    Patch,
    /// `DELETE`
    Delete,
}

impl Method {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// How a body is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// As JSON.
    #[default]
    Json,
    /// As a web form does.
    Form,
}

/// What a status means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Meaning {
    /// It was done.
    Done,
    /// There is no such item.
    Missing,
    /// This item is refused, and will be again.
    Refused,
    /// Something failed that may work later.
    Retry,
    /// The other system wants to be left alone for a while.
    Pause,
    /// The secret is refused.
    Unauthorized,
    /// The request is wrong, whichever item it is about.
    Misconfigured,
}

/// What happens to a new version of an item that is not there any more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnMissing {
    /// Nothing: whoever deleted it wanted that.
    #[default]
    Skip,
    /// It is created again.
    Create,
}

/// Where a report says what. Everything is a JSON pointer into the report; the first slash stands before the first name.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatusMapping {
    /// Where the reports are in what is sent: one, or a list of them. Left out: all of it.
    #[serde(default)]
    pub items: String,
    /// The item's reference, as it was read when the item was created.
    pub reference: String,
    /// The state in the other system.
    pub state: String,
    /// Since when: RFC 3339, `2026-01-31 12:00:00` in UTC, or seconds or milliseconds since 1970. Left out: when the report came,
    /// and a report that is sent twice is then two.
    #[serde(default)]
    pub changed_at: Option<String>,
    /// What is said to it.
    #[serde(default)]
    pub note: Option<String>,
    /// Where people see the item.
    #[serde(default)]
    pub page: Option<String>,
    /// What must be in a report; any other is passed over. `*` asks for anything but `null`.
    #[serde(default)]
    pub when: BTreeMap<String, String>,
    /// The hub's state for a state of the other system: `open`, `in-progress`, `resolved`, `rejected`, `reopened` or a slug of
    /// your own; an empty text passes the report over. `*` is for all others. Without this table the state must be one of the
    /// hub's.
    #[serde(default)]
    pub states: BTreeMap<String, String>,
}

const fn default_timeout_ms() -> u32 {
    15_000
}

impl Settings {
    /// The requests that are set, with their names.
    pub(crate) fn exchanges(&self) -> impl Iterator<Item = (&'static str, &Exchange)> {
        let optional = [
            ("update", &self.update),
            ("erase", &self.erase),
            ("lookup", &self.lookup),
            ("check", &self.check),
        ];
        let set = optional
            .into_iter()
            .filter_map(|(name, exchange)| Some((name, exchange.as_ref()?)));
        std::iter::once(("create", &self.create)).chain(set)
    }

    /// The secret that goes along with every request.
    pub(crate) const fn secret(&self) -> Option<&'static str> {
        match self.auth {
            Auth::Bearer => Some("token"),
            Auth::Basic => Some("password"),
            Auth::Key => Some("key"),
            Auth::None => None,
        }
    }
}
