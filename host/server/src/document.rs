//! The API's description, made from the code.

use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

/// The frame of the description; the routes add their operations.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Mihwar",
        description = "The API of the feedback hub: hand feedback in, read it, follow what became of it, run the hub.\n\n\
            Send a token of `mihwar token create` as bearer. Refusals are problem details (RFC 9457) whose `type` leads to a page \
            that explains it. Lists are read page by page with opaque cursors.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    modifiers(&Tokens),
    tags(
        (name = "feedback", description = "What customers say."),
        (name = "deliveries", description = "Where it went."),
        (name = "inbound", description = "What other systems send."),
        (name = "plugins", description = "What runs in the hub."),
        (name = "imports", description = "Files on the hub's machine."),
        (name = "ledger", description = "The proof of it all."),
        (name = "store", description = "Looking after the hub's own file."),
        (name = "tokens", description = "Who may do what."),
        (name = "hub", description = "The hub itself."),
        (name = "health", description = "For monitors."),
    ),
)]
pub(crate) struct Document;

struct Tokens;

impl Modify for Tokens {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let mut scheme = Http::new(HttpAuthScheme::Bearer);
        scheme.bearer_format = Some("mhw_<id>_<secret>".into());
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}
