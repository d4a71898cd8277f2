#!/usr/bin/env python3
"""Checks a bundle of Mihwar's ledger and counts what is in it. Needs Python 3.8 and nothing else.

    python3 verify.py BUNDLE KEY [CHECKPOINT…]

KEY is the ledger's verifier key (name+id+base64), and each CHECKPOINT a file with a checkpoint. Both are worth something only
from elsewhere than the bundle. It shares no code with the hub; the format is described in FORMAT.md. Personal content, if
there is any, is passed over: `mihwar ledger verify` compares that, too. What of it the hub could not read is told.
"""
import base64, collections, hashlib, json, struct, sys, tarfile, uuid

KINDS = ["complaint", "suggestion", "enquiry", "praise", "observation", "defect"]
EVENTS = [
    "contact_created", "received", "enriched", "enrichment_failed", "routed", "delivered", "delivery_failed",
    "delivery_skipped", "delivery_dead_lettered", "delivery_replayed", "withdrawn", "inbound_dead_lettered",
    "instance_configured", "token_created", "token_revoked", "inbound_replayed", "contact_erased", "record_erased",
    "status_reported", "back_filled", "destination_paused", "destination_resumed",
]


def demand(holds, what):
    if not holds:
        sys.exit("NOT proved: " + what)


# Ed25519, as in RFC 8032, section 6: only what verifying takes.

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def add(a, b):
    p, q = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    r, s = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = q - p, s - r, s + r, q + p
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def times(scalar, point):
    total = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            total = add(total, point)
        point, scalar = add(point, point), scalar >> 1
    return total


