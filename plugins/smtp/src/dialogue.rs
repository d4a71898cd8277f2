//! What is said to the server.

use mihwar_sdk::{Chunk, Connection, Host, NetError, PluginError, SaslPart};

use crate::message::Message;
use crate::reply::Reply;
use crate::settings::{Security, Settings};

/// The secret that logs in.
const PASSWORD: &str = "password";
/// Longest line of an answer, and most lines of one. The standard allows 512 bytes; some servers take more.
const LINE_BYTES: usize = 2048;
const LINES: usize = 100;
/// Time that stays for telling the hub what arrived.
const MARGIN_MS: u64 = 2_000;
/// How long a server may take to say goodbye.
const GOODBYE_MS: u32 = 500;

/// What became of one mail.
pub(crate) enum Outcome {
    /// The server has it.
    Accepted,
    /// The server has not, for a reason of this mail.
    Refused(PluginError),
}

/// What the server can do (RFC 5321, section 2.2), as it says after EHLO.
#[derive(Debug, Default, PartialEq, Eq)]
struct Offers {
    start_tls: bool,
    pipelining: bool,
    eight_bit: bool,
    utf8: bool,
    /// `None`: it does not say. 0: any.
    size: Option<u64>,
    logins: Vec<String>,
}

impl Offers {
    fn read(reply: &Reply) -> Self {
        let mut offers = Self::default();
        for line in reply.lines.iter().skip(1) {
            let line = line.to_ascii_uppercase();
            let mut words = line.split([' ', '=']).filter(|word| !word.is_empty());
            match words.next() {
                Some("STARTTLS") => offers.start_tls = true,
                Some("PIPELINING") => offers.pipelining = true,
                Some("8BITMIME") => offers.eight_bit = true,
                Some("SMTPUTF8") => offers.utf8 = true,
                Some("SIZE") => offers.size = Some(words.next().and_then(|size| size.parse().ok()).unwrap_or(0)),
                Some("AUTH") => offers.logins.extend(words.map(str::to_owned)),
                _ => {}
            }
        }
        offers
    }

    fn login(&self, mechanism: &str) -> bool {
        self.logins.iter().any(|offered| offered == mechanism)
    }
}

/// One connection to the server, logged in.
pub(crate) struct Session<'h> {
    host: &'h Host,
    settings: &'h Settings,
    line: Connection,
    offers: Offers,
}

impl<'h> Session<'h> {
    /// Connects, begins TLS and logs in.
    pub(crate) fn open(host: &'h Host, settings: &'h Settings) -> Result<Self, PluginError> {
        if settings.user.is_some() && !host.secret_is_set(PASSWORD) {
            return Err(PluginError::unauthorized(
                "secret-not-set",
                "`user` is set and the secret `password` of this instance is not",
            ));
        }
        let line = host.connect(&settings.host, settings.port, settings.security.into())?;
        let mut session = Self {
            host,
            settings,
            line,
            offers: Offers::default(),
        };
        let greeting = session.reply()?;
        // RFC 7504: nobody's mail, now or later.
        if greeting.code == 521 {
            return Err(PluginError::misconfigured(
                "host",
                "this server takes no mail at all: set the one that does",
            ));
        }
        if !greeting.is_good() {
            return Err(greeting.of_server("the server lets nobody in"));
        }
        session.hello()?;
        if settings.security == Security::StartTls {
            session.start_tls()?;
        }
        if let Some(user) = &settings.user {
            session.login(user)?;
        }
        Ok(session)
    }

    /// For people who test the connection.
    pub(crate) fn described(&self) -> String {
        let login = if self.settings.user.is_some() {
            " after a login"
        } else {
            " without a login"
        };
        let size = match self.offers.size {
            Some(size) if size > 0 => format!(", and takes mails of up to {size} bytes"),
            _ => String::new(),
        };
        format!("{login}{size}")
    }

    fn hello(&mut self) -> Result<(), PluginError> {
        let name = match &self.settings.ehlo {
            Some(name) => name.clone(),
            None => self.own_name(),
        };
        let reply = self.ask(&format!("EHLO {name}"))?;
        if !reply.is_good() {
            return Err(reply.of_server("the server does not take EHLO"));
        }
        self.offers = Offers::read(&reply);
        Ok(())
    }

