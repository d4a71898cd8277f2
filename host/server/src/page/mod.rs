//! The page for people: what came in last, what went out, which plugins run and how they are. Rendered here, in Arabic
//! and English, and good without scripts.

mod parts;
mod plural;
pub(crate) mod problems;
pub(crate) mod receipt;
mod settings;
mod teller;
mod words;

use askama::Template;
use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use mihwar_model::{Clock, SystemClock};

use crate::http::caller::Visitor;
use crate::http::headers::CSP_PAGE;
use crate::http::{Problem, Sort};
use crate::surface::Surface;
use parts::Page;
use settings::Settings;

const STYLE: &str = include_str!("../../templates/page.css");

/// The page.
pub(crate) async fn show(
    State(surface): State<Surface>,
    visitor: Visitor,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if !visitor.may_read() {
        return Ok(ask_for_token());
    }
    let settings = Settings::read(&uri, &headers)?;
    let page = Page::gather(&surface, settings, SystemClock.now()).await?;
    render(&page)
}

/// The style sheet of all pages.
pub(crate) async fn style() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/css; charset=utf-8"),
        (header::CACHE_CONTROL, "max-age=300"),
    ];
    (headers, STYLE).into_response()
}

/// Browsers ask for the password; the token is the password, the name does not matter.
fn ask_for_token() -> Response {
    let detail =
        "this page shows what customers say: from elsewhere it asks for a token, as the password of any user name";
    let mut response = Problem::new(Sort::Unauthenticated, detail).into_response();
    let challenge = HeaderValue::from_static("Basic realm=\"mihwar\", charset=\"UTF-8\"");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    response
}

fn render(template: &impl Template) -> Result<Response, Problem> {
    let html = template.render().map_err(Problem::internal)?;
    let headers = [
        (header::CONTENT_SECURITY_POLICY, CSP_PAGE),
        (header::VARY, "accept-language"),
    ];
    Ok((StatusCode::OK, headers, Html(html)).into_response())
}

#[cfg(test)]
mod tests;
