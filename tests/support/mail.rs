//! Mails that the API has sent, read as a mail program does.

use std::{
    fs,
    path::{Path, PathBuf},
};

use mail_parser::{Address, MessageParser, MimeHeaders};
use reqwest::Url;
use tokio_postgres::types::Type;

use crate::{database::connect_to_stack, server::Settings};

/// A mail with its two parts.
#[derive(Clone, Debug)]
pub struct Mail {
    pub from: String,
    pub to: String,
    pub subject: String,
    pub text: String,
    pub html: String,
    /// As it was sent.
    pub source: String,
}

impl Mail {
    pub fn parse(bytes: &[u8]) -> Self {
        let message = MessageParser::default().parse(bytes).expect("a mail");
        let address = |of: Option<&Address<'_>>| {
            let address = of.and_then(Address::first).and_then(|first| first.address()).expect("an address");
            address.to_owned()
        };
        assert!(message.is_content_type("multipart", "alternative"), "{message:?}");
        assert!(message.date().is_some(), "{message:?}");
        assert_eq!((message.text_body.len(), message.html_body.len(), message.attachments.len()), (1, 1, 0));
        Self {
            from: address(message.from()),
            to: address(message.to()),
            subject: message.subject().expect("a subject").to_owned(),
            text: message.body_text(0).expect("a text part").into_owned(),
            html: message.body_html(0).expect("an HTML part").into_owned(),
            source: String::from_utf8(bytes.to_owned()).expect("ASCII"),
        }
    }

    /// The one link of the text, a line of its own.
    pub fn link(&self) -> Url {
        let links: Vec<_> = self.text.lines().filter(|line| line.starts_with("http")).collect();
        let [link] = links[..] else { panic!("one link is expected: {}", self.text) };
        link.parse().expect("a URL")
    }

    /// A value in the fragment of the link.
    pub fn value(&self, name: &str) -> String {
        let link = self.link();
        let mut query = link.clone();
        query.set_query(link.fragment());
        let value = query.query_pairs().find(|(known, _)| known == name);
        value.unwrap_or_else(|| panic!("no {name} in {link}")).1.into_owned()
    }

    /// The token that leads to a new password.
    pub fn token(&self) -> String {
        self.value("password-reset")
    }
}

/// The folder that an API writes mails into.
#[derive(Clone, Debug)]
pub struct Mailbox(PathBuf);

impl Mailbox {
    /// That of the API that all tests share.
    pub fn shared() -> Self {
        Self::at(Path::new(Settings::shared().get("MAIL_FOLDER")))
    }

    pub fn at(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    /// The mails to an address, the oldest first.
    pub fn to(&self, email: &str) -> Vec<Mail> {
        let Ok(entries) = fs::read_dir(&self.0) else { return Vec::new() };
        let mut files: Vec<_> = entries.map(|entry| entry.expect("a file").path()).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "eml"));
        files.sort();
        let mails = files.iter().map(|file| Mail::parse(&fs::read(file).expect("a mail")));
        mails.filter(|mail| mail.to == email).collect()
    }
}

/// Forgets how many mails a network has asked for: all tests share one.
pub async fn forget_network(network: &str) {
    let sql = "DELETE FROM mail_counts WHERE key = sha256(convert_to('password reset from network ' || $1, 'UTF8'))";
    connect_to_stack().await.query_typed(sql, &[(&network, Type::TEXT)]).await.expect("a count");
}
