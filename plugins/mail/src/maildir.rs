//! What lies in a Maildir beside finished mails.

/// In a Maildir, `tmp/` holds deliveries in progress. Their names have no extension; a folder of the admin's own that
/// happens to be called `tmp` holds files that do.
pub(crate) fn is_unfinished_delivery(path: &str) -> bool {
    let mut parts = path.rsplit('/');
    let file = parts.next().unwrap_or_default().to_ascii_lowercase();
    let is_export = [".eml", ".mbox", ".mbx", ".txt"]
        .iter()
        .any(|extension| file.ends_with(extension));
    parts.next() == Some("tmp") && !is_export
}

/// Whether a mail server calls a file of its own so: an index, a quota, a list of subscriptions. The name alone proves
/// nothing, because a mail can have it too.
pub(crate) fn is_housekeeping(path: &str) -> bool {
    let file = path.rsplit('/').next().unwrap_or_default();
    let of_server = ["dovecot-", "dovecot.", "courierimap", "courierpop3d"]
        .iter()
        .any(|start| file.starts_with(start));
    of_server
        || matches!(
            file,
            "maildirsize" | "maildirfolder" | "subscriptions" | "shared-maildirs"
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unfinished_deliveries_are_skipped() {
        assert!(is_unfinished_delivery("Maildir/tmp/1700000000.M1P2.host"));
        assert!(is_unfinished_delivery("tmp/1700000000.M1P2.host"));
        assert!(!is_unfinished_delivery("tmp/رسالة.eml"));
        assert!(!is_unfinished_delivery("Maildir/cur/1700000000.M1P2.host:2,S"));
    }

    #[test]
    fn files_of_the_server_are_known_by_name() {
        for name in [
            "dovecot-uidlist",
            "Maildir/dovecot.index.cache",
            "dovecot-uidvalidity.65a1",
            "المبيعات/maildirfolder",
            "courierimapuiddb",
        ] {
            assert!(is_housekeeping(name), "{name}");
        }
        for name in [
            "dovecot",
            "subscriptions.eml",
            "maildirsize/1.M2P3.host:2,S",
            "شكوى.eml",
        ] {
            assert!(!is_housekeeping(name), "{name}");
        }
    }
}
