//! What the benchmark must know about a server, as data: which request creates, reads, lists.
//!
//! An adapter is a JSON file (`adapters/` holds those of Cairn and of the anchors; the fields are
//! described in `docs/benchmark.md`). A workload asks for a request by name; a target without that
//! request is left out of the workload.
//!
//! Knows templates and JSON pointers. Does not know sockets or workloads.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value;

use crate::http;

pub const CAIRN: &str = include_str!("adapters/cairn.json");
pub const REFERENCE: &str = include_str!("adapters/reference.json");
pub const HYPER: &str = include_str!("adapters/hyper.json");

/// Placeholders that stand for JSON, not for text: `"{doc}"` loses its quotes.
const RAW: &[&str] = &["doc", "score"];

pub type Variables = BTreeMap<String, String>;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adapter {
    /// For people.
    #[serde(default)]
    #[expect(dead_code, reason = "a comment inside the data")]
    pub about: String,
    /// Sent with every request unless the request says otherwise.
    #[serde(default)]
    pub headers: BTreeMap<String, Option<String>>,
    /// Values for placeholders, known beforehand.
    #[serde(default)]
    pub variables: Variables,
    /// Sent once, in order, before the first workload; each must answer 2xx.
    #[serde(default)]
    pub setup: Vec<Request>,
    pub requests: BTreeMap<String, Request>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    #[serde(default = "get")]
    pub method: String,
    pub path: String,
    /// Beside the adapter's; `null` leaves one of those out.
    #[serde(default)]
    pub headers: BTreeMap<String, Option<String>>,
    #[serde(default)]
    pub body: Option<Value>,
    /// JSON pointer to the id of what was made.
    #[serde(default)]
    pub id: Option<String>,
    /// JSON pointer to the array a list answers with.
    #[serde(default)]
    pub rows: Option<String>,
    /// JSON pointer to what the next page asks with.
    #[serde(default)]
    pub cursor: Option<String>,
    /// Set-up only: variable name to JSON pointer in the answer.
    #[serde(default)]
    pub capture: BTreeMap<String, String>,
}

fn get() -> String {
    "GET".to_owned()
}

impl Adapter {
    pub fn parse(text: &str) -> Result<Self> {
        let adapter: Self = serde_json::from_str(text).context("adapter")?;
        ensure!(!adapter.requests.is_empty(), "an adapter without requests");
        Ok(adapter)
    }

    pub fn load(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    /// Prepares a request: what is known now is filled in, the rest waits for [`Template::render`].
    pub fn template(&self, request: &Request, host: &str, known: &Variables) -> Template {
        let mut merged = self.headers.clone();
        merged.extend(request.headers.clone());
        let headers = merged
            .into_iter()
            .filter_map(|(name, value)| Some((name, fill(&value?, known))))
            .collect();
        let body = request.body.as_ref().map(|body| {
            let mut text = body.to_string();
            for name in RAW {
                text = text.replace(&format!("\"{{{name}}}\""), &format!("{{{name}}}"));
            }
            fill(&text, known)
        });
        Template {
            method: request.method.clone(),
            path: fill(&request.path, known),
            host: host.to_owned(),
            headers,
            body,
        }
    }
}

/// A request with placeholders left.
#[derive(Clone, Debug)]
pub struct Template {
    method: String,
    path: String,
    host: String,
    headers: Vec<(String, String)>,
    body: Option<String>,
}

impl Template {
    /// The bytes on the wire. Values are inserted as they are.
    pub fn render(&self, values: &[(&str, &str)]) -> Vec<u8> {
        let place = |text: &str| {
            values.iter().fold(text.to_owned(), |text, (name, value)| {
                text.replace(&format!("{{{name}}}"), value)
            })
        };
        let body = self.body.as_deref().map(place);
        let body = body.as_deref().map(str::as_bytes);
        http::request(&self.method, &place(&self.path), &self.host, &self.headers, body)
    }

    /// The head alone, for a body of `bytes` that is streamed after it.
    pub fn render_head(&self, bytes: u64) -> Vec<u8> {
        let mut headers = self.headers.clone();
        headers.push(("content-length".to_owned(), bytes.to_string()));
        http::request(&self.method, &self.path, &self.host, &headers, None)
    }
}

/// Replaces `{name}` for every variable; braces around anything else stay, so JSON needs no escape.
fn fill(text: &str, variables: &Variables) -> String {
    variables
        .iter()
        .fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
}

/// The text at a JSON pointer; a number or a boolean is printed.
pub fn text_at(value: &Value, pointer: &str) -> Result<String> {
    match value.pointer(pointer) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Null) | None => anyhow::bail!("no value at {pointer}"),
        Some(other) => Ok(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_adapters_are_read() {
        for text in [CAIRN, REFERENCE, HYPER] {
            let adapter = Adapter::parse(text).expect("good");
            assert!(adapter.requests.contains_key("hello"));
        }
    }

    #[test]
    fn templates_are_filled() {
        let adapter = Adapter::parse(
            r#"{"headers":{"authorization":"Bearer {owner}","x":"y"},"requests":{"create":{"method":"POST",
            "path":"/r/{id}","headers":{"x":null},"body":{"content":"{doc}","author":"{author}"}}}}"#,
        )
        .expect("good");
        let known = Variables::from([("owner".to_owned(), "secret".to_owned())]);
        let template = adapter.template(&adapter.requests["create"], "h", &known);
        let bytes = template.render(&[("id", "7"), ("doc", r#"{"a":{}}"#), ("author", "u1")]);
        assert_eq!(
            String::from_utf8_lossy(&bytes),
            "POST /r/7 HTTP/1.1\r\nhost: h\r\nauthorization: Bearer secret\r\ncontent-length: 37\r\n\r\n\
             {\"content\":{\"a\":{}},\"author\":\"u1\"}"
                .replace("37", "34")
        );
    }
}
