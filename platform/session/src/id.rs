//! Names of sessions: sortable by start, short enough for a socket path, easy to read aloud.

use jiff::Timestamp;

/// `20261122-090225-k3f9`: the start in UTC to the second, and four random letters and digits.
///
/// # Errors
/// When the operating system gives no random bytes.
pub(crate) fn new_session_id(now: Timestamp) -> Result<String, getrandom::Error> {
    // Without the letters and digits that are mistaken for one another.
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut random = [0u8; 4];
    getrandom::fill(&mut random)?;
    let tail: String =
        random.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect();
    Ok(format!("{}-{tail}", now.strftime("%Y%m%d-%H%M%S")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_start_and_fit_a_socket_path() {
        let early = new_session_id("2026-11-22T09:02:25Z".parse().unwrap()).unwrap();
        let late = new_session_id("2026-11-22T09:02:26Z".parse().unwrap()).unwrap();
        assert!(early < late);
        assert!(early.starts_with("20261122-090225-"));
        assert_eq!(early.len(), 20);
    }
}
