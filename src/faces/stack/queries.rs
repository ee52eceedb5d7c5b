//! Queries by URL and by body, read strictly: what cannot be understood is refused, not skipped.
//!
//! Knows the names and forms of stack.md 9.1 and 9.2. Does not know cursors or full-text syntax,
//! which the engine reads.
//!
//! Invariants
//! Q1. A filter that is present and malformed never widens the result: it is a `bad_request`.
//! Q2. A page has at most [`PAGE_ROWS_MAX`] rows.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::StackFace;
use super::dto::{self, ok};
use super::errors::Failure;
use super::gate::Asked;
use super::records::as_of;
use crate::engine::{Direction, PAGE_ROWS_MAX, Query, SortKey, Span};
use crate::net::Reply;
use crate::util::time::parse_instant;

pub(super) async fn by_url(cx: Arc<StackFace>, asked: Asked) -> Result<Reply, Failure> {
    let query = from_url(&asked.call.query)?;
    Ok(ok(dto::page(&cx.engine.query(&asked.who, query).await?)))
}

pub(super) async fn by_body(cx: Arc<StackFace>, asked: Asked) -> Result<Reply, Failure> {
    let query = from_body(asked.object()?)?;
    Ok(ok(dto::page(&cx.engine.query(&asked.who, query).await?)))
}

fn from_url(url: &crate::net::Query) -> Result<Query, Failure> {
    let one = |name: &str| url.get(name).filter(|value| !value.is_empty());
    let all = |name: &str| -> Vec<String> {
        url.all(name).filter(|value| !value.is_empty()).map(str::to_owned).collect()
    };
    let bound = |name: &str| one(name).map(|text| instant(name, text)).transpose();
    let label = one("relatedToLabel").or_else(|| one("relatedLabel"));
    let mut query = Query {
        types: all("typeId"),
        // Empty is a container nobody has; only the word `null` means the root.
        parent: url.get("parentId").map(|id| (id != "null").then(|| id.to_owned())),
        apps: all("appId"),
        subjects: all("entityId"),
        principals: all("principalId"),
        tags: all("tag"),
        has_attachment: one("hasAttachment").map(str::to_owned),
        file: one("attachmentFileId").map(str::to_owned),
        related: one("relatedTo").map(|id| (id.to_owned(), label.map(str::to_owned))),
        created: Span { before: bound("createdBefore")?, after: bound("createdAfter")? },
        updated: Span { before: bound("updatedBefore")?, after: bound("updatedAfter")? },
        search: one("search").map(str::to_owned),
        include_deleted: one("includeDeleted") == Some("true"),
        cursor: one("cursor").map(str::to_owned),
        as_of: as_of(one("as_of"))?,
        ..Query::default()
    };
    if let Some(field) = one("sort") {
        query.sort = sort_key(field)?;
    }
    if let Some(text) = one("direction") {
        query.direction = direction(text)?;
    }
    if let Some(text) = one("limit") {
        query.limit = limit(text)?;
    }
    Ok(query)
}

fn from_body(mut body: Map<String, Value>) -> Result<Query, Failure> {
    let mut query = match body.remove("filter") {
        None | Some(Value::Null) => Query::default(),
        Some(Value::Object(filter)) => from_filter(filter)?,
        Some(_) => return Err(wrong("filter", "an object")),
    };
    match body.remove("sort") {
        None | Some(Value::Null) => {}
        Some(Value::Object(mut sort)) => {
            query.sort = sort_key(&needed(&mut sort, "field", "sort.field")?)?;
            if let Some(text) = text(&mut sort, "direction", "sort.direction")? {
                query.direction = direction(&text)?;
            }
        }
        Some(_) => return Err(wrong("sort", "an object")),
    }
    match body.remove("limit") {
        None | Some(Value::Null) => {}
        Some(Value::Number(number)) => query.limit = limit(whole(number.as_str()))?,
        Some(_) => return Err(wrong("limit", "a positive whole number")),
    }
    // `null` is what the envelope of the last page holds.
    match body.remove("cursor") {
        None | Some(Value::Null) => {}
        Some(Value::String(cursor)) => query.cursor = Some(cursor),
        Some(_) => return Err(wrong("cursor", "a text")),
    }
    query.as_of = match body.remove("as_of") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => as_of(Some(&text))?,
        Some(Value::Number(number)) => as_of(Some(number.as_str()))?,
        Some(_) => return Err(wrong("as_of", "a transaction number or an ISO time")),
    };
    Ok(query)
}

