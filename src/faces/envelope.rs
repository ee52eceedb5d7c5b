//! The body of a refusal that no handler made: which one depends on who owns the address.
//!
//! Knows first path segments and the error bodies of all faces. Does not know routes: that an
//! address is unknown was found by the router.
//!
//! Invariants
//! V1. An address that several faces share, or none owns, is answered by one body that the clients
//!     of all of them can read.

use http::StatusCode;
use http::header::RETRY_AFTER;
use serde_json::{Value, json};

use crate::net::{Envelope, Refusal, Reply};
use crate::util::json::push_string;

/// Whose body an address gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Stack,
    Live,
    Tables,
    Objects,
    Studio,
    /// Several under `/api`: all keys, live's codes.
    Shared,
    /// Everything else: all keys, the stack's code in `error.code`.
    Nobody,
}

const STACK_SEGMENTS: [&str; 5] = ["records", "types", "attachments", "entity", "tokens"];
const OBJECTS_SEGMENTS: [&str; 4] = ["v1", "events", "webhooks", "ready"];
/// Below `/api`, the second segments that one face owns alone.
const LIVE_SEGMENTS: [&str; 6] = ["data", "fn", "mutate", "query", "storage", "subscribe"];
const TABLES_SEGMENTS: [&str; 3] = ["analytics", "scalar", "tables"];
/// Words in one text: as a list, one a line, they would bury the rest of this file.
const STUDIO_SEGMENTS: &str = "api-keys archive assembly asset-queue assets beta billing \
    check-entity-id cloud-sync conflicts context-profiles database desktop drive enhance \
    entity features files generate graph groups image import items layouts logs markdown \
    marketplace migration permission-templates plugins presets prompt-templates quota-groups \
    recent recycle-bin register relationships rename-entity rules schemas search services \
    settings share shares stats sync teams templates tenants timeline upload users validation \
    ws";

fn owner(path: &str) -> Owner {
    let mut segments = path.trim_start_matches('/').split('/');
    let first = segments.next().unwrap_or("");
    let second = segments.next().unwrap_or("");
    match (first, second) {
        ("auth", _) | (".well-known", "stack") => Owner::Stack,
        ("ws", _) | ("v1", "apps") => Owner::Live,
        ("mcp", _) => Owner::Tables,
        ("api", second) if LIVE_SEGMENTS.contains(&second) => Owner::Live,
        ("api", second) if TABLES_SEGMENTS.contains(&second) => Owner::Tables,
        ("api", second) if STUDIO_SEGMENTS.split(' ').any(|one| one == second) => Owner::Studio,
        ("api", _) => Owner::Shared,
        (first, _) if STACK_SEGMENTS.contains(&first) => Owner::Stack,
        (first, _) if OBJECTS_SEGMENTS.contains(&first) => Owner::Objects,
        _ => Owner::Nobody,
    }
}

/// A refusal in the words of each face.
struct Words {
    status: StatusCode,
    stack: &'static str,
    live: &'static str,
    tables: &'static str,
    objects: &'static str,
    studio: &'static str,
    message: String,
    retry_after_s: Option<u64>,
}

fn words(refusal: &Refusal) -> Words {
    let of = |status, [stack, live, tables, objects, studio]: [&'static str; 5], message: &str| {
        let message = message.to_owned();
        Words { status, stack, live, tables, objects, studio, message, retry_after_s: None }
    };
    match refusal {
        Refusal::Unknown => of(
            StatusCode::NOT_FOUND,
            ["not_found", "NOT_FOUND", "NOT_FOUND", "NOT_FOUND", "route_not_found"],
            "no such address",
        ),
        Refusal::WrongMethod => of(
            StatusCode::METHOD_NOT_ALLOWED,
            [
                "bad_request",
                "INVALID_ARGUMENT",
                "VALIDATION_ERROR",
                "METHOD_NOT_ALLOWED",
                "method_not_allowed",
            ],
            "this address has no such method",
        ),
        Refusal::Malformed(sentence) => of(
            StatusCode::BAD_REQUEST,
            [
                "bad_request",
                "INVALID_ARGUMENT",
                "VALIDATION_ERROR",
                "VALIDATION_ERROR",
                "bad_request",
            ],
            sentence,
        ),
        Refusal::Origin => of(
            StatusCode::FORBIDDEN,
            ["permission", "PERMISSION_DENIED", "FORBIDDEN", "FORBIDDEN", "forbidden"],
            "pages of this origin may not do that",
        ),
        Refusal::RateLimited(seconds) => Words {
            retry_after_s: Some(*seconds),
            ..of(
                StatusCode::TOO_MANY_REQUESTS,
                ["rate_limited", "RATE_LIMITED", "RATE_LIMITED", "RATE_LIMITED", "rate_limited"],
                "too many requests",
            )
        },
        Refusal::Panicked => of(
            StatusCode::INTERNAL_SERVER_ERROR,
            ["internal", "INTERNAL", "INTERNAL_ERROR", "INTERNAL_ERROR", "internal"],
            "something went wrong here",
        ),
    }
}

