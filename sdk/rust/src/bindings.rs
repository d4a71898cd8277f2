//! Code generated from the contract, `sdk/wit/mihwar.wit`.
//!
//! The host's interfaces and all shared types are generated once, in [`host`]. Each capability has a module of
//! its own that borrows those types, so that a component exports exactly what its author chose. Authors use
//! the names at the crate's root instead of these modules.
#![allow(
    unsafe_code,
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::mem_forget,
    clippy::undocumented_unsafe_blocks,
    clippy::allow_attributes_without_reason,
    clippy::needless_pass_by_value,
    clippy::semicolon_if_nothing_returned,
    clippy::too_many_lines,
    clippy::uninlined_format_args,
    clippy::match_same_arms,
    clippy::string_slice,
    reason = "generated code: the component model's calling convention needs raw pointers"
)]

/// What the hub lends to a plugin, and every shared record.
pub mod host {
    wit_bindgen::generate!({
        path: "../wit",
        world: "mihwar:plugin/host",
        generate_unused_types: true,
        additional_derives: [PartialEq],
    });
}

macro_rules! capability {
    ($(#[$doc:meta])* $module:ident, $world:literal, $inline:literal) => {
        $(#[$doc])*
        pub mod $module {
            wit_bindgen::generate!({
                path: "../wit",
                inline: $inline,
                world: $world,
                with: {
                    "mihwar:plugin/types@0.1.0": crate::bindings::host::mihwar::plugin::types,
                },
                generate_all,
                generate_unused_types: true,
                additional_derives: [PartialEq],
                pub_export_macro: true,
            });
        }
    };
}

capability!(
    /// Every plugin.
    lifecycle, "only-lifecycle",
    "package mihwar:sdk; world only-lifecycle { export mihwar:plugin/lifecycle@0.1.0; }"
);
capability!(
    /// Channels that read files.
    importer, "only-importer",
    "package mihwar:sdk; world only-importer { export mihwar:plugin/importer@0.1.0; }"
);
capability!(
    /// Channels that ask for news.
    puller, "only-puller",
    "package mihwar:sdk; world only-puller { export mihwar:plugin/puller@0.1.0; }"
);
capability!(
    /// Channels that are called.
    webhook, "only-webhook",
    "package mihwar:sdk; world only-webhook { export mihwar:plugin/webhook@0.1.0; }"
);
capability!(
    /// Enrichers.
    processor, "only-processor",
    "package mihwar:sdk; world only-processor { export mihwar:plugin/processor@0.1.0; }"
);
capability!(
    /// Departments.
    destination, "only-destination",
    "package mihwar:sdk; world only-destination { export mihwar:plugin/destination@0.1.0; }"
);

/// Metric plugins. Borrows nothing from the host's bindings: such a component has no imports.
pub mod figure {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "package mihwar:sdk; world only-figure { export mihwar:plugin/figure@0.1.0; }",
        world: "only-figure",
        generate_all,
        generate_unused_types: true,
        additional_derives: [PartialEq],
        pub_export_macro: true,
    });
}
