//! Entity tags and conditional requests (RFC 9110, sections 8.8.3, 13.1.1 and 13.1.2).

use std::fmt;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use domain::{Precondition, Version};
use lambda_http::{
    Body,
    http::{
        HeaderValue, StatusCode,
        header::{CONTENT_ENCODING, CONTENT_TYPE, ETAG, LINK},
    },
};
use sha2::{Digest, Sha256};

use crate::{Problem, Response};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityTag {
    is_weak: bool,
    /// Without the quotes.
    opaque: String,
}

impl EntityTag {
    /// `opaque` must consist of visible ASCII characters other than quotes.
    pub fn strong(opaque: impl Into<String>) -> Self {
        Self { is_weak: false, opaque: opaque.into() }
    }

    /// The version that the tag was made from. `None` for a weak tag, as `If-Match` compares strongly (section 8.8.3.2), and
    /// for a tag that is not ours.
    fn version(&self) -> Option<Version> {
        if self.is_weak { None } else { Version::parse(&self.opaque) }
    }

    /// For a response that has no version: a digest of its body and its `Link`.
    pub fn of(response: &Response) -> Self {
        let mut digest = Sha256::new_with_prefix(response.body());
        digest.update(response.headers().get(LINK).map(HeaderValue::as_bytes).unwrap_or_default());
        Self::strong(BASE64_URL_SAFE_NO_PAD.encode(&digest.finalize()[..16]))
    }
}

impl From<Version> for EntityTag {
    fn from(version: Version) -> Self {
        Self::strong(version.to_string())
    }
}

impl fmt::Display for EntityTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\"{}\"", if self.is_weak { "W/" } else { "" }, self.opaque)
    }
}

/// The value of `If-Match` or `If-None-Match`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntityTags {
    /// `*`.
    Any,
    /// At least one.
    List(Vec<EntityTag>),
}

impl EntityTags {
    /// Parses `*` or a comma-separated list. Elements may be empty (section 5.6.1), but not all of them, and a tag may
    /// contain a comma.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut rest = text.trim_matches(WHITE_SPACE);
        if rest == "*" {
            return Some(Self::Any);
        }
        let mut tags = Vec::new();
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            if rest.is_empty() {
                return (!tags.is_empty()).then_some(Self::List(tags));
            }
            let (is_weak, quoted) = match rest.strip_prefix("W/") {
                Some(quoted) => (true, quoted),
                None => (false, rest),
            };
            let (opaque, after) = quoted.strip_prefix('"')?.split_once('"')?;
            if opaque.contains(|c: char| c.is_ascii_control() || c == ' ') {
                return None;
            }
            tags.push(EntityTag { is_weak, opaque: opaque.to_owned() });
            rest = after.trim_start_matches(WHITE_SPACE);
            if !rest.is_empty() && !rest.starts_with(',') {
                return None;
            }
        }
    }

    /// As a precondition for a change. Tags that are not ours match no version.
    pub(crate) fn precondition(&self) -> Precondition {
        match self {
            Self::Any => Precondition::Any,
            Self::List(tags) => Precondition::OneOf(tags.iter().filter_map(EntityTag::version).collect()),
        }
    }

    /// Whether the response has one of the tags. `If-None-Match` compares weakly.
    fn match_response(&self, response: &Response) -> bool {
        let Some(current) = response.headers().get(ETAG) else { return false };
        match self {
            Self::Any => true,
            Self::List(tags) => {
                tags.iter().any(|tag| EntityTag::strong(&*tag.opaque).to_string().as_bytes() == current.as_bytes())
            }
        }
    }
}

/// Optional white space (section 5.6.3).
const WHITE_SPACE: [char; 2] = [' ', '\t'];

/// Adds an `ETag`.
pub fn with_etag(mut response: Response, tag: impl Into<EntityTag>) -> Response {
    if let Ok(tag) = HeaderValue::from_str(&tag.into().to_string()) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// The response, or 304 when the client has it already (`If-None-Match`): the same headers, except those of the body.
pub fn unless_known(mut response: Response, known: Option<&EntityTags>) -> Response {
    if known.is_some_and(|known| known.match_response(&response)) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Body::Empty;
        response.headers_mut().remove(CONTENT_TYPE);
        response.headers_mut().remove(CONTENT_ENCODING);
    }
    response
}

impl Problem {
    pub(crate) fn bad_tags(header: &'static str) -> Self {
        Self::BadHeader(header, "must be * or a list of entity tags such as \"0123\"")
    }
}

#[cfg(test)]
mod tests {
    use domain::Timestamp;

    use super::*;

    fn weak(opaque: &str) -> EntityTag {
        EntityTag { is_weak: true, opaque: opaque.to_owned() }
    }

    fn these(tags: impl Into<Vec<EntityTag>>) -> Option<EntityTags> {
        Some(EntityTags::List(tags.into()))
    }

    #[test]
    fn a_list_of_tags_is_parsed() {
        assert_eq!(EntityTags::parse(" *\t"), Some(EntityTags::Any));
        assert_eq!(EntityTags::parse("\"a\""), these([EntityTag::strong("a")]));
        assert_eq!(EntityTags::parse("\"a,b\" ,, W/\"c\"\t,"), these([EntityTag::strong("a,b"), weak("c")]));
        assert_eq!(EntityTags::parse("\"\",\"ü!\""), these([EntityTag::strong(""), EntityTag::strong("ü!")]));
    }

    #[test]
    fn a_malformed_list_of_tags_is_refused() {
        for text in [
            "",
            " , ",
            "a",
            "\"a",
            "a\"",
            "w/\"a\"",
            "W/",
            "W/ \"a\"",
            "*, \"a\"",
            "\"a\", *",
            "\"a\" \"b\"",
            "\"a b\"",
            "\"a\"b",
        ] {
            assert_eq!(EntityTags::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn only_a_tag_of_ours_has_a_version() {
        let version = Version::from(Timestamp::from_micros(1_700_000_000_123_456).unwrap());
        let tag = EntityTag::from(version);
        assert_eq!(tag.to_string(), "\"60a2418202240\"");
        assert_eq!(tag.version(), Some(version));
        for opaque in ["60A2418202240", "+60a2418202240", "060a2418202240", "", "x", "ffffffffffffffffffff"] {
            assert_eq!(EntityTag::strong(opaque).version(), None, "{opaque}");
        }
        assert_eq!(weak(&tag.opaque).version(), None);
    }

    #[test]
    fn a_client_that_has_the_response_is_only_sent_headers() {
        let response = || with_etag(crate::ok(&1), EntityTag::strong("a"));
        for known in ["\"a\"", "W/\"a\"", "\"b\", \"a\"", "*"] {
            let answer = unless_known(response(), EntityTags::parse(known).as_ref());
            assert_eq!((answer.status().as_u16(), answer.body()), (304, &Body::Empty), "{known}");
            assert_eq!(answer.headers()["etag"], "\"a\"");
            assert_eq!(answer.headers()["cache-control"], "no-store");
        }
        assert_eq!(unless_known(response(), EntityTags::parse("\"b\"").as_ref()).status(), 200);
        assert_eq!(unless_known(response(), None).status(), 200);
    }
}
