//! A guest that misbehaves: each act has its own typed end, and the host goes on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::{Setup, acting, plugin, request, told};
use mihwar_sandbox::manifest::{ByteSize, Span};
use mihwar_sandbox::{Call, CallFailure, HttpGrant, LimitOverrides, LogLevel, Severity};
use serde_json::json;

fn short() -> LimitOverrides {
    LimitOverrides {
        time: Some(Span(Duration::from_millis(200))),
        ..LimitOverrides::default()
    }
}

#[tokio::test]
async fn a_decent_call_hands_back_its_effects() {
    let done = acting("answer", 0).pull().await.unwrap();
    assert_eq!(told(&done), "الخدمة ممتازة");
    assert_eq!(done.value.cursor.as_deref(), Some("next"));
    let [write] = done.effects.state.as_slice() else {
        panic!("{:?}", done.effects)
    };
    assert_eq!(
        (write.key.as_str(), write.value.as_deref()),
        ("last", Some("قبل".as_bytes()))
    );
    let [line] = done.effects.log.as_slice() else {
        panic!("{:?}", done.effects)
    };
    assert_eq!((line.level, line.message.as_str()), (LogLevel::Info, "تم"));
    assert_eq!(done.effects.metrics.len(), 1);
    assert!(done.cost.memory_peak > 0 && done.cost.wall > Duration::ZERO);
}

