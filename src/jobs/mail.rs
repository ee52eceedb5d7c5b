//! Mail: letters wait in a bounded line and leave on a thread of their own, through SMTP or into a folder.
//!
//! Knows transports. Does not know what a letter says or why.
//!
//! Invariants
//! M1. At most [`LETTERS_MAX`] letters wait; a letter is tried [`TRIES`] times, then given up, and the log says so.
//! M2. Neither text nor address of a letter is logged (SECURITY S70).
//! M3. No letter leaves unless mail was configured (SECURITY S6).

use std::collections::VecDeque;
use std::io;
#[cfg(feature = "mail")]
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Letters that wait.
pub const LETTERS_MAX: usize = 256;
/// Times a letter is tried.
pub const TRIES: u32 = 3;
/// Between two tries; tests make it short.
const PAUSE: Duration = Duration::from_secs(20);
/// One conversation with a mail server.
#[cfg(feature = "mail")]
const TIMEOUT: Duration = Duration::from_secs(15);

/// A letter, addressed.
#[derive(Clone, PartialEq, Eq)]
pub struct Mail {
    pub to: String,
    pub subject: String,
    pub text: String,
}

impl std::fmt::Debug for Mail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mail(***)")
    }
}

/// Where letters go.
#[derive(Clone)]
pub enum Outlet {
    /// `smtps://user:password@host`, or `smtp://host` in a network that is trusted.
    Smtp(String),
    /// A file for each letter: for development.
    Folder(PathBuf),
}

impl std::fmt::Debug for Outlet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Smtp(_) => "Smtp(***)",
            Self::Folder(_) => "Folder",
        })
    }
}

/// Why mail cannot be sent with these settings. Says nothing that is secret.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    #[error("mail_from is no address such as `Cairn <cairn@example.com>`")]
    From,
    #[error("smtp_url is no address such as smtps://user:password@mail.example.com")]
    Url,
    #[error("this program was built without mail")]
    NotBuilt,
    #[error("{0} cannot be used for mail: {1}")]
    Folder(String, io::Error),
    #[error("no thread for mail")]
    Thread(#[from] io::Error),
}

/// What tries to send one letter.
type Send = Box<dyn FnMut(&Mail) -> Result<(), String> + std::marker::Send>;

/// The line and its thread. Dropping it sends what waits once more, then ends.
pub struct Mailer {
    line: Mutex<Option<SyncSender<Mail>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for Mailer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mailer")
    }
}

impl Mailer {
    /// # Errors
    /// [`MailError`] names the setting.
    pub fn start(outlet: Outlet, from: &str) -> Result<Self, MailError> {
        Ok(Self::with(sender(outlet, from)?, PAUSE)?)
    }

    fn with(mut send: Send, pause: Duration) -> io::Result<Self> {
        let (line, letters) = sync_channel(LETTERS_MAX);
        let thread = std::thread::Builder::new()
            .name("mail".into())
            .spawn(move || work(&letters, &mut send, pause))?;
        Ok(Self { line: Mutex::new(Some(line)), thread: Mutex::new(Some(thread)) })
    }

    /// Puts a letter into the line; false when it is full.
    pub fn post(&self, mail: Mail) -> bool {
        let line = self.line.lock().expect("no holder of this lock panics");
        match line.as_ref().map(|line| line.try_send(mail)) {
            Some(Ok(())) => true,
            Some(Err(TrySendError::Full(_) | TrySendError::Disconnected(_))) | None => false,
        }
    }
}

impl Drop for Mailer {
    fn drop(&mut self) {
        drop(self.line.lock().expect("no holder of this lock panics").take());
        if let Some(thread) = self.thread.lock().expect("no holder of this lock panics").take() {
            let _ = thread.join();
        }
    }
}

struct Waiting {
    mail: Mail,
    tries: u32,
    due: Instant,
}

fn work(letters: &Receiver<Mail>, send: &mut Send, pause: Duration) {
    let mut again: VecDeque<Waiting> = VecDeque::new();
    loop {
        let next = match again.front() {
            None => letters.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(first) => {
                letters.recv_timeout(first.due.saturating_duration_since(Instant::now()))
            }
        };
        let (mail, tries) = match next {
            Ok(mail) => (mail, 1),
            Err(RecvTimeoutError::Timeout) => match again.pop_front() {
                Some(Waiting { mail, tries, .. }) => (mail, tries + 1),
                None => continue,
            },
            Err(RecvTimeoutError::Disconnected) => return last_try(again, send),
        };
        let Err(reason) = send(&mail) else {
            tracing::info!(tries, "a letter was sent");
            continue;
        };
        if tries < TRIES && again.len() < LETTERS_MAX {
            tracing::warn!(tries, reason, "a letter could not be sent; it is tried again");
            again.push_back(Waiting { mail, tries, due: Instant::now() + pause });
        } else {
            tracing::error!(tries, reason, "a letter was given up");
        }
    }
}

/// The process ends: nothing waits any longer, and a server that does not answer holds nobody up more than once.
fn last_try(again: VecDeque<Waiting>, send: &mut Send) {
    let mut lost = again.len();
    for Waiting { mail, .. } in again {
        if send(&mail).is_err() {
            break;
        }
        lost -= 1;
    }
    if lost > 0 {
        tracing::error!(lost, "letters were given up at the end");
    }
}

