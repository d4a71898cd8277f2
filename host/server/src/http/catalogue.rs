//! Every sort of problem: its stable name, its status and the sentence that explains it.

use http::StatusCode;

macro_rules! sorts {
    ($($name:ident $slug:literal $status:ident $title:literal $explanation:literal;)+) => {
        /// A sort of problem. The slug is stable: programs may compare it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Sort { $(#[doc = $title] $name,)+ }

        impl Sort {
            /// All sorts, in the order in which they are explained.
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)+];

            /// The stable last part of the problem's `type`.
            pub(crate) const fn slug(self) -> &'static str {
                match self { $(Self::$name => $slug,)+ }
            }

            /// The HTTP status it is answered with.
            pub(crate) const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)+ }
            }

            /// One line for people.
            pub(crate) const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)+ }
            }

            /// What it means and what to do.
            pub(crate) const fn explanation(self) -> &'static str {
                match self { $(Self::$name => $explanation,)+ }
            }
        }
    };
}

sorts! {
    InvalidJson "invalid-json" BAD_REQUEST "The text is no JSON"
        "The detail names the column (and, in a longer text, the line) where reading stopped. Keys may stand only once in an \
         object, text must be valid Unicode (no lone surrogates), and not more than 127 levels may be nested.";
    InvalidField "invalid-field" UNPROCESSABLE_ENTITY "Fields are wrong"
        "Every bad field is listed in \"errors\" (of more than 100 the first 100) with what would be right. Unknown fields \
         are refused, so that a misspelt one is not lost in silence. Nothing of the record was kept.";
    InvalidQuery "invalid-query" BAD_REQUEST "The query is wrong"
        "A key of the query is unknown, stands twice or has a value that cannot be read. Each is listed in \"errors\".";
    InvalidCursor "invalid-cursor" BAD_REQUEST "The cursor is not ours"
        "Cursors are opaque: hand back exactly what \"next\" of the page before held, with the same filters.";
    InvalidRequest "invalid-request" BAD_REQUEST "The request cannot be understood"
        "A header, the address or the body is malformed in a way that has no field of its own; the detail says which.";
    UnsupportedMediaType "unsupported-media-type" UNSUPPORTED_MEDIA_TYPE "The body has the wrong media type"
        "Send application/json, or application/x-ndjson to the addresses that take a stream.";
    TooLarge "too-large" PAYLOAD_TOO_LARGE "The body is too large"
        "The detail names the limit in bytes: 256 KiB for one request unless the configuration says otherwise. Send many \
         records through /api/v1/feedback:batch: the stream has no limit, one line may have one mebibyte.";
    Unauthenticated "unauthenticated" UNAUTHORIZED "A token is needed"
        "Send \"Authorization: Bearer mhw_…\" with a token from `mihwar token create`. The token is missing, unknown, \
         expired or revoked; which of these is not said.";
    Forbidden "forbidden" FORBIDDEN "The token may not do this"
        "The token is good, but lacks the scope that the detail names. Make one that has it.";
    NotFound "not-found" NOT_FOUND "There is nothing here"
        "The address or the id does not exist, or is not for this caller to know.";
    MethodNotAllowed "method-not-allowed" METHOD_NOT_ALLOWED "The method does not fit the address"
        "The Allow header lists the methods that do.";
    IdempotencyMismatch "idempotency-mismatch" UNPROCESSABLE_ENTITY "The idempotency key was used for something else"
        "The same key came with another request in the last 24 hours. Use a new key for a new request.";
    Conflict "conflict" CONFLICT "It cannot be done in the present state"
        "The detail says what stands against it.";
    Loop "loop" UNPROCESSABLE_ENTITY "The hub sent this to itself"
        "The request carries this hub's own mark in the header mihwar-hop: one of its departments sends to one of its addresses, \
         and the same would go round for ever. Nothing of it was kept. Take out the route, or the address in the department's \
         settings, that leads back.";
    NotVerified "not-verified" UNAUTHORIZED "The signature does not fit"
        "The request to this webhook carries no valid signature, or one that is too old. The hub's log says which.";
    InvalidConfig "invalid-config" UNPROCESSABLE_ENTITY "The configuration is wrong"
        "Nothing was changed: the hub goes on with the configuration it had. The detail names file, line and key.";
    Busy "busy" SERVICE_UNAVAILABLE "The hub is busy"
        "Queues are bounded: nothing of the request was kept. Send it again after the time in Retry-After.";
    TooManyRequests "too-many-requests" TOO_MANY_REQUESTS "One caller asks for too much at once"
        "One token, or one address, gets no more than two thirds of the places, so that others find one. Nothing of the \
         request was kept. Wait for the answers that are due, and send it again after the time in Retry-After.";
    NoSpace "no-space" INSUFFICIENT_STORAGE "The disk is nearly full"
        "The hub refuses to write before the disk is full. Nothing of the request was kept. Make room and send it again.";
    StoreStopped "store-stopped" SERVICE_UNAVAILABLE "The hub writes nothing until it is started again"
        "The disk failed or ran full in the middle of a write, and what is on it is not known for sure until the store is opened \
         again. Nothing of the request was kept; reading may fail, too. Whoever runs the hub makes room or mends the disk, and \
         starts it again.";
    Timeout "timeout" GATEWAY_TIMEOUT "It took too long"
        "The request was given up. Whether it had an effect is not known; with an idempotency key it is safe to send again.";
    OutcomeUnknown "outcome-unknown" INTERNAL_SERVER_ERROR "It is not known whether this was written"
        "The disk failed in the middle of a commit. Look whether the record is there before sending it again; with an \
         external_id or an idempotency key it is safe to send again, since a repeat is recognised.";
    Damaged "damaged" INTERNAL_SERVER_ERROR "What the hub has of this is damaged"
        "Nothing is wrong with the request. What the hub has of the same item, or of its author, cannot be read any more, and \
         nothing can be kept beside that. Nothing of the request was kept: keep it, tell whoever runs the hub, and send it again \
         when that is put right. For them: `mihwar ledger verify` names what is damaged.";
    Internal "internal" INTERNAL_SERVER_ERROR "Something went wrong in the hub"
        "This is a fault of the hub. Its log holds the cause under the request id in the answer's x-request-id header.";
}

impl Sort {
    /// The sort with this slug.
    pub(crate) fn from_slug(slug: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|sort| sort.slug() == slug)
    }

    /// The sort that says best what a bare status means.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => Self::MethodNotAllowed,
            StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::UnsupportedMediaType,
            StatusCode::UNAUTHORIZED => Self::Unauthenticated,
            StatusCode::SERVICE_UNAVAILABLE => Self::Busy,
            StatusCode::TOO_MANY_REQUESTS => Self::TooManyRequests,
            StatusCode::GATEWAY_TIMEOUT | StatusCode::REQUEST_TIMEOUT => Self::Timeout,
            status if status.is_client_error() => Self::InvalidRequest,
            _ => Self::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Sort;

    #[test]
    fn slugs_are_unique_and_lead_back() {
        for sort in Sort::ALL {
            assert_eq!(Sort::from_slug(sort.slug()), Some(*sort));
            assert!(sort.status().is_client_error() || sort.status().is_server_error());
            assert!(sort.explanation().ends_with('.'));
        }
    }
}
