//! Accounts over a real file, with a clock that is moved by hand.

use std::path::PathBuf;

use serde_json::json;

use super::*;
use crate::crypto::totp;
use crate::engine::{EngineOptions, Kind};
use crate::util::clock::{Clock, ManualClock};

const START_MS: i64 = 1_775_390_400_000;
const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;
const LOGIN: &str = "ada@example.com";

struct Stack {
    _folder: tempfile::TempDir,
    path: PathBuf,
    engine: Engine,
    clock: Clock,
    hand: ManualClock,
    runtime: tokio::runtime::Runtime,
}

impl Stack {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.cairn");
        let (clock, hand) = Clock::manual(START_MS);
        let engine = Self::open(&path, &clock);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        Self { _folder: folder, path, engine, clock, hand, runtime }
    }

    fn open(path: &std::path::Path, clock: &Clock) -> Engine {
        let mut options = EngineOptions::default();
        options.store.clock = clock.clone();
        Engine::open(path, &options).unwrap()
    }

    fn reopened(self) -> Self {
        let Self { _folder, path, engine, clock, hand, runtime } = self;
        engine.close();
        drop(engine);
        let engine = Self::open(&path, &clock);
        Self { _folder, path, engine, clock, hand, runtime }
    }

    fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    fn sign_up(&self) -> SignedIn {
        let new = NewAccount {
            login: " Ada@Example.com ".into(),
            password: Some("hash".into()),
            role: Role::Editor,
            display_name: Some("Ada".into()),
            avatar_url: None,
            metadata: Map::new(),
        };
        self.run(self.engine.sign_up(new, Device::default(), Terms::default())).unwrap()
    }

    fn known(&self) -> Credentials {
        match self.engine.credentials(LOGIN).unwrap() {
            Attempt::Known(known) => known,
            other => panic!("{other:?}"),
        }
    }

    fn sign_in(&self) -> SignIn {
        let known = self.known();
        self.run(self.engine.finish_sign_in(known, None, Device::default(), Terms::default()))
            .unwrap()
    }

    fn session(&self) -> SignedIn {
        match self.sign_in() {
            SignIn::Done(signed_in) => *signed_in,
            other => panic!("{other:?}"),
        }
    }

    fn caller(&self, signed_in: &SignedIn) -> Option<Caller> {
        self.engine.caller_of_session(&signed_in.session).unwrap()
    }

    fn refresh(&self, token: &str) -> Option<SignedIn> {
        match self.run(self.engine.refresh_session(token, Device::default())).unwrap() {
            Refresh::Rotated(signed_in) => Some(*signed_in),
            Refresh::Refused => None,
        }
    }

    fn fail(&self) -> Option<i64> {
        self.run(self.engine.count_sign_in_failure(LOGIN)).unwrap()
    }

    fn code(&self, seed: &[u8], steps: i64) -> String {
        totp::code_of(seed, totp::step_at(self.clock.now_ms()) + steps)
    }

    /// An account with a second factor in force.
    fn enrol(&self, signed_in: &SignedIn) -> Enrolment {
        let caller = self.caller(signed_in).unwrap();
        let made = self.run(self.engine.enable_factor(&caller)).unwrap();
        let code = self.code(&made.seed, 0);
        let answer = self.run(self.engine.confirm_factor(&caller, &code)).unwrap();
        assert!(matches!(answer, Answer::Done(())), "{answer:?}");
        made
    }

    fn challenge(&self) -> String {
        match self.sign_in() {
            SignIn::SecondFactor(challenge) => challenge,
            other => panic!("{other:?}"),
        }
    }

    fn prove(&self, challenge: &str, proof: Proof) -> SecondFactor {
        let (device, terms) = (Device::default(), Terms::default());
        self.run(self.engine.finish_second_factor(challenge, proof, device, terms)).unwrap()
    }
}

