//! The contract's types as the host sees them, generated from `sdk/wit`.
//!
//! One internal world holds every export, so that any plugin fits; which exports a component really
//! has is found per component.

#![expect(
    missing_docs,
    reason = "generated from sdk/wit/mihwar.wit, where each type is documented"
)]

wasmtime::component::bindgen!({
    path: "../../sdk/wit",
    inline: r"
        package mihwar:host@0.1.0;
        world everything {
            include mihwar:plugin/host@0.1.0;
            export mihwar:plugin/lifecycle@0.1.0;
            export mihwar:plugin/importer@0.1.0;
            export mihwar:plugin/puller@0.1.0;
            export mihwar:plugin/webhook@0.1.0;
            export mihwar:plugin/processor@0.1.0;
            export mihwar:plugin/destination@0.1.0;
            export mihwar:plugin/figure@0.1.0;
        }
    ",
    world: "mihwar:host/everything",
    imports: {
        "mihwar:plugin/state": async,
        "mihwar:plugin/blobs": async,
        "mihwar:plugin/http": async,
        "mihwar:plugin/net": async,
    },
    exports: { default: async },
    additional_derives: [PartialEq],
});

pub use exports::mihwar::plugin::{destination, figure, importer, lifecycle, processor, puller, webhook};
pub use mihwar::plugin::{blobs, clock, config, http, log, metrics, net, random, secrets, state, types};

/// The contract version this build serves, as it stands in a manifest (`contract = "0.1"`).
pub const CONTRACT: &str = "0.1";
