//! Mixed load on a hub that may die at any moment, and a book of what was answered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use mihwar_tests::Site;
use serde_json::{Value, json};

use crate::support::{client, marked, unix_seconds};

/// Records in one stream.
const STREAM_LINES: usize = 10;

/// How something is handed in.
#[derive(Debug, Clone)]
enum Way {
    /// One record with an external id.
    Single,
    /// One record without one, twice at once under one idempotency key.
    Twice { key: String },
    /// A stream of records.
    Stream,
    /// A signed post to the form.
    Form { signed_at: i64 },
}

/// Something to hand in. Handed in again, it is the same bytes under the same names.
#[derive(Debug, Clone)]
pub(crate) struct Sending {
    way: Way,
    /// The marks of its records, in order.
    marks: Vec<String>,
    body: Vec<u8>,
}

/// What was sent and what was answered.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pub(crate) sent: BTreeSet<String>,
    /// Marks that the hub answered as kept, with the id it gave where it gave one.
    pub(crate) kept: BTreeMap<String, Option<String>>,
    /// Sendings of which not all was answered: a client would send them again.
    pub(crate) again: Vec<Sending>,
    /// Answers that no client should get.
    pub(crate) strange: Vec<String>,
}

/// The clients of one site.
#[derive(Debug)]
pub(crate) struct Load {
    http: reqwest::Client,
    address: String,
    token: String,
    book: Mutex<Book>,
    numbers: AtomicU64,
}

