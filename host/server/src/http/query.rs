//! Queries, read as strictly as bodies.

use axum::extract::Query;
use http::Uri;
use mihwar_model::FieldProblem;
use serde_json::{Map, Value};

use super::{Problem, Sort};
use crate::json::{Faults, Fields};

/// Most records on one page.
pub(crate) const PAGE_MAX: u16 = 200;
/// Records on a page of which the caller does not say how long it should be.
const PAGE_USUAL: u16 = 50;

/// Which page of a list is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PageWanted {
    /// Where the page before ended.
    pub(crate) cursor: Option<String>,
    /// 1 to [`PAGE_MAX`].
    pub(crate) limit: u16,
}

impl PageWanted {
    /// Reads `cursor` and `limit`.
    pub(crate) fn read(fields: &mut Fields<'_>) -> Self {
        let cursor = fields.text("cursor");
        let limit = match fields.text("limit").map(|text| text.parse()) {
            None => PAGE_USUAL,
            Some(Ok(limit @ 1..=PAGE_MAX)) => limit,
            Some(_) => {
                fields.fault("limit", format!("should be a number from 1 to {PAGE_MAX}"));
                PAGE_USUAL
            }
        };
        Self { cursor, limit }
    }
}

/// Reads the query of an address. Unknown keys and keys that stand twice are refused.
///
/// # Errors
/// Everything that is wrong with it.
pub(crate) fn read_query<T>(uri: &Uri, read: impl FnOnce(&mut Fields<'_>) -> T) -> Result<T, Problem> {
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
        .map_err(|error| Problem::new(Sort::InvalidQuery, error.body_text()))?;
    let mut faults = Faults::default();
    let mut object = Map::new();
    for (key, value) in pairs {
        if object.contains_key(&key) {
            faults.note(|| FieldProblem::new(key, "stands twice"));
        } else {
            object.insert(key, Value::String(value));
        }
    }
    let mut fields = Fields::of(Value::Object(object), String::new(), &mut faults);
    let result = read(&mut fields);
    fields.finish();
    if faults.is_empty() {
        Ok(result)
    } else {
        Err(Problem::query(faults))
    }
}

#[cfg(test)]
mod tests {
    use super::{PageWanted, read_query};
    use crate::json::Fields;

    fn page(query: &str) -> Result<PageWanted, Vec<String>> {
        let uri = format!("/x?{query}").parse().unwrap();
        let read = |fields: &mut Fields<'_>| PageWanted::read(fields);
        read_query(&uri, read).map_err(|p| p.into_view().errors.into_iter().map(|e| e.field).collect())
    }

    #[test]
    fn pages_have_bounds_and_unknown_keys_are_refused() {
        assert_eq!(
            page("limit=7&cursor=a%20b"),
            Ok(PageWanted {
                cursor: Some("a b".into()),
                limit: 7
            })
        );
        assert_eq!(page("limit=201"), Err(vec!["limit".into()]));
        assert_eq!(
            page("limit=0&limt=5&%D9%86=1"),
            Err(vec!["limit".into(), "limt".into(), "ن".into()])
        );
        assert_eq!(page("cursor=a&cursor=b"), Err(vec!["cursor".into()]));
    }
}