fn from_filter(mut filter: Map<String, Value>) -> Result<Query, Failure> {
    let f = &mut filter;
    Ok(Query {
        types: texts(f, "typeId")?,
        parent: match f.remove("parentId") {
            None => None,
            Some(Value::Null) => Some(None),
            Some(Value::String(id)) => Some(Some(id)),
            Some(_) => return Err(wrong("filter.parentId", "a text or null")),
        },
        apps: texts(f, "appId")?,
        subjects: texts(f, "entityId")?,
        principals: texts(f, "principalId")?,
        tags: match f.get("tags") {
            None | Some(Value::Array(_)) => texts(f, "tags")?,
            Some(_) => return Err(wrong("filter.tags", "a list of texts")),
        },
        has_attachment: text(f, "hasAttachment", "filter.hasAttachment")?,
        file: text(f, "attachmentFileId", "filter.attachmentFileId")?,
        related: match f.remove("relatedTo") {
            None => None,
            Some(Value::Object(mut to)) => Some((
                needed(&mut to, "recordId", "filter.relatedTo.recordId")?,
                text(&mut to, "label", "filter.relatedTo.label")?,
            )),
            Some(_) => return Err(wrong("filter.relatedTo", "an object")),
        },
        created: span(f, "createdAt")?,
        updated: span(f, "updatedAt")?,
        search: text(f, "search", "filter.search")?,
        content: match f.remove("content") {
            None => Vec::new(),
            Some(Value::Object(content)) => content.into_iter().collect(),
            Some(_) => return Err(wrong("filter.content", "an object")),
        },
        include_deleted: match f.remove("includeDeleted") {
            None => false,
            Some(Value::Bool(include)) => include,
            Some(_) => return Err(wrong("filter.includeDeleted", "true or false")),
        },
        ..Query::default()
    })
}

fn wrong(name: &str, expected: &str) -> Failure {
    Failure::bad_request(format!("{name} must be {expected}"))
}

fn text(of: &mut Map<String, Value>, key: &str, name: &str) -> Result<Option<String>, Failure> {
    match of.remove(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(wrong(name, "a text")),
    }
}

fn needed(of: &mut Map<String, Value>, key: &str, name: &str) -> Result<String, Failure> {
    text(of, key, name)?.ok_or_else(|| wrong(name, "a text"))
}

/// A text or a list of texts.
fn texts(of: &mut Map<String, Value>, key: &str) -> Result<Vec<String>, Failure> {
    let expected = || wrong(&format!("filter.{key}"), "a text or a list of texts");
    match of.remove(key) {
        None => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![text]),
        Some(Value::Array(list)) => list
            .into_iter()
            .map(|one| match one {
                Value::String(text) => Ok(text),
                _ => Err(expected()),
            })
            .collect(),
        Some(_) => Err(expected()),
    }
}

fn span(of: &mut Map<String, Value>, key: &str) -> Result<Span, Failure> {
    let name = format!("filter.{key}");
    let mut bounds = match of.remove(key) {
        None => return Ok(Span::default()),
        Some(Value::Object(bounds)) => bounds,
        Some(_) => return Err(wrong(&name, "an object")),
    };
    let mut bound = |end: &str| {
        text(&mut bounds, end, &format!("{name}.{end}"))?
            .map(|text| instant(&format!("{name}.{end}"), &text))
            .transpose()
    };
    Ok(Span { before: bound("before")?, after: bound("after")? })
}

fn instant(name: &str, text: &str) -> Result<i64, Failure> {
    parse_instant(text).ok_or_else(|| wrong(name, "an ISO date or date-time"))
}

fn sort_key(field: &str) -> Result<SortKey, Failure> {
    match field {
        "createdAt" => Ok(SortKey::Created),
        "updatedAt" => Ok(SortKey::Updated),
        "version" => Ok(SortKey::Version),
        _ => Err(wrong("sort", "createdAt, updatedAt or version")),
    }
}

fn direction(text: &str) -> Result<Direction, Failure> {
    match text {
        "asc" => Ok(Direction::Ascending),
        "desc" => Ok(Direction::Descending),
        _ => Err(wrong("direction", "asc or desc")),
    }
}

/// `10.0` is the whole number 10 in JSON, which some writers spell so.
fn whole(number: &str) -> &str {
    match number.split_once('.') {
        Some((whole, fraction)) if fraction.bytes().all(|byte| byte == b'0') => whole,
        _ => number,
    }
}