def decompress(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if y >= P or (x * x - square) % P or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return (x, y, 1, x * y % P)


BASE = decompress((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def signed(public, text, signature):
    a, r, s = decompress(public), decompress(signature[:32]), int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= ORDER or len(signature) != 64:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + text).digest(), "little") % ORDER
    one, other = times(s, BASE), add(r, times(h, a))
    return not ((one[0] * other[2] - other[0] * one[2]) % P or (one[1] * other[2] - other[1] * one[2]) % P)


# Signed notes and checkpoints (C2SP signed-note and tlog-checkpoint).


class Key:
    def __init__(self, text):
        parts = text.strip().split("+", 2)
        demand(len(parts) == 3, "that is no verifier key: " + text.strip())
        name, number, key = parts
        self.name, key = name.encode(), base64.b64decode(key, validate=True)
        self.id, self.public = hashlib.sha256(self.name + b"\n" + key).digest()[:4], key[1:]
        demand(key[0] == 1 and len(key) == 33 and number == self.id.hex(), "that is no verifier key: " + text.strip())

    def open(self, note, where):
        """Size and root of a checkpoint that this key signed."""
        text, _, lines = note.rpartition(b"\n\n")
        text += b"\n"
        mark = "\u2014 ".encode() + self.name + b" "
        blobs = [base64.b64decode(line[len(mark):]) for line in lines.split(b"\n") if line.startswith(mark)]
        own = [blob[4:] for blob in blobs if blob[:4] == self.id]
        demand(own, where + ": it has no signature by " + self.name.decode())
        demand(all(signed(self.public, text, blob) for blob in own), where + ": the signature does not fit")
        origin, size, root = text.split(b"\n")[:3]
        demand(origin == self.name, where + ": it is of another ledger")
        return int(size), base64.b64decode(root)


def notes(data):
    """The signed notes in a file: lines, an empty line, signature lines."""
    groups = [group.strip(b"\n") for group in data.replace(b"\r\n", b"\n").split(b"\n\n") if group.strip(b"\n")]
    dash = "\u2014 ".encode()
    for text, lines in zip(groups, groups[1:]):
        if not text.startswith(dash) and lines.startswith(dash):
            yield text + b"\n\n" + lines + b"\n"


# The tree (RFC 9162, section 2.1).


def node(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


def complete(hashes):
    while len(hashes) > 1:
        hashes = [node(left, right) for left, right in zip(hashes[::2], hashes[1::2])]
    return hashes[0]


class Tree:
    def __init__(self):
        self.size, self.peaks, self.edges = 0, [], []

    def append(self, leaf):
        """Adds a leaf; answers the tiles that it fills, as (level, index, hashes)."""
        self.size += 1
        height, top = 0, leaf
        while self.peaks and self.peaks[-1][0] == height:
            height, top = height + 1, node(self.peaks.pop()[1], top)
        self.peaks.append((height, top))
        full, level, top = [], 0, leaf
        while True:
            if level == len(self.edges):
                self.edges.append([])
            self.edges[level].append(top)
            if len(self.edges[level]) < 256:
                return full
            hashes, self.edges[level] = self.edges[level], []
            full.append((level, self.size // 256 ** (level + 1) - 1, hashes))
            level, top = level + 1, complete(hashes)

    def begun(self):
        return [(level, self.size // 256 ** (level + 1), edge) for level, edge in enumerate(self.edges) if edge]

    def root(self):
        if not self.peaks:
            return hashlib.sha256(b"").digest()
        top = self.peaks[-1][1]
        for _, peak in reversed(self.peaks[:-1]):
            top = node(peak, top)
        return top


def address(index, width):
    groups = "%03d" % (index % 1000)
    while index >= 1000:
        index //= 1000
        groups = "x%03d/" % (index % 1000) + groups
    return groups if width == 256 else groups + ".p/%d" % width


# Events (CBOR, RFC 8949; as much of it as they use).


def decode(data, at=0):
    kind, short, at = data[at] >> 5, data[at] & 31, at + 1
    if kind == 7:
        if short in (20, 21, 22):
            return {20: False, 21: True, 22: None}[short], at
        demand(short == 27, "an event holds what no event holds")
        return struct.unpack_from(">d", data, at)[0], at + 8
    bytes_more = {24: 1, 25: 2, 26: 4, 27: 8}.get(short, 0)
    demand(short < 28, "an event holds what no event holds")
    number = int.from_bytes(data[at:at + bytes_more], "big") if bytes_more else short
    at += bytes_more
    if kind < 2:
        return (number, at) if kind == 0 else (-1 - number, at)
    if kind in (2, 3):
        demand(at + number <= len(data), "an event ends too early")
        text = data[at:at + number]
        return (text if kind == 2 else text.decode(), at + number)
    demand(kind == 4, "an event holds what no event holds")
    items = []
    for _ in range(number):
        item, at = decode(data, at)
        items.append(item)
    return items, at


class Counts:
    def __init__(self):
        self.events, self.feedback, self.revisions = collections.Counter(), {}, 0

    def add(self, entry):
        (_, _, (number, fields)), _ = decode(entry)
        self.events[EVENTS[number] if number < len(EVENTS) else "event %d" % number] += 1
        event = fields[0] if fields else []
        # Kind, channel, scores, revision, withdrawn, erased: of the newest revision, as the hub shows it.
        known = self.feedback.get(event[0]) if event and isinstance(event[0], bytes) else None
        if number == 1:
            self.revisions += known is not None
            self.feedback[event[0]] = [event[5], event[4], event[9], event[1], False, False]
        elif known and number == 2 and event[1] == known[3] and len(event) > 4 and event[4] is not None:
            known[0] = event[4]
        elif known and number in (10, 17):
            known[4 if number == 10 else 5] = True

    def show(self):
        for name, count in sorted(self.events.items()):
            print("  %9d  %s" % (count, name))
        rows = self.feedback.values()
        gone = sum(row[4] for row in rows), sum(row[5] for row in rows)
        text = "%d pieces of feedback, %d of them withdrawn and %d erased; %d later revisions"
        print(text % (len(rows), gone[0], gone[1], self.revisions))
        kinds = collections.Counter(("unknown" if row[0] is None else KINDS[row[0]], row[1]) for row in rows)
        for (kind, channel), count in sorted(kinds.items()):
            print("  %9d  %s, %s" % (count, kind, channel))
        scores = collections.defaultdict(list)
        for row in rows:
            for metric, value, least, most in row[2]:
                scores[metric, float(least), float(most)].append(float(value))
        for (metric, least, most), values in sorted(scores.items()):
            mean = sum(sorted(values)) / len(values)
            print("  %9d  %s from %g to %g: mean %.4f" % (len(values), metric, least, most, mean))


class Files:
    """The files of a bundle, which have one order."""

    def __init__(self, path):
        self.tar = tarfile.open(path, "r|")
        self.member = self.tar.next()

    def take_if(self, name):
        if self.member is None or self.member.name != name:
            return None
        # A file with holes in it could be of any length.
        demand(self.member.isreg() and not self.member.issparse(), name + ": it is no plain file")
        data = self.tar.extractfile(self.member).read()
        demand(len(data) == self.member.size, name + ": it is cut short")
        self.member = self.tar.next()
        return data

    def take(self, name):
        data = self.take_if(name)
        found = "its end" if self.member is None else self.member.name
        demand(data is not None, "%s is not where it should be; there is %s" % (name, found))
        return data


def split(data, width, length_bytes, name):
    entries, at = [], 0
    while at < len(data):
        length = int.from_bytes(data[at:at + length_bytes], "big")
        entries.append(data[at + length_bytes:at + length_bytes + length])
        at += length_bytes + length
    demand(at == len(data) and len(entries) == width, "%s: it has not the %d entries that belong in it" % (name, width))
    return entries


def lacking(data, first, entries, name):
    """What the hub could not read of what these entries commit to: each must be of one of them, as it says."""
    told, last = [], -1
    for line in data[:-1].split(b"\n"):
        one = json.loads(line)
        place, why = one["entry"] - first, one["why"]
        demand(last < place < len(entries), "%s: entry %d does not belong there" % (name, one["entry"]))
        (_, _, (number, fields)), _ = decode(entries[place])
        of = number == 1 and (str(uuid.UUID(bytes=fields[0][0])), fields[0][1])
        demand(of == (one["feedback"], one["revision"]), "%s: entry %d is of another content" % (name, one["entry"]))
        # Nothing in it may move the cursor of a terminal.
        why = "".join(letter if letter.isprintable() else "?" for letter in why)
        told.append("  feedback %s, revision %d (entry %d): %s" % (of + (one["entry"], why)))
        last = place
    return told


def verify(path, key, held):
    files = Files(path)
    demand(files.take("mihwar-bundle").strip() == b"mihwar-bundle/1", "this is no bundle that this program reads")
    files.take("FORMAT.md"), files.take("verify.py"), files.take("key")
    size, root = key.open(files.take("checkpoint"), "the bundle's checkpoint")
    # What the tree must be at which size.
    due = collections.defaultdict(list)
    for name, (held_size, held_root) in held:
        text = "%s: the bundle is of a shorter history, of %d entries, and not of %d. It is NOT the whole ledger"
        demand(held_size <= size, text % (name, size, held_size))
        due[held_size].append((held_root, name))
    tree, counts, kept, missing, first_missing = Tree(), Counts(), 0, 0, []

    def judge():
        for wanted, name in due.pop(tree.size, ()):
            text = "%s: the first %d entries have another root: history was rewritten after it was signed"
            demand(wanted == tree.root(), text % (name, tree.size))

    while True:
        group, width = tree.size // 256, min(256, size - tree.size)
        name = "checkpoints/" + address(group, 256)
        for note in notes(files.take_if(name) or b""):
            kept_size, kept_root = key.open(note, name)
            demand(kept_size >= tree.size and kept_size <= tree.size + width, name + ": a checkpoint does not belong there")
            due[kept_size].append((kept_root, name))
            kept += 1
        judge()
        if width == 0:
            break
        name = "long-entries/" + address(group, width)
        data = files.take_if(name)
        if data is None:
            name = "tile/entries/" + address(group, width)
            entries = split(files.take(name), width, 2, name)
        else:
            entries = split(data, width, 4, name)
        tiles = []
        for entry in entries:
            tiles += tree.append(hashlib.sha256(b"\x00" + entry).digest())
            judge()
            counts.add(entry)
        for level, index, hashes in tiles + (tree.begun() if tree.size == size else []):
            name = "tile/%d/%s" % (level, address(index, len(hashes)))
            demand(files.take(name) == b"".join(hashes), name + ": it is not what the entries give")
        part = 0
        while files.take_if("content/%s/%03d.ndjson" % (address(group, 256), part)) is not None:
            part += 1
        name = "content/%s/missing.ndjson" % address(group, 256)
        data = files.take_if(name)
        if data is not None:
            told = lacking(data, tree.size - width, entries, name)
            missing, first_missing = missing + len(told), (first_missing + told)[:20]
        if tree.size == size:
            break
    demand(files.member is None, "%s belongs in no bundle" % (files.member and files.member.name))
    demand(tree.root() == root, "the entries do not give the root that was signed")
    print("ledger %s, %d entries, root %s" % (key.name.decode(), size, base64.b64encode(root).decode()))
    print("%d checkpoints that the hub had kept, %d from elsewhere: of the same history" % (kept, len(held)))
    counts.show()
    if missing:
        print("What the hub could not read is not in it (contents: %d):" % missing)
        print("\n".join(first_missing))
        if missing > len(first_missing):
            print("  and %d more" % (missing - len(first_missing)))
    print("Proved: these are the %d entries that were signed, and no other." % size)


def main():
    if len(sys.argv) < 3 or any(word.startswith("-") for word in sys.argv[1:]):
        sys.exit(__doc__)
    key, held = Key(sys.argv[2]), []
    for path in sys.argv[3:]:
        with open(path, "rb") as file:
            found = [(path, key.open(note, path)) for note in notes(file.read())]
        demand(found, path + ": there is no signed checkpoint in it")
        held += found
    try:
        verify(sys.argv[1], key, held)
    except (tarfile.TarError, EOFError, LookupError, ValueError, TypeError, AttributeError, RecursionError,
            struct.error) as error:
        demand(False, "it is damaged: %s" % error)


main()