impl Load {
    pub(crate) fn new(site: &Site, token: String) -> Self {
        Self {
            http: client(),
            address: format!("http://{}", site.listen),
            token,
            book: Mutex::default(),
            numbers: AtomicU64::new(0),
        }
    }

    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap()
    }

    /// All clients at once, until the hub is gone and `over` says so.
    pub(crate) async fn press(self: &Arc<Self>, over: &Arc<AtomicBool>) {
        let repeat = tokio::spawn(Arc::clone(self).repeat());
        let mut clients = Vec::new();
        for kind in 0..4_u8 {
            let (this, over) = (Arc::clone(self), Arc::clone(over));
            clients.push(tokio::spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    match kind {
                        3 => this.read().await,
                        kind => {
                            let sending = this.sending(kind);
                            this.send(sending).await;
                            // What comes in must be delivered in the end, one by one.
                            tokio::time::sleep(Duration::from_millis(15 * u64::from(kind))).await;
                        }
                    }
                }
            }));
        }
        repeat.await.unwrap();
        for client in clients {
            client.await.unwrap();
        }
    }

    /// Sends once more what was not answered.
    pub(crate) async fn repeat(self: Arc<Self>) {
        let again = std::mem::take(&mut self.book().again);
        for sending in again {
            self.send(sending).await;
        }
    }

    fn sending(&self, kind: u8) -> Sending {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let author = json!({ "identifiers": [{ "scheme": "email", "id": format!("u{}@example.com", number % 200) }] });
        let text = |mark: &str| match number % 5 {
            0 => format!("فاتورة خاطئة {}", marked(mark)),
            _ => marked(mark),
        };
        let mark = format!("{kind}-{number}");
        match kind {
            0 if number.is_multiple_of(3) => Sending {
                body: json!({ "author": author, "body": text(&mark) })
                    .to_string()
                    .into_bytes(),
                way: Way::Twice {
                    key: format!("key-{mark}"),
                },
                marks: vec![mark],
            },
            0 => Sending {
                body: json!({ "external_id": mark, "author": author, "body": text(&mark) })
                    .to_string()
                    .into_bytes(),
                way: Way::Single,
                marks: vec![mark],
            },
            1 => {
                let marks: Vec<String> = (0..STREAM_LINES).map(|line| format!("{mark}-{line}")).collect();
                let line = |mark: &String| {
                    // Every stream brings one file, so that kills fall between a file and its row, too.
                    let files = match mark.ends_with("-7") {
                        true => {
                            json!([{ "name": "صورة.txt", "media_type": "text/plain", "content_base64": "2LXZiNix2Kk=" }])
                        }
                        false => json!([]),
                    };
                    json!({ "external_id": mark, "author": author, "body": text(mark), "attachments": files })
                        .to_string()
                };
                let lines: Vec<String> = marks.iter().map(line).collect();
                Sending {
                    body: lines.join("\n").into_bytes(),
                    way: Way::Stream,
                    marks,
                }
            }
            _ => Sending {
                body: json!({ "name": "سالم", "message": text(&mark) })
                    .to_string()
                    .into_bytes(),
                way: Way::Form {
                    signed_at: unix_seconds(),
                },
                marks: vec![mark],
            },
        }
    }

    /// Hands something in and writes down what was answered.
    async fn send(&self, sending: Sending) {
        self.book().sent.extend(sending.marks.iter().cloned());
        let answered = match &sending.way {
            Way::Single => self.single(&sending, None).await.into_iter().collect(),
            Way::Twice { key } => {
                let (one, other) = tokio::join!(self.single(&sending, Some(key)), self.single(&sending, Some(key)));
                if let (Some((_, one)), Some((_, other))) = (&one, &other)
                    && one != other
                {
                    let told = format!("one key, two records: {one:?} and {other:?}");
                    self.book().strange.push(told);
                }
                one.or(other).into_iter().collect()
            }
            Way::Stream => self.stream(&sending).await,
            Way::Form { signed_at } => self.form(&sending, *signed_at).await,
        };
        let all = answered.len() == sending.marks.len();
        {
            let mut book = self.book();
            for (mark, id) in answered {
                let known = book.kept.insert(mark.clone(), id.clone());
                if let Some(Some(known)) = known
                    && id.as_ref() != Some(&known)
                {
                    book.strange.push(format!("{mark} was {known} and is {id:?}"));
                }
            }
            if !all {
                book.again.push(sending);
            }
        }
        if !all {
            // Nobody is there, or everybody at once.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn single(&self, sending: &Sending, key: Option<&String>) -> Option<(String, Option<String>)> {
        let mut request = self.post("/api/v1/feedback", "application/json", &sending.body);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let answer = request.send().await.ok()?;
        let status = answer.status().as_u16();
        let body: Value = serde_json::from_slice(&answer.bytes().await.ok()?).ok()?;
        match status {
            200 | 201 => {
                let id = body["id"].as_str().map(str::to_owned);
                if id.is_none() {
                    self.book().strange.push(format!("{status} without an id: {body}"));
                }
                Some((sending.marks[0].clone(), id))
            }
            _ => {
                self.note_refusal(status, &body);
                None
            }
        }
    }

    /// Each line is answered by itself; whatever was answered before the hub died counts.
    async fn stream(&self, sending: &Sending) -> Vec<(String, Option<String>)> {
        let mut kept = Vec::new();
        let request = self.post("/api/v1/feedback:batch", "application/x-ndjson", &sending.body);
        let Ok(mut answer) = request.send().await else {
            return kept;
        };
        let status = answer.status().as_u16();
        let mut bytes = Vec::new();
        while let Ok(Some(chunk)) = answer.chunk().await {
            bytes.extend_from_slice(&chunk);
        }
        if status != 200 {
            // Turned away as a whole: a problem, and no lines. One that a kill cut off says nothing.
            if let Ok(problem) = serde_json::from_slice::<Value>(&bytes) {
                self.note_refusal(status, &problem);
            }
            return kept;
        }
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        for line in bytes[..whole]
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            let result: Value = serde_json::from_slice(line).unwrap();
            let line = result["line"].as_u64().and_then(|line| usize::try_from(line).ok());
            match (line, result["result"].as_str()) {
                (Some(line), Some("new" | "duplicate")) => {
                    kept.push((
                        sending.marks[line - 1].clone(),
                        result["id"].as_str().map(str::to_owned),
                    ));
                }
                (None, None) if result["summary"].is_object() => {}
                _ => self.note_refusal(status, &result["problem"]),
            }
        }
        kept
    }

    async fn form(&self, sending: &Sending, signed_at: i64) -> Vec<(String, Option<String>)> {
        let mut request = self
            .http
            .post(format!("{}/hooks/form/submit", self.address))
            .header("content-type", "application/json");
        for (name, value) in Site::form_headers(&sending.body, signed_at) {
            request = request.header(name, value);
        }
        let Ok(answer) = request.body(sending.body.clone()).send().await else {
            return Vec::new();
        };
        let status = answer.status().as_u16();
        // A status alone is an answer: the request is on disk.
        if status == 202 {
            return vec![(sending.marks[0].clone(), None)];
        }
        let body = answer.bytes().await.unwrap_or_default();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        self.note_refusal(status, &body);
        Vec::new()
    }

    async fn read(&self) {
        for path in ["/api/v1/feedback?limit=20", "/api/v1/overview"] {
            let request = self
                .http
                .get(format!("{}{path}", self.address))
                .bearer_auth(&self.token);
            let Ok(answer) = request.send().await else {
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            };
            let status = answer.status().as_u16();
            let Ok(bytes) = answer.bytes().await else { continue };
            let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            if status != 200 {
                self.note_refusal(status, &body);
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    fn post(&self, path: &str, media_type: &str, body: &[u8]) -> reqwest::RequestBuilder {
        self.http
            .post(format!("{}{path}", self.address))
            .bearer_auth(&self.token)
            .header("content-type", media_type)
            .body(body.to_vec())
    }

    /// A busy hub says so, and means that nothing was kept; anything else is worth a look.
    fn note_refusal(&self, status: u16, problem: &Value) {
        if problem["type"].as_str() != Some("/problems/busy") {
            self.book().strange.push(format!("{status} {problem}"));
        }
    }
}
