//! Lists: pages, filters, orders, search (3.6, 9.5).

use serde_json::{Value, json};

use crate::common::{Who, encode};
use crate::support::{CRM, ids, member, named, refused, serve};

const RECORDS: &str = "/api/tables/contacts/records";

fn found(who: &Who, filter: &Value) -> Vec<String> {
    let page = who.get(&format!("{RECORDS}?filter={}", encode(&filter.to_string()))).is(200);
    ids(&page).into_iter().map(str::to_owned).collect()
}

#[test]
fn lists() {
    let server = serve(CRM);
    let (member, _) = member(&server);
    for (name, status, score, active) in [
        ("Ada", "Active", json!(30), true),
        ("bob", "Lead", json!(10), false),
        ("Cy_d", "Active", json!(null), true),
        ("dan", "Gone", json!(12), false),
    ] {
        let body = json!({ "name": name, "status": status, "score": score, "active": active,
            "tags": ["red"], "pay": 5 });
        server.owner().post(RECORDS, body).is(201);
    }
    let page = member.get(&format!("{RECORDS}?limit=3")).is(200);
    assert_eq!(ids(&page), ["1", "2", "3"]);
    assert_eq!(
        page["pagination"],
        json!({ "page": 1, "limit": 3, "offset": 0, "total": 4, "totalPages": 2,
            "hasNextPage": true, "hasPreviousPage": false })
    );
    assert!(
        page["records"][0].get("name").is_none()
            && page["records"][0]["fields"].get("pay").is_none()
    );
    assert_eq!(ids(&member.get(&format!("{RECORDS}?limit=3&page=2")).is(200)), ["4"]);
    assert_eq!(
        ids(&member.get(&format!("{RECORDS}?sort=score:asc")).is(200)),
        ["2", "4", "1", "3"]
    );
    assert_eq!(ids(&member.get(&format!("{RECORDS}?sort=id:desc")).is(200)), ["4", "3", "2", "1"]);
    assert_eq!(ids(&member.get(&format!("{RECORDS}?q=A")).is(200)), ["1", "2", "3", "4"]);
    assert_eq!(ids(&member.get(&format!("{RECORDS}?q=y_")).is(200)), ["3"]);
    assert_eq!(ids(&member.get(&format!("{RECORDS}?filter=status:Active")).is(200)), ["1", "3"]);
    let test = |field: &str, operator: &str, value: Value| json!({ "field": field, "operator": operator, "value": value });
    for (filter, expected) in [
        (test("score", "gt", json!("10")), vec!["1", "4"]),
        (test("score", "notEquals", json!(10)), vec!["1", "3", "4"]),
        (test("score", "isNull", json!(null)), vec!["3"]),
        (test("score", "in", json!([10, 12])), vec!["2", "4"]),
        (test("name", "contains", json!("_")), vec!["3"]),
        (test("name", "startsWith", json!("B")), vec!["2"]),
        (test("active", "isFalse", json!(null)), vec!["2", "4"]),
        (test("tags", "contains", json!("red")), vec!["1", "2", "3", "4"]),
        (test("email", "isEmpty", json!(null)), vec!["1", "2", "3", "4"]),
        (test("id", "equals", json!(2)), vec!["2"]),
        (
            json!({ "or": [test("id", "eq", json!("1")), { "and": [test("active", "isTrue", json!(null)),
            test("score", "isNull", json!(null))] }] }),
            vec!["1", "3"],
        ),
    ] {
        assert_eq!(found(&member, &filter), expected, "{filter}");
    }
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=x", "limit"),
        ("offset=-1", "offset"),
        ("sort=nothing", "sort"),
        ("sort=name:up", "sort"),
        ("fields=nothing", "fields"),
        ("filter=x", "filter"),
        ("filter=%7B%7D", "filter"),
        ("filter=score:abc", "filter"),
        ("view=x", "view"),
    ] {
        let body = refused(member.get(&format!("{RECORDS}?{query}")), 400, "VALIDATION_ERROR");
        assert_eq!(named(&body), [field], "{query}");
    }
    // What may not be read cannot be named.
    for query in ["sort=pay", "filter=pay:5"] {
        refused(member.get(&format!("{RECORDS}?{query}")), 404, "NOT_FOUND");
        server.owner().get(&format!("{RECORDS}?{query}")).is(200);
    }
}
