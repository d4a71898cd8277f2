//! Writes mails the way different programs do: plain, base64, quoted-printable, Windows-1256, HTML.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// How the text of a mail is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dress {
    /// UTF-8 as it is.
    Plain,
    /// UTF-8 in base64.
    Base64,
    /// UTF-8 in quoted-printable.
    QuotedPrintable,
    /// The Arabic code page of Windows, as it is.
    Windows1256,
    /// Plain text and HTML side by side.
    Alternative,
    /// HTML alone.
    HtmlOnly,
}

/// A file that comes with a mail.
#[derive(Debug, Clone)]
pub(super) struct Attachment {
    /// File name, in any script.
    pub(super) name: &'static str,
    /// Media type.
    pub(super) media_type: &'static str,
    /// Content.
    pub(super) bytes: Vec<u8>,
}

/// One part of a mail: header lines that describe the content, and the content.
pub(super) struct Part {
    headers: String,
    content: Vec<u8>,
}

impl Part {
    /// The text of a mail in one of the dresses. `boundary` must not occur in it.
    pub(super) fn text(dress: Dress, text: &str, boundary: &str) -> Self {
        match dress {
            Dress::Plain => Self::described("text/plain; charset=utf-8", "8bit", crlf(text).into_bytes()),
            Dress::Base64 => Self::base64("text/plain; charset=utf-8", "", text.as_bytes()),
            Dress::QuotedPrintable => Self::described(
                "text/plain; charset=utf-8",
                "quoted-printable",
                quoted_printable(text).into_bytes(),
            ),
            Dress::Windows1256 => {
                let bytes = windows_1256(&crlf(text)).unwrap_or_else(|| crlf(text).into_bytes());
                Self::described("text/plain; charset=windows-1256", "8bit", bytes)
            }
            Dress::Alternative => {
                let plain = Self::text(Dress::QuotedPrintable, text, boundary);
                Self::multipart("alternative", boundary, &[plain, Self::html(text)])
            }
            Dress::HtmlOnly => Self::html(text),
        }
    }

    /// A file.
    pub(super) fn attachment(attachment: &Attachment) -> Self {
        let disposition = if attachment.name.is_ascii() {
            format!("Content-Disposition: attachment; filename=\"{}\"\r\n", attachment.name)
        } else {
            // RFC 2231: the only standard way for a name beyond ASCII in a parameter.
            format!(
                "Content-Disposition: attachment; filename*=UTF-8''{}\r\n",
                percent(attachment.name)
            )
        };
        Self::base64(attachment.media_type, &disposition, &attachment.bytes)
    }

    /// Several parts in one.
    pub(super) fn multipart(kind: &str, boundary: &str, parts: &[Self]) -> Self {
        let mut content = Vec::new();
        for part in parts {
            content.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
            content.extend_from_slice(&part.bytes());
        }
        content.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        Self {
            headers: format!("Content-Type: multipart/{kind}; boundary=\"{boundary}\"\r\n"),
            content,
        }
    }

    /// A part with headers of its own, as it is.
    pub(super) fn described(media_type: &str, encoding: &str, content: Vec<u8>) -> Self {
        Self {
            headers: format!("Content-Type: {media_type}\r\nContent-Transfer-Encoding: {encoding}\r\n"),
            content,
        }
    }

    /// Headers, empty line and content.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.headers.clone().into_bytes();
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.content);
        if !self.content.ends_with(b"\r\n") {
            bytes.extend_from_slice(b"\r\n");
        }
        bytes
    }

    fn base64(media_type: &str, headers: &str, content: &[u8]) -> Self {
        let mut part = Self::described(media_type, "base64", base64_lines(content).into_bytes());
        part.headers.push_str(headers);
        part
    }

    fn html(text: &str) -> Self {
        let direction = if is_arabic(text) { "rtl" } else { "ltr" };
        let paragraphs: String = text
            .split("\n\n")
            .map(|paragraph| format!("<p>{}</p>\n", escaped(paragraph).replace('\n', "<br>\n")))
            .collect();
        let html = format!(
            "<!doctype html>\n<html dir=\"{direction}\"><head><meta charset=\"utf-8\"><style>p{{margin:0 0 1em}}</style></head>\n<body>\n{paragraphs}</body></html>\n"
        );
        Self::base64("text/html; charset=utf-8", "", html.as_bytes())
    }
}

/// A header's value: as it is when it is ASCII, else as encoded words in the dress's own way.
pub(super) fn header(dress: Dress, text: &str) -> String {
    if text.is_ascii() {
        return text.to_owned();
    }
    let mut words = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        // An encoded word holds at most 75 letters; 18 letters of text always fit.
        let end = rest.char_indices().nth(18).map_or(rest.len(), |(at, _)| at);
        let (chunk, after) = rest.split_at(end);
        words.push(encoded_word(dress, chunk));
        rest = after;
    }
    words.join("\r\n ")
}

