use std::{
    fmt::{self, Display},
    fs::{self, File},
    io::{Read, Seek, Write},
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use anyhow::{Context, ensure};
use aws_sdk_s3::{
    Client,
    config::timeout::TimeoutConfig,
    primitives::ByteStream,
    types::{CompletedMultipartUpload, CompletedPart},
};
use tempfile::NamedTempFile;

use crate::stage::{self, Stage};

/// Bytes of a request; S3 takes 10,000 of them.
const PART: u64 = 32 << 20;

/// For each attempt to send a part.
const PART_TIMEOUT: Duration = Duration::from_secs(300);

/// Where a backup is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    File(PathBuf),
    Object { bucket: String, key: String },
}

impl FromStr for Place {
    type Err = &'static str;

    /// Parses a path, or `s3://BUCKET/KEY`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some(rest) = text.strip_prefix("s3://") else { return Ok(Self::File(text.into())) };
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err("write s3://BUCKET/PREFIX");
        }
        Ok(Self::Object { bucket: bucket.to_owned(), key: key.to_owned() })
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Object { bucket, key } => write!(f, "s3://{bucket}/{key}"),
        }
    }
}

impl Place {
    /// The place of a backup with this name: in the folder, or below the prefix in the bucket. A path that is no folder is
    /// the file's own.
    pub(super) fn with_name(&self, name: &str) -> Self {
        match self {
            Self::File(path) if path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/") => {
                Self::File(path.join(name))
            }
            Self::File(path) => Self::File(path.clone()),
            Self::Object { bucket, key } => {
                let prefix = key.trim_end_matches('/');
                let key = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
                Self::Object { bucket: bucket.clone(), key }
            }
        }
    }

    /// A file that only its owner can read, to be [kept](Self::keep) here. It is removed if it is not.
    pub(super) fn temporary_file(&self) -> anyhow::Result<NamedTempFile> {
        let Self::File(path) = self else { return Ok(NamedTempFile::new()?) };
        ensure!(!path.exists(), "{self} exists already");
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(folder)
            .and_then(|()| NamedTempFile::new_in(folder))
            .with_context(|| format!("cannot write {self}"))
    }

    /// Gives a file its place, where there must not be one yet.
    pub(super) async fn keep(&self, file: NamedTempFile, stage: Option<&Stage>) -> anyhow::Result<()> {
        match self {
            Self::File(path) => {
                file.persist_noclobber(path).map(drop).with_context(|| format!("{self} was not written"))
            }
            Self::Object { bucket, key } => {
                let client = client(stage).await?;
                let bytes = file.reopen()?;
                upload(&client, bucket, key, bytes).await.with_context(|| format!("{self} was not written"))
            }
        }
    }

    /// Opens it, or a copy of the object that is removed when it is closed.
    pub(super) async fn fetch(&self, stage: Option<&Stage>) -> anyhow::Result<File> {
        match self {
            Self::File(path) => File::open(path).with_context(|| format!("cannot read {self}")),
            Self::Object { bucket, key } => {
                let object = client(stage).await?.get_object().bucket(bucket).key(key).send().await;
                let mut body = object.with_context(|| format!("cannot read {self}"))?.body;
                let mut file = tempfile::tempfile()?;
                while let Some(bytes) = body.try_next().await.with_context(|| format!("cannot read {self}"))? {
                    file.write_all(&bytes)?;
                }
                file.rewind()?;
                Ok(file)
            }
        }
    }
}

async fn client(stage: Option<&Stage>) -> anyhow::Result<Client> {
    let config = match stage {
        Some(stage) => stage.config()?.aws().await?,
        None => stage::aws(None).await?,
    };
    let timeout = TimeoutConfig::builder().operation_attempt_timeout(PART_TIMEOUT).build();
    Ok(Client::from_conf(aws_sdk_s3::config::Builder::from(&config).timeout_config(timeout).build()))
}

/// Uploads a file in parts. There is no object until the last one has arrived.
async fn upload(client: &Client, bucket: &str, key: &str, file: File) -> anyhow::Result<()> {
    let upload = client.create_multipart_upload().bucket(bucket).key(key).send().await?;
    let id = upload.upload_id.context("no upload")?;
    let uploaded = upload_parts(client, bucket, key, &id, file).await;
    if uploaded.is_err() {
        // The bucket's lifecycle removes what this leaves.
        let _ = client.abort_multipart_upload().bucket(bucket).key(key).upload_id(&id).send().await;
    }
    uploaded
}

async fn upload_parts(client: &Client, bucket: &str, key: &str, id: &str, file: File) -> anyhow::Result<()> {
    let mut parts = Vec::new();
    for number in 1.. {
        let mut bytes = Vec::new();
        (&file).take(PART).read_to_end(&mut bytes)?;
        if bytes.is_empty() {
            break;
        }
        let part = client.upload_part().bucket(bucket).key(key).upload_id(id).part_number(number);
        let sent = part.body(ByteStream::from(bytes)).send().await?;
        let part = CompletedPart::builder().part_number(number).set_e_tag(sent.e_tag);
        parts.push(part.set_checksum_crc32(sent.checksum_crc32).build());
    }
    let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
    let complete = client.complete_multipart_upload().bucket(bucket).key(key).upload_id(id).if_none_match("*");
    complete.multipart_upload(parts).send().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_goes_below_a_prefix_or_into_a_folder_or_to_a_file() {
        for (place, named) in [
            ("s3://bucket", "s3://bucket/name"),
            ("s3://bucket/", "s3://bucket/name"),
            ("s3://bucket/a/b", "s3://bucket/a/b/name"),
            ("s3://bucket/a/b/", "s3://bucket/a/b/name"),
            ("/no/such/folder/", "/no/such/folder/name"),
            ("/no/such/file", "/no/such/file"),
            ("/", "/name"),
        ] {
            assert_eq!(place.parse::<Place>().unwrap().with_name("name").to_string(), named, "{place}");
        }
        assert!("s3:///a".parse::<Place>().is_err());
    }
}