/// The error bodies of all faces, chosen by address.
#[derive(Clone, Copy, Debug, Default)]
pub struct Envelopes;

impl Envelope for Envelopes {
    fn refuse(&self, path: &str, refusal: &Refusal, request_id: &str) -> Reply {
        let owner = owner(path);
        let words = words(refusal);
        let reply = Reply::json(words.status, body(owner, &words, request_id));
        match words.retry_after_s {
            Some(seconds) => reply.with(RETRY_AFTER, &seconds.to_string()),
            None => reply,
        }
    }
}

/// The body of a face's refusals, as JSON Schema.
#[must_use]
pub fn error_schema(face: &str) -> Value {
    let text = json!({ "type": "string" });
    let details = json!({ "type": "array", "items": { "type": "object" } });
    let object = |required: &[&str], properties: Value| json!({ "type": "object", "required": required, "properties": properties });
    let coded = |more: Value| {
        let mut properties = json!({ "code": text, "message": text });
        if let (Value::Object(all), Value::Object(more)) = (&mut properties, more) {
            all.extend(more);
        }
        object(&["code", "message"], properties)
    };
    let number = json!({ "type": "integer" });
    match face {
        "stack" => object(&["error"], json!({ "error": coded(json!({ "details": details })) })),
        "live" => {
            let field = object(&["field", "message"], json!({ "field": text, "message": text }));
            let error = coded(json!({ "status": number, "retryAfter": number,
                "details": { "type": "array", "items": field } }));
            object(&["error", "message"], json!({ "error": error, "message": text }))
        }
        "tables" => object(
            &["success", "message", "code"],
            json!({ "success": { "const": false }, "message": text, "code": text, "errors": details }),
        ),
        "objects" => object(
            &["success", "error", "request_id"],
            json!({ "success": { "const": false }, "error": coded(json!({ "retry_after": number })),
                "request_id": text }),
        ),
        "studio" => {
            object(&["detail"], json!({ "detail": text, "code": text, "request_id": text }))
        }
        _ => object(
            &["success", "message", "code", "error"],
            json!({ "success": { "const": false }, "message": text, "code": text,
                "error": coded(json!({ "status": number })), "detail": text, "request_id": text }),
        ),
    }
}

/// A refusal at an address that several faces share outside `/api`.
pub(super) fn shared(
    status: StatusCode,
    (stack_code, code): (&str, &str),
    message: &str,
    request_id: &str,
) -> Reply {
    Reply::json(status, union_body(status, stack_code, code, message, None, request_id))
}

fn body(owner: Owner, words: &Words, request_id: &str) -> String {
    let mut out = String::with_capacity(256);
    let message = &words.message;
    match owner {
        Owner::Stack => {
            out.push_str("{\"error\":{\"code\":");
            push_string(&mut out, words.stack);
            push_member(&mut out, "message", message);
            out.push_str("}}");
        }
        Owner::Live => {
            out.push_str("{\"error\":{\"code\":");
            push_string(&mut out, words.live);
            push_member(&mut out, "message", message);
            push_number(&mut out, "status", words.status.as_u16().into());
            if let Some(seconds) = words.retry_after_s {
                push_number(&mut out, "retryAfter", seconds);
            }
            out.push('}');
            push_member(&mut out, "message", message);
            out.push('}');
        }
        Owner::Tables => {
            out.push_str("{\"success\":false");
            push_member(&mut out, "message", message);
            push_member(&mut out, "code", words.tables);
            if words.tables == "VALIDATION_ERROR" {
                out.push_str(",\"errors\":[{\"field\":\"request\"");
                push_member(&mut out, "message", message);
                out.push_str("}]");
            }
            out.push('}');
        }
        Owner::Objects => {
            out.push_str("{\"success\":false,\"error\":{\"code\":");
            push_string(&mut out, words.objects);
            push_member(&mut out, "message", message);
            if let Some(seconds) = words.retry_after_s {
                push_number(&mut out, "retry_after", seconds);
            }
            out.push('}');
            push_member(&mut out, "request_id", request_id);
            out.push('}');
        }
        Owner::Studio => {
            out.push_str("{\"detail\":");
            push_string(&mut out, message);
            push_member(&mut out, "code", words.studio);
            push_member(&mut out, "request_id", request_id);
            out.push('}');
        }
        Owner::Shared | Owner::Nobody => {
            let inner = if owner == Owner::Shared { words.live } else { words.stack };
            let seconds = words.retry_after_s;
            return union_body(words.status, inner, words.live, message, seconds, request_id);
        }
    }
    out
}

