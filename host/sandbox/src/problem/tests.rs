use serde_json::json;

use super::*;

const HEAD: &str = "[plugin]\nid = \"tickets\"\nversion = \"1.0.0\"\nname = { en = \"Tickets\", ar = \"التذاكر\" }\ncontract = \"0.1\"\n";

fn manifest(rest: &str) -> Manifest {
    Manifest::parse(&format!("{HEAD}{rest}")).unwrap()
}

/// The instance's secrets, read as an instance reads them.
fn token(manifest: &Manifest) -> BTreeMap<String, Secret> {
    let mut set = SecretSet::new();
    set.insert("token", "s3cret-value".into());
    let mut problems = Vec::new();
    let secrets = read_secrets(manifest, &set, &mut problems);
    assert_eq!(problems, []);
    secrets
}

#[test]
fn each_field_that_is_granted_and_not_asked_for_is_named() {
    let manifest = manifest("[ask]\nfields = [\"body\"]\n");
    let grants = Grants {
        fields: ["body", "author.name", "raw"].map(str::to_owned).to_vec(),
        ..Grants::default()
    };
    let warnings = unasked_fields(&manifest, &grants);
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    for (warning, field) in warnings.iter().zip(["`author.name`", "`raw`"]) {
        assert_eq!(
            (warning.severity, warning.path.as_str()),
            (Severity::Warning, "grant.fields")
        );
        assert!(
            warning.message.contains(field) && warning.message.contains("`tickets`"),
            "{warning}"
        );
    }
}

#[test]
fn limits_over_the_engine_s_are_cut_with_a_word() {
    let ceiling = Ceiling {
        time: std::time::Duration::from_secs(60),
        memory: 128 << 20,
        table: 100_000,
    };
    let set = |memory: Option<u64>, table| LimitOverrides {
        memory: memory.map(ByteSize),
        table,
        ..LimitOverrides::default()
    };
    let plain = manifest("");
    let hungry = manifest("[limits]\nmemory = \"256MiB\"\n");
    for (manifest, set, path, words) in [
        (&plain, set(Some(1 << 30), None), "limits.memory", ["1GiB", "128MiB"]),
        (&hungry, set(None, None), "limits.memory", ["`tickets`", "256MiB"]),
        (&plain, set(None, Some(100_001)), "limits.table", ["100001", "100000"]),
    ] {
        let warnings = cut_limits(manifest, &set, &ceiling);
        let [warning] = warnings.as_slice() else {
            panic!("{warnings:?}")
        };
        assert_eq!((warning.severity, warning.path.as_str()), (Severity::Warning, path));
        assert!(words.iter().all(|word| warning.message.contains(word)), "{warning}");
        assert_eq!(
            warning.message.contains("engine.memory"),
            path == "limits.memory",
            "{warning}"
        );
    }
    // What the admin set counts, not what the plugin wants besides.
    for fits in [set(Some(64 << 20), None), set(Some(128 << 20), Some(100_000))] {
        assert_eq!(cut_limits(&hungry, &fits, &ceiling), []);
    }
}

#[test]
fn a_template_that_grows_or_cannot_be_read_is_found_before_a_call() {
    for (format, fault) in [
        ("{base64:{base64:{secret}}}", "inside another"),
        ("Bearer {secret} {settings.note}", "8192"),
        ("Bearer {secret} {env.HOME}", "`{env.HOME}` is not known"),
    ] {
        let manifest = manifest(&format!(
            "[[secret]]\nname = \"token\"\ninject = {{ header = \"Authorization\", format = \"{format}\" }}\n"
        ));
        let settings = json!({ "note": "طويل".repeat(2000) });
        let problems = inject_problems(&manifest, &settings, &token(&manifest));
        let [problem] = problems.as_slice() else {
            panic!("{format}: {problems:?}")
        };
        assert_eq!(
            (problem.severity, problem.path.as_str()),
            (Severity::Error, "secrets.token")
        );
        assert!(problem.message.contains(fault), "{problem}");
        assert!(!problem.message.contains("s3cret"), "{problem}");
    }
}

#[test]
fn a_setting_that_is_left_out_is_no_more_than_a_warning() {
    let manifest = manifest(
        "[[ask.http]]\norigin = \"{settings.url}\"\nmethods = [\"GET\"]\n[[secret]]\nname = \"token\"\ninject = { header = \"X-Key\", format = \"{settings.user} {secret}\", origin = \"{settings.url}\" }\n",
    );
    let secrets = token(&manifest);
    assert_eq!(secrets.len(), 1);
    let problems = inject_problems(&manifest, &json!({}), &secrets);
    let [problem] = problems.as_slice() else {
        panic!("{problems:?}")
    };
    assert_eq!(problem.severity, Severity::Warning);
    assert!(problem.message.contains("`user`"), "{problem}");
    let mut problems = Vec::new();
    assert!(read_asks(&manifest, &json!({}), true, &mut problems).is_empty());
    assert_eq!(problems, []);

    let full = json!({ "user": "ليلى", "url": "https://شكاوى.example" });
    assert_eq!(inject_problems(&manifest, &full, &secrets), []);
    let odd = json!({ "user": "ليلى", "url": "ftp://شكاوى.example" });
    assert_eq!(inject_problems(&manifest, &odd, &secrets)[0].severity, Severity::Error);
}

#[test]
fn an_ask_that_cannot_be_filled_in_is_an_error() {
    let manifest = manifest("[[ask.http]]\norigin = \"https://{secret}.example\"\nmethods = [\"GET\"]\n");
    let mut problems = Vec::new();
    assert!(read_asks(&manifest, &json!({}), true, &mut problems).is_empty());
    assert_eq!(problems[0].severity, Severity::Error);
    assert!(problems[0].message.contains("{secret}"), "{}", problems[0]);
}

#[test]
fn a_schema_without_end_is_a_problem_of_the_settings() {
    let properties: serde_json::Map<String, Value> = (0..10)
        .map(|child| (format!("فرع-{child}"), json!({ "$ref": "#", "default": {} })))
        .collect();
    let schema = json!({ "properties": properties });
    let problems = settings_problems(&schema, &mut json!({}));
    let [problem] = problems.as_slice() else {
        panic!("{problems:?}")
    };
    assert_eq!((problem.severity, problem.path.as_str()), (Severity::Error, "settings"));
    assert!(problem.message.contains("10000"), "{problem}");
}
