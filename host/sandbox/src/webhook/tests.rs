use mihwar_model::Time;
use secrecy::SecretString;

use super::*;
use crate::manifest::{Encoding, SecretSlot, Span};

const NOW: Time = Time(1_790_000_000_000);
const BODY: &[u8] = "{\"رأي\":\"ممتاز\"}".as_bytes();

fn secret() -> Secret {
    let slot = SecretSlot {
        name: "signing".to_owned(),
        label: None,
        required: true,
        prefix: None,
        encoding: Encoding::Text,
        inject: None,
        net: None,
    };
    Secret::read(&slot, &SecretString::from("مفتاح")).unwrap()
}

fn recipe(parts: Vec<Part>, prefix: &str, encoding: TagEncoding) -> Verify {
    let timed = parts.contains(&Part::Timestamp);
    Verify::HmacSha256(HmacRecipe {
        secret: "signing".to_owned(),
        header: "X-Signature".to_owned(),
        prefix: prefix.to_owned(),
        encoding,
        timestamp_header: timed.then(|| "X-Timestamp".to_owned()),
        parts,
        max_age: timed.then_some(Span(Duration::from_secs(300))),
    })
}

fn headers(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn check(recipe: &Verify, pairs: &[(&str, &str)], body: &[u8]) -> Result<(), Refusal> {
    let secret = secret();
    WebhookVerifier {
        recipe,
        secret: Some(&secret),
    }
    .verify(headers(pairs).as_slice(), &[], body, NOW)
}

fn timed_tag(timestamp: &str, body: &[u8]) -> Vec<u8> {
    secret().sign(Mac::HmacSha256, &[timestamp.as_bytes(), b".", body].concat())
}

fn timed() -> Verify {
    recipe(
        vec![Part::Timestamp, Part::Literal(".".to_owned()), Part::Body],
        "sha256=",
        TagEncoding::Hex,
    )
}

#[test]
fn a_good_signature_passes_and_every_changed_byte_fails() {
    let stamp = "1790000000";
    let tag = timed_tag(stamp, BODY);
    let good = format!("sha256={}", hex::encode(&tag));
    assert_eq!(
        check(&timed(), &[("x-signature", &good), ("X-TIMESTAMP", stamp)], BODY),
        Ok(())
    );
    for at in 0..tag.len() {
        let mut bad = tag.clone();
        bad[at] ^= 1;
        let bad = format!("sha256={}", hex::encode(bad));
        assert_eq!(
            check(&timed(), &[("x-signature", &bad), ("x-timestamp", stamp)], BODY),
            Err(Refusal::Mismatch)
        );
    }
    let mut other = BODY.to_vec();
    other.push(b' ');
    assert_eq!(
        check(&timed(), &[("x-signature", &good), ("x-timestamp", stamp)], &other),
        Err(Refusal::Mismatch)
    );
}

#[test]
fn old_future_and_odd_times_are_refused() {
    for (stamp, fits) in [
        ("1790000000", true),
        ("1790000000000", true),
        ("1789999701", true),
        ("1789999600", false),
        ("1790000400", false),
    ] {
        let tag = format!("sha256={}", hex::encode(timed_tag(stamp, BODY)));
        let answer = check(&timed(), &[("x-signature", &tag), ("x-timestamp", stamp)], BODY);
        let expected = if fits {
            Ok(())
        } else {
            Err(Refusal::Stale { allowed_seconds: 300 })
        };
        assert_eq!(answer, expected, "{stamp}");
    }
    for odd in ["", "yesterday", "١٧٩٠", "1790000000.5", "99999999999999999999"] {
        let tag = format!("sha256={}", hex::encode(timed_tag(odd, BODY)));
        let answer = check(&timed(), &[("x-signature", &tag), ("x-timestamp", odd)], BODY);
        assert_eq!(answer, Err(Refusal::NoTimestamp("X-Timestamp".to_owned())), "{odd}");
    }
}

#[test]
fn several_signatures_in_base64_with_a_comma_in_the_prefix() {
    let parts = vec![
        Part::Header("webhook-id".to_owned()),
        Part::Literal(".".to_owned()),
        Part::Body,
    ];
    let recipe = recipe(parts, "v1,", TagEncoding::Base64);
    let tag = STANDARD.encode(secret().sign(Mac::HmacSha256, &[b"msg_1.", BODY].concat()));
    let both = format!("v1,AAAA v1a,xx v1,{tag}");
    assert_eq!(
        check(&recipe, &[("X-Signature", &both), ("webhook-id", "msg_1")], BODY),
        Ok(())
    );
    assert_eq!(
        check(&recipe, &[("X-Signature", &both)], BODY),
        Err(Refusal::NoHeader("webhook-id".to_owned()))
    );
    let bare = tag.as_str();
    assert_eq!(
        check(&recipe, &[("X-Signature", bare), ("webhook-id", "msg_1")], BODY),
        Err(Refusal::Mismatch)
    );
}

#[test]
fn without_signature_or_secret_nothing_passes() {
    let recipe = recipe(vec![Part::Body], "", TagEncoding::Hex);
    assert_eq!(
        check(&recipe, &[], BODY),
        Err(Refusal::NoSignature("X-Signature".to_owned()))
    );
    for empty in ["", " ", ",", "sha256=", "zz", "00"] {
        assert_eq!(
            check(&recipe, &[("x-signature", empty)], BODY),
            Err(Refusal::Mismatch),
            "{empty:?}"
        );
    }
    let verifier = WebhookVerifier {
        recipe: &recipe,
        secret: None,
    };
    assert_eq!(
        verifier.verify(headers(&[("x-signature", "00")]).as_slice(), &[], BODY, NOW),
        Err(Refusal::NoSecret("signing".to_owned()))
    );
}

#[test]
fn a_token_is_known_where_the_recipe_says_and_taken_out() {
    let recipe = |header: Option<&str>, query: Option<&str>| {
        Verify::Token(TokenRecipe {
            secret: "signing".to_owned(),
            header: header.map(str::to_owned),
            prefix: "Bearer ".to_owned(),
            query: query.map(str::to_owned),
        })
    };
    let secret = secret();
    let both = recipe(Some("X-Token"), Some("token"));
    let fits = |recipe: &Verify, sent: &[(&str, &str)], asked: &[(&str, &str)]| {
        WebhookVerifier {
            recipe,
            secret: Some(&secret),
        }
        .verify(headers(sent).as_slice(), &headers(asked), BODY, NOW)
    };
    assert_eq!(fits(&both, &[("x-token", "Bearer مفتاح")], &[]), Ok(()));
    assert_eq!(fits(&both, &[], &[("a", "b"), ("token", "مفتاح")]), Ok(()));
    let only_header = recipe(Some("X-Token"), None);
    for (recipe, sent, asked) in [
        (&both, vec![], vec![]),
        (&both, vec![("x-token", "مفتاح")], vec![]),
        (&both, vec![("x-token", "Bearer مفتا")], vec![("token", "")]),
        (&both, vec![], vec![("Token", "مفتاح")]),
        (&only_header, vec![], vec![("token", "مفتاح")]),
    ] {
        assert_eq!(
            fits(recipe, &sent, &asked),
            Err(Refusal::WrongToken),
            "{sent:?} {asked:?}"
        );
    }
    let verifier = WebhookVerifier {
        recipe: &both,
        secret: Some(&secret),
    };
    let mut sent = headers(&[("X-TOKEN", "Bearer مفتاح"), ("content-type", "application/json")]);
    let mut asked = headers(&[("token", "مفتاح"), ("token", "again"), ("id", "7")]);
    verifier.strip(&mut sent, &mut asked);
    assert_eq!(sent, headers(&[("content-type", "application/json")]));
    assert_eq!(asked, headers(&[("id", "7")]));
    let unset = WebhookVerifier {
        recipe: &both,
        secret: None,
    };
    let refused = unset.verify(headers(&[]).as_slice(), &[], BODY, NOW);
    assert_eq!(refused, Err(Refusal::NoSecret("signing".to_owned())));
}
