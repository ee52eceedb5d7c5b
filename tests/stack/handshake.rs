//! Proving a DID by signature (stack 2.4).

use serde_json::{Value, json};

use crate::common::{
    BASE_URL, Key, Server, Setup, base64url, is_hex, is_instant, next, now_ms, server, text,
};

fn challenge(s: &Server, did: &str) -> String {
    let body = s.anonymous().post("/auth/challenge", json!({ "did": did })).is(200);
    let nonce = text(&body["nonce"]).to_owned();
    assert!(
        nonce.len() == 24
            && nonce.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    );
    assert!(is_instant(text(&body["expiresAt"])), "{body}");
    nonce
}

fn payload(origin: &str, did: &str, nonce: &str) -> String {
    format!("haverstack-auth-v1\n{origin}\n{did}\n{nonce}")
}

fn redeem(
    s: &Server,
    did: &str,
    nonce: impl Into<Value>,
    signature: impl Into<Value>,
) -> crate::common::Reply {
    let body = json!({ "did": did, "nonce": nonce.into(), "signature": signature.into() });
    s.anonymous().post("/auth/token", body)
}

#[test]
fn a_key_opens_the_door() {
    let s = server();
    let key = Key::of(next());
    let nonce = challenge(&s, &key.did);
    let signature = key.sign(&payload(BASE_URL, &key.did, &nonce));
    let body = json!({ "did": key.did, "nonce": nonce, "signature": signature,
        "subjectId": s.owner_did(), "onBehalfOf": s.owner_did(), "principalId": s.owner_did(), "entityId": s.owner_did() });
    let made = s.anonymous().post("/auth/token", body).is(200);
    assert_eq!(made["principalId"], json!(key.did), "extra keys never count");
    assert_eq!(made["subjectId"], json!(key.did));
    assert!(is_hex(text(&made["token"]), 64), "{made}");
    let expires = cairn::util::time::parse_instant(text(&made["expiresAt"])).unwrap();
    let week_ms = 7 * 24 * 3_600_000;
    assert!((expires - now_ms() - week_ms).abs() < 60_000, "seven days: {made}");

    // It confers nothing by itself, but makes somebody: default grants hold for them.
    let who = s.with_token(text(&made["token"]), &key.did);
    let kind = s.new_type("guestbook", json!({}));
    who.create(json!({ "typeId": kind, "content": {} })).denied();
    who.get("/tokens").denied();
    s.grant(&kind, &["create"], None);
    assert_eq!(who.make(&kind, json!({}))["entityId"], json!(key.did));
    let listed = s.owner().get("/tokens").is(200);
    let rows = listed["tokens"].as_array().unwrap();
    assert!(
        rows.iter().any(|t| t["principalId"] == json!(key.did) && t["label"] == "did-challenge")
    );
}

/// The owner's key makes the owner.
#[test]
fn the_owner_signs_in() {
    let s = server();
    let key = s.owner_key();
    let nonce = challenge(&s, &key.did);
    let made =
        redeem(&s, &key.did, nonce.clone(), key.sign(&payload(BASE_URL, &key.did, &nonce))).is(200);
    s.with_token(text(&made["token"]), &key.did).get("/tokens").is(200);
}

#[test]
fn every_challenge_is_fresh() {
    let s = server();
    let key = Key::of(next());
    let nonces: Vec<String> = (0..5).map(|_| challenge(&s, &key.did)).collect();
    assert!((1..5).all(|n| !nonces[..n].contains(&nonces[n])));
    // All of them are open at once, in any order.
    for nonce in nonces.iter().rev() {
        redeem(&s, &key.did, nonce.clone(), key.sign(&payload(BASE_URL, &key.did, nonce))).is(200);
    }
}

#[test]
fn only_well_formed_ed25519_keys_are_challenged() {
    let s = server();
    let good = Key::of(next()).did;
    let zeros = format!("did:key:z{}", "1".repeat(100_000));
    let bad: Vec<Value> = vec![
        json!(null),
        json!(5),
        json!([good]),
        json!({}),
        json!(""),
        json!("did:web:example.com"),
        json!("did:key:z"),
        json!("did:key:z6Mk"),
        json!(format!("{good}x")),
        json!(format!("{good} ")),
        json!(good.replace("did:key:z", "did:key:u")),
        json!(good.replace("did:key:z6Mk", "did:key:z6LS")),
        json!(format!("{}0", &good[..good.len() - 1])),
        json!(zeros),
        json!(good.to_uppercase()),
        json!(format!("{good}#{good}")),
        json!(format!("{good}\n")),
    ];
    for did in bad {
        s.anonymous().post("/auth/challenge", json!({ "did": did })).fails(400, "invalid_did");
        s.anonymous()
            .post("/auth/token", json!({ "did": did, "nonce": 5, "signature": 5 }))
            .fails(400, "invalid_did");
    }
    s.anonymous().post("/auth/challenge", json!({})).fails(400, "invalid_did");
    s.anonymous().post("/auth/token", json!({})).fails(400, "invalid_did");
}

