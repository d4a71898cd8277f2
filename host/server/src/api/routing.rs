//! Why feedback went where it went, and where it would go by other rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use mihwar_hub::{ContactField, Matching, RouteSource, RoutingTrial, RuleSet, RulesSource, TrialProgress};
use mihwar_model::{Draft, FeedbackId, FieldProblem, Time};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::mpsc;
use utoipa::ToSchema;

use crate::feedback::input::{read_feedback, wire_problems};
use crate::http::body::MaybeJson;
use crate::http::problem::ProblemView;
use crate::http::stream::{Lines, ReaderGone, Stopped, ndjson};
use crate::http::{Admin, Allowed, Problem, Read, Sort};
use crate::json::{self, Fields, read_object};
use crate::surface::Surface;

/// Rules of one set.
const ROUTES_MAX: usize = 5_000;
/// Departments of one rule.
const DEPARTMENTS_MAX: usize = 256;

/// Rules that are tried, and on what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RoutingTrialInput {
    /// The rules, in their order.
    pub routes: Vec<RouteInput>,
    /// `all` (usual): every rule that matches adds its departments. `first`: the first one decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matching: Option<String>,
    /// Who receives what no rule chose.
    pub default: Vec<String>,
    /// What rules see of the contact: `id`, `name`, `identifiers`, `domains`, `locale`.
    pub contact_fields: Vec<String>,
    /// Lists by name, each with its entries.
    pub lists: BTreeMap<String, Vec<String>>,
    /// Records received at this time or later (RFC 3339); left out: all.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// … and before this time; left out: now.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// One rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteInput {
    /// Its name.
    pub name: String,
    /// CEL.
    pub when: String,
    /// Departments. They need not be configured yet.
    pub to: Vec<String>,
}

impl RoutingTrialInput {
    /// A rule set as it crosses the wire, on what was received in a period.
    #[must_use]
    pub fn of(rules: &RulesSource, from: Option<Time>, to: Option<Time>) -> Self {
        let routes = rules.routes.iter().map(|route| RouteInput {
            name: route.name.clone(),
            when: route.when.clone(),
            to: route.to.iter().map(ToString::to_string).collect(),
        });
        Self {
            routes: routes.collect(),
            matching: Some(rules.matching.as_str().to_owned()),
            default: rules.default.iter().map(ToString::to_string).collect(),
            contact_fields: rules.contact_fields.iter().map(ToString::to_string).collect(),
            lists: rules.lists.clone(),
            from: from.map(Time::to_rfc3339),
            to: to.map(Time::to_rfc3339),
        }
    }
}

/// One line of a trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RoutingTrialLine {
    /// It goes on: `records` looked at, and of the period's milliseconds (`total`) how many are `done`.
    #[schema(value_type = Object)]
    Progress(TrialProgress),
    /// The last line: `records`, of which as many would go to the `same` departments or are `moved`; `moves` (`from`, `to`,
    /// `count`, `examples`); `rules` with how often each `matched` and `failed`; and what was not compared: `gone`,
    /// `quarantined`, `waiting`, `damaged`.
    #[schema(value_type = Object)]
    Trial(RoutingTrial),
    /// The last line of one that was given up.
    Problem(ProblemView),
}

/// Explain where feedback went
///
/// The last decision as the ledger has it, and what each of the rules in force says to the record now, with the part of the
/// rule that decides. `rules_changed` says whether the rules are others by now. Quotes neither subject nor body.
#[utoipa::path(
    get, path = "/api/v1/feedback/{id}/routing", tag = "routing",
    params(("id" = String, Path, description = "The hub's id of it.")),
    responses(
        (status = OK, body = Object, description = "`decided` (`at`, `departments`, `failed`), `today` (`rules` with their verdicts, `departments`), `asked` by enrichers."),
        (status = NOT_FOUND, body = ProblemView, content_type = "application/problem+json", description = "There is none with this id."),
    ),
    security(("token" = ["feedback:read"])),
)]
pub(crate) async fn get_routing(
    _: Allowed<Read>,
    State(surface): State<Surface>,
    Path(id): Path<String>,
) -> Result<Json<mihwar_hub::RoutingExplanation>, Problem> {
    let id: FeedbackId = id.parse().map_err(|_| Problem::not_found("such feedback"))?;
    let explained = surface.hub.explain_routing(id).await?;
    explained.map(Json).ok_or_else(|| Problem::not_found("such feedback"))
}

