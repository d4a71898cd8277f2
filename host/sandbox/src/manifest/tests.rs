use super::*;

const FORM: &str = r#"
[plugin]
id = "form"
version = "0.1.0"
name = { en = "Web forms", ar = "نماذج الويب" }
license = "Apache-2.0"
contract = "0.1"

[ask]
fields = ["body"]
[[ask.http]]
origin = "{settings.url}"
methods = ["POST"]
why = "delivers feedback to your endpoint"

[[secret]]
name = "signing"
label = { en = "Signing key", ar = "مفتاح التوقيع" }
required = true
prefix = "whsec_"
encoding = "base64"
inject = { header = "Authorization", format = "Bearer {secret}" }

[[webhook]]
name = "submit"
methods = ["POST"]
max-body = "1MiB"
verify = { kind = "hmac-sha256", secret = "signing", header = "X-Form-Signature", prefix = "sha256=", encoding = "hex", timestamp-header = "X-Form-Timestamp", parts = ["timestamp", "literal:.", "header:X-Id", "body"], max-age = "5m" }

[limits]
memory = "64MiB"
time = "5s"
"#;

#[test]
fn a_plugin_can_ask_to_mask() {
    let asking = FORM.replace("[ask]", "[ask]\nredact = true");
    assert!(Manifest::parse(&asking).unwrap().ask.redact);
    assert!(!Manifest::parse(FORM).unwrap().ask.redact);
}

#[test]
fn a_full_manifest_reads() {
    let manifest = Manifest::parse(FORM).unwrap();
    assert_eq!(manifest.plugin.name.in_language("ar-SA"), "نماذج الويب");
    assert_eq!(manifest.plugin.name.in_language("fa"), "Web forms");
    assert_eq!(manifest.ask.http[0].paths, ["/"]);
    assert_eq!(manifest.secret("signing").unwrap().encoding, Encoding::Base64);
    assert_eq!(manifest.limits.memory, Some(ByteSize(64 << 20)));
    let Some(Verify::HmacSha256(recipe)) = &manifest.webhook("submit").unwrap().verify else {
        panic!("no recipe")
    };
    assert_eq!(
        recipe.parts,
        [
            Part::Timestamp,
            Part::Literal(".".to_owned()),
            Part::Header("X-Id".to_owned()),
            Part::Body
        ]
    );
}

/// What is put in place of what, the line of the fault and a word of its message.
const FAULTS: &[(&str, &str, usize, &str)] = &[
    ("license =", "licence =", 6, "unknown field"),
    ("id = \"form\"", "id = \"Form!\"", 3, "lower-case"),
    ("id = \"form\"", "id = \"acme.form\"", 3, "acme-tickets"),
    ("id = \"form\"", "id = \"نماذج\"", 3, "lower-case"),
    ("id = \"form\"", "id = \"9form\"", 3, "beginning with a letter"),
    ("version = \"0.1.0\"", "version = \"أول\"", 4, "1.4.0"),
    ("contract = \"0.1\"", "contract = \"one\"", 7, "0.1"),
    ("memory = \"64MiB\"", "memory = \"lots\"", 31, "64MiB"),
    ("\"timestamp\", \"literal:.\"", "\"time\"", 28, "is no part"),
    (
        "secret = \"signing\"",
        "secret = \"other\"",
        25,
        "which no [[secret]] declares",
    ),
    (", \"body\"]", "]", 25, "anybody could change it"),
    ("timestamp-header = \"X-Form-Timestamp\", ", "", 25, "timestamp-header"),
    ("Bearer {secret}", "Bearer x", 17, "does not hold"),
    ("header = \"Authorization\"", "header = \"أ\"", 17, "no header name"),
];

#[test]
fn every_fault_names_its_line_and_what_is_right() {
    for (from, to, line, word) in FAULTS {
        let text = FORM.replacen(from, to, 1);
        assert_ne!(text, FORM, "{from}");
        let error = Manifest::parse(&text).unwrap_err();
        assert!(error.message.contains(word), "{to}: {error}");
        assert_eq!(error.line, Some(*line), "{to}: {error}");
    }
}

#[test]
fn a_secret_or_webhook_declared_twice_is_refused() {
    let secret = format!("{FORM}\n[[secret]]\nname = \"signing\"\n");
    assert!(Manifest::parse(&secret).unwrap_err().message.contains("twice"));
    let webhook = format!("{FORM}\n[[webhook]]\nname = \"submit\"\n");
    assert!(Manifest::parse(&webhook).unwrap_err().message.contains("twice"));
}

