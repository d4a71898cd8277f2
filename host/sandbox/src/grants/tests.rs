use proptest::prelude::*;
use url::Url;

use super::*;
use crate::manifest::Manifest;

fn grant(origin: &str, methods: &[&str], paths: &[&str]) -> Rule {
    Rule::from_grant(&HttpGrant {
        origin: origin.to_owned(),
        methods: methods.iter().map(|method| (*method).to_owned()).collect(),
        paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        private: false,
    })
    .unwrap()
}

fn allowed(rules: &[Rule], method: &str, url: &str) -> Result<(), String> {
    let url = Url::parse(url).unwrap();
    let origin = Origin::of(&url)?;
    find_grant(rules, rules, method, &url, &origin).map(drop)
}

#[test]
fn only_the_granted_origin_method_and_path_pass() {
    let rules = [grant("https://api.example", &["GET"], &["/api/v2"])];
    for url in [
        "https://api.example/api/v2",
        "https://API.example:443/api/v2/x?y=1",
        "https://api.example./api/v2/",
        "https://api.example/api/v2/item;v=1/a..;b",
    ] {
        assert_eq!(allowed(&rules, "GET", url), Ok(()), "{url}");
    }
    for url in [
        "http://api.example/api/v2",
        "https://api.example:8443/api/v2",
        "https://api.example.evil.example/api/v2",
        "https://evil.example/api/v2",
        "https://api.example/api/v20",
        "https://api.example/api/v2/../../admin",
        "https://api.example/api/v2/%2e%2e/admin",
        "https://api.example/api/v2/..%2f..%2fadmin",
        "https://api.example/api/v2/%5c..%5cadmin",
        "https://api.example/api/v2/..;/admin",
        "https://api.example/api/v2/..;شكوى/..%3B/admin",
        "https://user@api.example/api/v2",
        "https://api.example@evil.example/api/v2",
        "file:///api/v2",
        "gopher://api.example/api/v2",
    ] {
        assert!(allowed(&rules, "GET", url).is_err(), "{url}");
    }
    assert!(allowed(&rules, "POST", "https://api.example/api/v2").is_err());
}

/// The refusal is TOML that, put into the configuration, allows the request.
#[test]
fn a_refusal_is_the_grant_that_would_allow_it() {
    #[derive(serde::Deserialize)]
    struct Config {
        instance: Vec<Row>,
    }
    #[derive(serde::Deserialize)]
    struct Row {
        #[serde(default)]
        grant: Grants,
    }
    let asks = [grant("https://شكاوى.example", &["POST"], &["/"])];
    let url = Url::parse("https://شكاوى.example:8443/x").unwrap();
    let asks = [asks[0].clone(), grant("https://شكاوى.example:8443", &["POST"], &["/"])];
    let denied = find_grant(&asks, &[], "POST", &url, &Origin::of(&url).unwrap()).unwrap_err();
    assert!(
        denied.starts_with("[[instance.grant.http]]\norigin = \"https://xn--"),
        "{denied}"
    );
    let config: Config = toml::from_str(&format!("[[instance]]\n{denied}")).unwrap();
    let granted = Rule::from_grant(&config.instance[0].grant.http[0]).unwrap();
    assert!(find_grant(&asks, &[granted], "POST", &url, &Origin::of(&url).unwrap()).is_ok());
}

#[test]
fn what_the_manifest_does_not_ask_for_stays_shut_even_when_granted() {
    let grants = [grant("https://api.example", &["GET"], &["/"])];
    let url = Url::parse("https://api.example/").unwrap();
    let denied = find_grant(&[], &grants, "GET", &url, &Origin::of(&url).unwrap()).unwrap_err();
    assert!(denied.contains("[[ask.http]]"), "{denied}");
}

#[test]
fn odd_grants_are_refused_with_what_to_write() {
    for (origin, word) in [
        ("https://api.example/path", "paths"),
        ("https://u:p@api.example", "secret"),
        ("ftp://api.example", "scheme"),
        ("api.example", "origin"),
        ("https://", "origin"),
    ] {
        let grant = HttpGrant {
            origin: origin.to_owned(),
            methods: vec!["GET".to_owned()],
            paths: crate::manifest::any_path(),
            private: false,
        };
        let message = Rule::from_grant(&grant).unwrap_err();
        assert!(message.contains(word), "{origin}: {message}");
    }
}

#[test]
fn the_plugin_s_ask_covers_what_its_manifest_says() {
    let manifest = Manifest::parse(
        "[plugin]\nid = \"x\"\nversion = \"1\"\nname = \"X\"\ncontract = \"0.1\"\n[[ask.http]]\norigin = \"https://a.example\"\nmethods = [\"get\", \"POST\"]\n",
    )
    .unwrap();
    let ask = Rule::from_ask(
        &manifest.ask.http[0],
        Origin::parse("https://a.example/deep/path").unwrap(),
    );
    assert_eq!(
        ask.not_covered_by(&[grant("https://a.example", &["GET"], &["/"])]),
        ["POST"]
    );
    assert_eq!(
        ask.not_covered_by(&[grant("https://a.example", &["GET", "POST"], &["/only"])]),
        ["GET", "POST"]
    );
}

proptest! {
    /// Whatever the path: if it passes, it begins with the granted one and stays there when the other
    /// side resolves dots.
    #[test]
    fn a_path_that_passes_stays_below_the_prefix(tail in "[a-z/.%2eEfF5cC\\\\]{0,24}") {
        let rules = [grant("https://a.example", &["GET"], &["/safe/"])];
        let text = format!("https://a.example/safe/{tail}");
        if let Ok(url) = Url::parse(&text)
            && allowed(&rules, "GET", &text).is_ok()
        {
            let decoded = url.path().replace("%2e", ".").replace("%2E", ".");
            let mut depth = 0_i32;
            for part in decoded.split('/').skip(1) {
                depth += match part { ".." => -1, "." | "" => 0, _ => 1 };
                prop_assert!(depth >= 1 || part.is_empty(), "{url}");
            }
            prop_assert!(url.path().starts_with("/safe/"));
        }
    }
}