/// A name has one account whatever its case; the account is a record the owner can read.
#[test]
fn an_account_is_a_record_with_a_name_of_its_own() {
    let s = Stack::new();
    let made = s.sign_up();
    assert_eq!((made.profile.email.as_str(), made.profile.role), (LOGIN, Role::Editor));
    assert!(!s.engine.is_login_free("ADA@example.com").unwrap());
    let again = NewAccount {
        login: "ADA@EXAMPLE.COM".into(),
        password: None,
        role: Role::Admin,
        display_name: None,
        avatar_url: None,
        metadata: Map::new(),
    };
    let refused = s.run(s.engine.sign_up(again, Device::default(), Terms::default()));
    assert_eq!(refused.unwrap_err().kind(), Kind::Conflict);
    let id = made.profile.user_id.strip_prefix("usr_").unwrap();
    let record = s.engine.get(&s.engine.owner_caller(), id, None).unwrap();
    assert_eq!(record.type_info.id, "_user@1");
    assert!(!record.content.contains("hash"), "{}", record.content);
    let caller = s.caller(&made).unwrap();
    assert_eq!(caller.principal(), Some(format!("did:cairn:{}", made.profile.user_id).as_str()));
    // Its own record it may read, as everywhere; nobody else's.
    assert_eq!(s.engine.get(&caller, id, None).unwrap().content, record.content);
    let other = Caller::of("did:example:x", "did:example:x");
    assert_eq!(s.engine.get(&other, id, None).unwrap_err().kind(), Kind::Denied);
    // The name is what the account signs in with: it does not change behind its back.
    let patch = json!({ "email": "eve@example.com" }).as_object().cloned().unwrap();
    let owner = s.engine.owner_caller();
    assert_eq!(s.run(s.engine.update(&owner, id, patch, None)).unwrap_err().kind(), Kind::Invalid);
}

/// Role, claims, disabling, deleting: each is in force with the very next request.
#[test]
fn changes_of_an_account_reach_its_sessions_at_once() {
    let s = Stack::new();
    let (made, owner) = (s.sign_up(), s.engine.owner_caller());
    let user = made.profile.user_id.clone();
    let mut changes = s.engine.session_changes();
    changes.mark_unchanged();
    let ada = s.caller(&made).unwrap();
    assert_eq!(
        s.run(s.engine.set_role(&ada, &user, Role::Admin)).unwrap_err().kind(),
        Kind::Denied
    );
    s.run(s.engine.set_role(&owner, &user, Role::Admin)).unwrap();
    assert!(changes.has_changed().unwrap());
    let claims = json!({ "plan": "pro" }).as_object().cloned().unwrap();
    s.run(s.engine.set_claims(&owner, &user, claims.clone())).unwrap();
    let caller = s.caller(&made).unwrap();
    let account = caller.account().unwrap();
    assert_eq!((account.role, &account.claims), (Role::Admin, &claims));
    assert!(s.engine.is_admin(&caller));
    let large = json!({ "a": "x".repeat(CLAIMS_BYTES_MAX) }).as_object().cloned().unwrap();
    let refused = s.run(s.engine.set_claims(&owner, &user, large)).unwrap_err();
    assert_eq!(refused.kind(), Kind::TooLarge);

    s.run(s.engine.set_disabled(&owner, &user, true)).unwrap();
    assert!(s.caller(&made).is_none());
    assert!(matches!(s.engine.credentials(LOGIN).unwrap(), Attempt::Unknown));
    assert!(s.refresh(&made.refresh_token).is_none());
    s.run(s.engine.set_disabled(&owner, &user, false)).unwrap();
    assert!(s.caller(&made).is_none(), "being let in again does not bring sessions back");

    let again = s.session();
    assert!(s.caller(&again).is_some());
    let id = user.strip_prefix("usr_").unwrap();
    s.run(s.engine.delete(&owner, id, None)).unwrap();
    assert!(s.caller(&again).is_none());
    assert!(!s.engine.session_is_live(&again.session).unwrap());
    s.run(s.engine.undelete(&owner, id, None)).unwrap();
    assert!(s.caller(&again).is_some());
    s.run(s.engine.purge(&owner, id, None)).unwrap();
    assert!(s.caller(&again).is_none());
    assert!(s.engine.is_login_free(LOGIN).unwrap());
}

