//! What is wrong with hosts that are asked for, granted, or tied to a secret.

use serde_json::Value;

use super::Problem;
use crate::grants::{Grants, Place, StreamAsk, StreamGrant, host_name, security_named};
use crate::manifest::{AskNet, Manifest, PortAsk};
use crate::template::{TemplateError, filled};

pub(crate) fn read_stream_grants(grants: &Grants, problems: &mut Vec<Problem>) -> Vec<StreamGrant> {
    let mut read = Vec::new();
    for (at, grant) in grants.net.iter().enumerate() {
        match StreamGrant::from_grant(grant) {
            Ok(grant) => read.push(grant),
            Err(message) => problems.push(Problem::error(format!("grant.net[{at}]"), message)),
        }
    }
    read
}

/// The manifest's asks with settings filled in. An ask for a setting that is left out is no ask.
pub(crate) fn read_stream_asks(
    manifest: &Manifest,
    settings: &Value,
    settings_fit: bool,
    problems: &mut Vec<Problem>,
) -> Vec<StreamAsk> {
    let mut asks = Vec::new();
    for ask in &manifest.ask.net {
        match filled_ask(ask, settings) {
            Ok(Some(ask)) => asks.push(ask),
            Err(message) if settings_fit => problems.push(Problem::error(
                "settings",
                format!(
                    "the plugin asks for connections to `{}`, port `{}`: {message}",
                    ask.host, ask.port
                ),
            )),
            // Settings that do not fit have been reported already.
            Ok(None) | Err(_) => {}
        }
    }
    asks
}

/// `None` when a setting is left out. The error says what is wrong.
fn filled_ask(ask: &AskNet, settings: &Value) -> Result<Option<StreamAsk>, String> {
    let text = |template: &str| match filled(template, settings, None) {
        Ok(text) => Ok(Some(text)),
        Err(TemplateError::NotSet(_)) => Ok(None),
        Err(error) => Err(error.to_string()),
    };
    let port = match &ask.port {
        PortAsk::Number(port) => Some(*port),
        PortAsk::Template(template) => match text(template)? {
            None => None,
            Some(text) => Some(
                text.parse()
                    .map_err(|_| format!("`{text}` is no port; it is a number from 1 to 65535"))?,
            ),
        },
    };
    let (Some(host), Some(port), Some(security)) = (text(&ask.host)?, port, text(&ask.security)?) else {
        return Ok(None);
    };
    Ok(Some(StreamAsk {
        place: Place::read(&host, port)?,
        security: security_named(&security)?,
    }))
}

/// What keeps secrets from going to hosts: the templates that say which.
pub(crate) fn carrier_problems(manifest: &Manifest, settings: &Value) -> Vec<Problem> {
    let mut problems = Vec::new();
    for slot in &manifest.secrets {
        let Some(template) = &slot.net else {
            continue;
        };
        let fault = match filled(template, settings, None) {
            Ok(host) => host_name(&host).err(),
            // The secret then goes nowhere.
            Err(TemplateError::NotSet(_)) => None,
            Err(error) => Some(error.to_string()),
        };
        problems.extend(fault.map(|message| {
            Problem::error(
                format!("secrets.{}", slot.name),
                format!("`net` in the plugin's manifest: {message}"),
            )
        }));
    }
    problems
}

pub(crate) fn missing_stream_grants(asks: &[StreamAsk], grants: &[StreamGrant]) -> Vec<Problem> {
    asks.iter()
        .filter_map(|ask| ask.missing(grants))
        .map(|toml| Problem::warning("grant.net", format!("not granted; to allow it add:\n{toml}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::contract::net::Security;
    use crate::grants::NetGrant;
    use crate::problem::Severity;

    const MANIFEST: &str = "[plugin]\nid = \"relay\"\nversion = \"1.0.0\"\nname = { en = \"Relay\", ar = \"المرحِّل\" }\ncontract = \"0.1\"\n[[ask.net]]\nhost = \"{settings.host}\"\nport = \"{settings.port}\"\nsecurity = \"{settings.security}\"\n[[secret]]\nname = \"password\"\nnet = \"{settings.host}\"\n";

    fn asks(settings: &Value) -> (Vec<StreamAsk>, Vec<Problem>) {
        let mut problems = Vec::new();
        let manifest = Manifest::parse(MANIFEST).unwrap();
        let asks = read_stream_asks(&manifest, settings, true, &mut problems);
        (asks, problems)
    }

    #[test]
    fn settings_say_where_to_and_how() {
        let settings = json!({ "host": "Relay.example.", "port": 587, "security": "start-tls" });
        let (asks, problems) = asks(&settings);
        assert_eq!(problems, []);
        assert_eq!(
            asks,
            [StreamAsk {
                place: Place::read("relay.example", 587).unwrap(),
                security: Security::StartTls,
            }]
        );
        let [missing]: [Problem; 1] = missing_stream_grants(&asks, &[]).try_into().unwrap();
        assert_eq!(missing.severity, Severity::Warning);
        assert!(
            missing
                .message
                .contains("[[instance.grant.net]]\nhost = \"relay.example\"\nport = 587\n"),
            "{missing}"
        );
        assert_eq!(carrier_problems(&Manifest::parse(MANIFEST).unwrap(), &settings), []);
    }

    #[test]
    fn what_the_settings_leave_out_is_not_asked_for() {
        let (found, problems) = asks(&json!({ "port": 587, "security": "tls" }));
        assert!(found.is_empty() && problems.is_empty(), "{found:?} {problems:?}");
    }

    #[test]
    fn what_cannot_be_is_said() {
        for (settings, word) in [
            (json!({ "host": "a b", "port": 587, "security": "tls" }), "no host"),
            (
                json!({ "host": "بريد.example", "port": 70000, "security": "tls" }),
                "65535",
            ),
            (
                json!({ "host": "بريد.example", "port": 0, "security": "tls" }),
                "port 0",
            ),
            (
                json!({ "host": "بريد.example", "port": 25, "security": "none" }),
                "start-tls",
            ),
        ] {
            let (found, problems) = asks(&settings);
            assert!(found.is_empty(), "{found:?}");
            let [problem] = problems.as_slice() else {
                panic!("{problems:?}")
            };
            assert!(problem.message.contains(word), "{problem}");
        }
        let manifest = Manifest::parse(MANIFEST).unwrap();
        let [problem]: [Problem; 1] = carrier_problems(&manifest, &json!({ "host": "a b" }))
            .try_into()
            .unwrap();
        assert_eq!(problem.path, "secrets.password");
        let grants = Grants {
            net: vec![NetGrant {
                host: "a b".to_owned(),
                port: 1,
                private: false,
                plain: false,
            }],
            ..Grants::default()
        };
        let mut problems = Vec::new();
        assert_eq!(read_stream_grants(&grants, &mut problems), []);
        assert_eq!(problems[0].path, "grant.net[0]");
    }
}
