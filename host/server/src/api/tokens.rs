//! API tokens.

use std::str::FromStr;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use mihwar_hub::{Right, Rights, TokenRecord};
use mihwar_model::{Clock, SystemClock, Time, TokenId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::body::JsonBody;
use crate::http::problem::ProblemView;
use crate::http::{Admin, Allowed, Problem};
use crate::json::{Fields, read_object};
use crate::surface::Surface;

/// Longest name of a token.
const NAME_CHARS_MAX: usize = 80;
/// Most scopes that are listed for one token: there are three, and one for each department's feed.
const SCOPES_MAX: usize = 64;

/// A token to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenInput {
    /// What it is for, so that it can be told apart later.
    #[schema(example = "لوحة خدمة العملاء")]
    pub name: String,
    /// `feedback:read`, `feedback:write`, `admin`; and `feed:NAME`, to take what is for this department by its feed.
    #[schema(example = json!(["feedback:read"]))]
    pub scopes: Vec<String>,
    /// When it ends (RFC 3339); left out: never.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Time>,
}

/// A token that was made. The secret is shown this once: the hub keeps only a hash of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewTokenView {
    /// Its public id.
    pub id: String,
    /// What to send as bearer.
    #[schema(example = "mhw_…")]
    pub token: String,
}

/// A token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Token)]
pub struct TokenView {
    /// Its public id.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Time,
    /// When it ends.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires: Option<Time>,
}

/// All tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenListView {
    /// The tokens, oldest first.
    pub items: Vec<TokenView>,
}

impl From<TokenRecord> for TokenView {
    fn from(token: TokenRecord) -> Self {
        Self {
            id: token.id.to_string(),
            name: token.name,
            scopes: token.rights.written().collect(),
            created_at: token.created_at,
            expires: token.expires_at,
        }
    }
}

/// Make a token
///
/// The answer holds its secret, which is shown only now.
#[utoipa::path(
    post, path = "/api/v1/tokens", tag = "tokens",
    request_body = TokenInput,
    responses(
        (status = CREATED, body = NewTokenView, description = "The token and its secret."),
        (status = UNPROCESSABLE_ENTITY, body = ProblemView, content_type = "application/problem+json", description = "Fields are wrong."),
    ),
    security(("token" = ["admin"])),
)]
pub(crate) async fn create_token(
    Allowed(caller, _): Allowed<Admin>,
    State(surface): State<Surface>,
    JsonBody { value, .. }: JsonBody,
) -> Result<Response, Problem> {
    let now = SystemClock.now();
    let (TokenName(name), rights, expires) =
        read_object(value, |fields| wanted(fields, now)).map_err(Problem::fields)?;
    let made = surface.hub.token_create(caller.actor, &name, rights, expires).await?;
    let view = NewTokenView {
        id: made.id.to_string(),
        token: made.token,
    };
    Ok((StatusCode::CREATED, Json(view)).into_response())
}

/// What a token is for, in one line.
struct TokenName(String);

impl FromStr for TokenName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim().is_empty() {
            return Err("should say what the token is for, so that it can be told apart later".into());
        }
        if text.chars().count() > NAME_CHARS_MAX || text.chars().any(char::is_control) {
            return Err(format!("should be one line of at most {NAME_CHARS_MAX} letters"));
        }
        Ok(Self(text.to_owned()))
    }
}

fn wanted(fields: &mut Fields<'_>, now: Time) -> Option<(TokenName, Rights, Option<Time>)> {
    if !fields.has("name") {
        fields.fault("name", "is needed");
    }
    let name = fields.parsed("name");
    let rights: Vec<Right> = fields.each_parsed("scopes", SCOPES_MAX);
    if rights.is_empty() {
        fields.fault(
            "scopes",
            "name at least one of feedback:read, feedback:write, admin, and feed: with a department's name",
        );
    }
    let expires = fields.time("expires");
    if let Some(end) = expires.filter(|end| *end <= now) {
        fields.fault(
            "expires",
            format!("{end} is past: the token would be worth nothing; it is {now} now"),
        );
    }
    name.map(|name| (name, rights.into_iter().collect(), expires))
}

/// List tokens
///
/// Without their secrets, which nobody knows any more.
#[utoipa::path(
    get, path = "/api/v1/tokens", tag = "tokens",
    responses((status = OK, body = TokenListView, description = "All tokens.")),
    security(("token" = ["admin"])),
)]
pub(crate) async fn list_tokens(
    _: Allowed<Admin>,
    State(surface): State<Surface>,
) -> Result<Json<TokenListView>, Problem> {
    let tokens = surface.hub.token_list().await?;
    Ok(Json(TokenListView {
        items: tokens.into_iter().map(TokenView::from).collect(),
    }))
}

/// Revoke a token
///
/// From the next request on it is worth nothing.
#[utoipa::path(
    delete, path = "/api/v1/tokens/{id}", tag = "tokens",
    params(("id" = String, Path, description = "Its public id.")),
    responses(
        (status = NO_CONTENT, description = "It is revoked."),
        (status = NOT_FOUND, body = ProblemView, content_type = "application/problem+json", description = "There is none with this id."),
    ),
    security(("token" = ["admin"])),
)]
pub(crate) async fn revoke_token(
    Allowed(caller, _): Allowed<Admin>,
    State(surface): State<Surface>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let unknown = || Problem::not_found("such token");
    let id: TokenId = id.parse().map_err(|_| unknown())?;
    let revoked = surface.hub.token_revoke(caller.actor, id).await?;
    if revoked {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(unknown())
    }
}

#[cfg(test)]
mod tests {
    use super::wanted;
    use crate::json::read_object;
    use mihwar_model::Time;
    use serde_json::{Value, json};

    fn faults(input: Value) -> Vec<String> {
        let now = Time::parse_rfc3339("2026-11-22T09:30:00+03:00").unwrap();
        match read_object(input, |fields| wanted(fields, now)) {
            Ok(_) => Vec::new(),
            Err(faults) => faults.told().iter().map(|fault| fault.field.clone()).collect(),
        }
    }

    #[test]
    fn a_token_has_a_name_and_an_end_that_is_yet_to_come() {
        let good =
            json!({"name": "لوحة خدمة العملاء", "scopes": ["feedback:read"], "expires": "2026-11-22T09:31:00+03:00"});
        assert_eq!(faults(good.clone()), [""; 0]);
        for (field, bad) in [
            ("name", json!(" \u{a0}")),
            ("name", json!("")),
            ("name", json!(null)),
            ("name", json!(7)),
            ("name", json!("سطر\nآخر")),
            ("scopes", json!([])),
            ("expires", json!("2026-11-22T06:30:00Z")),
        ] {
            let mut input = good.clone();
            input[field] = bad.clone();
            assert_eq!(faults(input), [field], "{bad}");
        }
    }
}
