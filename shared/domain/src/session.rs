use serde::Serialize;

use crate::{SessionId, Timestamp};

/// A session as its owner sees it, without its secrets.
#[derive(Clone, Debug, Serialize)]
pub struct Session {
    pub id: SessionId,
    pub created_at: Timestamp,
    /// When it last gave a token.
    pub refreshed_at: Timestamp,
    /// When it ends unless it is refreshed before.
    pub expires_at: Timestamp,
    pub user_agent: Option<UserAgent>,
    /// Whether it is the session of the request.
    pub current: bool,
}

/// How often the account's password had changed by release 0.1.0, in whose tokens it stands for the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenVersion(pub i32);

/// What a client says that it is (RFC 9110, section 10.1.5), for people to tell their sessions apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UserAgent(String);

impl UserAgent {
    /// In code points. The rest is cut off.
    pub const MAX_CHARS: usize = 255;

    /// `None` when nothing printable is left.
    pub fn new(text: &str) -> Option<Self> {
        let printable: String = text.chars().filter(|c| !c.is_control()).take(Self::MAX_CHARS).collect();
        Some(printable.trim()).filter(|text| !text.is_empty()).map(|text| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_user_agent_fits_its_column() {
        let kept = |text: &str| UserAgent::new(text).map(|agent| agent.0);
        assert_eq!(kept(" curl/8.5 ").as_deref(), Some("curl/8.5"));
        assert_eq!(kept("a\0b\u{7f}\n").as_deref(), Some("ab"));
        assert_eq!(kept(&"é".repeat(300)), Some("é".repeat(255)));
        for text in ["", "\0", " \t"] {
            assert_eq!(kept(text), None, "{text:?}");
        }
    }
}
