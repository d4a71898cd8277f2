use http::{Request, StatusCode};
use mihwar_hub::Scope;
use serde_json::json;

use crate::Peer;
use crate::testing::{Bench, Got, far_away, next_door};

async fn look(bench: &Bench, peer: Peer, path: &str, headers: &[(&str, &str)]) -> Got {
    let mut request = Request::get(path).header("host", "localhost:8480");
    for (name, value) in headers {
        request
            .headers_mut()
            .unwrap()
            .insert(http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
    }
    bench.send(peer, request.body("".into()).unwrap()).await
}

async fn fill(bench: &Bench) {
    for record in [
        json!({"kind": "complaint", "language": "ar", "subject": "تأخر", "body": "لم يصل <script>alert(1)</script> الطلب",
            "author": {"name": "ليلى \"حداد\""}, "scores": [{"metric": "nps", "value": 2}]}),
        json!({"kind": "praise", "language": "en", "body": "Great service & kind people"}),
        json!({"details": {"call": {"direction": "inbound", "duration_ms": 11_000}}}),
    ] {
        assert_eq!(
            bench.post("/api/v1/feedback", record.to_string()).await.status,
            StatusCode::CREATED
        );
    }
}

#[tokio::test]
async fn the_page_speaks_both_languages_and_shows_customers_words_as_text() {
    let bench = Bench::new().await;
    fill(&bench).await;
    let arabic = look(&bench, next_door(), "/?lang=ar&digits=arab", &[]).await;
    assert_eq!(arabic.status, StatusCode::OK, "{}", arabic.text);
    for part in [
        "<html lang=\"ar\" dir=\"rtl\">",
        "آخر ما ورد",
        "شكوى",
        "مكالمة · ١١ ثانية",
        "nps ٢/١٠",
        "<blockquote dir=\"auto\" lang=\"ar\">لم يصل &#60;script&#62;alert(1)&#60;/script&#62; الطلب</blockquote>",
        "الإنجليزية",
    ] {
        assert!(arabic.text.contains(part), "lacks {part}: {}", arabic.text);
    }
    assert!(!arabic.text.contains("<script"));
    let english = look(&bench, next_door(), "/", &[("accept-language", "en")]).await.text;
    for part in [
        "<html lang=\"en\" dir=\"ltr\">",
        "What came in last",
        "Call · 11 seconds",
        "nps 2/10",
        "Great service &#38; kind",
    ] {
        assert!(english.contains(part), "lacks {part}: {english}");
    }
    assert_eq!(
        look(&bench, next_door(), "/?lang=xx", &[]).await.status,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn an_empty_hub_says_what_to_do() {
    let bench = Bench::new().await;
    let page = look(&bench, next_door(), "/?lang=ar", &[]).await.text;
    assert!(page.contains("لم يرد شيء بعد") && page.contains("mihwar import"));
}

#[tokio::test]
async fn only_this_machine_sees_the_page_without_a_token() {
    let bench = Bench::new().await;
    fill(&bench).await;
    let rebound = [("host", "evil.example")];
    let proxied = [("x-forwarded-for", "198.51.100.7")];
    for (peer, headers) in [
        (far_away(), &[][..]),
        (next_door(), &rebound[..]),
        (next_door(), &proxied[..]),
    ] {
        let got = look(&bench, peer, "/", headers).await;
        assert_eq!(got.status, StatusCode::UNAUTHORIZED, "{headers:?}");
        assert!(got.headers["www-authenticate"].to_str().unwrap().starts_with("Basic"));
        assert!(!got.text.contains("Great service"));
    }
    let basic = |token: &str| {
        use base64::Engine;
        format!(
            "Basic {}",
            base64::engine::general_purpose::STANDARD.encode(format!("anyone:{token}"))
        )
    };
    let reader = basic(&bench.token(Scope::FeedbackRead).await);
    let writer = basic(&bench.token(Scope::FeedbackWrite).await);
    assert_eq!(
        look(&bench, far_away(), "/", &[("authorization", &reader)])
            .await
            .status,
        StatusCode::OK
    );
    assert_eq!(
        look(&bench, far_away(), "/", &[("authorization", &writer)])
            .await
            .status,
        StatusCode::UNAUTHORIZED
    );
    // What a browser sends by itself opens the page and nothing else.
    let api = look(&bench, far_away(), "/api/v1/feedback", &[("authorization", &reader)]).await;
    assert_eq!(api.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn behind_a_proxy_nobody_is_local() {
    let bench = Bench::with("public-url = \"https://hub.example\"").await;
    assert_eq!(
        look(&bench, next_door(), "/", &[]).await.status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(look(&bench, Peer::Console, "/", &[]).await.status, StatusCode::OK);
}

#[tokio::test]
async fn pages_load_nothing_from_elsewhere_and_problems_are_explained() {
    let bench = Bench::new().await;
    for path in [
        "/?lang=ar",
        "/?lang=en",
        "/problems",
        "/problems/invalid-field",
        "/assets/page.css",
    ] {
        let got = look(&bench, next_door(), path, &[]).await;
        assert_eq!(got.status, StatusCode::OK, "{path}");
        assert!(
            !got.text.contains("https://") && !got.text.contains("http://"),
            "{path}"
        );
    }
    let explained = look(&bench, far_away(), "/problems/invalid-field", &[]).await;
    assert!(
        explained.text.contains("Unknown fields are refused"),
        "{}",
        explained.text
    );
}
