//! What comes back on a connection, searched for the secrets that went out on it.
//!
//! Bytes come in pieces, and a guest chooses how many it takes at once: a secret that is echoed can lie across both
//! borders. So what has been handed out is remembered for as long as a secret could reach, and bytes with which a
//! secret may begin wait until it is clear whether they are one.

use std::ops::Range;

use crate::secrets::{MASK, Masker};

/// So many bytes of a secret look like chance; more of them wait for the rest.
const CHANCE_BYTES: usize = 3;
/// Texts made of secrets that are looked for on one connection, and their bytes together. A guest chooses what it has put
/// around a secret, and each of them costs time with every byte that comes: a login takes one or two.
const COMPOSED_MAX: usize = 16;
const COMPOSED_BYTES_MAX: usize = 32 * 1024;

/// The way back of one connection.
#[derive(Default)]
pub(crate) struct Echo {
    /// As it came: what is remembered, then what waits.
    raw: Vec<u8>,
    /// How much of `raw` has been let through.
    passed: usize,
    /// Masked, for the guest to take.
    ready: Vec<u8>,
    /// Texts that were made of secrets for this connection, how many they are, and their bytes.
    composed: Vec<Masker>,
    composed_count: usize,
    composed_bytes: usize,
    ended: bool,
    has_masked: bool,
}

impl Echo {
    /// Whether so many more texts can be looked for. The error is what is too much.
    pub(crate) fn has_room_for(&self, composed: &[String]) -> Result<(), String> {
        let bytes: usize = composed.iter().map(String::len).sum();
        if self.composed_count + composed.len() > COMPOSED_MAX || self.composed_bytes + bytes > COMPOSED_BYTES_MAX {
            return Err(format!(
                "{COMPOSED_MAX} texts of {COMPOSED_BYTES_MAX} bytes together, made of secrets by `base64`, are the most of one connection"
            ));
        }
        Ok(())
    }

    /// Looks for these texts from now on, too.
    pub(crate) fn also(&mut self, composed: Vec<String>) {
        self.composed_count += composed.len();
        self.composed_bytes += composed.iter().map(String::len).sum::<usize>();
        if !composed.is_empty() {
            self.composed
                .push(Masker::new(std::iter::empty(), composed.into_iter()));
        }
    }

    /// Takes what came; nothing means that nothing comes any more.
    pub(crate) fn take_in(&mut self, bytes: &[u8], masker: &Masker) {
        self.ended |= bytes.is_empty();
        self.raw.extend_from_slice(bytes);
        let maskers: Vec<&Masker> = std::iter::once(masker).chain(&self.composed).collect();
        let longest = maskers.iter().map(|masker| masker.longest()).max().unwrap_or(0);
        let wait = if self.ended {
            self.raw.len()
        } else {
            let open = maskers
                .iter()
                .map(|masker| masker.open_end(&self.raw, CHANCE_BYTES + 1));
            open.min().unwrap_or(self.raw.len()).max(self.passed)
        };
        let mut found: Vec<Range<usize>> = maskers.iter().flat_map(|masker| masker.places(&self.raw)).collect();
        // Of places that begin together the longest counts.
        found.sort_by(|one, other| one.start.cmp(&other.start).then(other.end.cmp(&one.end)));
        let mut at = self.passed;
        for place in found {
            if place.end <= at || place.start >= wait {
                continue;
            }
            self.ready
                .extend_from_slice(self.raw.get(at..place.start).unwrap_or_default());
            self.ready.extend_from_slice(MASK.as_bytes());
            self.has_masked = true;
            at = place.end;
        }
        self.ready.extend_from_slice(self.raw.get(at..wait).unwrap_or_default());
        self.passed = wait.max(at);
        let forgotten = self.passed.saturating_sub(longest);
        self.raw.drain(..forgotten);
        self.passed -= forgotten;
    }

    /// Up to `most` bytes for the guest; `None` while there are none and more may come.
    pub(crate) fn hand_out(&mut self, most: usize) -> Option<Vec<u8>> {
        if self.ready.is_empty() {
            return self.ended.then(Vec::new);
        }
        let rest = self.ready.split_off(most.min(self.ready.len()));
        Some(std::mem::replace(&mut self.ready, rest))
    }

    /// Whether bytes came that the guest has not taken.
    pub(crate) fn is_unread(&self) -> bool {
        !self.ready.is_empty() || self.passed < self.raw.len()
    }

