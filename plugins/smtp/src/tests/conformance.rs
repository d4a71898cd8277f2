//! The contract, kept whatever a mail server does.

use std::collections::BTreeSet;

use mihwar_sdk::testing::conformance::{Department, Handed, Said, System, Trouble};

use super::{HOST, settings};
use crate::MailDepartment;

/// A server that knows a mail again by its id, as whoever reads them does.
#[derive(Default)]
struct Server {
    mails: BTreeSet<String>,
    /// Whether a mail comes next.
    in_mail: bool,
}

const BUSY: &str = "421 4.3.2 too much\r\n";
const FAILED: &str = "451 4.3.0 later\r\n";

impl Server {
    /// The mail that was handed over, with the dot at its end.
    fn mail(&mut self, mail: &str, trouble: Option<Trouble>) -> Said {
        self.in_mail = false;
        assert!(mail.ends_with("\r\n.\r\n"), "a mail ends with a dot");
        match trouble {
            Some(Trouble::Failed) => Said::bytes(FAILED),
            Some(Trouble::Refused) => Said::bytes("554 5.6.0 not this one\r\n"),
            _ => {
                let id = mail.lines().find_map(|line| line.strip_prefix("Message-ID: ")).unwrap();
                self.mails.insert(id.to_owned());
                Said::bytes("250 2.0.0 queued\r\n")
            }
        }
    }

    /// Who it is from and for: two commands in one go, and an answer for each.
    fn envelope(trouble: Option<Trouble>) -> Said {
        let no_sender = "503 5.5.1 no sender\r\n";
        Said::bytes(match trouble {
            Some(Trouble::Failed) => format!("{FAILED}{no_sender}"),
            Some(Trouble::Revoked) => format!("530 5.7.0 log in first\r\n{no_sender}"),
            Some(Trouble::Refused) => "250 2.1.0 ok\r\n550 5.1.1 nobody\r\n".to_owned(),
            _ => "250 2.1.0 ok\r\n250 2.1.5 ok\r\n".to_owned(),
        })
    }
}

impl System for Server {
    fn connected(&mut self, _: usize, trouble: Option<Trouble>) -> Said {
        self.in_mail = false;
        match trouble {
            Some(Trouble::Busy) => Said::bytes(BUSY).closes(),
            Some(Trouble::Failed) => Said::bytes(FAILED),
            Some(Trouble::Gone) => Said::bytes("521 5.3.2 no mail here\r\n").closes(),
            _ => Said::bytes("220 relay.example أهلاً\r\n"),
        }
    }

    fn heard(&mut self, _: usize, bytes: &[u8], trouble: Option<Trouble>) -> Said {
        let text = String::from_utf8_lossy(bytes);
        let command = text.split([' ', '\r']).next().unwrap_or_default();
        let is_end = !self.in_mail && matches!(command, "RSET" | "QUIT");
        if trouble == Some(Trouble::Busy) && !is_end {
            return Said::bytes(BUSY).closes();
        }
        if self.in_mail {
            return self.mail(&text, trouble);
        }
        let fails = trouble == Some(Trouble::Failed);
        match command {
            "RSET" => Said::bytes("250 ok\r\n"),
            "QUIT" => Said::bytes("221 bye\r\n").closes(),
            "MAIL" => Self::envelope(trouble),
            "AUTH" if trouble == Some(Trouble::Revoked) => Said::bytes("535 5.7.8 كلمة مرور خاطئة\r\n"),
            "DATA" if trouble == Some(Trouble::Refused) => Said::bytes("554 5.6.0 not this one\r\n"),
            _ if fails => Said::bytes(FAILED),
            "EHLO" => Said::bytes(
                "250-relay.example\r\n250-PIPELINING\r\n250-SIZE 1000000\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n",
            ),
            "STARTTLS" => Said::bytes("220 2.0.0 go on\r\n"),
            "AUTH" => Said::bytes("235 2.7.0 ok\r\n"),
            "DATA" => {
                self.in_mail = true;
                Said::bytes("354 go on\r\n")
            }
            _ => Said::bytes("500 5.5.1 what?\r\n"),
        }
    }

    fn copies(&self, handed: &Handed) -> usize {
        usize::from(self.mails.contains(&format!("<{}@shop.example>", handed.delivery)))
    }

    fn is_erased(&self, handed: &Handed) -> Option<bool> {
        Some(self.copies(handed) == 1)
    }
}

#[test]
fn the_contract_is_kept_whatever_the_server_does() {
    Department::<MailDepartment, _>::new(settings(), Server::default)
        .secret("password", "s3cret-كلمة")
        .connection(HOST, 587)
        .time_ms(60_000)
        .must_pass();
}
