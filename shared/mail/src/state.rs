use std::path::PathBuf;

use api::{
    Authenticated, Error, MAIL_FOLDER, MAIL_FROM, MAIL_SETTINGS, PAGE_URL, Problem, Public, Setting, Settings, State,
};
use domain::Email;
use lettre::{Address, message::Mailbox};

use crate::{Mail, Mailer, Page, TIMEOUT};

/// A state, and a mailer unless none is set up.
pub struct Mailing<S> {
    pub inner: S,
    mailer: Option<Mailer>,
}

impl<S> Mailing<S> {
    /// # Errors
    /// 501 when no sender is set up.
    pub fn mailer(&self) -> Result<&Mailer, Problem> {
        self.mailer.as_ref().ok_or(Problem::MailNotSetUp)
    }
}

impl Mailing<Authenticated> {
    /// Tells the old address of an account, if it was changed. Never fails, and takes no longer than [`TIMEOUT`].
    ///
    /// At most 3 such mails an hour go to one address: changes to and fro would be a way to flood others, whose addresses
    /// anyone may sign up with.
    pub async fn tell_old_address(&self, old: &Email, new: &str) {
        let Some(mailer) = self.mailer.as_ref().filter(|_| old.as_str() != new) else { return };
        let told = async {
            match self.inner.db.count_notice(old).await {
                Ok(true) => mailer.send(old, &Mail::EmailChanged).await,
                Ok(false) => tracing::warn!("the old address has been told of too many changes"),
                Err(error) => tracing::error!(cause = %error, "the old address was not told"),
            }
        };
        if tokio::time::timeout(TIMEOUT, told).await.is_err() {
            tracing::error!("there was no time to tell the old address");
        }
    }
}

/// `const` generics cannot add up the lengths of a generic state's settings, so each state is named.
macro_rules! mailing {
    ($($state:ty),*) => {$(
        impl State for Mailing<$state> {
            const SETTINGS: &'static [Setting] =
                &joined::<{ <$state>::SETTINGS.len() + MAIL_SETTINGS.len() }>(<$state>::SETTINGS);

            async fn new(settings: &Settings) -> Result<Self, Error> {
                let mailer = mailer(settings).await?;
                Ok(Self { inner: <$state>::new(settings).await?, mailer })
            }
        }
    )*};
}
mailing! { Public, Authenticated }

/// A state's settings, and those of mail.
const fn joined<const N: usize>(state: &[Setting]) -> [Setting; N] {
    let mut all = [MAIL_FROM; N];
    let mut index = 0;
    while index < N {
        all[index] = if index < state.len() { state[index] } else { MAIL_SETTINGS[index - state.len()] };
        index += 1;
    }
    all
}

async fn mailer(settings: &Settings) -> Result<Option<Mailer>, Error> {
    let Some(from) = settings.parse::<Address>(MAIL_FROM)? else { return Ok(None) };
    let page =
        settings.parse::<Page>(PAGE_URL)?.ok_or_else(|| PAGE_URL.invalid("must be set together with MAIL_FROM"))?;
    let from = Mailbox::new(None, from);
    Ok(Some(match settings.parse::<PathBuf>(MAIL_FOLDER)? {
        Some(folder) => Mailer::folder(from, page, folder),
        #[cfg(feature = "cloud")]
        None => Mailer::ses(from, page).await,
        #[cfg(not(feature = "cloud"))]
        None => return Err(MAIL_FOLDER.invalid("must be set: this program was built without SES")),
    }))
}
