#!/usr/bin/env python3
"""Sends knocks to pkctl. One file, Python 3.8 or later, standard library only.

    knock.py HOST --pkd TAG --key-file FILE
    knock.py HOST --identity pk1:... --key-file FILE
    knock.py HOST --identity pk1:... --ssh-key ~/.ssh/id_ed25519.pub

The packets are those of docs/protocol.md, and the PKD knock of ipt_pkd and nf-pkd. X25519 and ChaCha20-Poly1305 are plain
Python here: slow, not constant in time, and fast enough for one knock. OpenSSH signs: ssh-keygen, which asks ssh-agent
first, then reads the key file and asks for its passphrase. For a FIDO token, knock.py says when to touch it.
"""
import argparse
import base64
import hashlib
import hmac
import ipaddress
import os
import random
import re
import socket
import struct
import subprocess
import sys
import tempfile
import time

DEFAULT_PORT = 62201
KEY_HINT = "make one with: pkctl keygen --out FILE"


class KnockError(Exception):
    """What went wrong, as one sentence, and what to do about it."""

    def __init__(self, message, hint=None):
        super().__init__(message)
        self.hint = hint


# X25519, RFC 7748


def x25519(scalar, point):
    """What both have in common: 32 bytes, from a private key and a public key of 32 bytes."""
    prime = 2**255 - 19
    k = int.from_bytes(scalar, "little")
    k = (k & ~7 & (2**254 - 1)) | 2**254
    u = int.from_bytes(point, "little") & (2**255 - 1)
    x1, x2, z2, x3, z3, swap = u, 1, 0, u, 1, 0
    for bit in range(254, -1, -1):
        now = (k >> bit) & 1
        if swap ^ now:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = now
        a, b = (x2 + z2) % prime, (x2 - z2) % prime
        c, d = (x3 + z3) % prime, (x3 - z3) % prime
        da, cb = d * a % prime, c * b % prime
        aa, bb = a * a % prime, b * b % prime
        x3, z3 = (da + cb) ** 2 % prime, x1 * (da - cb) ** 2 % prime
        e = (aa - bb) % prime
        x2, z2 = aa * bb % prime, e * (aa + 121665 * e) % prime
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, prime - 2, prime) % prime).to_bytes(32, "little")


def public_half(private):
    return x25519(private, (9).to_bytes(32, "little"))


# ChaCha20-Poly1305, RFC 8439


def chacha20_block(key, counter, nonce):
    def rotated(value, bits):
        return ((value << bits) | (value >> (32 - bits))) & 0xFFFFFFFF

    def quarter(s, a, b, c, d):
        for first, second, third, bits in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            s[first] = (s[first] + s[second]) & 0xFFFFFFFF
            s[third] = rotated(s[third] ^ s[first], bits)

    start = list(struct.unpack("<16I", b"expand 32-byte k" + key + struct.pack("<I", counter) + nonce))
    state = start[:]
    for _ in range(10):
        for column in range(4):
            quarter(state, column, 4 + column, 8 + column, 12 + column)
        for diagonal in range(4):
            quarter(state, diagonal, 4 + (diagonal + 1) % 4, 8 + (diagonal + 2) % 4, 12 + (diagonal + 3) % 4)
    return struct.pack("<16I", *((a + b) & 0xFFFFFFFF for a, b in zip(state, start)))


