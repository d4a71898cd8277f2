use proptest::prelude::*;

use super::*;
use crate::manifest::{Encoding, SecretSlot};

fn slot(prefix: Option<&str>, encoding: Encoding) -> SecretSlot {
    SecretSlot {
        name: "key".to_owned(),
        label: None,
        required: true,
        prefix: prefix.map(str::to_owned),
        encoding,
        inject: None,
        net: None,
    }
}

fn secret(text: &str) -> Secret {
    Secret::read(&slot(None, Encoding::Text), &text.into()).unwrap()
}

#[test]
fn values_are_decoded_as_the_slot_says() {
    let read = |prefix, encoding, text: &str| {
        Secret::read(&slot(prefix, encoding), &text.into()).map(|secret| secret.key.expose_secret().to_vec())
    };
    assert_eq!(
        read(Some("whsec_"), Encoding::Base64, "whsec_c2VjcmV0"),
        Ok(b"secret".to_vec())
    );
    assert_eq!(read(None, Encoding::Base64, "c2VjcmU"), Ok(b"secre".to_vec()));
    assert_eq!(read(None, Encoding::Hex, "00FFab"), Ok(vec![0, 255, 171]));
    assert_eq!(read(None, Encoding::Text, "كلمة"), Ok("كلمة".as_bytes().to_vec()));
    assert_eq!(
        read(Some("whsec_"), Encoding::Base64, "c2VjcmV0"),
        Err(SecretError::Prefix("whsec_".to_owned()))
    );
    assert_eq!(
        read(None, Encoding::Hex, "xyz"),
        Err(SecretError::Encoding("hexadecimal"))
    );
    assert_eq!(read(None, Encoding::Text, ""), Err(SecretError::Empty));
}

/// RFC 4231 test case 2 and RFC 2202 test case 2.
#[test]
fn macs_are_those_of_the_standards() {
    let key = secret("Jefe");
    let data = b"what do ya want for nothing?";
    let hex = |algorithm| hex::encode(key.sign(algorithm, data));
    assert_eq!(hex(Algorithm::HmacSha1), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
    assert_eq!(
        hex(Algorithm::HmacSha256),
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    );
    assert!(hex(Algorithm::HmacSha512).starts_with("164b7a7bfcf819e2e395fbe73b56e0a3"));
    let tag = key.sign(Algorithm::HmacSha256, data);
    assert!(key.verify(Algorithm::HmacSha256, data, &tag));
    assert!(!key.verify(Algorithm::HmacSha256, data, &tag[..31]));
    assert!(!key.verify(Algorithm::HmacSha256, data, &[]));
}

/// RFC 8032, section 7.1, test 2; and the vector of the reference library of Standard Webhooks.
#[test]
fn ed25519_signatures_are_those_of_the_standards() {
    let read = |text: &str, encoding| Secret::read(&slot(None, encoding), &text.into()).unwrap();
    let seed = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
    let public = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
    let signature = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";
    for key in [seed.to_owned(), format!("{seed}{public}")] {
        assert_eq!(
            read(&key, Encoding::Hex)
                .sign_ed25519(&[0x72])
                .map(hex::encode)
                .as_deref(),
            Ok(signature)
        );
    }
    let webhooks = read("VEVTVFNJR05JTkdLRVlET05PVFVTRVRISVNGT1JBTlk=", Encoding::Base64);
    let signed = webhooks.sign_ed25519(b"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{\"test\": 2432232314}");
    assert_eq!(
        signed.map(|signature| STANDARD.encode(signature)).as_deref(),
        Ok("tQ9V2XOqn7jL/DQenEFpqIugdBVtiMmER5mhSkXBNwM0mkATuDe6KYYUuxqtaiHeYGb7KaaBRdM5WqyeFiL8Ag==")
    );
}

#[test]
fn what_is_no_ed25519_key_is_said_and_not_shown() {
    let secret = |text: &str| Secret::read(&slot(None, Encoding::Text), &text.into()).unwrap();
    let short = secret("كلمة-قصيرة").sign_ed25519(b"x").unwrap_err();
    assert!(short.contains("32 bytes") && !short.contains("كلمة"), "{short}");
    let mismatched = secret(&"ab".repeat(32)).sign_ed25519(b"x").unwrap_err();
    assert!(mismatched.contains("public key"), "{mismatched}");
}

#[test]
fn debug_output_names_secrets_and_tells_nothing() {
    let mut set = SecretSet::new();
    set.insert("token", "hunter2hunter2".into());
    assert_eq!(format!("{set:?}"), "{\"token\"}");
}

#[test]
fn short_values_do_not_blank_out_ordinary_text() {
    let masker = Masker::new([secret("ab")].iter(), std::iter::empty());
    assert_eq!(masker.text("about".to_owned()), "about");
}

proptest! {
    /// Wherever and however often a secret stands in a text, plain or encoded, nothing of it remains.
    #[test]
    fn no_spelling_of_a_secret_survives(value in "[ -~ء-ي]{6,40}", before in "\\PC{0,20}", after in "\\PC{0,20}") {
        let secret = secret(&value);
        let masker = Masker::new(std::iter::once(&secret), std::iter::empty());
        for shown in [
            value.clone(),
            STANDARD_NO_PAD.encode(&value),
            hex::encode(&value),
            percent_encoded(value.as_bytes()),
            serde_json::Value::from(value.as_str()).to_string(),
            serde_json::Value::from(value.as_str()).to_string().replace('/', "\\/"),
        ] {
            let text = format!("{before}{shown}{after}{shown}");
            let masked = masker.text(text.clone());
            prop_assert!(!masked.contains(&shown), "{} in {}", shown, masked);
            prop_assert!(masked.contains(MASK));
        }
    }

    /// Few letters, so that beginnings lie over each other.
    #[test]
    fn a_secret_that_has_begun_is_found_where_it_begins(
        needles in prop::collection::vec("[ab]{4,9}", 1..4),
        bytes in "[ab]{0,20}",
        least in 1_usize..5,
    ) {
        let masker = Masker::new(std::iter::empty(), needles.iter().cloned());
        let bytes = bytes.as_bytes();
        let begins = |at: &usize| {
            let tail = &bytes[*at..];
            needles.iter().any(|needle| needle.len() > tail.len() && needle.as_bytes().starts_with(tail))
        };
        let by_trying = (0..(bytes.len() + 1).saturating_sub(least)).find(begins);
        prop_assert_eq!(masker.open_end(bytes, least), by_trying.unwrap_or(bytes.len()));
    }

    #[test]
    fn text_without_a_secret_stays_as_it_is(text in "[a-z ]{0,60}") {
        let masker = Masker::new([secret("كلمة-السر-0123456789")].iter(), std::iter::empty());
        prop_assert_eq!(masker.text(text.clone()), text);
    }
}
