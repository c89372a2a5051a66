use domain::{Email, ResetToken};

use crate::Page;

/// What a mail is about.
pub enum Mail {
    /// Somebody has asked for a new password.
    PasswordReset(ResetToken),
    /// To the old address: the account has another one.
    EmailChanged,
}

/// A mail in words.
pub(crate) struct Text {
    pub(crate) subject: &'static str,
    /// Paragraphs, and the one link among them.
    paragraphs: Vec<Paragraph>,
}

enum Paragraph {
    Words(String),
    Link(String),
}

impl Mail {
    pub(crate) fn text(&self, to: &Email, page: &Page) -> Text {
        let (email, page_address) = (to.as_str(), page.as_str());
        match self {
            Self::PasswordReset(token) => Text {
                subject: "Choose a new password",
                paragraphs: vec![
                    Paragraph::Words(format!(
                        "Somebody has asked for a new password for the account of {email} at {page_address}. If it was \
                         you, choose one within {} minutes:",
                        ResetToken::LIFETIME.as_secs() / 60
                    )),
                    Paragraph::Link(page.reset_link(token, to)),
                    Paragraph::Words(
                        "If it was not you, ignore this mail: without the link above nobody can do anything, and your \
                         password stays as it is."
                            .to_owned(),
                    ),
                ],
            },
            Self::EmailChanged => Text {
                subject: "The address of your account was changed",
                paragraphs: vec![
                    Paragraph::Words(format!(
                        "The account of {email} at {page_address} has another e-mail address now. Whoever changed it \
                         knew the account's password. Mails about the account no longer come here."
                    )),
                    Paragraph::Words(
                        "If it was not you, somebody else has your account: tell those who run the site.".to_owned(),
                    ),
                ],
            },
        }
    }
}

impl Text {
    pub(crate) fn plain(&self) -> String {
        let paragraphs = self.paragraphs.iter().map(|paragraph| match paragraph {
            Paragraph::Words(text) | Paragraph::Link(text) => format!("{text}\n"),
        });
        paragraphs.collect::<Vec<_>>().join("\n")
    }

    /// No image, style or script, and so nothing to load.
    pub(crate) fn html(&self) -> String {
        let paragraphs = self.paragraphs.iter().map(|paragraph| match paragraph {
            Paragraph::Words(text) => format!("<p>{}</p>\n", escape(text)),
            Paragraph::Link(link) => format!("<p><a href=\"{0}\">{0}</a></p>\n", escape(link)),
        });
        let body = paragraphs.collect::<String>();
        format!("<!DOCTYPE html>\n<html lang=\"en\">\n<title>{}</title>\n{body}</html>\n", escape(self.subject))
    }
}

/// Text for an HTML element or an attribute in double quotes.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(mail: &Mail) -> Text {
        let page = "https://tasks.example.com/?a=1&b=2".parse().unwrap();
        mail.text(&Email::parse("ada+x@example.com").unwrap(), &page)
    }

    #[test]
    fn both_parts_of_a_mail_have_the_link() {
        let text = text(&Mail::PasswordReset(ResetToken::parse("t0ken".to_owned()).unwrap()));
        let link = "https://tasks.example.com/?a=1&b=2#password-reset=t0ken&email=ada%2Bx%40example.com";
        assert!(text.plain().lines().any(|line| line == link), "{}", text.plain());
        assert!(text.plain().contains("within 30 minutes"));
        let escaped = link.replace('&', "&amp;");
        assert!(text.html().contains(&format!("<a href=\"{escaped}\">{escaped}</a>")), "{}", text.html());
    }

    #[test]
    fn a_mail_about_a_changed_address_has_no_link_to_follow() {
        let text = text(&Mail::EmailChanged);
        assert!(text.plain().contains("ada+x@example.com"));
        assert!(!text.html().contains("<a "), "{}", text.html());
    }
}