/// `code` stands at the top, `inner_code` in `error`.
fn union_body(
    status: StatusCode,
    inner_code: &str,
    code: &str,
    message: &str,
    retry_after_s: Option<u64>,
    request_id: &str,
) -> String {
    let mut out = String::from("{\"success\":false");
    push_member(&mut out, "message", message);
    push_member(&mut out, "code", code);
    out.push_str(",\"error\":{\"code\":");
    push_string(&mut out, inner_code);
    push_member(&mut out, "message", message);
    push_number(&mut out, "status", status.as_u16().into());
    if let Some(seconds) = retry_after_s {
        push_number(&mut out, "retryAfter", seconds);
        push_number(&mut out, "retry_after", seconds);
    }
    out.push('}');
    push_member(&mut out, "detail", message);
    push_member(&mut out, "request_id", request_id);
    out.push('}');
    out
}

fn push_member(out: &mut String, name: &str, text: &str) {
    out.push_str(",\"");
    out.push_str(name);
    out.push_str("\":");
    push_string(out, text);
}

fn push_number(out: &mut String, name: &str, number: u64) {
    out.push_str(",\"");
    out.push_str(name);
    out.push_str("\":");
    out.push_str(&number.to_string());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Content;
    use crate::util::json::parse_object;

    fn refuse(path: &str, refusal: &Refusal) -> (u16, serde_json::Value) {
        let reply = Envelopes.refuse(path, refusal, "r-1");
        let Content::Bytes(bytes) = reply.content else { panic!("no body") };
        (reply.status.as_u16(), parse_object(&bytes).unwrap().into())
    }

    #[test]
    fn the_owner_of_an_address_shapes_its_refusal() {
        let cases = [
            ("/records/a/b/c", Owner::Stack),
            ("/auth/nothing", Owner::Stack),
            ("/.well-known/stack/x", Owner::Stack),
            ("/.well-known/other", Owner::Nobody),
            ("/api/data/x", Owner::Live),
            ("/v1/apps/a/b", Owner::Live),
            ("/v1/nothing", Owner::Objects),
            ("/api/tables/x", Owner::Tables),
            ("/api/entity/x", Owner::Studio),
            ("/api/ws", Owner::Studio),
            ("/api/auth/x", Owner::Shared),
            ("/api/nothing", Owner::Shared),
            ("/api", Owner::Shared),
            ("/recordsx", Owner::Nobody),
            ("/_/nothing", Owner::Nobody),
            ("/", Owner::Nobody),
            ("", Owner::Nobody),
        ];
        for (path, expected) in cases {
            assert_eq!(owner(path), expected, "{path}");
        }
    }

    #[test]
    fn bodies_are_those_of_the_faces() {
        use serde_json::json;
        let message = "no such address";
        let of = |path| refuse(path, &Refusal::Unknown);
        let stack = json!({ "error": { "code": "not_found", "message": message } });
        assert_eq!(of("/records/x/y"), (404, stack));
        let (status, body) = refuse("/records", &Refusal::WrongMethod);
        assert_eq!((status, &body["error"]["code"]), (405, &json!("bad_request")));
        assert_eq!(
            of("/api/nothing").1,
            json!({
                "success": false, "message": message, "code": "NOT_FOUND",
                "error": { "code": "NOT_FOUND", "message": message, "status": 404 },
                "detail": message, "request_id": "r-1"
            })
        );
        assert_eq!(of("/nothing").1["error"]["code"], "not_found");
        assert_eq!(of("/nothing").1["code"], "NOT_FOUND");
        assert_eq!(
            of("/v1/x").1,
            json!({
                "success": false, "error": { "code": "NOT_FOUND", "message": message },
                "request_id": "r-1"
            })
        );
        assert_eq!(
            of("/api/entity/a/b/c/d").1,
            json!({ "detail": message, "code": "route_not_found", "request_id": "r-1" })
        );
        assert_eq!(
            of("/api/data").1,
            json!({
                "error": { "code": "NOT_FOUND", "message": message, "status": 404 },
                "message": message
            })
        );
        let (status, body) = refuse("/api/tables", &Refusal::WrongMethod);
        assert_eq!((status, &body["errors"][0]["field"]), (405, &json!("request")));
        let (status, body) = refuse("/api/data", &Refusal::RateLimited(7));
        assert_eq!((status, &body["error"]["retryAfter"]), (429, &json!(7)));
    }
}
