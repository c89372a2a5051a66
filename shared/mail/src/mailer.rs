use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use domain::Email;
use lettre::{
    Message,
    address::AddressError,
    message::{
        Mailbox, MultiPart,
        header::{Header, HeaderName, HeaderValue},
    },
};
use uuid::Uuid;

#[cfg(feature = "cloud")]
use crate::ses::{self, Ses};
use crate::{Mail, Page};

/// How long a request waits for a mail to be sent.
pub const TIMEOUT: Duration = Duration::from_millis(1_500);

/// Sends mail from one address.
pub struct Mailer {
    from: Mailbox,
    page: Page,
    transport: Transport,
}

enum Transport {
    #[cfg(feature = "cloud")]
    Ses(Ses),
    /// Each mail is a file in this folder.
    Folder(PathBuf),
}

impl Mailer {
    #[cfg(feature = "cloud")]
    pub(crate) async fn ses(from: Mailbox, page: Page) -> Self {
        Self { from, page, transport: Transport::Ses(Ses::new().await) }
    }

    /// Writes each mail as a file `*.eml`, the names in the order of time.
    pub(crate) fn folder(from: Mailbox, page: Page, folder: PathBuf) -> Self {
        Self { from, page, transport: Transport::Folder(folder) }
    }

    /// Sends a mail, within [`TIMEOUT`]. A failure is logged.
    pub async fn send(&self, to: &Email, mail: &Mail) {
        let sent = tokio::time::timeout(TIMEOUT, self.try_to_send(to, mail)).await;
        if let Err(failure) = sent.unwrap_or(Err(Failure::Timeout)) {
            tracing::error!(cause = %failure, "the mail was not sent");
        }
    }

    async fn try_to_send(&self, to: &Email, mail: &Mail) -> Result<(), Failure> {
        let message = self.message(to, mail)?;
        match &self.transport {
            #[cfg(feature = "cloud")]
            Transport::Ses(ses) => Ok(ses.send(message).await?),
            Transport::Folder(folder) => Ok(write(folder, &message)?),
        }
    }

    /// The mail as it is sent (RFC 5322).
    fn message(&self, to: &Email, mail: &Mail) -> Result<Vec<u8>, Failure> {
        let text = mail.text(to, &self.page);
        let message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to.as_str().parse()?))
            .subject(text.subject)
            .header(AutoSubmitted)
            .multipart(MultiPart::alternative_plain_html(text.plain(), text.html()))?;
        Ok(message.formatted())
    }
}

/// Keeps holiday notices and other answers by machines away (RFC 3834, section 5).
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// Whoever reads the folder finds whole mails only.
fn write(folder: &Path, message: &[u8]) -> io::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let name = format!("{:020}-{}", now.as_micros(), Uuid::new_v4());
    fs::create_dir_all(folder)?;
    let unfinished = folder.join(format!(".{name}"));
    fs::write(&unfinished, message)?;
    fs::rename(unfinished, folder.join(format!("{name}.eml")))
}

/// Why a mail was not sent. The messages never hold the address.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("no answer in {} s", TIMEOUT.as_secs_f32())]
    Timeout,
    #[error("the address is none that mail can be sent to")]
    Address(#[from] AddressError),
    #[error("the message cannot be composed")]
    Message(#[from] lettre::error::Error),
    #[cfg(feature = "cloud")]
    #[error(transparent)]
    Ses(#[from] ses::Failure),
    #[error("the folder: {0}")]
    Folder(#[from] io::Error),
}
