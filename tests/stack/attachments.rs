//! Files: upload, download, media types, names, deletion (stack 10).

use serde_json::json;

use crate::common::{Call, Setup, call, id, is_record_id, next, server, text, upload};

fn fresh(name: &str) -> Vec<u8> {
    format!("{name} {}", next()).into_bytes()
}

fn hash(bytes: &[u8]) -> String {
    cairn::crypto::hex(&cairn::crypto::sha256(bytes))
}

#[test]
fn bytes_go_in_and_come_out() {
    let s = server();
    let owner = s.owner();
    let big: Vec<u8> = (0..700_001u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .chain(fresh("x"))
        .collect();
    for bytes in [vec![], vec![0], fresh("small"), vec![0xff; 262_144], vec![1; 262_145], big] {
        for chunked in [false, true] {
            let mut request = upload("application/octet-stream", &bytes);
            if chunked {
                request = request.chunked();
            }
            let made = owner.send(request).is(200);
            assert!(is_record_id(&id(&made)));
            assert_eq!(made["typeId"], "_attachment@1");
            assert_eq!(made["fileId"], json!(hash(&bytes)));
            assert_eq!(
                made["content"],
                json!({ "fileId": hash(&bytes), "mimeType": "application/octet-stream", "size": bytes.len() })
            );
            assert_eq!(made["entityId"], json!(s.owner_did()));
            let got = owner.get(&format!("/attachments/{}", hash(&bytes)));
            assert_eq!(got.status, 200);
            assert_eq!(got.header("content-length"), Some(bytes.len().to_string().as_str()));
            assert_eq!(got.header("content-type"), Some("application/octet-stream"));
            assert_eq!(got.header("content-disposition"), Some("attachment"));
            assert!(got.body == bytes, "{} bytes", bytes.len());
        }
    }
}

/// Each upload has a record of its own, the bytes are kept once.
#[test]
fn same_bytes_twice() {
    let s = server();
    let bytes = fresh("twice");
    let (a, b) = (s.owner().upload("text/plain", &bytes), s.owner().upload("text/plain", &bytes));
    assert_eq!(a["fileId"], b["fileId"]);
    assert_ne!(a["id"], b["id"]);
    s.owner().delete(&format!("/records/{}?hard=true", id(&a))).is(204);
    assert_eq!(s.owner().get(&format!("/attachments/{}", text(&b["fileId"]))).body, bytes);
}

#[test]
fn declared_facts() {
    let s = server();
    let owner = s.owner();
    let send = |headers: &[(&str, &str)], path: &str| {
        let mut request = call("POST", path).bytes(&fresh("declared"));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        owner.send(request).is(200)
    };
    assert_eq!(send(&[], "/attachments")["content"]["mimeType"], "application/octet-stream");
    for media in [
        "text/plain",
        "text/plain; charset=utf-8",
        "TEXT/Plain",
        "application/x-unheard-of",
        "text/html",
    ] {
        assert_eq!(
            send(&[("Content-Type", media)], "/attachments")["content"]["mimeType"],
            json!(media),
            "verbatim"
        );
    }
    for (disposition, name) in [
        ("attachment; filename=\"a.txt\"", "a.txt"),
        (
            "attachment; filename=\"fall.txt\"; filename*=UTF-8''%e2%82%ac%20rates.txt",
            "€ rates.txt",
        ),
        ("inline; filename*=utf-8'en'na%C3%AFve.txt; filename=\"x\"", "naïve.txt"),
    ] {
        assert_eq!(
            send(&[("Content-Disposition", disposition)], "/attachments")["content"]["filename"],
            json!(name),
            "{disposition}"
        );
    }
    for disposition in [
        "attachment",
        "attachment; filename*=UTF-8''%ff%fe",
        "attachment; filename*=nonsense",
        "attachment; filename=",
        ";;;",
        "attachment; filename=\"unclosed",
    ] {
        send(&[("Content-Disposition", disposition)], "/attachments");
    }
    let made = send(&[], "/attachments?appId=com.example.app");
    assert_eq!(made["appId"], "com.example.app");
    assert!(send(&[], "/attachments?appId=").get("appId").is_none());
}

/// Order: nobody 401, too large 413, no right 403, media type 422. Nothing is kept of what is refused.
#[test]
fn refusals_in_order() {
    let s = Setup::new().start();
    let owner = s.owner();
    let (ann, granted) = (s.person(), s.person());
    s.grant("_attachment", &["create"], Some(&granted.did));
    let limit = 52_428_800usize;
    let huge = |chunked: bool| {
        let request = upload("text/plain", &vec![7; limit + 1]);
        if chunked { request.chunked() } else { request }
    };
    // A declared length is enough, no byte of the body has to come.
    let declared = |token: &str| {
        let head = format!(
            "POST /attachments HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAuthorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n",
            s.address,
            limit + 1
        );
        crate::common::Reply::parse(&s.raw(head.as_bytes()), head)
    };
    let anonymous = Call::send(&upload("text/plain", b"x"), s.address);
    anonymous.unauthorized();
    for token in [owner.token.as_ref(), ann.token.as_ref(), granted.token.as_ref()] {
        declared(token.unwrap()).fails(413, "payload_too_large");
    }
    owner.send(huge(true)).fails(413, "payload_too_large");
    owner.get(&format!("/attachments/{}", hash(&vec![7; limit + 1]))).missing();
    let bytes = fresh("refused");
    ann.send(upload("text/plain", &bytes)).denied();
    ann.send(call("POST", "/attachments?record=false").bytes(&bytes)).denied();
    owner.get(&format!("/attachments/{}", hash(&bytes))).missing();
    s.delegate(&ann.did, &granted.did).send(upload("text/plain", &bytes)).denied();
    s.delegate(&ann.did, &s.owner_did()).send(upload("text/plain", &bytes)).denied();
    let made = granted.upload("image/png", &bytes);
    assert_eq!(made["entityId"], json!(granted.did));
    let body = granted.send(upload("image/gif", &bytes)).invalid(&["mimeType"]);
    assert!(!body.to_string().contains("image/png"), "the established type is not told");
    owner.send(upload("text/plain", &bytes)).invalid(&["mimeType"]);
    granted.send(upload("image/png", &bytes)).is(200);
    // The first record decides, deleted or not.
    owner.delete(&format!("/records/{}", id(&made))).is(204);
    owner.send(upload("text/plain", &bytes)).invalid(&["mimeType"]);
    assert_eq!(
        owner
            .find(json!({ "filter": { "typeId": "_attachment@1", "includeDeleted": true } }))
            .len(),
        2
    );
}

/// Older callers that want the bytes alone.
#[test]
fn without_a_record() {
    let s = server();
    let owner = s.owner();
    let bytes = fresh("bare");
    let made = owner.send(call("POST", "/attachments?record=false").bytes(&bytes)).is(201);
    assert_eq!(made, json!({ "fileId": hash(&bytes), "size": bytes.len() }));
    let path = format!("/attachments/{}", hash(&bytes));
    assert_eq!(owner.get(&path).body, bytes);
    let ann = s.person();
    s.grant("_attachment", &["create", "read-any"], Some(&ann.did));
    ann.get(&path).denied();
    // Uploading them again without a record opens nothing.
    ann.send(call("POST", "/attachments?record=false").bytes(&bytes)).is(201);
    ann.get(&path).denied();
    let kind = s.new_type("note", json!({}));
    let shared = json!({ "typeId": kind, "content": {}, "permissions": [{ "access": "public" }], "associations": [{ "kind": "attachment", "label": "x", "fileId": hash(&bytes) }] });
    owner.create(shared).is(200);
    assert_eq!(ann.get(&path).body, bytes);
    assert_eq!(s.anonymous().get(&path).body, bytes);
    for not in ["record=true", "record=0", "record=FALSE", "record="] {
        owner.send(call("POST", &format!("/attachments?{not}")).bytes(&fresh("x"))).is(200);
    }
}

/// Missing and unreachable are one answer for everybody but the owner.
#[test]
fn who_may_download() {
    let s = server();
    let owner = s.owner();
    let bytes = fresh("download");
    let path = format!("/attachments/{}", text(&owner.upload("text/plain", &bytes)["fileId"]));
    let unknown = format!("/attachments/{}", "0".repeat(64));
    let ann = s.person();
    for (who, status, code) in
        [(s.anonymous(), 401, "unauthorized"), (ann.clone(), 403, "permission")]
    {
        let answers: Vec<_> = [
            path.as_str(),
            &unknown,
            "/attachments/nonsense",
            "/attachments/%00",
            "/attachments/_",
        ]
        .iter()
        .map(|p| who.get(p))
        .collect();
        let first = answers[0].json()["error"].clone();
        for answer in answers {
            assert_eq!(answer.json()["error"], first, "identical whether it exists or not");
            answer.fails(status, code);
        }
    }
    for missing in [
        unknown.as_str(),
        "/attachments/nonsense",
        "/attachments/%00",
        &path.to_uppercase().replace("ATTACHMENTS", "attachments"),
    ] {
        owner.get(missing).missing();
    }
    // A readable record that references it opens the file; a deleted one closes it again.
    let kind = s.new_type("note", json!({ "pic": { "kind": "file-ref" } }));
    let file = path.trim_start_matches("/attachments/");
    for extra in [
        json!({ "associations": [{ "kind": "attachment", "label": "x", "fileId": file }] }),
        json!({ "content": { "pic": file } }),
    ] {
        let mut body = json!({ "typeId": kind, "content": {}, "permissions": [super::permissions::entity(&ann, false)] });
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let record = format!("/records/{}", id(&owner.create(body).is(200)));
        assert_eq!(ann.get(&path).body, bytes);
        s.anonymous().get(&path).unauthorized();
        s.person().get(&path).denied();
        owner.delete(&record).is(204);
        ann.get(&path).denied();
        owner.poke(&format!("{record}/undelete")).is(200);
        assert_eq!(ann.get(&path).status, 200);
        owner.put(&format!("{record}/permissions"), json!({ "permissions": [] })).is(204);
        ann.get(&path).denied();
    }
    // Delegated: the application needs the right to read attachments, or the referencing type.
    let bob = s.person();
    s.grant("_attachment", &["create"], Some(&bob.did));
    let own =
        format!("/attachments/{}", text(&bob.upload("text/plain", &fresh("of bob"))["fileId"]));
    bob.get(&own).status.eq(&200).then_some(()).expect("one's own");
    let by_app = s.delegate(&ann.did, &bob.did);
    by_app.get(&own).denied();
    s.grant("_attachment", &["read-own"], Some(&ann.did));
    assert_eq!(by_app.get(&own).status, 200);
    assert_eq!(s.delegate(&ann.did, &s.owner_did()).get(&own).status, 200);
}

/// What is served is harmless: the safe list, one well-formed type, always an attachment.
#[test]
fn content_type_of_a_download() {
    let s = server();
    let owner = s.owner();
    let path = |media: &str| {
        format!("/attachments/{}", text(&owner.upload(media, &fresh(media))["fileId"]))
    };
    let served = |path: &str| {
        let reply = owner.get(path);
        assert_eq!(reply.status, 200, "{reply}");
        assert!(reply.header("content-disposition").unwrap().starts_with("attachment"));
        reply.header("content-type").unwrap().to_owned()
    };
    const FORCED: &str = "application/octet-stream";
    for (stored, wanted) in [
        ("image/png", "image/png"),
        ("video/mp4", "video/mp4"),
        ("audio/ogg", "audio/ogg"),
        ("application/pdf", "application/pdf"),
        ("text/plain", "text/plain"),
        ("text/plain; charset=utf-8", "text/plain; charset=utf-8"),
        ("image/svg+xml", FORCED),
        ("IMAGE/SVG+XML", FORCED),
        ("image/svg+xml; x=y", FORCED),
        ("text/html", FORCED),
        ("application/javascript", FORCED),
        ("nonsense", FORCED),
        ("image/png,text/html", FORCED),
        ("image/", FORCED),
        ("/png", FORCED),
        ("text/plain;;;", FORCED),
        ("application/json", FORCED),
    ] {
        assert_eq!(served(&path(stored)), wanted, "stored {stored}");
    }
    let png = path("image/png");
    for (query, wanted) in [
        ("contentType=image/gif", "image/gif"),
        ("contentType=text%2Fhtml", FORCED),
        ("contentType=image/svg%2Bxml", FORCED),
        ("contentType=IMAGE/GIF", "IMAGE/GIF"),
        ("contentType=", "image/png"),
        ("contentType=image/png%2Ctext/html", FORCED),
        ("contentType=image/png%0d%0aX-Evil:1", FORCED),
        ("contentType=image/png%00", FORCED),
        ("filename=a.jpg", "image/jpeg"),
        ("filename=A.JPG", "image/jpeg"),
        ("filename=a.html", FORCED),
        ("filename=a.svg", FORCED),
        ("filename=a.pdf.html", FORCED),
        ("filename=a.unknown", "image/png"),
        ("filename=noextension", "image/png"),
        ("filename=a.mov", "video/quicktime"),
        ("filename=a.mp3", "audio/mpeg"),
        ("filename=a.txt", "text/plain"),
        ("filename=a.js", FORCED),
        ("filename=a.webp", "image/webp"),
        ("contentType=image/gif&filename=a.html", "image/gif"),
        ("contentType=text/html&filename=a.png", FORCED),
    ] {
        let got = served(&format!("{png}?{query}"));
        assert_eq!(got, wanted, "{query}");
    }
}

#[test]
fn name_of_a_download() {
    let s = server();
    let owner = s.owner();
    let ann = s.person();
    s.grant("_attachment", &["create"], Some(&ann.did));
    let bytes = fresh("named");
    let named = |name: &str| {
        upload("text/plain", &bytes)
            .header("Content-Disposition", &format!("attachment; filename=\"{name}\""))
    };
    let path = format!("/attachments/{}", text(&owner.send(named("first.txt")).is(200)["fileId"]));
    let disposition = |who: &crate::common::Who, query: &str| {
        who.get(&format!("{path}{query}")).header("content-disposition").unwrap().to_owned()
    };
    assert_eq!(disposition(&owner, ""), "attachment; filename*=UTF-8''first.txt");
    ann.send(named("of ann.txt")).is(200);
    assert_eq!(
        disposition(&ann, ""),
        "attachment; filename*=UTF-8''of%20ann.txt",
        "one's own name"
    );
    assert_eq!(disposition(&owner, ""), "attachment; filename*=UTF-8''first.txt");
    assert_eq!(
        disposition(&owner, "?filename=other.txt"),
        "attachment; filename*=UTF-8''other.txt"
    );
    for (name, wanted) in [
        ("%E2%82%AC%20x", "%E2%82%AC%20x"),
        ("a%22b", "a%22b"),
        ("a%0d%0aX-Evil%3A1", "a%0D%0AX-Evil%3A1"),
        ("..%2F..%2Fx", "..%2F..%2Fx"),
    ] {
        let reply = owner.get(&format!("{path}?filename={name}"));
        assert!(reply.header("x-evil").is_none());
        assert_eq!(
            reply.header("content-disposition").unwrap().to_ascii_uppercase(),
            format!("attachment; filename*=UTF-8''{wanted}").to_ascii_uppercase()
        );
    }
}

/// Only the filename of an upload's record may change.
#[test]
fn metadata_records() {
    let s = server();
    let owner = s.owner();
    let made = owner.upload("text/plain", &fresh("meta"));
    let path = format!("/records/{}", id(&made));
    owner.patch(&path, json!({ "mimeType": "text/plain" })).invalid(&["mimeType"]);
    owner
        .patch(&path, json!({ "fileId": "0".repeat(64), "size": 1, "mimeType": "x/y" }))
        .invalid(&["fileId", "size", "mimeType"]);
    owner.patch(&path, json!({ "size": made["content"]["size"], "fileId": made["fileId"], "filename": "new.txt", "note": 1 })).is(200);
    assert_eq!(owner.get(&path).is(200)["content"]["filename"], "new.txt");
}

#[test]
fn deleting_a_file() {
    let s = server();
    let owner = s.owner();
    let bytes = fresh("delete");
    let made = owner.upload("text/plain", &bytes);
    let file = text(&made["fileId"]).to_owned();
    let path = format!("/attachments/{file}");
    let second = owner.upload("text/plain", &bytes);
    owner.delete(&format!("/records/{}", id(&second))).is(204);
    let kind = s.new_type("note", json!({ "pic": { "kind": "file-ref" } }));
    for body in [json!({ "pic": file }), json!({})] {
        let mut create = json!({ "typeId": kind, "content": body });
        if body.get("pic").is_none() {
            create["associations"] =
                json!([{ "kind": "attachment", "label": "x", "fileId": file }]);
        }
        let record = format!("/records/{}", id(&owner.create(create).is(200)));
        owner.delete(&path).conflict();
        owner.delete(&record).is(204);
        owner.delete(&path).conflict();
        assert_eq!(owner.get(&path).body, bytes, "a refused deletion deletes nothing");
        owner.delete(&format!("{record}?hard=true")).is(204);
    }
    s.anonymous().delete(&path).unauthorized();
    s.person().delete(&path).denied();
    s.person().delete("/attachments/unknown").denied();
    owner.delete(&path).is(204);
    owner.get(&path).missing();
    owner.delete(&path).missing();
    owner.delete(&format!("/attachments/{}", "0".repeat(64))).missing();
    owner.delete("/attachments/nonsense").missing();
    for record in [made, second] {
        owner.get(&format!("/records/{}", id(&record))).missing();
        owner.get(&format!("/records/{}/versions", id(&record))).missing();
    }
    // The media type is free again, and the bytes can come back.
    let again = owner.upload("image/png", &bytes);
    assert_eq!(again["fileId"], json!(file));
    assert_eq!(owner.get(&path).body, bytes);
}

/// Ranges: one is answered exactly or ignored; nonsense never harms.
#[test]
fn range_requests_never_lie() {
    let s = server();
    let owner = s.owner();
    let bytes: Vec<u8> = (0..600_000u32).map(|n| (n % 251) as u8).chain(fresh("range")).collect();
    let path = format!(
        "/attachments/{}",
        text(&owner.upload("application/octet-stream", &bytes)["fileId"])
    );
    let last = bytes.len() - 1;
    for (range, from, to) in [
        ("bytes=0-0".to_owned(), 0, 0),
        ("bytes=0-99".into(), 0, 99),
        ("bytes=262143-262144".into(), 262_143, 262_144),
        (format!("bytes={last}-"), last, last),
        ("bytes=-5".into(), last - 4, last),
        ("bytes=100-999999999".into(), 100, last),
    ] {
        let reply = owner.send(call("GET", &path).header("Range", &range));
        match reply.status {
            200 => assert!(reply.body == bytes, "{range}"),
            206 => {
                assert_eq!(
                    reply.header("content-range"),
                    Some(format!("bytes {from}-{to}/{}", bytes.len()).as_str()),
                    "{range}"
                );
                assert!(reply.body == bytes[from..=to], "{range}");
            }
            status => panic!("{range}: {status}"),
        }
    }
    for range in [
        "bytes=",
        "bytes=-",
        "bytes=5-1",
        "bytes=a-b",
        "items=0-1",
        "bytes=0-1,5-6",
        "bytes=-0",
        "bytes=99999999-",
        "bytes=99999999999999999999-",
        "0-1",
        "bytes=0-1-2",
        "bytes 0-1",
        "bytes=+1-2",
        "bytes=0x1-2",
    ] {
        let reply = owner.send(call("GET", &path).header("Range", range));
        match reply.status {
            200 => assert!(reply.body == bytes, "{range}"),
            206 => assert!(reply.body.len() < bytes.len(), "{range}"),
            416 | 400 => {}
            status => panic!("{range}: {status}"),
        }
    }
}
