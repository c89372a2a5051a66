use std::str::FromStr;

use domain::{Email, ResetToken};
use url::Url;

/// The address of the page that links in mails lead to. It is a setting: a request cannot choose it.
#[derive(Clone, Debug)]
pub struct Page(Url);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it must be a URL such as https://tasks.example.com/, without a fragment")]
pub struct InvalidPage;

impl FromStr for Page {
    type Err = InvalidPage;

    fn from_str(text: &str) -> Result<Self, InvalidPage> {
        let url = Url::parse(text).map_err(|_| InvalidPage)?;
        let is_page = matches!(url.scheme(), "http" | "https") && url.has_host() && url.fragment().is_none();
        if is_page { Ok(Self(url)) } else { Err(InvalidPage) }
    }
}

impl Page {
    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The link to choose a new password. The token is in the fragment, which browsers send to no server.
    pub(crate) fn reset_link(&self, token: &ResetToken, email: &Email) -> String {
        let mut fragment = form_urlencoded::Serializer::new(String::new());
        fragment.append_pair("password-reset", token.expose()).append_pair("email", email.as_str());
        format!("{}#{}", self.0, fragment.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_has_the_token_and_the_address_in_its_fragment() {
        let token = ResetToken::parse("a-Z_9".to_owned()).unwrap();
        let email = Email::parse("ada.l+x%y@example.com").unwrap();
        for (page, expected) in [
            ("https://tasks.example.com", "https://tasks.example.com/"),
            ("https://example.com/v1", "https://example.com/v1"),
            ("http://127.0.0.1:9000/?lang=en&x=1", "http://127.0.0.1:9000/?lang=en&x=1"),
        ] {
            let link = page.parse::<Page>().unwrap().reset_link(&token, &email);
            assert_eq!(link, format!("{expected}#password-reset=a-Z_9&email=ada.l%2Bx%25y%40example.com"));
        }
    }

    #[test]
    fn a_page_is_an_address_of_the_web_without_a_fragment() {
        for text in
            ["", "tasks.example.com", "/", "ftp://example.com/", "javascript:alert(1)", "https://", "https://a/#b"]
        {
            assert_eq!(text.parse::<Page>().err(), Some(InvalidPage), "{text:?}");
        }
    }
}
