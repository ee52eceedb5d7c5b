//! One address of a face: the table entry that feeds router, documents, metrics and tests.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::Method;
use serde_json::Value;

use super::{Call, Reply};

pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
/// What answers a call. It never fails: errors are replies in the envelope of the face.
pub type Handler = Arc<dyn Fn(Call) -> BoxFuture<Reply> + Send + Sync>;

/// Who may call, as the documents say it. The decision itself is made by auth and engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    None,
    Optional,
    Required,
    Owner,
    Admin,
}

/// A query or header parameter, for the documents.
#[derive(Clone, Debug)]
pub struct Param {
    pub name: &'static str,
    /// `query` or `header`; path parameters come from the address.
    pub place: &'static str,
    pub required: bool,
    /// JSON Schema.
    pub schema: Value,
    pub summary: &'static str,
}

/// What the documents say about a route. Schemas are JSON Schema; examples are whole bodies.
#[derive(Clone, Debug, Default)]
pub struct Doc {
    pub summary: &'static str,
    /// No document lists it.
    pub unlisted: bool,
    pub params: Vec<Param>,
    /// Media type and schema of the request body.
    pub body: Option<(&'static str, Value)>,
    pub body_example: Option<Value>,
    /// Status, media type (empty: no body) and schema of each success.
    pub replies: Vec<(u16, &'static str, Value)>,
    pub reply_example: Option<Value>,
    /// Statuses of documented refusals.
    pub fails: Vec<u16>,
}

/// Which request-rate buckets a call counts in, besides the user's own (faces take from that one).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateClass {
    /// One bucket per address of clients without a credential.
    Standard,
    /// That, and the tight one for sign-in addresses (SECURITY S33).
    SignIn,
    Unlimited,
}

/// A method and an address.
#[derive(Clone)]
pub struct Route {
    /// Face that owns it: `stack`, `live`, …, or `cairn` for `/_/`.
    pub face: &'static str,
    pub method: Method,
    /// `/records/{id}`; `{path*}` spans segments and comes last.
    pub address: &'static str,
    /// `records.create`: operation id, metrics label.
    pub name: &'static str,
    pub guard: Guard,
    pub rate: RateClass,
    /// Whether a slash at the end of the address is ignored.
    pub slash: bool,
    pub doc: Arc<Doc>,
    pub run: Handler,
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.address)
    }
}

impl Route {
    /// An entry; `run` is an async function of the call.
    pub fn new<F, R>(
        face: &'static str,
        method: Method,
        address: &'static str,
        name: &'static str,
        guard: Guard,
        run: F,
    ) -> Self
    where
        F: Fn(Call) -> R + Send + Sync + 'static,
        R: Future<Output = Reply> + Send + 'static,
    {
        let run: Handler = Arc::new(move |call| Box::pin(run(call)));
        Self {
            face,
            method,
            address,
            name,
            guard,
            rate: if names_no_limit(face) { RateClass::Unlimited } else { RateClass::Standard },
            slash: matches!(face, "tables" | "objects" | "studio"),
            doc: Arc::default(),
            run,
        }
    }

    #[must_use]
    pub fn rate(mut self, class: RateClass) -> Self {
        self.rate = class;
        self
    }

    #[must_use]
    pub fn summary(mut self, text: &'static str) -> Self {
        self.doc_mut().summary = text;
        self
    }

    /// Keeps it out of the documents.
    #[must_use]
    pub fn unlisted(mut self) -> Self {
        self.doc_mut().unlisted = true;
        self
    }

    #[must_use]
    pub fn query(mut self, name: &'static str, schema: Value, summary: &'static str) -> Self {
        self.doc_mut().params.push(Param {
            name,
            place: "query",
            required: false,
            schema,
            summary,
        });
        self
    }

    #[must_use]
    pub fn header(mut self, name: &'static str, summary: &'static str) -> Self {
        let schema = serde_json::json!({ "type": "string" });
        self.doc_mut().params.push(Param {
            name,
            place: "header",
            required: false,
            schema,
            summary,
        });
        self
    }

    /// A JSON request body.
    #[must_use]
    pub fn body(mut self, schema: Value) -> Self {
        self.doc_mut().body = Some(("application/json", schema));
        self
    }

    /// A request body of another media type that has parts, such as a form.
    #[must_use]
    pub fn media_body(mut self, media_type: &'static str, schema: Value) -> Self {
        self.doc_mut().body = Some((media_type, schema));
        self
    }

    /// A request body of another media type.
    #[must_use]
    pub fn raw_body(mut self, media_type: &'static str) -> Self {
        self.doc_mut().body =
            Some((media_type, serde_json::json!({ "type": "string", "format": "binary" })));
        self
    }

    /// A JSON success.
    #[must_use]
    pub fn reply(mut self, status: u16, schema: Value) -> Self {
        self.doc_mut().replies.push((status, "application/json", schema));
        self
    }

    /// A success without a body.
    #[must_use]
    pub fn empty_reply(mut self, status: u16) -> Self {
        self.doc_mut().replies.push((status, "", Value::Null));
        self
    }

    /// A success of another media type.
    #[must_use]
    pub fn raw_reply(mut self, status: u16, media_type: &'static str) -> Self {
        self.doc_mut().replies.push((status, media_type, serde_json::json!({ "type": "string" })));
        self
    }

    #[must_use]
    pub fn example(mut self, request: Option<Value>, reply: Option<Value>) -> Self {
        self.doc_mut().body_example = request;
        self.doc_mut().reply_example = reply;
        self
    }

    #[must_use]
    pub fn fails(mut self, statuses: &[u16]) -> Self {
        self.doc_mut().fails.extend_from_slice(statuses);
        self
    }
}

/// What a route says of itself, without what it does.
#[derive(Clone, Debug)]
pub struct Described {
    pub face: &'static str,
    pub method: Method,
    pub address: &'static str,
    pub name: &'static str,
    pub guard: Guard,
    pub doc: Arc<Doc>,
}

impl Route {
    pub fn described(&self) -> Described {
        Described {
            face: self.face,
            method: self.method.clone(),
            address: self.address,
            name: self.name,
            guard: self.guard,
            doc: Arc::clone(&self.doc),
        }
    }

    /// Routes are described before they are shared, so nothing is copied.
    fn doc_mut(&mut self) -> &mut Doc {
        Arc::make_mut(&mut self.doc)
    }
}

/// Faces whose protocol names no request limit; sign-in addresses are limited there too.
pub(super) fn names_no_limit(face: &str) -> bool {
    matches!(face, "stack" | "cairn")
}

/// Why the door refused a call before any handler saw it, or on behalf of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 404; `face` is the face that owns the first segment alone, if one does.
    Unknown,
    /// 405; the methods that would do are in `Allow`, set by the router.
    WrongMethod,
    /// 400 with a sentence.
    Malformed(String),
    /// 403: origin (SECURITY S11).
    Origin,
    /// 429 with seconds to wait.
    RateLimited(u64),
    /// 500: a handler panicked; the report id is in the log.
    Panicked,
}

/// The error bodies of the faces, for refusals made in `net`. Implemented in `faces`, wired in `app`.
pub trait Envelope: Send + Sync {
    /// `path` is as sent; the reply has status and body, `net` adds the common headers.
    fn refuse(&self, path: &str, refusal: &Refusal, request_id: &str) -> Reply;
}
