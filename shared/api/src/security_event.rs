use crate::Problem;

/// What a request means for the security of accounts, for its log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecurityEvent {
    AccountCreated,
    AccountDeleted,
    SignedIn,
    SignedOut,
    AllSessionsEnded,
    /// A refresh token was used again, and its session has ended.
    RefreshTokenReused,
    SigninFailed,
    /// Also for the current password.
    SigninThrottled,
    /// Malformed, forged or expired, or its session has ended.
    TokenRefused,
    /// For another user's account, task or session, or for a task or a session that does not exist.
    Forbidden,
    CurrentPasswordWrong,
    PasswordChanged,
    EmailChanged,
    EmailAndPasswordChanged,
    /// Whether or not the address has an account.
    PasswordResetRequested,
    /// Asked for too often: no mail is sent.
    PasswordResetThrottled,
    PasswordReset,
    ResetTokenRefused,
}

impl SecurityEvent {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AccountCreated => "account_created",
            Self::AccountDeleted => "account_deleted",
            Self::SignedIn => "signed_in",
            Self::SignedOut => "signed_out",
            Self::AllSessionsEnded => "all_sessions_ended",
            Self::RefreshTokenReused => "refresh_token_reused",
            Self::SigninFailed => "signin_failed",
            Self::SigninThrottled => "signin_throttled",
            Self::TokenRefused => "token_refused",
            Self::Forbidden => "forbidden",
            Self::CurrentPasswordWrong => "current_password_wrong",
            Self::PasswordChanged => "password_changed",
            Self::EmailChanged => "email_changed",
            Self::EmailAndPasswordChanged => "email_and_password_changed",
            Self::PasswordResetRequested => "password_reset_requested",
            Self::PasswordResetThrottled => "password_reset_throttled",
            Self::PasswordReset => "password_reset",
            Self::ResetTokenRefused => "reset_token_refused",
        }
    }

    pub(crate) fn of(problem: &Problem) -> Option<Self> {
        Some(match problem {
            Problem::TokenInvalid | Problem::SessionEnded => Self::TokenRefused,
            Problem::RefreshTokenReused(_) => Self::RefreshTokenReused,
            Problem::WrongCredentials(_) => Self::SigninFailed,
            Problem::WrongCurrentPassword => Self::CurrentPasswordWrong,
            Problem::ResetTokenInvalid => Self::ResetTokenRefused,
            Problem::NotTheCaller | Problem::NoSuchTask | Problem::NoSuchSession => Self::Forbidden,
            Problem::TooManyAttempts(_) => Self::SigninThrottled,
            _ => return None,
        })
    }
}
