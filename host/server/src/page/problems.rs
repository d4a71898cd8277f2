//! The pages that explain problems: where the `type` of a refusal leads.

use askama::Template;
use axum::extract::Path;
use axum::response::Response;

use super::render;
use crate::http::{Problem, Sort};

#[derive(Template)]
#[template(path = "problems.html")]
struct Problems {
    sorts: Vec<Explained>,
}

struct Explained {
    slug: &'static str,
    status: u16,
    title: &'static str,
    explanation: &'static str,
}

impl From<Sort> for Explained {
    fn from(sort: Sort) -> Self {
        Self {
            slug: sort.slug(),
            status: sort.status().as_u16(),
            title: sort.title(),
            explanation: sort.explanation(),
        }
    }
}

/// All of them.
pub(crate) async fn list() -> Result<Response, Problem> {
    render(&Problems {
        sorts: Sort::ALL.iter().copied().map(Explained::from).collect(),
    })
}

/// One of them.
pub(crate) async fn show(Path(slug): Path<String>) -> Result<Response, Problem> {
    let sort = Sort::from_slug(&slug).ok_or_else(|| Problem::not_found("such problem"))?;
    render(&Problems {
        sorts: vec![sort.into()],
    })
}
