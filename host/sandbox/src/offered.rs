//! What this hub offers to plugins, to say by name what one misses.

use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

/// Functions of the hub's own interfaces, as a component names them. A test keeps this in step with `sdk/wit`.
pub(crate) const FUNCTIONS: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("log", &["enabled", "emit", "panicked"]),
    ("config", &["get", "info"]),
    ("secrets", &["is-set", "sign", "verify", "sign-ed25519"]),
    ("state", &["get", "set", "delete", "scan"]),
    ("blobs", &["put", "size", "read"]),
    ("http", &["send", "download"]),
    (
        "net",
        &[
            "[method]connection.write",
            "[method]connection.read",
            "[method]connection.upgrade-tls",
            "connect",
        ],
    ),
    ("clock", &["now", "remaining-ms"]),
    ("random", &["bytes", "uuid"]),
    ("metrics", &["add", "set", "observe"]),
];

/// Packages of WASI 0.2 that are linked (and give nothing).
const WASI: [&str; 6] = [
    "wasi:cli",
    "wasi:clocks",
    "wasi:filesystem",
    "wasi:io",
    "wasi:random",
    "wasi:sockets",
];

/// Imported interfaces that nobody offers.
pub(crate) fn missing(imports: &[String]) -> Vec<String> {
    imports.iter().filter(|import| !known(import)).cloned().collect()
}

fn known(import: &str) -> bool {
    if let Some(interface) = served(import) {
        return FUNCTIONS.iter().any(|(offered, _)| *offered == interface);
    }
    let (name, version) = import.split_once('@').unwrap_or((import, ""));
    name.split_once('/')
        .is_some_and(|(package, _)| WASI.contains(&package) && version.starts_with("0.2."))
}

/// The interface's own name, if it belongs to the contract in a version that this hub serves.
pub(crate) fn served(name: &str) -> Option<&str> {
    let (interface, version) = name.strip_prefix("mihwar:plugin/")?.split_once('@')?;
    version.starts_with("0.1.").then_some(interface)
}

/// Functions of the hub's interfaces that a component uses and nobody offers.
pub(crate) fn missing_functions(engine: &wasmtime::Engine, component: &Component) -> Vec<String> {
    let mut missing = Vec::new();
    for (import, item) in component.component_type().imports(engine) {
        let ComponentItem::ComponentInstance(instance) = item.ty else {
            continue;
        };
        let Some(interface) = import
            .strip_prefix("mihwar:plugin/")
            .and_then(|rest| rest.split('@').next())
        else {
            continue;
        };
        let offered = FUNCTIONS
            .iter()
            .find(|(name, _)| *name == interface)
            .map_or(&[][..], |(_, functions)| functions);
        for (function, item) in instance.exports(engine) {
            if matches!(item.ty, ComponentItem::ComponentFunc(_)) && !offered.contains(&function) {
                missing.push(format!("{import}#{function}"));
            }
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::{FUNCTIONS, missing};

    #[test]
    fn the_list_is_what_the_contract_imports() {
        let wit = include_str!("../../../sdk/wit/mihwar.wit");
        let world = wit.split("world host {").nth(1).unwrap().split('}').next().unwrap();
        for (interface, functions) in FUNCTIONS.iter().filter(|(_, functions)| !functions.is_empty()) {
            assert!(world.contains(&format!("import {interface};")), "{interface}");
            let body = wit.split(&format!("\ninterface {interface} {{")).nth(1).unwrap();
            let body = body.split("\n}\n").next().unwrap();
            let found: Vec<&str> = body
                .lines()
                .filter_map(|line| line.trim().split_once(": func("))
                .map(|(name, _)| name)
                .collect();
            let listed: Vec<&str> = functions.iter().map(|name| name.rsplit('.').next().unwrap()).collect();
            assert_eq!(found, listed, "{interface}");
        }
        assert_eq!(world.matches("import ").count(), FUNCTIONS.len() - 1);
    }

    #[test]
    fn what_nobody_offers_is_named() {
        let imports = [
            "wasi:io/poll@0.2.6",
            "wasi:http/outgoing-handler@0.2.0",
            "mihwar:plugin/telepathy@0.1.0",
            "mihwar:plugin/net@0.1.0",
            "mihwar:plugin/log@0.1.3",
            "env",
        ];
        let imports: Vec<String> = imports.map(str::to_owned).to_vec();
        assert_eq!(
            missing(&imports),
            [
                "wasi:http/outgoing-handler@0.2.0",
                "mihwar:plugin/telepathy@0.1.0",
                "env"
            ]
        );
    }
}
