//! Optimistic concurrency (stack 1.6).

use serde_json::json;

use crate::common::{Call, call, id, server, version};

/// Every route that takes `If-Match`, as a request on a record.
fn routes(path: &str, kind: &str) -> Vec<Call> {
    let tag = json!({ "kind": "tag", "label": "x" });
    vec![
        call("PATCH", path).json(&json!({ "a": 1 })),
        call("POST", &format!("{path}/associations")).json(&tag),
        call("POST", &format!("{path}/associations/delete")).json(&tag),
        call("DELETE", &format!("{path}/associations")).json(&tag),
        call("PUT", &format!("{path}/permissions"))
            .json(&json!({ "permissions": [{ "access": "public" }] })),
        call("POST", &format!("{path}/restore/1")),
        call("POST", &format!("{path}/migrate")).json(&json!({ "toTypeId": kind, "content": {} })),
        call("DELETE", path),
        call("POST", &format!("{path}/undelete")),
        call("DELETE", &format!("{path}?hard=true")),
    ]
}

#[test]
fn a_stale_version_changes_nothing() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    let path = format!("/records/{}", id(&owner.make(&kind, json!({}))));
    owner.patch(&path, json!({ "b": 1 })).is(200);
    let before = owner.get(&path).is(200);
    for request in routes(&path, &kind) {
        for stale in ["\"1\"", "1", "W/\"1\"", "\"3\"", "\"0\""] {
            let body = owner
                .send(request.clone().header("If-Match", stale))
                .fails(412, "version_conflict");
            let number: i64 = stale.trim_matches(['"', 'W', '/']).parse().unwrap();
            assert_eq!(
                body["error"]["versionConflict"],
                json!({ "recordId": id(&before), "expectedVersion": number, "actualVersion": 2 })
            );
        }
        for unreadable in [
            "",
            "x",
            "\"\"",
            "\"x\"",
            "-1",
            "1.0",
            "\"1",
            "1, 2",
            "\"1\", \"2\"",
            "99999999999999999999",
            "w/x",
            "\"2\"x",
            "0x2",
        ] {
            owner.send(request.clone().header("If-Match", unreadable)).bad_request();
        }
        // Rights come first: the version is not told to strangers.
        s.person().send(request.clone().header("If-Match", "\"1\"")).denied();
        s.anonymous().send(request.header("If-Match", "\"1\"")).unauthorized();
    }
    assert_eq!(owner.get(&path).is(200), before);
}

#[test]
fn the_current_version_lets_through() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    let path = format!("/records/{}", id(&owner.make(&kind, json!({}))));
    for spelling in ["\"{}\"", "{}", "W/\"{}\"", "*"] {
        for request in routes(&path, &kind) {
            let reply = owner.get(&path);
            if reply.status == 404 {
                break;
            }
            let now = version(&reply.is(200));
            let text = String::from_utf8_lossy(&request.to_bytes(s.address)).into_owned();
            if text.contains("hard=true") || (text.contains("/restore/1") && now == 1) {
                continue;
            }
            let reply =
                owner.send(request.header("If-Match", &spelling.replace("{}", &now.to_string())));
            assert!(matches!(reply.status, 200 | 204), "{spelling}: {reply}");
        }
    }
    let now = version(&owner.get(&path).is(200));
    owner.send(call("DELETE", &format!("{path}?hard=true")).if_match(now)).is(204);
    owner.send(call("PATCH", &path).json(&json!({})).if_match(now)).missing();
}

/// A stale caller is told so even where there would be nothing to do.
#[test]
fn before_no_op_detection() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    let tag = json!({ "kind": "tag", "label": "x" });
    let path = format!(
        "/records/{}",
        id(&owner.create(json!({ "typeId": kind, "content": {}, "associations": [tag] })).is(200))
    );
    for request in [
        call("POST", &format!("{path}/associations")).json(&tag),
        call("POST", &format!("{path}/associations/delete"))
            .json(&json!({ "kind": "tag", "label": "none" })),
        call("PUT", &format!("{path}/permissions")).json(&json!({ "permissions": [] })),
        call("POST", &format!("{path}/undelete")),
    ] {
        owner.send(request.clone().if_match(7)).fails(412, "version_conflict");
        let reply = owner.send(request.if_match(1));
        assert!(matches!(reply.status, 200 | 204), "{reply}");
    }
    assert_eq!(version(&owner.get(&path).is(200)), 1);
}

/// Of many writers with the same version exactly one wins.
#[test]
fn one_winner_in_a_race() {
    let s = server();
    let kind = s.new_type("note", json!({}));
    let path = format!("/records/{}", id(&s.owner().make(&kind, json!({}))));
    for round in 1..=5 {
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..6)
                .map(|n| {
                    let (owner, path) = (s.owner(), path.clone());
                    scope.spawn(move || {
                        owner
                            .send(
                                call("PATCH", &path).json(&json!({ "winner": n })).if_match(round),
                            )
                            .status
                    })
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert_eq!(statuses.iter().filter(|s| **s == 200).count(), 1, "{statuses:?}");
        assert!(statuses.iter().all(|s| matches!(s, 200 | 412)), "{statuses:?}");
    }
}

#[test]
fn single_records_carry_their_version() {
    let s = server();
    let owner = s.owner();
    let kind = s.new_type("note", json!({}));
    let reply = owner.create(json!({ "typeId": kind, "content": {} }));
    assert_eq!(reply.header("etag"), Some("\"1\""));
    let path = format!("/records/{}", id(&reply.is(200)));
    assert_eq!(owner.get(&path).header("etag"), Some("\"1\""));
    assert_eq!(owner.patch(&path, json!({})).header("etag"), Some("\"2\""));
    assert_eq!(owner.poke(&format!("{path}/restore/1")).header("etag"), Some("\"3\""));
    assert_eq!(owner.poke(&format!("{path}/undelete")).header("etag"), Some("\"3\""));
}