#[cfg(not(feature = "mail"))]
fn sender(_: Outlet, _: &str) -> Result<Send, MailError> {
    Err(MailError::NotBuilt)
}

#[cfg(feature = "mail")]
fn sender(outlet: Outlet, from: &str) -> Result<Send, MailError> {
    use lettre::message::Mailbox;
    use lettre::{Message, SmtpTransport, Transport as _};

    let from: Mailbox = from.parse().map_err(|_| MailError::From)?;
    let message = move |mail: &Mail| -> Result<Message, String> {
        let to: Mailbox = mail.to.parse().map_err(|_| "no address a server would take")?;
        Message::builder()
            .from(from.clone())
            .to(to)
            .subject(mail.subject.clone())
            .body(mail.text.clone())
            .map_err(|fault| fault.to_string())
    };
    Ok(match outlet {
        Outlet::Smtp(url) => {
            let transport = SmtpTransport::from_url(&url).map_err(|_| MailError::Url)?;
            let transport = transport.timeout(Some(TIMEOUT)).build();
            Box::new(move |mail| {
                // The server's words may repeat the address: only the kind of failure is kept.
                let kind = |fault: lettre::transport::smtp::Error| match fault.status() {
                    Some(code) => format!("the server said {code}"),
                    None if fault.is_timeout() => "the server did not answer in time".into(),
                    None => "no conversation with the server".to_owned(),
                };
                transport.send(&message(mail)?).map(|_| ()).map_err(kind)
            })
        }
        Outlet::Folder(folder) => {
            let unusable = |fault| MailError::Folder(folder.display().to_string(), fault);
            std::fs::create_dir_all(&folder).map_err(unusable)?;
            let mut count = 0_u64;
            Box::new(move |mail| {
                count += 1;
                let bytes = message(mail)?.formatted();
                write_private(&folder, count, &bytes).map_err(|fault| fault.kind().to_string())
            })
        }
    })
}

/// A file that nobody else may read, under a name that is not taken.
#[cfg(feature = "mail")]
fn write_private(folder: &Path, count: u64, bytes: &[u8]) -> io::Result<()> {
    use std::io::Write as _;

    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    /// Letters of runs before.
    const NAMES_MAX: u64 = 1_000_000;
    for number in count..NAMES_MAX {
        let name = folder.join(format!("{number:06}.eml"));
        match options.open(&name) {
            Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => {}
            Err(fault) => return Err(fault),
            Ok(mut file) => return file.write_all(bytes),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    fn mail(to: &str) -> Mail {
        Mail { to: to.into(), subject: "Hello".into(), text: "Grüße\n".into() }
    }

    /// A letter is tried again while others go on, and given up in the end.
    #[test]
    fn letters_are_tried_again_and_given_up() {
        let (told, tried) = channel();
        let send: Send = Box::new(move |mail| {
            let _ = told.send(mail.to.clone());
            if mail.to == "bad" { Err("no".into()) } else { Ok(()) }
        });
        let mailer = Mailer::with(send, Duration::from_millis(20)).unwrap();
        assert!(mailer.post(mail("bad")) && mailer.post(mail("good")));
        let seen: Vec<String> = (0..4).map(|_| tried.recv().unwrap()).collect();
        assert_eq!(seen, ["bad", "good", "bad", "bad"]);
        drop(mailer);
        assert!(tried.recv().is_err(), "not a fourth time");
    }

    /// M1: who posts is never held up.
    #[test]
    fn a_full_line_refuses() {
        let (open, gate) = channel::<()>();
        let send: Send = Box::new(move |_| gate.recv().map_err(|_| String::new()));
        let mailer = Mailer::with(send, PAUSE).unwrap();
        let posted = (0..LETTERS_MAX + 10).filter(|_| mailer.post(mail("a"))).count();
        assert!((LETTERS_MAX..=LETTERS_MAX + 1).contains(&posted), "{posted}");
        drop(open);
    }

    #[cfg(feature = "mail")]
    #[test]
    fn a_folder_keeps_letters() {
        let folder = tempfile::tempdir().unwrap();
        let outlet = || Outlet::Folder(folder.path().join("mail"));
        for _ in 0..2 {
            let mailer = Mailer::start(outlet(), "Cairn <cairn@localhost>").unwrap();
            assert!(mailer.post(mail("a@example.com")));
            drop(mailer);
        }
        let text = std::fs::read_to_string(folder.path().join("mail/000002.eml")).unwrap();
        assert!(text.contains("To: a@example.com") && text.contains("Subject: Hello"), "{text}");
        assert!(text.contains("From: \"Cairn\"") || text.contains("From: Cairn <"), "{text}");
    }

    #[cfg(feature = "mail")]
    #[test]
    fn settings_that_cannot_work_are_named() {
        let refused = |outlet, from| Mailer::start(outlet, from).unwrap_err().to_string();
        let smtp = || Outlet::Smtp("smtps://u:secret@mail.example.com".into());
        assert!(refused(smtp(), "nobody").contains("mail_from"));
        let wrong = refused(Outlet::Smtp("ftp://u:secret@x".into()), "a@b.example");
        assert!(wrong.contains("smtp_url") && !wrong.contains("secret"));
        assert!(!format!("{:?}", smtp()).contains("secret"));
        Mailer::start(smtp(), "a@b.example").unwrap();
    }
}