#[test]
fn a_token_says_where_it_is_carried() {
    let endpoint =
        |verify: &str| format!("{FORM}\n[[webhook]]\nname = \"calls\"\nverify = {{ kind = \"token\", {verify} }}\n");
    let manifest = Manifest::parse(&endpoint("secret = \"signing\", query = \"token\"")).unwrap();
    let verify = manifest.webhook("calls").unwrap().verify.as_ref().unwrap();
    assert_eq!(verify.secret(), "signing");
    for (wrong, word) in [
        ("secret = \"signing\"", "`header`"),
        ("secret = \"signing\", header = \"رمز\"", "no header name"),
        ("secret = \"other\", query = \"token\"", "which no [[secret]] declares"),
        ("secret = \"signing\", cookie = \"token\"", "unknown field"),
    ] {
        let error = Manifest::parse(&endpoint(wrong)).unwrap_err();
        assert!(error.message.contains(word), "{wrong}: {error}");
    }
}

#[test]
fn with_several_origins_a_secret_says_which_one_it_is_for() {
    let second = |origin: &str| {
        let ask = format!("[[ask.http]]\norigin = \"{origin}\"\nmethods = [\"GET\"]\n\n[[secret]]");
        FORM.replacen("[[secret]]", &ask, 1)
    };
    let error = Manifest::parse(&second("https://شكاوى.example")).unwrap_err();
    for word in ["`signing`", "`{settings.url}`", "`inject.origin`"] {
        assert!(error.message.contains(word), "{word}: {error}");
    }
    let named = second("https://شكاوى.example").replace("{secret}\" }", "{secret}\", origin = \"{settings.url}\" }");
    let manifest = Manifest::parse(&named).unwrap();
    assert_eq!(
        manifest.origin_of(manifest.secret("signing").unwrap()),
        Some("{settings.url}")
    );
    // The same origin again, for other methods, is no second one.
    assert!(Manifest::parse(&second("{settings.url}")).is_ok());
    let spelled = second("https://a.example:443/x").replacen("{settings.url}", "https://A.example", 1);
    assert!(Manifest::parse(&spelled).is_ok());
}

const RELAY: &str = r#"
[plugin]
id = "relay"
version = "0.1.0"
name = { en = "Relay", ar = "المرحِّل" }
contract = "0.1"

[[ask.net]]
host = "{settings.host}"
port = "{settings.port}"
security = "start-tls"
why = { en = "hands on what it has", ar = "يسلّم ما لديه" }

[[ask.net]]
host = "backup.example"
port = 465

[[secret]]
name = "password"
net = "{settings.host}"
"#;

#[test]
fn connections_are_asked_for_with_host_port_and_security() {
    let manifest = Manifest::parse(RELAY).unwrap();
    let [first, second] = manifest.ask.net.as_slice() else {
        panic!("{:?}", manifest.ask.net)
    };
    assert_eq!(first.port, PortAsk::Template("{settings.port}".to_owned()));
    assert_eq!((&second.port, second.security.as_str()), (&PortAsk::Number(465), "tls"));
    let password = manifest.secret("password").unwrap();
    assert_eq!(manifest.origin_of(password), Some("{settings.host}"));
    for (from, to, word) in [
        ("backup.example", "back up.example", "`ask.net.host`"),
        ("\"start-tls\"", "\"ssl\"", "start-tls"),
        ("port = 465", "port = 0", "65535"),
        ("\"{settings.port}\"", "\"خمسة\"", "{settings.KEY}"),
        (
            "net = \"{settings.host}\"",
            "net = \"elsewhere.example\"",
            "which no [[ask.net]] asks for",
        ),
        (
            "net = \"{settings.host}\"",
            "net = \"{settings.host}\"\ninject = { header = \"X-Key\", format = \"{secret}\" }",
            "both `inject` and `net`",
        ),
    ] {
        let text = RELAY.replacen(from, to, 1);
        assert_ne!(text, RELAY, "{from}");
        let error = Manifest::parse(&text).unwrap_err();
        assert!(error.message.contains(word), "{to}: {error}");
    }
}

/// In `accept-encoding`, the secret would come back in a form in which it is not found and masked.
#[test]
fn a_secret_is_not_put_into_a_header_that_is_the_hosts() {
    for header in ["Accept-Encoding", "Range", "Host", "X-HTTP-Method-Override"] {
        let text = FORM.replacen("header = \"Authorization\"", &format!("header = \"{header}\""), 1);
        assert_ne!(text, FORM);
        let error = Manifest::parse(&text).unwrap_err();
        assert!(error.message.contains("`inject.header`"), "{header}: {error}");
    }
}

#[test]
fn a_manifest_survives_writing_and_reading() {
    for text in [FORM, RELAY] {
        let manifest = Manifest::parse(text).unwrap();
        let again = toml::to_string(&manifest).unwrap();
        assert_eq!(Manifest::parse(&again).unwrap(), manifest);
    }
}
