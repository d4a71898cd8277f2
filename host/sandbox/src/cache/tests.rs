use proptest::prelude::*;

use super::*;

const PLUGIN: [u8; 32] = [7; 32];

fn engine() -> Engine {
    Engine::default()
}

fn filled(folder: &Path) -> Cache {
    let cache = Cache::new(folder.join("compiled"), [1; 32], &engine());
    cache.write(&PLUGIN, "{\"type\":\"كائن\"}", b"native code").unwrap();
    cache
}

fn file(cache: &Cache) -> PathBuf {
    cache.path(&PLUGIN)
}

#[test]
fn what_was_written_is_read_and_nothing_else_lies_there() {
    let folder = tempfile::tempdir().unwrap();
    let cache = filled(folder.path());
    let cached = cache.read(&PLUGIN).unwrap();
    assert_eq!(
        (cached.schema.as_str(), cached.code.as_slice()),
        ("{\"type\":\"كائن\"}", &b"native code"[..])
    );
    assert_eq!(fs::read_dir(folder.path().join("compiled")).unwrap().count(), 1);
}

#[cfg(unix)]
#[test]
fn nobody_else_may_read_or_write_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let cache = filled(folder.path());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.path().join("compiled")), 0o700);
    assert_eq!(mode(&file(&cache)), 0o600);
}

#[test]
fn another_hub_s_key_another_plugin_s_file_and_no_file_are_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let cache = filled(folder.path());
    let other = Cache::new(folder.path().join("compiled"), [2; 32], &engine());
    assert!(other.read(&PLUGIN).is_none());
    fs::copy(file(&cache), cache.path(&[8; 32])).unwrap();
    assert!(cache.read(&[8; 32]).is_none());
    fs::remove_file(file(&cache)).unwrap();
    assert!(cache.read(&PLUGIN).is_none());
}

#[test]
fn another_engine_has_another_file() {
    let folder = tempfile::tempdir().unwrap();
    let cache = filled(folder.path());
    let mut config = wasmtime::Config::new();
    config.epoch_interruption(true);
    let other = Cache::new(folder.path().join("compiled"), [1; 32], &Engine::new(&config).unwrap());
    assert_ne!(other.path(&PLUGIN), file(&cache));
    assert!(other.read(&PLUGIN).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_file_with_any_byte_changed_or_cut_is_not_taken(at in 0_usize..80, flip in 1_u8..=255, cut: bool) {
        let folder = tempfile::tempdir().unwrap();
        let cache = filled(folder.path());
        let mut bytes = fs::read(file(&cache)).unwrap();
        let at = at % bytes.len();
        if cut { bytes.truncate(at) } else { bytes[at] ^= flip }
        fs::write(file(&cache), bytes).unwrap();
        prop_assert!(cache.read(&PLUGIN).is_none());
    }
}