/// Try rules
///
/// Says what other rules would change: of the records received in a period, which would have gone elsewhere, and which rules
/// match none. Nothing is written. Lines of progress, then the trial.
#[utoipa::path(
    post, path = "/api/v1/routing:try", tag = "routing",
    request_body = RoutingTrialInput,
    responses(
        (status = OK, body = RoutingTrialLine, content_type = "application/x-ndjson", description = "Progress, then the trial."),
        (status = UNPROCESSABLE_ENTITY, body = ProblemView, content_type = "application/problem+json", description = "Fields are wrong, or rules: each is listed with the place in it."),
    ),
    security(("token" = ["admin"])),
)]
pub(crate) async fn try_routing(
    _: Allowed<Admin>,
    State(surface): State<Surface>,
    MaybeJson { value, place }: MaybeJson,
) -> Result<Response, Problem> {
    let value = value.unwrap_or_else(|| Value::Object(Map::new()));
    let Wanted { rules, from, to } = read_object(value, wanted).map_err(Problem::fields)?;
    let rules = tokio::task::spawn_blocking(move || compiled(rules));
    let rules = rules.await.map_err(Problem::internal)?.map_err(Problem::fields)?;
    let (mut lines, response) = ndjson(place);
    tokio::spawn(async move {
        if tried(&surface, Arc::new(rules), from, to, &mut lines).await.is_err() {
            tracing::debug!("the reader of a trial of rules went away");
        }
    });
    Ok(response)
}

struct Wanted {
    rules: RulesSource,
    from: Option<Time>,
    to: Option<Time>,
}

fn wanted(fields: &mut Fields<'_>) -> Option<Wanted> {
    if !fields.has("routes") {
        fields.fault("routes", "is needed");
    }
    let rules = RulesSource {
        routes: fields.each("routes", ROUTES_MAX, route),
        matching: fields.parsed::<Matching>("matching").unwrap_or_default(),
        default: fields.each_parsed("default", DEPARTMENTS_MAX),
        contact_fields: fields.each_parsed("contact_fields", ContactField::ALL.len()),
        lists: lists(fields),
    };
    for problem in rules.list_problems() {
        fields.fault(&problem.field, problem.message);
    }
    let (from, to) = (fields.time("from"), fields.time("to"));
    if from.zip(to).is_some_and(|(from, to)| from >= to) {
        fields.fault(
            "from",
            "is not before the end of the period: nothing was received in it",
        );
    }
    Some(Wanted { rules, from, to })
}

fn route(fields: &mut Fields<'_>) -> RouteSource {
    RouteSource {
        name: fields.required_text("name"),
        when: fields.required_text("when"),
        to: fields.each_parsed("to", DEPARTMENTS_MAX),
    }
}

fn lists(fields: &mut Fields<'_>) -> BTreeMap<String, Vec<String>> {
    let mut lists = BTreeMap::new();
    let object = match fields.any("lists") {
        None => return lists,
        Some(Value::Object(object)) => object,
        Some(_) => {
            fields.fault("lists", "should be an object of names and lists of text");
            return lists;
        }
    };
    for (name, value) in object {
        let entries = match value {
            Value::Array(entries) => {
                let entries = entries.into_iter().map(|entry| match entry {
                    Value::String(text) => Some(text),
                    _ => None,
                });
                entries.collect::<Option<Vec<_>>>()
            }
            _ => None,
        };
        match entries {
            Some(entries) => drop(lists.insert(name, entries)),
            None => fields.fault(&format!("lists.{name}"), "should be a list of text"),
        }
    }
    lists
}

/// Rules, or what is wrong with them.
fn compiled(source: RulesSource) -> Result<RuleSet, Vec<FieldProblem>> {
    let (rules, problems) = RuleSet::read(source);
    if problems.is_empty() {
        return Ok(rules);
    }
    let problems = problems.into_iter();
    let problems =
        problems.map(|problem| FieldProblem::new(format!("routes[{}].when", problem.route), problem.message));
    Err(problems.collect())
}

async fn tried(
    surface: &Surface,
    rules: Arc<RuleSet>,
    from: Option<Time>,
    to: Option<Time>,
    lines: &mut Lines,
) -> Result<(), ReaderGone> {
    let (sender, mut progress) = mpsc::channel(16);
    let trial = surface.hub.try_rules(rules, from, to, sender);
    tokio::pin!(trial);
    let outcome = loop {
        tokio::select! {
            biased;
            Some(step) = progress.recv() => lines.send(&RoutingTrialLine::Progress(step)).await?,
            outcome = &mut trial => break outcome,
        }
    };
    match outcome {
        Ok(trial) => lines.send(&RoutingTrialLine::Trial(trial)).await,
        Err(error) => {
            let problem = Problem::from(error).into_view();
            lines.send(&Stopped { problem }).await
        }
    }
}

