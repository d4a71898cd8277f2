//! What a guest says in its log, on its standard error and in its errors: bounded, masked, never the hub's voice.

use crate::support::acting;

/// Longest log record, message and fields together.
const RECORD_BYTES: usize = 4096;

#[tokio::test]
async fn a_flood_of_log_lines_is_cut_counted_and_masked() {
    let done = acting("flood-log", 1000).pull().await.unwrap();
    assert_eq!((done.effects.log.len(), done.effects.log_dropped), (200, 800));
    for line in &done.effects.log {
        assert!(line.message.starts_with("••• طط"), "{line:?}");
        let [token, name, rest] = line.fields.as_slice() else {
            panic!("{line:?}")
        };
        assert_eq!((token.0.as_str(), token.1.as_str()), ("token", "•••"));
        assert_eq!((name.0.as_str(), name.1.as_str()), ("•••", "name"));
        assert!(rest.0 == "rest" && rest.1.ends_with("ط…"), "{rest:?}");
        let fields = line.fields.iter().map(|(name, value)| name.len() + value.len());
        let bytes = line.message.len() + fields.sum::<usize>();
        // Full to the last letter, and not over.
        assert!((RECORD_BYTES - 3..=RECORD_BYTES).contains(&bytes), "{bytes}");
    }
}

#[tokio::test]
async fn a_flood_of_stderr_keeps_its_end_masked() {
    let error = acting("flood-stderr", 5000).pull().await.unwrap_err();
    assert_eq!(error.code(), "flooded");
    assert!(
        error
            .stderr
            .ends_with("سطر 4998\nسطر 4999\n\u{fffd}[31mthe token is •••\n"),
        "{}",
        error.stderr
    );
    // What remains of 5000 lines is the last 8 KiB; a letter cut in two, and each mark put in, may add a little.
    assert!((8_000..8_250).contains(&error.stderr.len()), "{}", error.stderr.len());
    assert!(!error.stderr.contains("سطر 4000\n"), "{}", error.stderr);
}

#[tokio::test]
async fn what_a_plugin_says_about_its_failure_holds_no_secret() {
    let error = acting("confess", 0).pull().await.unwrap_err();
    assert_eq!(error.code(), "confession");
    assert!(error.to_string().contains("the token is •••"), "{error}");
}

#[tokio::test]
async fn a_plugin_cannot_write_lines_that_look_like_the_hub_s() {
    let error = acting("forge", 0).pull().await.unwrap_err();
    assert_eq!(error.code(), "for ged");
    assert_eq!(
        error.to_string(),
        "فشل 2026-11-01T00:00:00Z ERROR مزوّر\u{fffd}[2J (for ged)"
    );
    let [line] = error.log.as_slice() else {
        panic!("{:?}", error.log)
    };
    assert_eq!(line.message, "تم 2026-11-01T00:00:00Z ERROR مزوّر\u{fffd}[2J");
    assert_eq!(line.fields, [("سبب".to_owned(), "أ  ب".to_owned())]);
}