#[tokio::test]
async fn an_endless_loop_ends_near_its_deadline() {
    for act in ["loop", "loop-in-host"] {
        let started = Instant::now();
        let error = Setup {
            limits: short(),
            ..acting(act, 0)
        }
        .pull()
        .await
        .unwrap_err();
        let took = started.elapsed();
        assert!(
            matches!(
                *error.failure,
                CallFailure::TimeLimit {
                    setting: "instance.limits.time",
                    ..
                }
            ),
            "{act}: {error}"
        );
        assert!(error.to_string().contains("200ms"), "{error}");
        assert!(
            // Not how fast: that it ends by the deadline's doing and not by the test's patience, on a busy machine too.
            took >= Duration::from_millis(200) && took < Duration::from_secs(30),
            "{act}: {took:?}"
        );
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_loop_does_not_starve_what_shares_its_thread() {
    let (busy, _) = Setup {
        limits: short(),
        ..acting("loop", 0)
    }
    .configure(&plugin())
    .unwrap();
    let (quick, _) = acting("answer", 0).configure(&plugin()).unwrap();
    let looping = tokio::spawn(async move { busy.pull(request(), Call::empty()).await.map(drop) });
    tokio::task::yield_now().await;
    let mut answered = 0;
    while !looping.is_finished() {
        quick.pull(request(), Call::empty()).await.unwrap();
        answered += 1;
    }
    assert!(answered >= 3, "{answered} calls beside the loop");
    assert_eq!(looping.await.unwrap().unwrap_err().code(), "limit-time");
}

#[tokio::test]
async fn allocation_without_end_ends_at_the_memory_limit() {
    let limits = LimitOverrides {
        memory: Some(ByteSize(32 << 20)),
        ..LimitOverrides::default()
    };
    let error = Setup {
        limits,
        ..acting("allocate", 0)
    }
    .pull()
    .await
    .unwrap_err();
    assert!(
        matches!(
            *error.failure,
            CallFailure::MemoryLimit {
                limit: 33_554_432,
                setting: "instance.limits.memory",
                ..
            }
        ),
        "{error}"
    );
    assert!(error.cost.memory_peak <= 32 << 20, "{:?}", error.cost);
}

#[tokio::test]
async fn a_gigabyte_is_never_taken_over() {
    // Over the memory limit it cannot even be made; below it, it cannot be handed over.
    let huge = acting("gigabyte", 1 << 30).pull().await.unwrap_err();
    assert_eq!(huge.code(), "limit-memory", "{huge}");
    let large = acting("gigabyte", 20 << 20).pull().await.unwrap_err();
    assert!(
        matches!(
            *large.failure,
            CallFailure::OutputTooLarge {
                unit: "bytes",
                setting: "instance.limits.output",
                ..
            }
        ),
        "{large}"
    );
    assert_eq!(told(&acting("gigabyte", 4 << 20).pull().await.unwrap()).len(), 4 << 20);
}

#[tokio::test]
async fn too_many_items_are_refused_with_the_setting() {
    let error = acting("many-items", 10_001).pull().await.unwrap_err();
    assert!(
        matches!(
            *error.failure,
            CallFailure::OutputTooLarge {
                unit: "items",
                limit: 10_000,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(
        acting("many-items", 10_000).pull().await.unwrap().value.changes.len(),
        10_000
    );
}

#[tokio::test]
async fn a_panic_names_message_place_and_functions() {
    let error = acting("panic", 7).pull().await.unwrap_err();
    let CallFailure::Trap {
        during,
        message,
        place,
        frames,
    } = &*error.failure
    else {
        panic!("{error}")
    };
    assert_eq!(*during, "puller.pull");
    assert_eq!(message, "index out of bounds: the len is 3 but the index is 7");
    assert!(place.as_deref().unwrap().contains("src/acts.rs:"), "{place:?}");
    assert!(
        frames[0].starts_with("mihwar_sdk::") || frames[0].starts_with("guest_hostile::"),
        "{frames:?}"
    );
}

#[tokio::test]
async fn endless_recursion_and_exit_are_traps_and_the_host_lives() {
    let deep = acting("recurse", 0).pull().await.unwrap_err();
    assert!(
        matches!(&*deep.failure, CallFailure::Trap { message, .. } if message.contains("stack")),
        "{deep}"
    );
    let exit = acting("exit", 0).pull().await.unwrap_err();
    assert!(
        matches!(&*exit.failure, CallFailure::Trap { message, .. } if message.contains("exit status")),
        "{exit}"
    );
    assert!(acting("answer", 0).pull().await.is_ok());
}

#[tokio::test]
async fn the_guest_finds_no_environment_files_or_sockets() {
    assert_eq!(
        told(&acting("environment", 0).pull().await.unwrap()),
        "0 0 0 false false"
    );
}

#[tokio::test]
async fn no_call_finds_what_another_left_in_its_memory() {
    let (instance, _) = acting("remnants", 0).configure(&plugin()).unwrap();
    for _ in 0..40 {
        let calls = (0..8).map(|_| instance.pull(request(), Call::empty()));
        for done in futures_util::future::join_all(calls).await {
            assert_eq!(told(&done.unwrap()), "0 0");
        }
    }
}

#[tokio::test]
async fn secrets_sign_without_being_read() {
    assert_eq!(told(&acting("sign", 0).pull().await.unwrap()), "32 Ok(true) Ok(false)");
}

#[tokio::test]
async fn an_origin_without_a_grant_is_refused_with_the_grant_that_would_allow_it() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let setup = || Setup {
        settings: json!({ "act": "fetch", "url": url }),
        ..Setup::default()
    };
    let (_, warnings) = setup().configure(&plugin()).unwrap();
    assert_eq!(warnings[0].severity, Severity::Warning);
    assert!(
        warnings[0].message.contains(&format!(
            "[[instance.grant.http]]\norigin = \"{url}\"\nmethods = [\"GET\", \"POST\"]"
        )),
        "{}",
        warnings[0]
    );
    let denied = setup().pull().await.unwrap();
    assert!(
        told(&denied).contains("Denied") && told(&denied).contains("[[instance.grant.http]]"),
        "{}",
        told(&denied)
    );
    assert_eq!(denied.effects.http_exchanges, 0);
}

#[tokio::test]
async fn an_echo_of_the_credential_is_masked() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let echo = std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        let (mut connection, _) = listener.accept().unwrap();
        let mut request = vec![0; 4096];
        let read = connection.read(&mut request).unwrap();
        let text = String::from_utf8_lossy(&request[..read]).into_owned();
        write!(
            connection,
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
            text.len()
        )
        .unwrap();
        text
    });
    let grant = HttpGrant {
        origin: url.clone(),
        methods: vec!["GET".to_owned()],
        paths: vec!["/".to_owned()],
        private: true,
    };
    let setup = Setup {
        settings: json!({ "act": "fetch", "url": url }),
        grants: vec![grant],
        ..Setup::default()
    };
    let done = setup.pull().await.unwrap();
    let sent = echo.join().unwrap().to_lowercase();
    assert!(sent.contains("authorization: bearer s3cret-token-value"), "{sent}");
    assert!(
        told(&done).starts_with("200 GET / HTTP/1.1") && told(&done).contains("•••"),
        "{}",
        told(&done)
    );
    assert!(!told(&done).contains("s3cret"), "{}", told(&done));
    assert_eq!(done.effects.http_exchanges, 1);
}

#[tokio::test]
async fn settings_that_do_not_fit_are_named_by_key() {
    let wrong = Setup {
        settings: json!({ "act": 7, "colour": "أحمر" }),
        ..Setup::default()
    };
    let problems = wrong.configure(&plugin()).unwrap_err();
    let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
    assert!(paths.contains(&"settings.act"), "{problems:?}");
    assert!(
        problems.iter().any(|problem| problem.message.contains("colour")),
        "{problems:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_calls_than_slots_wait_and_all_are_answered() {
    let (instance, _) = acting("answer", 0).configure(&plugin()).unwrap();
    let instance = Arc::new(instance);
    let calls: Vec<_> = (0..200)
        .map(|_| {
            let instance = Arc::clone(&instance);
            tokio::spawn(async move { instance.pull(request(), Call::empty()).await.map(drop) })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn what_a_plugin_does_not_offer_is_said() {
    let (instance, _) = acting("answer", 0).configure(&plugin()).unwrap();
    let error = instance.deliver(Vec::new(), Call::empty()).await.unwrap_err();
    assert_eq!(error.code(), "not-offered");
    assert!(instance.validate(Call::empty()).await.unwrap().value.is_empty());
}
