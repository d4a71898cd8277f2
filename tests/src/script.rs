//! The other system of the scripted channel: it gives out the pages that a test has written, in order.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use serde_json::{Value, json};

#[derive(Default)]
struct Book {
    pages: Vec<Value>,
    asked: Vec<usize>,
    down: bool,
}

/// A running script.
#[derive(Clone)]
pub struct Script {
    book: Arc<Mutex<Book>>,
    /// Where it listens.
    pub address: SocketAddr,
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Script")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

#[derive(serde::Deserialize)]
struct After {
    after: String,
}

impl Script {
    /// Starts one without pages.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start() -> std::io::Result<Self> {
        let book = Arc::<Mutex<Book>>::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let routes = Router::new().route("/pages", get(page)).with_state(Arc::clone(&book));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Ok(Self { book, address })
    }

    /// Writes the next page: what happened at the source since the last one.
    pub fn add(&self, changes: &Value) {
        self.lock().pages.push(changes.clone());
    }

    /// From now on it answers 503, or works again.
    pub fn set_down(&self, down: bool) {
        self.lock().down = down;
    }

    /// How often each page was asked for.
    #[must_use]
    pub fn asked(&self, page: usize) -> usize {
        self.lock().asked.iter().filter(|asked| **asked == page).count()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn page(
    State(book): State<Arc<Mutex<Book>>>,
    Query(After { after }): Query<After>,
) -> Result<axum::Json<Value>, StatusCode> {
    let mut book = book.lock().unwrap_or_else(PoisonError::into_inner);
    if book.down {
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    }
    let number = if after.is_empty() {
        0
    } else {
        after.parse::<usize>().map_err(|_| StatusCode::BAD_REQUEST)?
    };
    book.asked.push(number);
    Ok(axum::Json(match book.pages.get(number) {
        Some(changes) => {
            let next = number + 1;
            json!({ "changes": changes, "cursor": next.to_string(), "more": next < book.pages.len() })
        }
        None => json!({ "changes": [], "cursor": number.to_string(), "more": false }),
    }))
}