/// Only the documented fields of the own profile are the account's to change.
#[test]
fn a_profile_is_changed_by_its_holder_within_limits() {
    let s = Stack::new();
    let made = s.sign_up();
    let (caller, user) = (s.caller(&made).unwrap(), made.profile.user_id.clone());
    let patch = |value: Value| value.as_object().cloned().unwrap();
    let good = patch(json!({ "displayName": null, "metadata": { "a": 1 } }));
    let profile = s.run(s.engine.update_profile(&caller, &user, good)).unwrap();
    assert_eq!(profile.display_name, None);
    assert_eq!(Value::Object(profile.metadata), json!({ "a": 1 }));
    for (bad, kind) in [
        (json!({ "role": "admin" }), Kind::Denied),
        (json!({ "claims": {} }), Kind::Denied),
        (json!({ "displayName": 7 }), Kind::Invalid),
    ] {
        let refused = s.run(s.engine.update_profile(&caller, &user, patch(bad))).unwrap_err();
        assert_eq!(refused.kind(), kind);
    }
    let other = s.run(s.engine.update_profile(&caller, "usr_000000000000", Map::new()));
    assert_eq!(other.unwrap_err().kind(), Kind::Denied);
}

/// live 4.5: five failures lock for 30 minutes; attempts meanwhile do not lengthen it; a restart does not lift it.
#[test]
fn five_failures_lock_a_name() {
    let s = Stack::new();
    s.sign_up();
    for _ in 0..4 {
        assert_eq!(s.fail(), None);
    }
    s.session();
    for _ in 0..5 {
        assert_eq!(s.fail(), None, "a success had reset the count");
    }
    let known = s.engine.credentials(LOGIN).unwrap();
    assert!(matches!(known, Attempt::Locked(ms) if ms == 30 * MINUTE_MS), "{known:?}");
    s.hand.advance_ms(2 * MINUTE_MS);
    assert_eq!(s.fail(), Some(28 * MINUTE_MS));
    let s = s.reopened();
    assert!(matches!(s.engine.credentials(LOGIN).unwrap(), Attempt::Locked(_)));
    s.hand.advance_ms(28 * MINUTE_MS - 1);
    assert!(matches!(s.engine.credentials(LOGIN).unwrap(), Attempt::Locked(1)));
    s.hand.advance_ms(1);
    s.session();
    // The count began anew, and names without an account are counted as well.
    assert_eq!(s.fail(), None);
    for _ in 0..5 {
        s.run(s.engine.count_sign_in_failure("nobody")).unwrap();
    }
    assert!(matches!(s.engine.credentials(" NoBody ").unwrap(), Attempt::Locked(_)));
    s.run(s.engine.unlock_sign_in(&s.engine.owner_caller(), "nobody")).unwrap();
    assert!(matches!(s.engine.credentials("nobody").unwrap(), Attempt::Unknown));
}

#[test]
fn a_long_pause_starts_the_count_again() {
    let s = Stack::new();
    s.sign_up();
    for _ in 0..4 {
        s.fail();
    }
    s.hand.advance_ms(30 * MINUTE_MS + 1);
    s.fail();
    assert!(matches!(s.engine.credentials(LOGIN).unwrap(), Attempt::Known(_)));
}

/// Somebody guesses while the right password is being compared: the lock that fell meanwhile holds.
#[test]
fn a_lock_holds_for_a_sign_in_under_way() {
    let s = Stack::new();
    let made = s.sign_up();
    let known = s.known();
    for _ in 0..5 {
        s.fail();
    }
    let (device, terms) = (Device::default(), Terms::default());
    let answer = s.run(s.engine.finish_sign_in(known, None, device, terms)).unwrap();
    assert!(matches!(answer, SignIn::Locked(_)), "{answer:?}");
    assert!(s.caller(&made).is_some(), "live sessions are unaffected");
    assert!(s.refresh(&made.refresh_token).is_some());
}

