//! Links by mail (live 4.10): signing in, confirming an address, a new password, invitations.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::{Server, Setup};
use crate::support::{named, refused};

const PASSWORD: &str = "quartz-lantern-7";

/// A server that writes letters into a folder, where anybody may sign up.
fn stage(signup: &str) -> (Server, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let letters = folder.path().to_str().unwrap().to_owned();
    let server = Setup::new().env("CAIRN_SIGNUP", signup).env("CAIRN_MAIL_DIR", &letters).start();
    (server, folder)
}

fn sign_up(server: &Server, email: &str) -> String {
    let form = json!({ "email": email, "password": PASSWORD });
    let made = server.anonymous().post("/api/auth/signup", form).is(201);
    made["accessToken"].as_str().unwrap().to_owned()
}

/// The code in the letter of this number, once it has been written.
fn code(folder: &Path, number: u32, to: &str, about: &str) -> String {
    let path = folder.join(format!("{number:06}.eml"));
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let text = std::fs::read_to_string(&path).unwrap_or_default().replace("=\r\n", "");
        if let Some((_, rest)) = text.split_once("Enter this code:\r\n\r\n") {
            assert!(text.contains(&format!("To: {to}")) && text.contains(about), "{text}");
            return rest.lines().next().unwrap().to_owned();
        }
        assert!(Instant::now() < deadline, "no letter {number}: {text}");
        std::thread::yield_now();
    }
}

#[test]
fn without_mail_it_says_so() {
    let server = Setup::new().start();
    for path in ["magic-link", "verify", "forgot-password", "reset-password"] {
        for body in [json!({}), json!({ "email": "a@example.com", "token": "x" })] {
            let body = refused(
                server.anonymous().post(&format!("/api/auth/{path}"), body),
                404,
                "NOT_FOUND",
            );
            assert!(body["message"].as_str().unwrap().contains("not configured"), "{body}");
        }
    }
}

/// S30, S32: a link works once; whether somebody has an account is not told.
#[test]
fn a_link_signs_in_once() {
    let (server, letters) = stage("open");
    let (nobody, token) = (server.anonymous(), sign_up(&server, "ada@example.com"));
    let who = server.with_token(&token, "");
    assert_eq!(who.get("/api/auth/me").is(200)["emailVerified"], false);
    let confirm = code(letters.path(), 1, "ada@example.com", "Confirm your address");
    let ask = |email: &str| nobody.post("/api/auth/magic-link", json!({ "email": email })).is(200);
    let (known, unknown) = (ask(" ADA@example.com "), ask("nobody@example.com"));
    assert_eq!(known, unknown);
    let secret = code(letters.path(), 2, "ada@example.com", "Your sign-in link");
    assert!(secret.len() >= 43, "256 bits");
    // A second one within the minute is not sent, and looks the same.
    assert_eq!(ask("ada@example.com"), known);
    let spend = |secret: &str| nobody.post("/api/auth/verify", json!({ "token": secret }));
    let session = spend(&secret).is(200);
    assert_eq!(session["user"]["email"], "ada@example.com");
    let who = server.with_token(session["accessToken"].as_str().unwrap(), "");
    assert_eq!(who.get("/api/auth/me").is(200)["emailVerified"], true);
    refused(spend(&secret), 401, "UNAUTHENTICATED");
    assert_eq!(spend(&confirm).is(200), json!({ "emailVerified": true }));
    refused(spend(&confirm), 401, "UNAUTHENTICATED");
    assert_eq!(
        who.post("/api/auth/verify", json!({})).is(200),
        json!({ "sent": false, "emailVerified": true })
    );
    refused(spend("nonsense"), 401, "UNAUTHENTICATED");
    assert_eq!(
        named(&refused(nobody.post("/api/auth/verify", json!({})), 400, "INVALID_ARGUMENT")),
        ["token"]
    );
    let none = nobody.post("/api/auth/magic-link", json!({ "email": "ada" }));
    assert_eq!(named(&refused(none, 400, "INVALID_ARGUMENT")), ["email"]);
    assert!(!letters.path().join("000003.eml").exists());
    assert!(!server.log().contains(&secret), "S70");
}

