//! Figures with a receipt.

use axum::extract::State;
use axum::response::Response;
use mihwar_hub::{FigureFilter, FigureGrouping, FigureRefusal, StageProgress};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::mpsc;
use utoipa::ToSchema;

use crate::http::body::MaybeJson;
use crate::http::problem::ProblemView;
use crate::http::stream::{Lines, ReaderGone, Stopped, ndjson};
use crate::http::{Allowed, Problem, Read, Sort};
use crate::json::{Fields, read_object};
use crate::surface::Surface;

/// Which figure is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FigureInput {
    /// The instance of a metric plugin.
    pub metric: String,
    /// Records of this time or later (RFC 3339).
    #[schema(value_type = String, format = DateTime)]
    pub from: String,
    /// … and of before this time.
    #[schema(value_type = String, format = DateTime)]
    pub to: String,
    /// `channel` or `kind`: one figure for each; left out: one over all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// One line of a figure in the making.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FigureLine {
    /// It goes on: `stage`, `done`, `total`.
    #[schema(value_type = Object)]
    Progress(StageProgress),
    /// The last line: the figures with all that is needed to make them again, in the format `mihwar-figure/2`.
    #[schema(value_type = Object)]
    Receipt(Value),
    /// The last line of one that was not made.
    Problem(ProblemView),
}

/// Make a figure
///
/// Signs the ledger's head, lets a metric plugin count what the ledger tells of the period, and answers the receipt: figures,
/// checkpoint, filter and the module's hash, from which `mihwar metric verify` gets the same digits without the hub. Facts
/// only, nothing personal. Reads the whole ledger. Lines of progress, then the receipt.
#[utoipa::path(
    post, path = "/api/v1/figures", tag = "figures",
    request_body = FigureInput,
    responses(
        (status = OK, body = FigureLine, content_type = "application/x-ndjson", description = "Progress, then the receipt."),
        (status = UNPROCESSABLE_ENTITY, body = ProblemView, content_type = "application/problem+json", description = "Fields are wrong."),
    ),
    security(("token" = ["feedback:read"])),
)]
pub(crate) async fn make_figure(
    _: Allowed<Read>,
    State(surface): State<Surface>,
    MaybeJson { value, place }: MaybeJson,
) -> Result<Response, Problem> {
    let value = value.unwrap_or_else(|| Value::Object(Map::new()));
    let (metric, filter) = read_object(value, wanted).map_err(Problem::fields)?;
    let (mut lines, response) = ndjson(place);
    tokio::spawn(async move {
        if make(&surface, &metric, filter, &mut lines).await.is_err() {
            tracing::debug!("the reader of a figure went away");
        }
    });
    Ok(response)
}

fn wanted(fields: &mut Fields<'_>) -> Option<(String, FigureFilter)> {
    let metric = fields.required_text("metric");
    for key in ["from", "to"] {
        if !fields.has(key) {
            fields.fault(key, "is needed");
        }
    }
    let (from, to) = (fields.time("from"), fields.time("to"));
    let by = fields.parsed::<FigureGrouping>("by");
    let filter = FigureFilter::new(from?, to?, by);
    let filter = filter
        .map_err(|refusal| fields.fault("from", refusal.to_string()))
        .ok()?;
    Some((metric, filter))
}

async fn make(surface: &Surface, metric: &str, filter: FigureFilter, lines: &mut Lines) -> Result<(), ReaderGone> {
    let (sender, mut progress) = mpsc::channel(16);
    let figure = surface.hub.figure(metric, filter, sender);
    tokio::pin!(figure);
    let outcome = loop {
        tokio::select! {
            Some(step) = progress.recv() => lines.send(&FigureLine::Progress(step)).await?,
            outcome = &mut figure => break outcome,
        }
    };
    let receipt = outcome.map_err(Problem::from).and_then(|receipt| {
        let text = receipt.to_json().map_err(Problem::internal)?;
        serde_json::from_str(&text).map_err(Problem::internal)
    });
    match receipt {
        Ok(receipt) => lines.send(&FigureLine::Receipt(receipt)).await,
        Err(problem) => {
            let problem = problem.into_view();
            lines.send(&Stopped { problem }).await
        }
    }
}

impl From<FigureRefusal> for Problem {
    fn from(refusal: FigureRefusal) -> Self {
        let sort = match refusal {
            FigureRefusal::Fault(fault) => return fault.into(),
            FigureRefusal::NoMetric { .. } => Sort::NotFound,
            FigureRefusal::Period { .. } => Sort::InvalidRequest,
            FigureRefusal::TooManyGroups { .. } => Sort::Conflict,
            FigureRefusal::Entry { .. } => Sort::Damaged,
            // A metric plugin knows facts only: what it says can name nobody.
            FigureRefusal::Call(_) | FigureRefusal::NoFigure(_) => Sort::Internal,
        };
        Self::new(sort, refusal.to_string())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test]
    async fn what_is_no_figure_is_refused_field_by_field() {
        let bench = Bench::new().await;
        let (from, to) = ("2026-01-01T00:00:00Z", "2026-02-01T00:00:00+03:00");
        for (body, said) in [
            (json!({}), "3 fields"),
            (json!({"metric": "رضا", "from": from}), "to: is needed"),
            (
                json!({"metric": "رضا", "from": "أمس", "to": to}),
                "from: is no RFC 3339 time",
            ),
            (
                json!({"metric": "رضا", "from": from, "to": to, "by": "person"}),
                "use channel or kind",
            ),
            (json!({"metric": "رضا", "from": to, "to": from}), "begins at"),
            (json!({"metric": "رضا", "from": from, "to": from}), "begins at"),
            (
                json!({"metric": "رضا", "from": from, "to": to, "for": "all"}),
                "not known here",
            ),
        ] {
            let got = bench.post("/api/v1/figures", body.to_string()).await;
            assert_eq!(got.status.as_u16(), 422, "{body}: {}", got.text);
            assert!(got.text.contains(said), "{body}: {}", got.text);
        }
    }

    #[tokio::test]
    async fn an_unknown_metric_is_refused_with_those_that_there_are() {
        let bench = Bench::new().await;
        let body = json!({"metric": "رضا", "from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"});
        let got = bench.post("/api/v1/figures", body.to_string()).await;
        let last = got.lines().pop().unwrap();
        assert_eq!(last["problem"]["status"], 404, "{last}");
        let said = last["problem"]["detail"].as_str().unwrap();
        assert!(said.contains("\"رضا\"") && said.contains("[[instance]]"), "{said}");
    }
}