    fn own_name(&self) -> String {
        let domain = self.settings.from.rsplit_once('@').map_or("", |(_, domain)| domain);
        let domain = domain.trim_end_matches(|letter: char| letter == '>' || letter.is_whitespace());
        if domain.is_empty() || !domain.is_ascii() {
            "localhost".to_owned()
        } else {
            domain.to_owned()
        }
    }

    /// What was offered before it was anybody's offer, so the server is asked again.
    fn start_tls(&mut self) -> Result<(), PluginError> {
        if !self.offers.start_tls {
            return Err(PluginError::misconfigured(
                "security",
                "the server offers no STARTTLS, and nothing is sent to it without: set `security = \"tls\"` if it speaks TLS from the beginning",
            ));
        }
        let reply = self.ask("STARTTLS")?;
        if !reply.is_good() {
            return Err(reply.of_server("the server does not begin TLS"));
        }
        match self.line.upgrade_tls() {
            Ok(()) => self.hello(),
            // No fault of any mail: somebody on the way has added words of its own.
            Err(NetError::InvalidRequest(why)) => Err(PluginError::transient("smtp-injected", why)),
            Err(error) => Err(error.into()),
        }
    }

    fn login(&mut self, user: &str) -> Result<(), PluginError> {
        let reply = if self.offers.login("PLAIN") {
            let token = Chunk::sasl_plain(user, PASSWORD);
            let end = Chunk::bytes("\r\n");
            let reply = self.say(&[Chunk::bytes("AUTH PLAIN "), token.clone(), end.clone()])?;
            if reply.code == 334 {
                // It wants the token by itself.
                self.say(&[token, end])?
            } else {
                reply
            }
        } else if self.offers.login("LOGIN") {
            self.login_by_steps(user)?
        } else {
            return Err(PluginError::misconfigured(
                "user",
                "the server offers neither AUTH PLAIN nor AUTH LOGIN: leave `user` out, or ask for another port",
            ));
        };
        if reply.is_good() {
            return Ok(());
        }
        Err(reply.of_login())
    }

    /// AUTH LOGIN: the name, then the password, each when it is asked for.
    fn login_by_steps(&mut self, user: &str) -> Result<Reply, PluginError> {
        let mut reply = self.ask("AUTH LOGIN")?;
        for part in [SaslPart::bytes(user), SaslPart::secret(PASSWORD)] {
            if reply.code != 334 {
                break;
            }
            reply = self.say(&[Chunk::base64([part]), Chunk::bytes("\r\n")])?;
        }
        Ok(reply)
    }

    /// Hands one mail over. An error is one of the server as a whole: the connection is of no use after it.
    pub(crate) fn send(&mut self, message: &Message) -> Result<Outcome, PluginError> {
        if message.needs_utf8 && !self.offers.utf8 {
            return Ok(Outcome::Refused(PluginError::permanent(
                "smtp-no-utf8",
                "an address has letters that this server does not take (it offers no SMTPUTF8): write it in Latin letters",
            )));
        }
        if let Some(most) = self.offers.size.filter(|most| *most > 0)
            && message.bytes.len() as u64 > most
        {
            return Ok(Outcome::Refused(PluginError::permanent(
                "smtp-too-large",
                format!(
                    "the mail has {} bytes, and the server takes {most}",
                    message.bytes.len()
                ),
            )));
        }
        let replies = self.envelope(message)?;
        if let Some(refusal) = self.judged(&replies) {
            self.reset()?;
            return Ok(Outcome::Refused(refusal));
        }
        let reply = self.ask("DATA")?;
        if reply.code != 354 {
            self.reset()?;
            return Ok(Outcome::Refused(reply.of_one("the server does not take the mail")));
        }
        let reply = self.say(&[Chunk::bytes(message.stuffed())])?;
        if reply.is_good() {
            return Ok(Outcome::Accepted);
        }
        Ok(Outcome::Refused(reply.of_one("the server refuses the mail")))
    }

