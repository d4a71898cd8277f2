//! From the start of the process to the first 200 of `/health/ready`.

use std::fmt::Write as _;

use mihwar_tests::{Site, plugin_file};

use crate::figure;

/// Twenty plugins that differ: copies of the language enricher with another id in their manifest.
pub(crate) fn with_twenty_plugins() {
    let site = Site::new("127.0.0.1:9".parse().expect("an address")).unwrap();
    let original = std::fs::read(plugin_file("language")).unwrap();
    let mut config = std::fs::read_to_string(site.config()).unwrap();
    for number in 0..15 {
        let id = format!("languag{}", char::from(b'f' + number));
        let file = site.path().join(format!("{id}.wasm"));
        std::fs::write(&file, renamed(&original, &id)).unwrap();
        write!(
            config,
            "\n[[plugin]]\nid = \"{id}\"\nfile = \"{}\"\n[[instance]]\nname = \"{id}\"\nplugin = \"{id}\"\n",
            file.display()
        )
        .unwrap();
    }
    std::fs::write(site.config(), config).unwrap();
    let cold = site.serve().unwrap();
    figure(
        "start to ready, 20 plugins, nothing compiled yet",
        &format!("{:.0?}", cold.ready_after),
        "-",
    );
    assert!(cold.stop());
    let mut best = None;
    for _ in 0..5 {
        let warm = site.serve().unwrap();
        best = Some(best.map_or(warm.ready_after, |best: std::time::Duration| best.min(warm.ready_after)));
        assert!(warm.stop());
    }
    figure(
        "start to ready, 20 plugins, warm cache, best of 5",
        &format!("{:.0?}", best.unwrap_or_default()),
        "300 ms",
    );
}

/// The same component under another id of the same length.
fn renamed(component: &[u8], id: &str) -> Vec<u8> {
    let (from, to) = (b"id = \"language\"", format!("id = \"{id}\""));
    let mut bytes = component.to_vec();
    let place = bytes
        .windows(from.len())
        .position(|window| window == from)
        .expect("the manifest is inside");
    bytes[place..place + from.len()].copy_from_slice(to.as_bytes());
    bytes
}
