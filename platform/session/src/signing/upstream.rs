//! The user's own SSH agent: one connection for each question, so that nothing of one is left for
//! the next.

use super::wire;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

/// An agent may ask a person, or wait for a key to be touched.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where it is.
#[derive(Debug, Clone)]
pub(crate) struct Upstream(PathBuf);

impl Upstream {
    /// As this user's environment says; `None` where there is none.
    pub(crate) fn of(environment: &BTreeMap<String, String>) -> Option<Self> {
        let path = environment.get(super::VARIABLE).map(PathBuf::from);
        path.filter(|path| path.is_absolute()).map(Self)
    }

    /// Its answer to one message, both without their lengths.
    ///
    /// # Errors
    /// When it is not there, does not answer in time or answers with what is no message.
    pub(crate) fn ask(&self, message: &[u8]) -> io::Result<Vec<u8>> {
        let mut stream = UnixStream::connect(&self.0)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(&wire::framed(message))?;
        wire::read(&mut stream)?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}