/// A positive whole number of any length, in digits.
fn limit(text: &str) -> Result<u32, Failure> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || text.bytes().all(|byte| byte == b'0') {
        return Err(wrong("limit", "a positive whole number"));
    }
    Ok(text.parse().unwrap_or(PAGE_ROWS_MAX).min(PAGE_ROWS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::util::json::parse_object;

    fn url(text: &str) -> Result<Query, Failure> {
        from_url(&crate::net::Query::parse(text))
    }

    fn body(text: &str) -> Result<Query, Failure> {
        from_body(parse_object(text.as_bytes()).unwrap())
    }

    #[test]
    fn url_reads_every_parameter() {
        let query =
            url("typeId=a%401&typeId=&typeId=b%402&parentId=null&appId=x&entityId=e&principalId=p\
             &tag=t&tag=u&hasAttachment=h&attachmentFileId=f&relatedTo=r&relatedLabel=l\
             &createdBefore=2024-01-01&updatedAfter=1970-01-01T00:00:01Z&search=two+words\
             &includeDeleted=true&sort=version&direction=asc&limit=5000&unknown=1")
            .unwrap();
        assert_eq!(query.types, ["a@1", "b@2"]);
        assert_eq!(query.parent, Some(None));
        assert_eq!(query.tags, ["t", "u"]);
        assert_eq!(query.related, Some(("r".into(), Some("l".into()))));
        assert_eq!(query.created.before, Some(1_704_067_200_000));
        assert_eq!(query.updated.after, Some(1_000));
        assert_eq!(query.search.as_deref(), Some("two words"));
        assert!(query.include_deleted);
        assert!(matches!(query.sort, SortKey::Version));
        assert!(matches!(query.direction, Direction::Ascending));
        assert_eq!(query.limit, PAGE_ROWS_MAX);
    }

    #[test]
    fn empty_parameters_are_absent_but_for_the_container() {
        let query = url("typeId=&tag=&search=&createdBefore=&limit=&sort=&direction=&cursor=\
                         &relatedTo=&relatedToLabel=x&includeDeleted=1&parentId=")
        .unwrap();
        assert!(query.types.is_empty() && query.tags.is_empty() && query.search.is_none());
        assert!(query.related.is_none() && query.cursor.is_none() && !query.include_deleted);
        assert_eq!(query.limit, 50);
        assert_eq!(query.parent, Some(Some(String::new())));
        assert_eq!(url("").unwrap().parent, None);
    }

    #[test]
    fn url_refuses_what_it_cannot_read() {
        for text in [
            "limit=abc",
            "limit=-5",
            "limit=2.7",
            "limit=0",
            "limit=00",
            "limit=1e2",
            "limit=%2B5",
            "createdBefore=yesterday",
            "updatedAfter=2024-02-30",
            "sort=title",
            "sort=createdat",
            "direction=up",
            "direction=ASC",
            "as_of=never",
        ] {
            assert!(url(text).is_err(), "{text}");
        }
        assert_eq!(url("limit=99999999999999999999").unwrap().limit, PAGE_ROWS_MAX);
    }

    #[test]
    fn body_reads_every_member() {
        let query = body(
            r#"{"filter":{"typeId":["a@1"],"parentId":"p","tags":["t"],
                "relatedTo":{"recordId":"r"},"createdAt":{"after":"2024-01-01"},
                "content":{"a.b":null,"n":1},"includeDeleted":false,"unknown":1},
                "sort":{"field":"updatedAt"},"limit":10,"cursor":null}"#,
        )
        .unwrap();
        assert_eq!(query.types, ["a@1"]);
        assert_eq!(query.parent, Some(Some("p".into())));
        assert_eq!(query.related, Some(("r".into(), None)));
        assert_eq!(query.content, [("a.b".into(), Value::Null), ("n".into(), 1.into())]);
        assert!(matches!(query.sort, SortKey::Updated));
        assert!(matches!(query.direction, Direction::Descending));
        assert_eq!(query.limit, 10);
        assert_eq!(body(r#"{"limit":10.0}"#).unwrap().limit, 10);
        assert_eq!(body(r#"{"filter":{"parentId":null}}"#).unwrap().parent, Some(None));
        assert_eq!(body(r#"{"filter":null,"sort":null}"#).unwrap().limit, 50);
    }

    #[test]
    fn body_refuses_members_of_the_wrong_type() {
        for text in [
            r#"{"filter":[]}"#,
            r#"{"filter":"x"}"#,
            r#"{"filter":{"typeId":7}}"#,
            r#"{"filter":{"typeId":[7]}}"#,
            r#"{"filter":{"tags":"t"}}"#,
            r#"{"filter":{"tags":[1]}}"#,
            r#"{"filter":{"parentId":1}}"#,
            r#"{"filter":{"content":[]}}"#,
            r#"{"filter":{"content":null}}"#,
            r#"{"filter":{"relatedTo":"r"}}"#,
            r#"{"filter":{"relatedTo":{}}}"#,
            r#"{"filter":{"relatedTo":{"recordId":"r","label":1}}}"#,
            r#"{"filter":{"createdAt":"2024-01-01"}}"#,
            r#"{"filter":{"createdAt":{"before":1}}}"#,
            r#"{"filter":{"updatedAt":{"after":"soon"}}}"#,
            r#"{"filter":{"includeDeleted":"true"}}"#,
            r#"{"filter":{"search":1}}"#,
            r#"{"filter":{"hasAttachment":true}}"#,
            r#"{"sort":"createdAt"}"#,
            r#"{"sort":{}}"#,
            r#"{"sort":{"field":"title"}}"#,
            r#"{"sort":{"field":"version","direction":"down"}}"#,
            r#"{"limit":"10"}"#,
            r#"{"limit":0}"#,
            r#"{"limit":-1}"#,
            r#"{"limit":2.7}"#,
            r#"{"limit":0.0}"#,
            r#"{"limit":-1.0}"#,
            r#"{"cursor":1}"#,
        ] {
            assert!(body(text).is_err(), "{text}");
        }
    }
}
