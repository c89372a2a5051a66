use serde::Serialize;

/// The kind of a problem, for programs: the word stays the same when the detail is reworded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    BadPath,
    BadParameter,
    BadHeader,
    BadBody,
    TokenMissing,
    TokenInvalid,
    SessionEnded,
    WrongCredentials,
    WrongCurrentPassword,
    ResetTokenInvalid,
    NotYours,
    NoSuchTask,
    NoSuchSession,
    NoSuchFile,
    EmailTaken,
    AccountFull,
    /// The task has changed since.
    Stale,
    BodyTooLarge,
    UnsupportedMediaType,
    Unprocessable,
    KeyReused,
    TooManyAttempts,
    MailNotSetUp,
    Unavailable,
    Internal,
}

impl Code {
    pub const ALL: [Self; 25] = [
        Self::BadPath,
        Self::BadParameter,
        Self::BadHeader,
        Self::BadBody,
        Self::TokenMissing,
        Self::TokenInvalid,
        Self::SessionEnded,
        Self::WrongCredentials,
        Self::WrongCurrentPassword,
        Self::ResetTokenInvalid,
        Self::NotYours,
        Self::NoSuchTask,
        Self::NoSuchSession,
        Self::NoSuchFile,
        Self::EmailTaken,
        Self::AccountFull,
        Self::Stale,
        Self::BodyTooLarge,
        Self::UnsupportedMediaType,
        Self::Unprocessable,
        Self::KeyReused,
        Self::TooManyAttempts,
        Self::MailNotSetUp,
        Self::Unavailable,
        Self::Internal,
    ];
}

/// As many as there are kinds: a new one cannot be left out.
const _: () = assert!(Code::ALL.len() == Code::Internal as usize + 1);