/// A password that changed while the old one was being compared is not good any more.
#[test]
fn a_changed_password_stops_a_sign_in_under_way() {
    let s = Stack::new();
    let made = s.sign_up();
    let known = s.known();
    let owner = s.engine.owner_caller();
    s.run(s.engine.set_password(&owner, &made.profile.user_id, "other".into())).unwrap();
    let (device, terms) = (Device::default(), Terms::default());
    let answer = s.run(s.engine.finish_sign_in(known, None, device, terms)).unwrap();
    assert!(matches!(answer, SignIn::Refused), "{answer:?}");
    assert!(s.caller(&made).is_none());
}

/// live 22, "Refresh reuse".
#[test]
fn a_refresh_token_used_twice_ends_its_session() {
    let s = Stack::new();
    let first = s.sign_up();
    let bystander = s.session();
    let second = s.refresh(&first.refresh_token).unwrap();
    assert_eq!(second.session, first.session);
    assert!(s.caller(&second).is_some());
    assert!(s.refresh(&first.refresh_token).is_none());
    assert!(s.refresh(&second.refresh_token).is_none());
    assert!(s.caller(&second).is_none());
    assert!(s.caller(&bystander).is_some());
    assert!(s.refresh("unknown").is_none());
}

/// Of two exchanges at the same time one wins, and the other is a reuse.
#[test]
fn one_of_two_concurrent_refreshes_wins() {
    let s = Stack::new();
    let made = s.sign_up();
    let exchange = || s.engine.refresh_session(&made.refresh_token, Device::default());
    let (one, other) = s.run(async { tokio::join!(exchange(), exchange()) });
    let rotated =
        [one.unwrap(), other.unwrap()].iter().filter(|r| matches!(r, Refresh::Rotated(_))).count();
    assert_eq!(rotated, 1);
    assert!(s.caller(&made).is_none(), "the session is gone");
}

/// S35: idle after 30 days, over after 180 days however much it was used; restarts change nothing.
#[test]
fn sessions_end_by_time() {
    let s = Stack::new();
    let idle = s.sign_up();
    s.hand.advance_ms(30 * DAY_MS);
    assert!(s.caller(&idle).is_none());
    assert!(s.refresh(&idle.refresh_token).is_none());
    let mut used = s.session();
    let ends_at = s.clock.now_ms() + SESSION_MS_MAX;
    let s = s.reopened();
    for _ in 0..8 {
        s.hand.advance_ms(20 * DAY_MS);
        used = s.refresh(&used.refresh_token).unwrap();
        assert!(s.caller(&used).is_some());
        assert!(used.expires_at <= ends_at);
    }
    s.hand.advance_ms(20 * DAY_MS);
    assert!(s.caller(&used).is_none());
    assert!(s.refresh(&used.refresh_token).is_none());
}

#[test]
fn a_session_stays_on_its_device() {
    let s = Stack::new();
    s.sign_up();
    let device =
        |print: Option<&str>| Device { fingerprint: print.map(str::to_owned), ..Device::default() };
    let start = || {
        let known = s.known();
        let made = s.engine.finish_sign_in(known, None, device(Some("f1")), Terms::default());
        match s.run(made).unwrap() {
            SignIn::Done(signed_in) => *signed_in,
            other => panic!("{other:?}"),
        }
    };
    let made = start();
    let same = s.run(s.engine.refresh_session(&made.refresh_token, device(Some("f1")))).unwrap();
    assert!(matches!(same, Refresh::Rotated(_)));
    for print in [Some("f2"), None] {
        let made = start();
        let moved = s.run(s.engine.refresh_session(&made.refresh_token, device(print))).unwrap();
        assert!(matches!(moved, Refresh::Refused));
        assert!(s.caller(&made).is_none());
    }
}

