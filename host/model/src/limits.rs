//! How large a piece of feedback may be. Everything a source can make grow has a limit.

/// Bytes of an external id, thread id or revision.
pub const EXTERNAL_ID_BYTES_MAX: usize = 1024;
/// Bytes of a body (plain text or HTML) or of a raw payload.
pub const BODY_BYTES_MAX: usize = 4 << 20;
/// Bytes of any other single text: a subject, a name, an answer.
pub const TEXT_BYTES_MAX: usize = 64 << 10;
/// Bytes of an author's name.
pub const AUTHOR_NAME_BYTES_MAX: usize = 1024;
/// Bytes of the media type of an attachment.
pub const MEDIA_TYPE_BYTES_MAX: usize = 256;
/// Tags on one piece of feedback.
pub const TAGS_MAX: usize = 64;
/// Scores on one piece of feedback.
pub const SCORES_MAX: usize = 32;
/// Identifiers of one author.
pub const IDENTIFIERS_MAX: usize = 16;
/// Attributes of one piece of feedback.
pub const ATTRIBUTES_MAX: usize = 128;
/// Attachments of one piece of feedback.
pub const ATTACHMENTS_MAX: usize = 256;
/// Answers of one survey response.
pub const ANSWERS_MAX: usize = 512;
/// Utterances of one transcript.
pub const UTTERANCES_MAX: usize = 20_000;
/// Bytes of an attachment that is given inline instead of as a blob.
pub const INLINE_ATTACHMENT_BYTES_MAX: usize = 256 << 10;