#[test]
fn a_link_sets_a_new_password() {
    let (server, letters) = stage("open");
    let (nobody, token) = (server.anonymous(), sign_up(&server, "bo@example.com"));
    code(letters.path(), 1, "bo@example.com", "Confirm");
    let sign_in = |password: &str| {
        nobody.post("/api/auth/signin", json!({ "email": "bo@example.com", "password": password }))
    };
    for _ in 0..5 {
        refused(sign_in("wrong"), 401, "INVALID_CREDENTIALS");
    }
    refused(sign_in(PASSWORD), 429, "ACCOUNT_LOCKED");
    let asked = nobody.post("/api/auth/forgot-password", json!({ "email": "bo@example.com" }));
    assert_eq!(asked.is(200)["sent"], true);
    let secret = code(letters.path(), 2, "bo@example.com", "new password");
    let reset = |secret: &str, password: &str| {
        let body = json!({ "token": secret, "newPassword": password });
        nobody.post("/api/auth/reset-password", body)
    };
    // A password that is refused leaves the link good.
    assert_eq!(named(&refused(reset(&secret, "short"), 400, "INVALID_ARGUMENT")), ["password"]);
    assert_eq!(named(&refused(reset("x", "fern-orbit-99"), 400, "INVALID_ARGUMENT")), ["token"]);
    // A link is of one kind.
    refused(nobody.post("/api/auth/verify", json!({ "token": secret })), 401, "UNAUTHENTICATED");
    let done = reset(&secret, "fern-orbit-99").is(200);
    assert_eq!((&done["status"], &done["success"]), (&json!(true), &json!(true)));
    refused(server.with_token(&token, "").get("/api/auth/me"), 401, "UNAUTHENTICATED");
    refused(sign_in(PASSWORD), 401, "INVALID_CREDENTIALS");
    sign_in("fern-orbit-99").is(200);
    refused(reset(&secret, "fern-orbit-98"), 400, "INVALID_ARGUMENT");
}

/// Sign-up by invitation: for the address invited, with the role given, once.
#[test]
fn an_invitation_makes_one_account() {
    let (server, letters) = stage("invite");
    let (nobody, owner) = (server.anonymous(), server.owner());
    let invite = |body: Value| owner.post("/api/admin/invitations", body);
    let made = invite(json!({ "email": "Cy@example.com", "role": "viewer" })).is(201);
    assert_eq!(
        (&made["email"], &made["sent"], &made["role"]),
        (&json!("cy@example.com"), &json!(true), &json!("viewer"))
    );
    let secret = code(letters.path(), 1, "cy@example.com", "You are invited");
    assert_eq!(made["token"], json!(secret));
    let join = |email: &str, invitation: Value| {
        let body = json!({ "email": email, "password": PASSWORD, "invitation": invitation });
        nobody.post("/api/auth/signup", body)
    };
    for wrong in [json!(null), json!(""), json!("nonsense")] {
        refused(join("cy@example.com", wrong), 403, "PERMISSION_DENIED");
    }
    refused(join("other@example.com", json!(secret)), 403, "PERMISSION_DENIED");
    let session = join("cy@example.com", json!(secret)).is(201);
    assert_eq!(session["user"]["role"], "viewer");
    refused(join("cy@example.com", json!(secret)), 403, "PERMISSION_DENIED");
    refused(invite(json!({ "email": "cy@example.com" })), 409, "CONFLICT");
    refused(invite(json!({ "email": "no" })), 400, "INVALID_ARGUMENT");
    refused(invite(json!({ "email": "d@example.com", "role": "king" })), 400, "INVALID_ARGUMENT");
    let who = server.with_token(session["accessToken"].as_str().unwrap(), "");
    let body = json!({ "email": "d@example.com" });
    refused(who.post("/api/admin/invitations", body), 403, "PERMISSION_DENIED");
}