/// The list, ending one, ending the others; somebody else's sessions do not exist.
#[test]
fn sessions_are_their_accounts_business() {
    let s = Stack::new();
    let first = s.sign_up();
    s.hand.advance_ms(MINUTE_MS);
    let (second, third) = (s.session(), s.session());
    let caller = s.caller(&second).unwrap();
    let list = s.engine.sessions(&caller).unwrap();
    assert_eq!(list.len(), 3);
    assert_eq!(list.last().unwrap().id, first.session);
    let current: Vec<&str> = list.iter().filter(|s| s.current).map(|s| s.id.as_str()).collect();
    assert_eq!(current, [second.session.as_str()]);
    let eve = NewAccount {
        login: "eve@example.com".into(),
        password: None,
        role: Role::Editor,
        display_name: None,
        avatar_url: None,
        metadata: Map::new(),
    };
    let eve = s.run(s.engine.sign_up(eve, Device::default(), Terms::default())).unwrap();
    let eve_calls = s.caller(&eve).unwrap();
    for id in [first.session.as_str(), "sess_unknown"] {
        let refused = s.run(s.engine.end_session(&eve_calls, id)).unwrap_err();
        assert_eq!(refused.kind(), Kind::NotFound);
    }
    s.run(s.engine.end_session(&caller, &first.session)).unwrap();
    assert!(s.caller(&first).is_none() && s.caller(&third).is_some());
    s.run(s.engine.end_other_sessions(&caller)).unwrap();
    assert!(s.caller(&third).is_none() && s.caller(&second).is_some());
    s.run(s.engine.sign_out(&caller)).unwrap();
    assert!(s.caller(&second).is_none());
    assert!(s.caller(&eve).is_some());
    let owner = s.engine.owner_caller();
    assert_eq!(s.run(s.engine.sign_out(&owner)).unwrap_err().kind(), Kind::Denied);
}

#[test]
fn the_sessions_of_one_account_are_bounded() {
    let s = Stack::new();
    let first = s.sign_up();
    for _ in 0..SESSIONS_MAX - 1 {
        s.hand.advance_ms(1);
        s.session();
    }
    assert!(s.caller(&first).is_some());
    s.hand.advance_ms(1);
    let last = s.session();
    assert!(s.caller(&first).is_none());
    let list = s.engine.sessions(&s.caller(&last).unwrap()).unwrap();
    assert_eq!(list.len(), SESSIONS_MAX);
}

/// The time of last use is written once a minute, not with every request.
#[test]
fn the_last_use_is_noted_now_and_then() {
    let s = Stack::new();
    let made = s.sign_up();
    let last_used = || {
        let caller = s.caller(&made).unwrap();
        // A unit of its own, so that the note before it is written.
        s.run(s.engine.count_sign_in_failure("somebody")).unwrap();
        s.engine.sessions(&caller).unwrap()[0].last_used_at
    };
    assert_eq!(last_used(), START_MS);
    s.hand.advance_ms(59_999);
    assert_eq!(last_used(), START_MS);
    s.hand.advance_ms(1);
    assert_eq!(last_used(), START_MS + MINUTE_MS);
    s.hand.advance_ms(30_000);
    assert_eq!(last_used(), START_MS + MINUTE_MS);
}

/// Password, then code; each code once; recovery codes once.
#[test]
fn a_second_factor_is_asked_for() {
    let s = Stack::new();
    let made = s.enrol(&s.sign_up());
    let challenge = s.challenge();
    let used = s.code(&made.seed, 0);
    assert!(matches!(s.prove(&challenge, Proof::Code(used)), SecondFactor::Wrong));
    let next = Proof::Code(s.code(&made.seed, 1));
    let SecondFactor::Done(signed_in) = s.prove(&challenge, next.clone()) else { panic!() };
    assert!(s.caller(&signed_in).is_some_and(|caller| caller.account().is_some()));
    assert!(matches!(s.prove(&challenge, next), SecondFactor::NoChallenge));

    let recovery = Proof::RecoveryCode(made.recovery_codes[3].to_lowercase());
    let challenge = s.challenge();
    assert!(matches!(s.prove(&challenge, recovery.clone()), SecondFactor::Done(_)));
    let challenge = s.challenge();
    assert!(matches!(s.prove(&challenge, recovery), SecondFactor::Wrong));
    s.hand.advance_ms(300_000);
    let late = Proof::Code(s.code(&made.seed, 0));
    assert!(matches!(s.prove(&challenge, late), SecondFactor::NoChallenge));
}

