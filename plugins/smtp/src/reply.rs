//! Answers of a mail server (RFC 5321, section 4.2), and what each means for the hub.

use mihwar_sdk::PluginError;

use crate::header::one_line;

/// Longest text of an answer that is told on.
const TOLD_CHARS: usize = 200;

/// One answer, of one line or more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    pub(crate) lines: Vec<String>,
}

impl Reply {
    /// Takes one line; whether the answer ends with it. `None` for a line that belongs to no answer, or to another.
    pub(crate) fn take(&mut self, line: &[u8]) -> Option<bool> {
        let (digits, rest) = line.split_at_checked(3)?;
        let code: u16 = std::str::from_utf8(digits).ok()?.parse().ok()?;
        let is_code = digits.iter().all(u8::is_ascii_digit) && (200..600).contains(&code);
        if !is_code || (!self.lines.is_empty() && self.code != code) {
            return None;
        }
        let (ends, text) = match rest.split_first() {
            None => (true, rest),
            Some((b' ', text)) => (true, text),
            Some((b'-', text)) => (false, text),
            Some(_) => return None,
        };
        self.code = code;
        self.lines.push(String::from_utf8_lossy(text).into_owned());
        Some(ends)
    }

    /// Whether the server did what it was asked for.
    pub(crate) const fn is_good(&self) -> bool {
        self.code >= 200 && self.code < 300
    }

    /// Whether it may do so later.
    pub(crate) const fn is_passing(&self) -> bool {
        self.code >= 400 && self.code < 500
    }

    /// The enhanced status code (RFC 3463), such as `4.7.1`.
    pub(crate) fn enhanced(&self) -> Option<&str> {
        let word = self.lines.first()?.split(' ').next()?;
        let mut parts = word.split('.');
        let is_number = |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        let is_status = [parts.next()?, parts.next()?, parts.next()?].into_iter().all(is_number);
        (is_status && parts.next().is_none()).then_some(word)
    }

    /// What it says, on one line, without addresses: whom they belong to is nobody's business.
    fn told(&self) -> String {
        let text = one_line(&self.lines.join(" "));
        let words: Vec<&str> = text
            .split(' ')
            .map(|word| if word.contains('@') { "…" } else { word })
            .collect();
        words.join(" ").chars().take(TOLD_CHARS).collect()
    }

    fn code(&self) -> String {
        format!("smtp-{}", self.code)
    }

    fn message(&self, what: &str) -> String {
        format!("{what}: {} {}", self.code, self.told())
    }

    /// The answer to something about one mail: later, or never.
    pub(crate) fn of_one(&self, what: &str) -> PluginError {
        if self.is_passing() {
            self.of_server(what)
        } else {
            PluginError::permanent(self.code(), self.message(what))
        }
    }

    /// The answer to something that holds for every mail: nothing wrong with any of them.
    pub(crate) fn of_server(&self, what: &str) -> PluginError {
        let policy = self
            .enhanced()
            .is_some_and(|status| status.starts_with("4.7.") || status == "4.3.2");
        if self.code == 421 || (self.is_passing() && policy) {
            PluginError::rate_limited(self.code(), self.message(what), None)
        } else {
            PluginError::transient(self.code(), self.message(what))
        }
    }

    /// The answer to a login.
    pub(crate) fn of_login(&self) -> PluginError {
        if self.is_passing() {
            return self.of_server("the login does not work for now");
        }
        PluginError::unauthorized(
            self.code(),
            self.message("the server refuses the login; check `user` and the secret `password`"),
        )
    }

    /// The answer to who it is from. What is wrong with the sender is wrong with every mail.
    pub(crate) fn of_sender(&self) -> PluginError {
        let is_too_large = self.code == 552
            || self
                .enhanced()
                .is_some_and(|status| matches!(status, "5.3.4" | "5.2.3"));
        match self.code {
            530 | 534 | 535 | 538 => self.of_login(),
            _ if self.is_passing() || is_too_large => self.of_one("the server does not take the mail"),
            _ => PluginError::misconfigured("from", self.message("the server takes nothing from this address")),
        }
    }
}

