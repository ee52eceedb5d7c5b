//! Why a request of the live protocol was not understood.
//!
//! Two kinds, as the protocol has two codes for it; both are answered with status 400. Texts are for
//! clients: they name the part at fault and hold nothing but what the client sent.

/// How many faults of one request are reported.
pub const DETAILS_MAX: usize = 100;

/// One part at fault: `ops[2].entity`, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail {
    pub field: String,
    pub message: String,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormFault {
    /// `INVALID_ARGUMENT`
    #[error("{message}")]
    InvalidArgument { message: String, details: Vec<Detail> },
    /// `QUERY_TOO_COMPLEX`
    #[error("{0}")]
    TooComplex(String),
}

impl FormFault {
    /// A fault of the request as a whole.
    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::InvalidArgument { message: message.into(), details: Vec::new() }
    }

    /// A fault of one part, which the message names too.
    #[must_use]
    pub fn at(field: impl Into<String>, message: impl Into<String>) -> Self {
        let (field, message) = (field.into(), message.into());
        Self::InvalidArgument {
            message: format!("{field}: {message}"),
            details: vec![Detail { field, message }],
        }
    }

    #[must_use]
    pub fn too_complex(message: impl Into<String>) -> Self {
        Self::TooComplex(message.into())
    }
}

/// Collects faults of one document, so that somebody can mend them all at once.
#[derive(Debug, Default)]
pub struct Details(Vec<Detail>);

impl Details {
    /// Notes a fault; past [`DETAILS_MAX`] it is dropped.
    pub fn push(&mut self, field: impl Into<String>, message: impl Into<String>) {
        if self.0.len() < DETAILS_MAX {
            self.0.push(Detail { field: field.into(), message: message.into() });
        }
    }

    /// Notes what another reader found wrong with the part `field`.
    pub fn push_fault(&mut self, field: &str, fault: FormFault) {
        self.push(field, fault.to_string());
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Nothing when nothing was noted, else a fault with this message.
    ///
    /// # Errors
    /// The noted faults.
    pub fn into_result(self, message: &str) -> Result<(), FormFault> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err(FormFault::InvalidArgument { message: message.to_owned(), details: self.0 })
    }

    /// As [`Details::into_result`], with the first fault as the message.
    ///
    /// # Errors
    /// The noted faults.
    pub fn into_first(self) -> Result<(), FormFault> {
        let message = match self.0.first() {
            Some(first) => format!("{}: {}", first.field, first.message),
            None => return Ok(()),
        };
        self.into_result(&message)
    }
}

/// What a client sent, short and on one line, for use inside a message.
#[must_use]
pub fn quoted(text: &str) -> String {
    const CHARS_MAX: usize = 64;
    let mut out: String = text.chars().filter(|sign| !sign.is_control()).take(CHARS_MAX).collect();
    if text.chars().count() > CHARS_MAX {
        out.push('…');
    }
    out
}