/// live 4.6: five tries for a challenge; wrong codes count for the lock, a right password does not forgive them.
#[test]
fn codes_cannot_be_guessed() {
    let s = Stack::new();
    let made = s.enrol(&s.sign_up());
    let wrong = || Proof::Code("000000".into());
    let (first, second) = (s.challenge(), s.challenge());
    for _ in 0..4 {
        assert!(matches!(s.prove(&first, wrong()), SecondFactor::Wrong));
    }
    s.challenge();
    assert!(matches!(s.prove(&first, wrong()), SecondFactor::Wrong));
    let right = || Proof::Code(s.code(&made.seed, 1));
    assert!(matches!(s.prove(&first, right()), SecondFactor::NoChallenge));
    assert!(matches!(s.prove(&second, right()), SecondFactor::Locked(_)));
    assert!(matches!(s.engine.credentials(LOGIN).unwrap(), Attempt::Locked(_)));
}

/// Setting up, renewing codes, taking away; S34: the last needs a fresh sign-in and ends the other sessions.
#[test]
fn a_factor_comes_and_goes() {
    let s = Stack::new();
    let first = s.sign_up();
    let caller = s.caller(&first).unwrap();
    let none = s.run(s.engine.confirm_factor(&caller, "123456")).unwrap();
    assert!(matches!(none, Answer::NotEnrolled));
    s.run(s.engine.enable_factor(&caller)).unwrap();
    assert!(matches!(s.sign_in(), SignIn::Done(_)), "not in force before it is confirmed");
    let made = s.run(s.engine.enable_factor(&caller)).unwrap();
    let wrong = s.run(s.engine.confirm_factor(&caller, "000000")).unwrap();
    assert!(matches!(wrong, Answer::Wrong));
    let code = s.code(&made.seed, 0);
    assert!(matches!(s.run(s.engine.confirm_factor(&caller, &code)).unwrap(), Answer::Done(())));
    assert!(s.engine.own_profile(&caller).unwrap().mfa_enabled);
    assert_eq!(s.run(s.engine.enable_factor(&caller)).unwrap_err().kind(), Kind::Conflict);

    let proof = Proof::Code(s.code(&made.seed, 1));
    let answer = s.run(s.engine.renew_recovery_codes(&caller, proof)).unwrap();
    let Answer::Done(codes) = answer else { panic!("{answer:?}") };
    let old = Proof::RecoveryCode(made.recovery_codes[0].clone());
    assert!(matches!(s.prove(&s.challenge(), old), SecondFactor::Wrong));

    s.hand.advance_ms(6 * MINUTE_MS);
    let proof = |n: usize| Proof::RecoveryCode(codes[n].clone());
    let stale = s.run(s.engine.disable_factor(&caller, proof(0))).unwrap();
    assert!(matches!(stale, Answer::NotFresh));
    let SecondFactor::Done(fresh) = s.prove(&s.challenge(), proof(1)) else { panic!() };
    let caller = s.caller(&fresh).unwrap();
    assert!(matches!(s.run(s.engine.disable_factor(&caller, proof(2))).unwrap(), Answer::Done(())));
    assert!(s.caller(&first).is_none() && s.caller(&fresh).is_some());
    assert!(matches!(s.sign_in(), SignIn::Done(_)));
}

/// Keys stay across restarts; a rotation keeps the one before it and no more.
#[test]
fn signing_keys_are_kept_and_rotated() {
    let s = Stack::new();
    let first = s.engine.signing_keys(ACCESS_KEYS).unwrap();
    assert_eq!(first.len(), 1);
    assert_ne!(first[0].secret, s.engine.signing_keys(LINK_KEYS).unwrap()[0].secret);
    let s = s.reopened();
    assert_eq!(s.engine.signing_keys(ACCESS_KEYS).unwrap(), first);
    let owner = s.engine.owner_caller();
    for _ in 0..2 {
        s.run(s.engine.rotate_signing_key(&owner, ACCESS_KEYS)).unwrap();
    }
    let keys = s.engine.signing_keys(ACCESS_KEYS).unwrap();
    assert_eq!(keys.len(), 2);
    assert!(!keys.contains(&first[0]));
}
