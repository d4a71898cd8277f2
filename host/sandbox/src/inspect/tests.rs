use proptest::prelude::*;

use super::*;

const CORE: &[u8] = b"\0asm\x01\0\0\0";
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
const MANIFEST: &str = "[plugin]\nid = \"x\"\nversion = \"1.0.0\"\nname = \"عدّاد\"\ncontract = \"0.1\"\n";

/// A custom section; all lengths here fit into one LEB128 byte or two.
fn section(name: &str, data: &[u8]) -> Vec<u8> {
    let mut body = leb(name.len());
    body.extend_from_slice(name.as_bytes());
    body.extend_from_slice(data);
    let mut section = vec![0];
    section.extend(leb(body.len()));
    section.extend(body);
    section
}

fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(number & 0x7f).unwrap();
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// A component with a core module inside that holds the given sections.
fn nested(sections: &[Vec<u8>]) -> Vec<u8> {
    let module = [CORE.to_vec(), sections.concat()].concat();
    let mut component = COMPONENT.to_vec();
    component.push(1);
    component.extend(leb(module.len()));
    component.extend(module);
    component
}

#[test]
fn what_is_no_plugin_says_what_it_is() {
    let kind = |file: &[u8]| Inspection::of(file).unwrap_err();
    assert_eq!(kind(b""), NotAPlugin::Empty);
    assert_eq!(kind(CORE), NotAPlugin::CoreModule);
    assert_eq!(kind(b"  (component (core module))"), NotAPlugin::Text);
    assert_eq!(kind(b"\x7fELF\x02\x01\x01\0"), NotAPlugin::Precompiled);
    assert!(matches!(kind("مرحبا بكم".as_bytes()), NotAPlugin::Unknown(shown) if shown.contains("مرحبا")));
    assert!(matches!(kind(b"PK\x03\x04zip"), NotAPlugin::Unknown(_)));
    assert_eq!(kind(COMPONENT), NotAPlugin::NoManifest);
    assert!(matches!(kind(b"\0asm\x0d\0\x01\0\xff\xff"), NotAPlugin::Damaged(_)));
}

#[test]
fn native_code_of_the_engine_itself_is_refused() {
    let engine = wasmtime::Engine::default();
    let code = engine.precompile_component(COMPONENT).unwrap();
    assert_eq!(Inspection::of(&code).unwrap_err(), NotAPlugin::Precompiled);
}

#[test]
fn the_manifest_is_found_in_a_nested_module() {
    let file = nested(&[
        section(MANIFEST_SECTION, MANIFEST.as_bytes()),
        section(SDK_SECTION, b"rust 0.1.0"),
    ]);
    let inspection = Inspection::of(&file).unwrap();
    assert_eq!(inspection.manifest.plugin.name.in_language("ar"), "عدّاد");
    assert_eq!(inspection.sdk.as_deref(), Some("rust 0.1.0"));
    assert_eq!(
        (inspection.size, inspection.sha256.len()),
        (u64::try_from(file.len()).unwrap(), 64)
    );
}

#[test]
fn a_manifest_that_is_doubled_broken_or_no_text_is_refused() {
    let good = section(MANIFEST_SECTION, MANIFEST.as_bytes());
    assert_eq!(
        Inspection::of(&nested(&[good.clone(), good])).unwrap_err(),
        NotAPlugin::SeveralManifests
    );
    let bytes = section(MANIFEST_SECTION, b"\xff\xfe");
    assert!(
        matches!(Inspection::of(&nested(&[bytes])).unwrap_err(), NotAPlugin::Manifest(error) if error.message.contains("UTF-8"))
    );
    let unknown = section(MANIFEST_SECTION, format!("{MANIFEST}colour = 1\n").as_bytes());
    assert!(
        matches!(Inspection::of(&nested(&[unknown])).unwrap_err(), NotAPlugin::Manifest(error) if error.line == Some(6))
    );
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, component: bool) {
        let file = if component { [COMPONENT, bytes.as_slice()].concat() } else { bytes };
        drop(Inspection::of(&file));
    }
}