#[cfg(test)]
mod tests {
    use mihwar_sdk::PluginError::{Misconfigured, Permanent, RateLimited, Transient, Unauthorized};
    use proptest::prelude::*;

    use super::*;

    fn reply(lines: &[&str]) -> Reply {
        let mut reply = Reply::default();
        for (at, line) in lines.iter().enumerate() {
            assert_eq!(reply.take(line.as_bytes()), Some(at + 1 == lines.len()), "{line}");
        }
        reply
    }

    #[test]
    fn answers_of_one_and_of_many_lines_are_read() {
        let offers = reply(&["250-relay.example أهلاً", "250-SIZE 1000", "250 HELP"]);
        assert_eq!(offers.code, 250);
        assert_eq!(offers.lines, ["relay.example أهلاً", "SIZE 1000", "HELP"]);
        assert_eq!(reply(&["354"]).lines, [""]);
        assert_eq!(reply(&["450 4.7.1 later"]).enhanced(), Some("4.7.1"));
        for none in ["450 later", "450 4.7", "450 4.7.1.2 x", "450 4.x.1 y", "450 4.1234.1 y"] {
            assert_eq!(reply(&[none]).enhanced(), None, "{none}");
        }
    }

    #[test]
    fn what_is_no_answer_is_found() {
        for line in [
            "",
            "25",
            "٢٥٠ نعم",
            "2500 x",
            "250_x",
            "199 x",
            "600 x",
            "-50 x",
            "+25 x",
            "HTTP/1.1 200 OK",
        ] {
            assert_eq!(Reply::default().take(line.as_bytes()), None, "{line}");
        }
        let mut mixed = reply(&["250 one"]);
        assert_eq!(mixed.take(b"550 two"), None);
    }

    #[test]
    fn answers_fall_into_the_classes_that_drive_the_hub() {
        assert!(matches!(reply(&["550 5.1.1 no such user"]).of_one("x"), Permanent(_)));
        assert!(matches!(reply(&["450 4.2.1 busy"]).of_one("x"), Transient(_)));
        assert!(matches!(reply(&["450 4.7.1 greylisted"]).of_one("x"), RateLimited(_)));
        assert!(matches!(reply(&["451 4.3.2 not now"]).of_one("x"), RateLimited(_)));
        assert!(matches!(reply(&["421 too many"]).of_server("x"), RateLimited(_)));
        assert!(matches!(reply(&["554 go away"]).of_server("x"), Transient(_)));
        assert!(matches!(reply(&["535 5.7.8 wrong"]).of_login(), Unauthorized(_)));
        assert!(matches!(reply(&["454 4.7.0 later"]).of_login(), RateLimited(_)));
        assert!(matches!(
            reply(&["530 5.7.0 log in first"]).of_sender(),
            Unauthorized(_)
        ));
        assert!(matches!(reply(&["552 5.3.4 too big"]).of_sender(), Permanent(_)));
        assert!(matches!(reply(&["553 5.7.1 not yours"]).of_sender(), Misconfigured(_)));
        let told = reply(&["550 <layla@shop.example>: لا أحد هنا"]).of_one("the server refuses a recipient");
        assert_eq!(
            told.summary(),
            "the server refuses a recipient: 550 … لا أحد هنا (smtp-550)"
        );
    }

    proptest! {
        #[test]
        fn no_line_is_too_odd(line in prop::collection::vec(any::<u8>(), 0..80)) {
            let mut reply = Reply::default();
            if reply.take(&line).is_some() {
                prop_assert!((200..600).contains(&reply.code));
                let told = reply.of_one("x").summary();
                prop_assert!(!told.contains(['\r', '\n']) && !told.contains('@'), "{}", told);
            }
        }
    }
}
