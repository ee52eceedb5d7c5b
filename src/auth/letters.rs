//! What is sent by mail, in words; and the way out, which `app` wires.
//!
//! Knows purposes and addresses of links. Does not know SMTP or folders.
//!
//! Invariants
//! L1. A secret stands behind the `#` of an address, or alone: it reaches no request line, log or Referer (SECURITY S30).

use crate::engine::accounts::{LinkPurpose, NewLink, link_ms};

/// A letter to one person.
#[derive(Clone, PartialEq, Eq)]
pub struct Letter {
    pub to: String,
    pub subject: String,
    /// Plain text.
    pub text: String,
}

impl std::fmt::Debug for Letter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Letter(***)")
    }
}

/// Takes letters to be sent.
pub trait Post: Send + Sync {
    /// False when too many wait already.
    fn send(&self, letter: Letter) -> bool;
}

/// Where links lead: the page of an application, to which `#purpose=…&token=…` is added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkPage(pub Option<String>);

/// The word for a purpose in links.
#[must_use]
pub fn purpose_word(purpose: LinkPurpose) -> &'static str {
    match purpose {
        LinkPurpose::SignIn => "sign-in",
        LinkPurpose::Verify => "verify",
        LinkPurpose::ResetPassword => "reset-password",
        LinkPurpose::Invite => "invite",
    }
}

/// The letter that carries a link.
#[must_use]
pub fn letter(purpose: LinkPurpose, link: &NewLink, page: &LinkPage) -> Letter {
    let (subject, sentence) = match purpose {
        LinkPurpose::SignIn => ("Your sign-in link", "Somebody, hopefully you, wants to sign in."),
        LinkPurpose::Verify => ("Confirm your address", "Please confirm that mail reaches you."),
        LinkPurpose::ResetPassword => {
            ("Set a new password", "Somebody, hopefully you, wants to set a new password.")
        }
        LinkPurpose::Invite => ("You are invited", "You are invited to make an account."),
    };
    let how = match &page.0 {
        Some(page) => {
            let word = purpose_word(purpose);
            format!("Open this address:\n\n{page}#purpose={word}&token={}", link.secret)
        }
        None => format!("Enter this code:\n\n{}", link.secret),
    };
    let life = life(link_ms(purpose));
    let text = format!(
        "{sentence}\n\n{how}\n\nIt works once, within {life}. If this was not you, do nothing.\n"
    );
    Letter { to: link.login.clone(), subject: subject.into(), text }
}

fn life(ms: i64) -> String {
    let minutes = ms / 60_000;
    match minutes {
        0..=59 => format!("{minutes} minutes"),
        60..=2_879 => format!("{} hours", minutes / 60),
        _ => format!("{} days", minutes / 1_440),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_says_what_to_do() {
        let link =
            NewLink { secret: "s3cret".into(), login: "a@example.com".into(), expires_at: 0 };
        let plain = letter(LinkPurpose::SignIn, &link, &LinkPage::default());
        assert!(plain.text.contains("code:\n\ns3cret\n") && plain.text.contains("15 minutes"));
        let page = LinkPage(Some("https://app.example/in".into()));
        let linked = letter(LinkPurpose::Invite, &link, &page);
        assert!(linked.text.contains("https://app.example/in#purpose=invite&token=s3cret\n"));
        assert!(linked.text.contains("7 days"));
        assert!(!format!("{linked:?} {link:?}").contains("s3cret"));
    }
}