/// Reads one line of NDJSON as `POST /api/v1/feedback:batch` does, with every check that a record has to pass.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read_record(line: &[u8]) -> Result<Draft, ProblemView> {
    let value = json::parse(line).map_err(|fault| Problem::new(Sort::InvalidJson, fault.to_string()).into_view())?;
    let draft = read_feedback(value).map_err(|faults| Problem::fields(faults).into_view())?;
    match draft.problems() {
        problems if problems.is_empty() => Ok(draft),
        problems => Err(Problem::fields(wire_problems(&draft, problems)).into_view()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::read_record;
    use crate::testing::Bench;

    #[tokio::test]
    async fn what_are_no_rules_is_refused_field_by_field() {
        let bench = Bench::new().await;
        let route = |when: &str| json!({"name": "شكاوى", "when": when, "to": ["service"]});
        for (body, said) in [
            (json!({}), "routes: is needed"),
            (json!({"routes": [{"name": "أ"}]}), "routes[0].when"),
            (
                json!({"routes": [route("record.chanel == 'form'")]}),
                "routes[0].when: rule \"شكاوى\" at 1:7: record has no field `chanel` (did you mean `channel`?)",
            ),
            (json!({"routes": [], "matching": "some"}), "use all or first"),
            (
                json!({"routes": [], "lists": {"vip": {"file": "/etc/hostname"}}}),
                "lists.vip: should be a list of text",
            ),
            (json!({"routes": [], "lists": {"VIP": []}}), "lower-case"),
            (json!({"routes": [], "contact_fields": ["phone"]}), "domains or locale"),
            (json!({"routes": [], "from": "أمس"}), "from: is no RFC 3339 time"),
            (
                json!({"routes": [], "from": "2026-02-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"}),
                "from: is not before",
            ),
        ] {
            let got = bench.post("/api/v1/routing:try", body.to_string()).await;
            assert_eq!(got.status.as_u16(), 422, "{body}: {}", got.text);
            assert!(
                got.json().to_string().contains(&said.replace('"', "\\\"")),
                "{body}: {}",
                got.text
            );
        }
    }

    #[tokio::test]
    async fn rules_are_tried_on_what_is_there_and_an_explanation_asks_for_a_record() {
        let bench = Bench::new().await;
        let got = bench
            .post("/api/v1/routing:try", json!({"routes": []}).to_string())
            .await;
        let last = got.lines().pop().unwrap();
        assert_eq!(last["trial"]["records"], 0, "{last}");
        let unknown = bench
            .get("/api/v1/feedback/0192f0c1-7a5e-7c3d-9b1e-0a1b2c3d4e5f/routing")
            .await;
        assert_eq!(unknown.status.as_u16(), 404);
        let created = json!({"kind": "complaint", "body": "وصلت الشحنة متأخرة"}).to_string();
        let created = bench.post("/api/v1/feedback", created).await.json();
        let path = format!("/api/v1/feedback/{}/routing", created["id"].as_str().unwrap());
        let explained = bench.get(&path).await.json();
        // The workers of this hub were not started.
        assert_eq!(explained["decided"], json!(null), "{explained}");
        assert_eq!(explained["today"]["departments"], json!([]), "{explained}");
    }

    #[test]
    fn a_line_is_read_as_the_stream_reads_it() {
        let draft = read_record("{\"body\": \"شكرًا\", \"tags\": [\"سريع\"]}".as_bytes()).unwrap();
        assert_eq!((draft.body.as_str(), draft.channel.as_str()), ("شكرًا", "api"));
        for (line, field) in [
            ("{\"body\": \"\"}", "body"),
            ("{\"body\": \"أ\", \"kind\": \"شكوى\"}", "kind"),
            (
                "{\"body\": \"أ\", \"scores\": [{\"metric\": \"nps\", \"value\": 11}]}",
                "scores[0].value",
            ),
        ] {
            let problem = read_record(line.as_bytes()).unwrap_err();
            assert_eq!(problem.errors[0].field, field, "{line}");
        }
        assert_eq!(read_record(b"{").unwrap_err().kind, "/problems/invalid-json");
    }
}