/// Bodies that are no object are 400 here as everywhere, never a fault.
#[test]
fn bodies_that_are_no_object() {
    let s = server();
    for path in ["/auth/challenge", "/auth/token"] {
        for body in [json!(null), json!("x"), json!(1), json!([]), json!([{}])] {
            s.anonymous().post(path, body).bad_request();
        }
        for bytes in [&b""[..], b"{", b"nope", b"\xff\xfe", b"{\"did\":}"] {
            s.anonymous().send(crate::common::call("POST", path).bytes(bytes)).bad_request();
        }
    }
}

/// The order of the refusals: shape of nonce, shape of signature, the nonce itself, text of the signature, the signature.
#[test]
fn refusals_come_in_order() {
    let s = server();
    let key = Key::of(next());
    let did = key.did.as_str();
    redeem(&s, did, json!(5), json!(5)).fails(401, "unknown_nonce");
    redeem(&s, did, json!(null), "x").fails(401, "unknown_nonce");
    s.anonymous().post("/auth/token", json!({ "did": did })).fails(401, "unknown_nonce");
    redeem(&s, did, "never-issued", json!(5)).fails(401, "invalid_signature");
    redeem(&s, did, "never-issued", json!(null)).fails(401, "invalid_signature");
    redeem(&s, did, "never-issued", "!").fails(401, "unknown_nonce");
    redeem(&s, did, "", "AAAA").fails(401, "unknown_nonce");

    // A signature of the wrong type does not spend the nonce: the row is touched after that check.
    let nonce = challenge(&s, did);
    redeem(&s, did, nonce.clone(), json!(5)).fails(401, "invalid_signature");
    redeem(&s, did, nonce.clone(), key.sign(&payload(BASE_URL, did, &nonce))).is(200);
    redeem(&s, did, nonce.clone(), key.sign(&payload(BASE_URL, did, &nonce)))
        .fails(401, "unknown_nonce");
}

/// One attempt, good or not.
#[test]
fn a_wrong_signature_spends_the_nonce() {
    let s = server();
    let key = Key::of(next());
    let did = key.did.as_str();
    let other = Key::of(next());
    let wrong: [fn(&Key, &Key, &str) -> String; 8] = [
        |key, _, nonce| key.sign(&payload("https://stack.example.com/", &key.did, nonce)),
        |key, _, nonce| key.sign(&payload("https://evil.example.com", &key.did, nonce)),
        |key, _, nonce| key.sign(&(payload(BASE_URL, &key.did, nonce) + "\n")),
        |key, _, nonce| key.sign(&payload(BASE_URL, &key.did, nonce).replace("-v1", "-v2")),
        |_, other, nonce| other.sign(&payload(BASE_URL, &other.did, nonce)),
        |key, _, nonce| key.sign(&payload(BASE_URL, &key.did, nonce)) + "==",
        |_, _, _| base64url(&[0; 64]),
        |_, _, _| String::new(),
    ];
    for (n, sign) in wrong.into_iter().enumerate() {
        let nonce = challenge(&s, did);
        let reply = redeem(&s, did, nonce.clone(), sign(&key, &other, &nonce));
        assert_eq!(reply.status, 401, "case {n}: {reply}");
        reply.fails(401, "invalid_signature");
        redeem(&s, did, nonce.clone(), key.sign(&payload(BASE_URL, did, &nonce)))
            .fails(401, "unknown_nonce");
    }
}

/// Somebody else's try with my nonce says "unknown" and takes nothing from me.
#[test]
fn a_nonce_belongs_to_its_did() {
    let s = server();
    let (mine, thief) = (Key::of(next()), Key::of(next()));
    let nonce = challenge(&s, &mine.did);
    let signature = thief.sign(&payload(BASE_URL, &thief.did, &nonce));
    redeem(&s, &thief.did, nonce.clone(), signature).fails(401, "unknown_nonce");
    redeem(&s, &mine.did, nonce.clone(), mine.sign(&payload(BASE_URL, &mine.did, &nonce))).is(200);
}

/// The signed origin is the configured one without its path; what the request says about hosts is nothing.
#[test]
fn origin_comes_from_the_configuration_only() {
    let s = Setup::new().env("CAIRN_BASE_URL", "https://Stack.Example.com:8443/some/path").start();
    let key = Key::of(next());
    let nonce = challenge(&s, &key.did);
    let request = |origin: &str, nonce: &str| {
        let body = json!({ "did": key.did, "nonce": nonce, "signature": key.sign(&payload(origin, &key.did, nonce)) });
        crate::common::call("POST", "/auth/token")
            .json(&body)
            .header("X-Forwarded-Host", "evil.example.com")
            .header("X-Forwarded-Proto", "http")
            .header("Forwarded", "host=evil.example.com")
    };
    let evil = request("http://evil.example.com", &nonce);
    evil.send(s.address).fails(401, "invalid_signature");
    let nonce = challenge(&s, &key.did);
    let host = request(&format!("http://{}", s.address), &nonce);
    host.send(s.address).fails(401, "invalid_signature");
    let nonce = challenge(&s, &key.did);
    request("https://stack.example.com:8443", &nonce).send(s.address).is(200);
}

#[test]
fn nonces_survive_a_restart() {
    let s = Setup::new().start();
    let key = Key::of(next());
    let nonce = challenge(&s, &key.did);
    let s = s.stop().start();
    redeem(&s, &key.did, nonce.clone(), key.sign(&payload(BASE_URL, &key.did, &nonce))).is(200);
}
