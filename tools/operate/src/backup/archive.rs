//! The file of a backup: encrypted as it is written, and decrypted and authenticated as it is read.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Read, Write},
    iter,
};

use age::{
    DecryptError, Decryptor, Encryptor,
    x25519::{Identity, Recipient},
};
use anyhow::{Context, anyhow};

use super::contents::Contents;

/// Longer than any first line.
const FIRST_LINE: u64 = 1 << 20;

/// Writes a backup that the owners of these keys can read.
pub(super) fn write(file: File, keys: &[Recipient], contents: &Contents, dump: &mut impl Read) -> anyhow::Result<()> {
    let keys = keys.iter().map(|key| -> &dyn age::Recipient { key });
    let mut output = Encryptor::with_recipients(keys)?.wrap_output(BufWriter::new(file))?;
    serde_json::to_writer(&mut output, contents)?;
    output.write_all(b"\n")?;
    io::copy(dump, &mut output)?;
    Ok(output.finish()?.into_inner()?.sync_all()?)
}

/// Opens a backup: what it has, and the dump. What the dump gives is what was written; if it was changed or cut off, it
/// gives an error.
pub(super) fn open(file: File, key: &Identity) -> anyhow::Result<(Contents, impl Read + Send + 'static)> {
    let input = Decryptor::new_buffered(BufReader::new(file)).and_then(|file| file.decrypt(iter::once(key as _)));
    let mut input = BufReader::new(input.map_err(|error| match error {
        DecryptError::NoMatchingKeys => anyhow!("the backup was made for another key"),
        DecryptError::InvalidMac | DecryptError::DecryptionFailed => anyhow!("the backup is damaged"),
        _ => anyhow!("this is no backup"),
    })?);
    let mut line = Vec::new();
    input.by_ref().take(FIRST_LINE).read_until(b'\n', &mut line).context("the backup is damaged")?;
    let contents = serde_json::from_slice(&line).context("this is no backup")?;
    Ok((contents, input))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::contents::Tables;

    fn contents() -> Contents {
        Contents { taken_at: "2026-11-24T10-14-59Z".to_owned(), pg_dump: 15, tables: Tables::default() }
    }

    /// A backup for this key, as bytes.
    fn backup(key: &Identity, dump: &[u8]) -> Vec<u8> {
        let file = tempfile::NamedTempFile::new().unwrap();
        write(file.reopen().unwrap(), &[key.to_public()], &contents(), &mut &*dump).unwrap();
        std::fs::read(file.path()).unwrap()
    }

    fn read(bytes: &[u8], key: &Identity) -> anyhow::Result<(Contents, Vec<u8>)> {
        let mut file = tempfile::NamedTempFile::new()?;
        file.write_all(bytes)?;
        let (contents, mut dump) = open(file.reopen()?, key)?;
        let mut bytes = Vec::new();
        dump.read_to_end(&mut bytes)?;
        Ok((contents, bytes))
    }

    #[test]
    fn what_was_written_is_read_with_the_key_alone() {
        let (key, dump) = (Identity::generate(), vec![7; 200_000]);
        let bytes = backup(&key, &dump);
        assert!(!bytes.windows(8).any(|window| window == [7; 8] || window == b"2026-11-"));
        assert_eq!(read(&bytes, &key).unwrap(), (contents(), dump));
        let refused = read(&bytes, &Identity::generate()).unwrap_err();
        assert_eq!(refused.to_string(), "the backup was made for another key");
    }

    #[test]
    fn a_file_with_any_part_changed_or_cut_off_is_refused() {
        let key = Identity::generate();
        let bytes = backup(&key, &[7; 200_000]);
        for at in (0..bytes.len()).step_by(997).chain([bytes.len() - 1]) {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(read(&changed, &key).is_err(), "byte {at} of {}", bytes.len());
            assert!(read(&bytes[..at], &key).is_err(), "{at} bytes of {}", bytes.len());
        }
    }
}