    /// Says who it is from and for, in one go if the server allows it, and takes an answer for each.
    fn envelope(&mut self, message: &Message) -> Result<Vec<Reply>, PluginError> {
        let mut commands = vec![format!("MAIL FROM:<{}>{}", message.from, self.options(message))];
        commands.extend(message.to.iter().map(|address| format!("RCPT TO:<{address}>")));
        if !self.offers.pipelining {
            return commands.iter().map(|command| self.ask(command)).collect();
        }
        let together: String = commands.iter().flat_map(|command| [command.as_str(), "\r\n"]).collect();
        self.line.write(together)?;
        commands.iter().map(|_| self.reply()).collect()
    }

    fn options(&self, message: &Message) -> String {
        let mut options = String::new();
        if self.offers.size.is_some() {
            options.push_str(&format!(" SIZE={}", message.bytes.len()));
        }
        if message.needs_utf8 {
            if self.offers.eight_bit {
                options.push_str(" BODY=8BITMIME");
            }
            options.push_str(" SMTPUTF8");
        }
        options
    }

    /// Why the mail cannot go out, by the answers to its envelope. One recipient that is refused for good does not keep
    /// it from the others; one that is refused for now does, since all get it when it is sent again.
    fn judged(&self, replies: &[Reply]) -> Option<PluginError> {
        let (sender, recipients) = replies.split_first()?;
        if !sender.is_good() {
            return Some(sender.of_sender());
        }
        let refused: Vec<&Reply> = recipients.iter().filter(|reply| !reply.is_good()).collect();
        let decisive = refused
            .iter()
            .find(|reply| reply.is_passing())
            .or_else(|| refused.first().filter(|_| refused.len() == recipients.len()));
        if let Some(reply) = decisive {
            return Some(reply.of_one("the server refuses a recipient"));
        }
        if let Some(reply) = refused.first() {
            let told = reply.of_one("the server refuses a recipient").summary();
            self.host
                .warn(&format!("{} of {} recipients: {told}", refused.len(), recipients.len()));
        }
        None
    }

    fn reset(&mut self) -> Result<(), PluginError> {
        self.ask("RSET").map(drop)
    }

    /// Says goodbye. Whether the server hears it changes nothing.
    pub(crate) fn close(mut self) {
        if self.line.write("QUIT\r\n").is_ok() {
            drop(self.line.read_line(LINE_BYTES, GOODBYE_MS));
        }
    }

    fn ask(&mut self, command: &str) -> Result<Reply, PluginError> {
        self.say(&[Chunk::bytes(format!("{command}\r\n"))])
    }

    fn say(&mut self, chunks: &[Chunk]) -> Result<Reply, PluginError> {
        self.line.write_chunks(chunks)?;
        self.reply()
    }

    /// Waits for an answer. A server that goes away says so with 421 in place of any other.
    fn reply(&mut self) -> Result<Reply, PluginError> {
        let until = self
            .host
            .remaining_ms()
            .saturating_sub(u64::from(self.settings.timeout_ms))
            .max(MARGIN_MS);
        let mut reply = Reply::default();
        for _ in 0..LINES {
            let left = self.host.remaining_ms().saturating_sub(until);
            if left == 0 {
                return Err(NetError::Timeout.into());
            }
            let left = u32::try_from(left).unwrap_or(u32::MAX);
            let line = self.line.read_line(LINE_BYTES, left)?.ok_or(NetError::Closed)?;
            match reply.take(&line) {
                Some(false) => {}
                Some(true) if reply.code == 421 => return Err(reply.of_server("the server is leaving")),
                Some(true) => return Ok(reply),
                None => break,
            }
        }
        Err(PluginError::transient(
            "smtp-protocol",
            "the other side does not answer as a mail server does: check `host` and `port`",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_are_read_in_any_case_and_in_the_old_form() {
        let reply = Reply {
            code: 250,
            lines: [
                "أهلاً STARTTLS",
                "size 1000",
                "Auth=LOGIN plain",
                "PIPELINING",
                "8BitMime",
                "XQ",
                "",
            ]
            .map(str::to_owned)
            .to_vec(),
        };
        let offers = Offers::read(&reply);
        assert!(!offers.start_tls, "the greeting offers nothing");
        assert!(offers.pipelining && offers.eight_bit && !offers.utf8);
        assert_eq!(offers.size, Some(1000));
        assert!(offers.login("PLAIN") && offers.login("LOGIN") && !offers.login("CRAM-MD5"));
    }
}