fn encoded_word(dress: Dress, text: &str) -> String {
    match (dress, windows_1256(text)) {
        (Dress::Windows1256, Some(bytes)) => {
            format!("=?windows-1256?B?{}?=", STANDARD.encode(bytes))
        }
        (Dress::QuotedPrintable, _) if text.len() < 20 => {
            let letters: String = text.bytes().map(|byte| format!("={byte:02X}")).collect();
            format!("=?UTF-8?Q?{letters}?=")
        }
        _ => format!("=?UTF-8?B?{}?=", STANDARD.encode(text)),
    }
}

/// Whether a text is mostly Arabic.
pub(super) fn is_arabic(text: &str) -> bool {
    let (mut arabic, mut latin) = (0, 0);
    for letter in text.chars() {
        arabic += u32::from(matches!(letter, '\u{600}'..='\u{6ff}'));
        latin += u32::from(letter.is_ascii_alphabetic());
    }
    arabic > latin
}

fn crlf(text: &str) -> String {
    text.replace('\n', "\r\n")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn percent(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

fn base64_lines(bytes: &[u8]) -> String {
    bytes.chunks(57).map(|line| STANDARD.encode(line) + "\r\n").collect()
}

fn quoted_printable(text: &str) -> String {
    let mut lines = String::new();
    for line in text.split('\n') {
        let mut width = 0;
        for letter in line.chars() {
            let mut buffer = [0; 4];
            let code: String = match letter {
                ' '..='~' if letter != '=' => letter.to_string(),
                _ => letter
                    .encode_utf8(&mut buffer)
                    .bytes()
                    .map(|byte| format!("={byte:02X}"))
                    .collect(),
            };
            if width + code.len() > 75 {
                lines.push_str("=\r\n");
                width = 0;
            }
            width += code.len();
            lines.push_str(&code);
        }
        if lines.ends_with(' ') {
            lines.pop();
            lines.push_str("=20");
        }
        lines.push_str("\r\n");
    }
    lines
}

/// Text in Windows-1256; `None` when a letter is not in it.
fn windows_1256(text: &str) -> Option<Vec<u8>> {
    // The code page's upper half, for the letters that the texts use.
    const UPPER: [(u8, &str); 5] = [
        (0xC0, "\u{6c1}ءآأؤإئابةتثجحخدذرزسشصض"),
        (0xD8, "طظعغـفقك"),
        (0xA1, "،"),
        (0xBA, "؛"),
        (0xBF, "؟"),
    ];
    const SINGLE: [(char, u8); 17] = [
        ('ل', 0xE1),
        ('م', 0xE3),
        ('ن', 0xE4),
        ('ه', 0xE5),
        ('و', 0xE6),
        ('ى', 0xEC),
        ('ي', 0xED),
        ('ً', 0xF0),
        ('ٌ', 0xF1),
        ('ٍ', 0xF2),
        ('َ', 0xF3),
        ('ُ', 0xF5),
        ('ِ', 0xF6),
        ('ّ', 0xF8),
        ('ْ', 0xFA),
        ('«', 0xAB),
        ('»', 0xBB),
    ];
    let code = |letter: char| {
        let in_run = UPPER.iter().find_map(|(first, run)| {
            let at = run.chars().position(|own| own == letter)?;
            first.checked_add(u8::try_from(at).ok()?)
        });
        let single = || SINGLE.iter().find(|(own, _)| *own == letter).map(|(_, code)| *code);
        if letter.is_ascii() {
            u8::try_from(letter).ok()
        } else {
            in_run.or_else(single)
        }
    };
    text.chars().map(code).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_1256_has_the_published_codes() {
        assert_eq!(windows_1256("واحة؟").unwrap(), [0xE6, 0xC7, 0xCD, 0xC9, 0xBF]);
        assert_eq!(
            windows_1256("ضطك شيء").unwrap(),
            [0xD6, 0xD8, 0xDF, b' ', 0xD4, 0xED, 0xC1]
        );
        assert_eq!(windows_1256("گ"), None);
    }

    #[test]
    fn headers_fold_into_encoded_words() {
        let subject = header(Dress::Base64, "تأخر توصيل الطلب 4471 ثلاثة أيام");
        assert!(subject.is_ascii() && subject.contains("\r\n "));
        assert!(
            subject
                .split("\r\n ")
                .all(|word| word.len() <= 75 && word.starts_with("=?UTF-8?B?"))
        );
        assert_eq!(header(Dress::Plain, "Where is it?"), "Where is it?");
    }

    #[test]
    fn quoted_printable_lines_are_short_and_lose_nothing() {
        let text = "سطر طويل = ".repeat(12);
        let encoded = quoted_printable(&text);
        assert!(encoded.split("\r\n").all(|line| line.len() <= 76));
        let joined = encoded.replace("=\r\n", "").replace("\r\n", "");
        let mut bytes = Vec::new();
        let mut letters = joined.bytes();
        while let Some(byte) = letters.next() {
            if byte == b'=' {
                let hex: String = letters.by_ref().take(2).map(char::from).collect();
                bytes.push(u8::from_str_radix(&hex, 16).unwrap());
            } else {
                bytes.push(byte);
            }
        }
        assert_eq!(String::from_utf8(bytes).unwrap(), text);
    }
}