def chacha20(key, nonce, data):
    stream = b"".join(chacha20_block(key, 1 + i, nonce) for i in range((len(data) + 63) // 64))
    return bytes(a ^ b for a, b in zip(data, stream))


def poly1305(key, message):
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    total = 0
    for at in range(0, len(message), 16):
        total = (total + int.from_bytes(message[at : at + 16] + b"\1", "little")) * r % (2**130 - 5)
    return ((total + int.from_bytes(key[16:], "little")) % 2**128).to_bytes(16, "little")


def aead_tag(key, nonce, data, ciphertext):
    def padded(part):
        return part + bytes(-len(part) % 16)

    lengths = struct.pack("<QQ", len(data), len(ciphertext))
    return poly1305(chacha20_block(key, 0, nonce)[:32], padded(data) + padded(ciphertext) + lengths)


def seal(key, data, plaintext):
    """SEAL of docs/protocol.md: the ciphertext and its tag; `data` is authenticated only."""
    nonce = bytes(12)
    ciphertext = chacha20(key, nonce, plaintext)
    return ciphertext + aead_tag(key, nonce, data, ciphertext)


def unseal(key, data, sealed):
    """The plaintext, or None."""
    nonce = bytes(12)
    ciphertext, tag = sealed[:-16], sealed[-16:]
    if not hmac.compare_digest(tag, aead_tag(key, nonce, data, ciphertext)):
        return None
    return chacha20(key, nonce, ciphertext)


def hmac_sha256(key, *parts):
    return hmac.new(key, b"".join(parts), hashlib.sha256).digest()


def hkdf(secret, salt, info):
    """RFC 5869 with SHA-256 and 32 bytes of output."""
    return hmac_sha256(hmac_sha256(salt, secret), info, b"\1")


# PKD: the knock of ipt_pkd and nf-pkd


def pkd_packet(tag, key, port, seconds, entropy):
    """56 bytes. `entropy`: 12 random bytes."""
    header = struct.pack("<4sQ12s", tag, seconds, entropy)
    ports = struct.pack(">HH", port, port)
    return header + hashlib.sha256(ports + header + key.ljust(40, b"\0")).digest()


# The knock of pkctl: docs/protocol.md

PERIOD_MILLISECONDS = 30_000
CLOSE, WINDOW, PREFIX, OTHER, HOST, SERVICES = 1, 2, 4, 8, 16, 32


def encode_request(
    milliseconds, size, close=False, window=None, prefix=None, other=None, host=None, services=(), **_
):
    """The request, filled with zeros to `size` bytes. Addresses are packed: 4 or 16 bytes."""
    flags, fields = CLOSE if close else 0, b""
    if window is not None:
        flags, fields = flags | WINDOW, fields + struct.pack(">I", window)
    if prefix is not None:
        flags, fields = flags | PREFIX, fields + struct.pack(">B", prefix)
    for flag, address in ((OTHER, other), (HOST, host)):
        if address is not None:
            family = b"\4" if len(address) == 4 else b"\6"
            flags, fields = flags | flag, fields + family + address
    if services:
        names = sorted({name.encode("ascii") for name in services})
        flags |= SERVICES
        fields += bytes([len(names)]) + b"".join(bytes([len(name)]) + name for name in names)
    request = struct.pack(">BBQ", 1, flags, milliseconds) + fields
    if len(request) > size:
        raise KnockError("so many services do not fit into one knock")
    return request.ljust(size, b"\0")


class Identity:
    """What a server's public key says about packets to it."""

    def __init__(self, public):
        self.public = public
        self.prefix_key = hmac_sha256(public, b"pkctl knock 1 prefix")
        self.mac_key = hmac_sha256(public, b"pkctl knock 1 mac")
        self.mask_key = hmac_sha256(public, b"pkctl knock 1 mask")

    @classmethod
    def parse(cls, text):
        match = re.fullmatch(r"pk1:([A-Za-z0-9_-]{43})", text)
        public = base64.urlsafe_b64decode(match[1] + "=") if match else b""
        canonical = "pk1:" + base64.urlsafe_b64encode(public).decode().rstrip("=")
        if len(public) != 32 or public[31] & 0x80 or canonical != text:
            raise KnockError("that is not an identity", "it is what the server prints, like pk1: and 43 characters")
        return cls(public)

    def prefix(self, period):
        return hmac_sha256(self.prefix_key, struct.pack(">Q", period))[:8]

    def masked(self, hidden, salt):
        stream = hmac_sha256(self.mask_key, salt)
        return bytes(a ^ b for a, b in zip(hidden, stream))

    def check(self, head, rest):
        return hmac_sha256(self.mac_key, head, rest)[:16]

    def packet(self, head, hidden, key, port, body):
        masked = self.masked(hidden, head[8:])
        rest = masked + seal(key, head + masked + struct.pack(">H", port), body)
        return head + self.check(head, rest) + rest


def symmetric_hint(identity, key, period):
    hint_key = hmac_sha256(key, b"pkctl knock 1 hint", identity.public)
    return hmac_sha256(hint_key, struct.pack(">Q", period))[:8]


def symmetric_key(identity, key, salt):
    return hkdf(key, salt, b"pkctl knock 1 symmetric" + identity.public)


def symmetric_packet(identity, key, port, milliseconds, salt, **request):
    """160 bytes. `key`: 32 bytes; `salt`: 16 random bytes."""
    period = milliseconds // PERIOD_MILLISECONDS
    head = identity.prefix(period) + salt
    hint = symmetric_hint(identity, key, period)
    body = encode_request(milliseconds, 96, **request)
    return identity.packet(head, hint, symmetric_key(identity, key, salt), port, body)


def signed_key(identity, shared, salt, ephemeral):
    return hkdf(shared, salt, b"pkctl knock 1 signed" + identity.public + ephemeral)


def signed_message(identity, port, head, ephemeral, body):
    """What is signed, before SSHSIG. `body`: without the proof, its last 69 bytes."""
    return b"pkctl knock 1 message" + identity.public + struct.pack(">H", port) + head + ephemeral + body


def signed_packet(identity, signer, sign, port, milliseconds, salt, private, **request):
    """256 bytes, or 1024 where `signer` is a certificate's blob; a fingerprint has 32 bytes.

    `sign` gets the message and returns flags, counter and 64 bytes. `private`: 32 random bytes.
    """
    head = identity.prefix(milliseconds // PERIOD_MILLISECONDS) + salt
    ephemeral = public_half(private)
    who = signer
    if len(signer) != 32:
        if len(signer) > 798:
            raise KnockError(
                "the certificate does not fit into a knock: it has %d bytes, and there is room for 798" % len(signer),
                "ssh-keygen -s makes smaller ones with -O clear",
            )
        who = (struct.pack(">H", len(signer)) + signer).ljust(800, b"\0")
    body = encode_request(milliseconds, 67, **request) + who
    flags, counter, signature = sign(signed_message(identity, port, head, ephemeral, body))
    key = signed_key(identity, x25519(private, identity.public), salt, ephemeral)
    return identity.packet(head, ephemeral, key, port, body + struct.pack(">BI", flags, counter) + signature)


# OpenSSH


def ssh_strings(blob):
    """The strings that a blob consists of; SSH writes each behind its length."""
    strings, at = [], 0
    while at + 4 <= len(blob):
        (length,) = struct.unpack_from(">I", blob, at)
        strings.append(blob[at + 4 : at + 4 + length])
        at += 4 + length
    return strings


def raw_signature(armoured):
    """Flags, counter and 64 bytes of what ssh-keygen -Y sign prints."""
    lines = [line for line in armoured.splitlines() if line and not line.startswith("-")]
    blob = ssh_strings(base64.b64decode("".join(lines))[10:])[4]
    kind, signature = ssh_strings(blob)[:2]
    flags, counter = 0, 0
    if kind.startswith(b"sk-"):
        flags, counter = struct.unpack(">BI", blob[-5:])
    if b"ecdsa" in kind:
        numbers = [int.from_bytes(number, "big") for number in ssh_strings(signature)]
        signature = b"".join(number.to_bytes(32, "big") for number in numbers)
    return flags, counter, signature


def public_key(path):
    """Type and blob of a public key or certificate in OpenSSH's format."""
    try:
        with open(path, encoding="utf8") as file:
            kind, blob = file.readline().split()[:2]
        return kind, base64.b64decode(blob, validate=True)
    except OSError as error:
        raise KnockError("%s cannot be read: %s" % (path, error.strerror)) from error
    except ValueError as error:
        raise KnockError("%s is not a public key of OpenSSH" % path) from error


SIGNING_KEYS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com")


def ssh_signer(path):
    """Who signs, as `signed_packet` wants it, and the function that does. `path`: of the key, or its .pub file."""
    private = path[:-4] if path.endswith(".pub") else path
    kind, blob = public_key(private + ".pub")
    if kind not in SIGNING_KEYS:
        # In the wrong file, the first word can be a secret.
        shown = "an RSA key" if kind == "ssh-rsa" else "the key in %s.pub" % private
        raise KnockError("%s cannot sign a knock" % shown, "use an Ed25519 or an ECDSA P-256 key")
    signer = hashlib.sha256(blob).digest()
    certificate = private + "-cert.pub"
    if os.path.exists(certificate):
        signer = public_key(certificate)[1]

    def sign(message):
        with tempfile.TemporaryDirectory() as directory:
            file = os.path.join(directory, "knock")
            with open(file, "wb") as out:
                out.write(message)
            # What ssh-keygen says of it would come with all else that it says.
            if kind.startswith("sk-"):
                print("knock.py: touch your security key to sign the knock", file=sys.stderr, flush=True)
            # With a public key, ssh-keygen asks ssh-agent first, and then reads the private key beside it.
            command = ["ssh-keygen", "-Y", "sign", "-n", "knock@pkctl", "-f", private + ".pub", file]
            try:
                done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
            except FileNotFoundError as error:
                raise KnockError("there is no ssh-keygen program", "install the client of OpenSSH") from error
            if done.returncode != 0:
                lines = done.stderr.decode(errors="replace").strip().splitlines()
                raise KnockError("ssh-keygen did not sign: %s" % (lines[-1] if lines else "it gave no reason"))
            with open(file + ".sig", encoding="ascii") as signature:
                return raw_signature(signature.read())

    return signer, sign


# The command


def read_line(path):
    try:
        with open(path, encoding="utf8") as file:
            line = file.readline().strip()
    except OSError as error:
        raise KnockError("%s cannot be read: %s" % (path, error.strerror)) from error
    except ValueError as error:
        raise KnockError("%s is not UTF-8 text" % path, "write the key as hex after 0x") from error
    if not line:
        raise KnockError("%s has no key in its first line" % path, KEY_HINT)
    return line


def pkd_bytes(text, size, what):
    """ASCII, or hex behind 0x; an odd last digit is the high half of its byte."""
    if re.match("0x", text, re.I):
        digits = text[2:]
        if not re.fullmatch(r"[0-9A-Fa-f]+", digits):
            raise KnockError("the %s starts with 0x and is not hex after it" % what)
        value = bytes.fromhex(digits + "0" * (len(digits) % 2))
    else:
        value = text.encode("utf8")
    if len(value) > size:
        raise KnockError("the %s has %d bytes, and at most %d are possible" % (what, len(value), size))
    return value


def symmetric_key_of(text):
    value = pkd_bytes(text, 10_000, "key") if re.match("0x", text, re.I) else b""
    if len(value) != 32:
        raise KnockError("the key is not 32 bytes in hex behind 0x", KEY_HINT)
    return value


def packets_for(options, port):
    now = time.time()
    if options.pkd is not None:
        tag = pkd_bytes(options.pkd, 4, "tag")
        key = pkd_bytes(read_line(options.key_file), 40, "key")
        return pkd_packet(tag, key, port, int(now), os.urandom(12))
    identity = Identity.parse(options.identity)
    request = {"services": options.service, "window": options.window, "close": options.close}
    if options.other is not None:
        request["other"] = options.other.packed
    milliseconds = int(now * 1000)
    if options.ssh_key is None:
        key = symmetric_key_of(read_line(options.key_file))
        return symmetric_packet(identity, key, port, milliseconds, os.urandom(16), **request)
    signer, sign = ssh_signer(os.path.expanduser(options.ssh_key))
    # The signature may wait for a passphrase or a touch, but what is signed has the time.
    return signed_packet(identity, signer, sign, port, milliseconds, os.urandom(16), os.urandom(32), **request)


def service_name(text):
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}", text):
        raise argparse.ArgumentTypeError("%r is not the name of a service" % text)
    return text


def number_between(low, high):
    def parse(text):
        if not re.fullmatch(r"\d{1,10}", text) or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError("%r is not a number from %d to %d" % (text, low, high))
        return int(text)

    return parse


def arguments(argv):
    parser = argparse.ArgumentParser(
        prog="knock.py", description="Send a knock to pkctl, and optionally wait until a port is open."
    )
    parser.add_argument("host", help="the server: a name or an address")
    kind = parser.add_mutually_exclusive_group(required=True)
    kind.add_argument("--pkd", metavar="TAG", help="send a PKD knock with this tag")
    kind.add_argument("--identity", metavar="pk1:...", help="send a knock of pkctl to the server with this identity")
    key = parser.add_mutually_exclusive_group(required=True)
    key.add_argument("--key-file", metavar="FILE", help="the file whose first line is the shared key")
    key.add_argument("--ssh-key", metavar="FILE", help="the OpenSSH key that signs; the private half may be in ssh-agent")
    parser.add_argument(
        "--port",
        type=number_between(1, 65535),
        help="the UDP port to knock on (default: %d; for PKD a random one)" % DEFAULT_PORT,
    )
    parser.add_argument("--service", action="append", default=[], type=service_name, help="open only this service")
    parser.add_argument("--window", type=number_between(1, 2**32 - 1), metavar="SECONDS", help="how long to stay open")
    parser.add_argument("--other", type=ipaddress.ip_address, metavar="ADDRESS", help="grant this address as well")
    parser.add_argument("--close", action="store_true", help="take the grant back")
    parser.add_argument(
        "--connect", type=number_between(1, 65535), metavar="PORT", help="try this TCP port until it is open, for 5 s"
    )
    family = parser.add_mutually_exclusive_group()
    family.add_argument("-4", dest="family", action="store_const", const=socket.AF_INET, help="use IPv4 only")
    family.add_argument("-6", dest="family", action="store_const", const=socket.AF_INET6, help="use IPv6 only")
    options = parser.parse_args(argv)
    if options.pkd is not None and options.ssh_key is not None:
        parser.error("a PKD knock needs --key-file")
    if options.pkd is not None and (options.service or options.window or options.other or options.close):
        parser.error("a PKD knock cannot ask for --service, --window, --other or --close")
    return options


def knock(options):
    port = options.port or (random.SystemRandom().randrange(1024, 65_536) if options.pkd else DEFAULT_PORT)
    try:
        found = socket.getaddrinfo(options.host, port, options.family or 0, socket.SOCK_DGRAM)
    except socket.gaierror as error:
        raise KnockError("%s has no address: %s" % (options.host, error.strerror)) from error
    family, _, _, _, address = found[0]
    packet = packets_for(options, port)
    with socket.socket(family, socket.SOCK_DGRAM) as udp:
        udp.sendto(packet, address)
    if options.connect is None:
        return
    deadline = time.monotonic() + 5
    target = (address[0], options.connect) + tuple(address[2:])
    while True:
        with socket.socket(family, socket.SOCK_STREAM) as tcp:
            tcp.settimeout(1)
            try:
                tcp.connect(target)
                return
            except OSError as error:
                if time.monotonic() > deadline:
                    raise KnockError("port %d stays closed after the knock" % options.connect) from error
        time.sleep(0.05)


def main(argv=None):
    options = arguments(argv)
    try:
        knock(options)
    except (KnockError, OSError) as error:
        print("knock.py: error: %s" % error, file=sys.stderr)
        if getattr(error, "hint", None):
            print("knock.py: hint: %s" % error.hint, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