    /// Whether something was masked since this was asked last.
    pub(crate) fn has_masked(&mut self) -> bool {
        std::mem::take(&mut self.has_masked)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "كلمة-السر-9431";

    fn masker() -> Masker {
        Masker::new(std::iter::empty(), std::iter::once(SECRET.to_owned()))
    }

    /// What a guest gets that takes `most` bytes at once of what comes in such pieces.
    fn heard(pieces: &[&[u8]], most: usize) -> Vec<u8> {
        let (mut echo, masker) = (Echo::default(), masker());
        let mut heard = Vec::new();
        for piece in pieces.iter().copied().chain([&[][..]]) {
            echo.take_in(piece, &masker);
            while let Some(bytes) = echo.hand_out(most).filter(|bytes| !bytes.is_empty()) {
                heard.extend(bytes);
            }
        }
        heard
    }

    #[test]
    fn an_answer_without_a_secret_comes_at_once_and_as_it_is() {
        let (mut echo, masker) = (Echo::default(), masker());
        assert_eq!(echo.hand_out(10), None);
        echo.take_in("250 تم\r\n".as_bytes(), &masker);
        assert!(echo.is_unread());
        assert_eq!(echo.hand_out(4).as_deref(), Some(&b"250 "[..]));
        assert_eq!(echo.hand_out(100).as_deref(), Some("تم\r\n".as_bytes()));
        assert!(!echo.is_unread() && !echo.has_masked());
        assert_eq!(echo.hand_out(1), None);
        echo.take_in(&[], &masker);
        assert_eq!(echo.hand_out(1), Some(Vec::new()));
    }

    #[test]
    fn what_may_be_the_beginning_of_a_secret_waits() {
        let (mut echo, masker) = (Echo::default(), masker());
        let (begin, rest) = SECRET.as_bytes().split_at(8);
        echo.take_in(&[b"535 ", begin].concat(), &masker);
        assert_eq!(echo.hand_out(100).as_deref(), Some(&b"535 "[..]));
        assert!(echo.is_unread(), "it waits, and is no less there for it");
        assert_eq!(echo.hand_out(100), None);
        echo.take_in(&[rest, b" x"].concat(), &masker);
        assert_eq!(echo.hand_out(100).as_deref(), Some("••• x".as_bytes()));
        assert!(echo.has_masked() && !echo.has_masked());
    }

    #[test]
    fn texts_made_of_secrets_are_looked_for_from_then_on() {
        let (mut echo, masker) = (Echo::default(), masker());
        echo.also(vec!["AGxheWxhAHNlY3JldA".to_owned()]);
        echo.take_in(b"501 AGxheWxhAHNlY3JldA==\r\n", &masker);
        assert_eq!(echo.hand_out(100).as_deref(), Some("501 •••==\r\n".as_bytes()));
    }

    #[test]
    fn a_guest_cannot_have_it_look_for_as_much_as_it_likes() {
        let token = |bytes: usize| "ط".repeat(bytes / 2);
        let mut echo = Echo::default();
        assert!(echo.has_room_for(&vec![token(8); COMPOSED_MAX]).is_ok());
        let many = echo.has_room_for(&vec![token(8); COMPOSED_MAX + 1]).unwrap_err();
        assert!(many.contains("`base64`"), "{many}");
        assert!(echo.has_room_for(&[token(COMPOSED_BYTES_MAX + 2)]).is_err());
        echo.also(vec![token(COMPOSED_BYTES_MAX)]);
        assert!(echo.has_room_for(&[token(2)]).is_err());
        assert!(echo.has_room_for(&[]).is_ok());
    }

    proptest! {
        /// However an echo is cut into pieces, and however few bytes a guest takes at once: more than chance would have
        /// it tells nothing of the secret.
        #[test]
        fn no_cut_lets_a_secret_through(
            before in "[a-z ]{0,12}",
            cuts in prop::collection::vec(0_usize..60, 0..12),
            most in 1_usize..5,
        ) {
            let line = format!("{before}{SECRET}\r\n{SECRET}!");
            let bytes = line.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % bytes.len()).collect();
            cuts.sort_unstable();
            cuts.dedup();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts.into_iter().filter(|cut| *cut > 0) {
                pieces.push(&bytes[from..cut]);
                from = cut;
            }
            pieces.push(&bytes[from..]);
            let heard = heard(&pieces, most);
            let shown = String::from_utf8_lossy(&heard).into_owned();
            prop_assert!(!shown.contains(SECRET), "{}", shown);
            for window in SECRET.as_bytes().windows(CHANCE_BYTES * 2) {
                prop_assert!(!heard.windows(window.len()).any(|part| part == window), "{}", shown);
            }
            prop_assert!(shown.ends_with("!") && shown.starts_with(&before), "{}", shown);
        }

        #[test]
        fn what_holds_no_secret_comes_whole(text in "[ -~]{0,80}", cut in 0_usize..80, most in 1_usize..9) {
            let (first, second) = text.as_bytes().split_at(cut.min(text.len()));
            let pieces: Vec<&[u8]> = [first, second].into_iter().filter(|piece| !piece.is_empty()).collect();
            prop_assert_eq!(heard(&pieces, most), text.as_bytes());
        }
    }
}
